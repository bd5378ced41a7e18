"""Gateways of several nodes in one process, with kernels, tunnels, BFD and hellos in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from netlb.raven.adapter.keys import read_shared_key
from netlb.raven.backend import Backend
from netlb.raven.dataplane import Numbers
from netlb.raven.hello import Claim
from netlb.raven.keys import Keys, PrivateKey
from netlb.raven.objects import NeighbourKey, RouteKey
from netlb.testing.kernel import FakeKernel
from netlb.testing.tunnels import FakeDevice, fake_backend
from netlb_gateway.gateway import Gateway
from netlb_gateway.settings import GatewaySettings
from netlb_gateway.wiring import Doors, build
from tests.support.air import Air, FakeInner
from tests.support.sites import documents
from tests.support.status import load
from tests.support.wired import Wired, common, write

__all__ = ["ADDRESS", "ALL", "SITES", "World", "world"]

SITES = {
    "edge": {"nodes": ["e1", "e2", "e3"], "endpoints": [{"nodeName": n, "underNAT": True} for n in ("e1", "e2")]},
    "cloud": {"nodes": ["c1"], "endpoints": [{"nodeName": "c1"}]},
}
ALL = ("e1", "e2", "e3", "c1")
ADDRESS = {"e1": "192.168.1.1", "e2": "192.168.1.2", "e3": "192.168.1.3"}


@dataclass
class World:
    """Nodes, and what they have in their kernels."""

    root: Path
    air: Air = field(default_factory=Air)
    nodes: dict[str, Wired] = field(default_factory=dict)
    kernels: dict[str, FakeKernel] = field(default_factory=dict)
    devices: dict[str, FakeDevice] = field(default_factory=dict)
    inner: dict[str, FakeInner] = field(default_factory=dict)
    seeds: dict[str, str] = field(default_factory=dict)
    """By node, what its key is made of, where that is not its name."""
    shared: Path | None = None
    """The file with the secret that all endpoints share."""

    def declare(self, sites: dict[str, Any]) -> None:
        write(self.root, "sites.yaml", [yaml.safe_dump(dict(one.body)) for one in documents(sites)])

    async def start_all(self) -> None:
        """Start the gateways of all nodes; e1, which is preferred, is there before anybody could miss it."""
        self.start("e1")
        await self.until(lambda: self.said("e1"), "e1 watches the others")
        self.start(*ALL[1:])

    def start(self, *names: str, withdraws: bool = False, grace: float = 0.5) -> None:
        """Start the gateways of nodes, on what their kernels have already."""
        for name in names:
            kernel = self.kernels.setdefault(name, FakeKernel(Numbers()))
            kernel.others.devices["raven-wg0"] = None
            device = self.devices.setdefault(name, FakeDevice())
            shared = read_shared_key(self.shared, "--shared-key-file") if self.shared else None
            keys = Keys(PrivateKey.of(sha256(self.seeds.get(name, name).encode()).digest()), shared)
            backend: Backend = fake_backend(device)
            backend.use(keys)
            settings = GatewaySettings(
                common=common(self.root),
                status_dir=self.root / "cluster.status",
                node=name,
                key_file=self.root / name,
                withdraws=withdraws,
                shared_key_file=self.shared,
            )
            inner = self.inner.setdefault(name, FakeInner())
            doors = Doors(
                kernel=lambda _, kernel=kernel: kernel,  # type: ignore[misc]
                inner=lambda _, inner=inner: inner,  # type: ignore[misc]
                backend=backend,
                keys=keys,
                bfd=self.air.bfd,  # type: ignore[arg-type]
                sockets=self.air.socket,
            )
            self.nodes[name] = Wired(build(settings, doors, grace=grace, look=0.02))

    async def crash(self, name: str) -> None:
        """End a node's gateway without a word."""
        daemon = self.nodes.pop(name)
        await daemon.cancel()
        release(daemon)

    async def stop(self, name: str) -> None:
        """End a node's gateway in order."""
        daemon = self.nodes.pop(name)
        await daemon.stop()
        await daemon.cancel()

    def said(self, name: str) -> dict[str, Any]:
        document = load(self.root / f"cluster.status/gatewaynodestatuses/{name}.yaml")
        return document["status"] if document else {}

    def site(self, name: str) -> dict[str, Any]:
        document = load(self.root / f"cluster.status/gateways/{name}.yaml")
        return document["status"] if document else {}

    def speaks(self, name: str) -> list[str]:
        """Return who is active by a Gateway's status."""
        return [one["nodeName"] for one in self.site(name).get("activeEndpoints", ())]

    def through(self, name: str) -> str | None:
        """Return the MAC address to which a node sends what goes to other sites."""
        found = self.kernels[name].objects.get(NeighbourKey("raven0", Numbers().next_hop4))
        return found if isinstance(found, str) else None

    def routes(self, name: str, table: int) -> set[str]:
        return {
            str(key.prefix) for key in self.kernels[name].objects if isinstance(key, RouteKey) and key.table == table
        }

    def allowed(self, at: str) -> dict[str, set[str]]:
        """Return, by node, the prefixes of its site that a node's device sends to it."""
        keys = {self.said(name).get("publicKey"): name for name in ALL}
        return {
            keys.get(key, key): {str(one) for one in peer.allowed if one.prefixlen < 32}
            for key, peer in self.devices[at].dumped.peers.items()
        }

    def inner_address(self, name: str) -> str:
        """Return the address of an endpoint inside the tunnels."""
        return str(next(iter(self.inner[name].addresses.values())))

    def elections(self, name: str, site: str) -> float:
        """Return how often a node has seen others become active at a site."""
        return self.nodes[name].metric("netlb_gateway_elections_total", site=site) or 0.0

    def claim(self, name: str, *, at: str) -> Claim:
        """Return what a node says of its site by the word of another one."""
        gateway: Gateway = self.nodes[at].app.checks["tunnels"].__self__  # type: ignore[attr-defined]
        return gateway.hellos.claims.get(name, Claim())

    async def until(self, look: Any, what: str) -> None:
        await next(iter(self.nodes.values())).until(look, what)

    async def active(self, node: str, *at: str) -> None:
        """Wait until these nodes say that this one is active in the edge."""
        for name in at:
            way = lambda name=name: next((one["endpoint"] for one in self.said(name).get("ways", ())), None)  # noqa: E731
            if name == "c1":
                await self.until(lambda way=way: way() == node, f"c1 reaches the edge by {node}")
            else:
                await self.until(lambda name=name: self.said(name).get("gateway") == node, f"{name} sends by {node}")


def release(daemon: Wired) -> None:
    """Let go of the lock, as the end of a process does."""
    daemon.app.checks["tunnels"].__self__._sink.close()  # type: ignore[attr-defined]


@asynccontextmanager
async def world(
    root: Path, *, started: bool = True, sites: dict[str, Any] = SITES, shared: Path | None = None
) -> AsyncIterator[World]:
    """Declare sites, start the gateways of all nodes, and wait until they are connected; end them afterwards."""
    made = World(root, shared=shared)
    common(root)
    made.declare(sites)
    try:
        if started:
            await made.start_all()
            for daemon in made.nodes.values():
                await daemon.ready()
        yield made
    finally:
        for daemon in made.nodes.values():
            await daemon.cancel()
            release(daemon)
