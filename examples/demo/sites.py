"""Act three: three sites are joined by tunnels, two of them from behind NATs, and a gateway dies."""

import shutil
import socket
import struct
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import product
from pathlib import Path
from typing import Any, Final

import yaml

from examples.demo.steps import StepFailedError, act, eventually, require, step
from examples.demo.stream import Stream
from netlb.net import Address
from netlb.testing.lab import Host
from netlb.testing.sites import SitesLab
from netlb.testing.sites.declared import manifests

_PORT: Final = 51820
_HTTP_PORT: Final = 8080
_CALM: Final = 3.0
"""Seconds after which everybody has known everybody for long enough to be believed (docs/sites.md)."""
_SITES: Final = {"cloud": 2, "edge": 3, "shop": 2}
"""Nodes by site. The edge's router masquerades; the shop's takes another port for each destination, too."""


class Sites:
    """Seven nodes, what is declared, and what runs on them."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.lab = SitesLab(_SITES, public=("cloud",), name="demosites")
        self.manifests = root / "sites"

    def start(self) -> None:
        """Declare Nodes and Gateways, and start the daemons."""
        for program, package in (("wireguard-go", "wireguard-go"), ("ping", "iputils-ping")):
            if shutil.which(program) is None:
                raise StepFailedError(f"{program} is not installed: apt-get install {package}")
        self.manifests.mkdir()
        (self.manifests / "sites.yaml").write_text(manifests(self.lab))
        for name, node in self.lab.nodes.items():
            command = [sys.executable, "-m", "netlb_gateway", "--source", f"dir:{self.manifests}", "--node-name", name]
            # Sockets of wireguard-go are in one directory for all namespaces.
            command += ["--backend", "userspace", "--number", f"tunnel_device={self.device(name)}"]
            command += ["--http", f"127.0.0.1:{_HTTP_PORT}"]
            with (self.root / f"{name}.netlb-gateway.log").open("w") as log:
                node.popen([*command, "--key-file", self.root / "keys" / name], stderr=log)

    def device(self, node: str) -> str:
        """Return the name of a node's tunnels."""
        return f"{self.lab.name[-6:]}-{node}"

    def active(self, node: str) -> str:
        """Return who holds the tunnels of a node's site, as the node says; empty while it says nothing."""
        return ",".join(self._status(node).get("active", ()))

    def agreed(self, site: str) -> str:
        """Return who holds a site's tunnels, if all of its nodes say the same; empty while they do not."""
        said = {self.active(name) for name, place in self.lab.places.items() if place.site == site}
        return said.pop() if len(said) == 1 else ""

    def deaths(self, node: str) -> int:
        """Return how often others of its site took a node for dead, as their logs say."""
        lines = (line for log in self.root.glob("*.netlb-gateway.log") for line in log.read_text().splitlines())
        return sum("node dead" in line and {"by=site", f"node={node}"} <= {*line.split()} for line in lines)

    def is_joined(self, node: str) -> bool:
        """Whether a node is ready, and all tunnels are up that it should have."""
        try:
            ready = self.lab.nodes[node].http_get("127.0.0.1", _HTTP_PORT, path="/readyz").status == 200
        except OSError:
            return False
        return ready and all(peer["state"] != "down" for peer in self._status(node)["peers"])

    def _status(self, node: str) -> dict[str, Any]:
        path = self.root / "sites.status" / "gatewaynodestatuses" / f"{node}.yaml"
        try:
            return dict(yaml.safe_load(path.read_text())["status"])
        except FileNotFoundError:
            return {}


def show_sites(root: Path, stack: ExitStack) -> Sites:
    """Join three sites, and lose a gateway; the lab stays until the stack ends."""
    sites = Sites(root)
    lab = sites.lab
    act("Sites: a cloud, and two pools of edge nodes behind NATs")
    with step("seven nodes come up, netlb-gateway on each; the NAT in front of the shop is a symmetric one"):
        stack.enter_context(lab)
        sites.start()
        eventually(lambda: all(sites.active(name) for name in lab.nodes), "not every node knows its gateway")
    with step("tunnels come up, also those of endpoints that could take over"):
        eventually(lambda: all(sites.is_joined(name) for name in lab.nodes), "not every tunnel is up")
        wires = [stack.enter_context(lab.wire(name)) for name in lab.sites]
    everybody = [
        (lab.pods[one.name], address)
        for one, other in product(lab.places.values(), repeat=2)
        if one.site != other.site
        for address in lab.pods[other.name].addresses
    ]
    with step(
        "every pod pings every pod of the other sites, IPv4 and IPv6, from the shop to the edge by the cloud"
    ) as say:
        silent: list[tuple[Host, Address]] = [*everybody]

        def all_answered() -> bool:  # who has answered is not asked again
            silent[:] = _silent(silent)
            return not silent

        eventually(all_answered, "not every pod answers")
        say(f"{len(everybody)} of {len(everybody)} answer")
    _show_failover(sites)
    with step("what passed between the sites, captured at every router") as say:
        frames = [frame for wire in wires for frame in wire.frames()]
        others = [frame for frame in frames if not _is_tunnel(frame)]
        pods = [address.packed for pod in lab.pods.values() for address in pod.addresses]
        seen = sum(any(address in frame for address in pods) for frame in others)
        require(len(frames) > len(others), "nothing passed through tunnels")
        require(not seen, f"{seen} packets had a pod's address")
        say(f"{len(frames) - len(others):,} packets of tunnels, {len(others)} others, a pod's address in {seen}")
    return sites


def _show_failover(sites: Sites) -> None:
    lab = sites.lab
    client, server, shop = (lab.pods[name] for name in ("edge3", "cloud2", "shop2"))
    with Stream(client, server, server.ipv4) as direct, Stream(client, shop, shop.ipv6) as relayed:
        streams = {"to the cloud": direct, "to the shop": relayed}
        calm = time.monotonic() + _CALM
        with step("a pod at the edge has a TCP connection to the cloud, and one to the shop"):
            eventually(lambda: all(each.flows(calm) for each in streams.values()), "nothing comes back")
        gateway = eventually(lambda: sites.agreed("edge"), "not all of the edge know one gateway")
        successor = {"edge1": "edge2", "edge2": "edge1"}[gateway]
        with step(f"{gateway}, the edge's gateway, is cut off: {successor} holds the tunnels") as say:
            cut = time.monotonic()
            lab.cut(gateway)
            eventually(lambda: sites.active("edge3") == successor, f"{successor} does not take over")
            eventually(lambda: all(each.flows(cut) for each in streams.values()), "a connection is dead")
            gaps = (f"{each.silence(cut) * 1000:.0f} ms {where}" for where, each in streams.items())
            say(f"silent for {' and '.join(gaps)}, and nothing is lost")
        with step(f"{gateway} is back, and all of the edge know one gateway") as say:
            mended, deaths = time.monotonic(), sites.deaths(successor)
            lab.mend(gateway)
            eventually(lambda: sites.agreed("edge"), "not all of the edge know one gateway")
            eventually(lambda: all(each.flows(mended) for each in streams.values()), "a connection is dead")
            holder = eventually(lambda: sites.agreed("edge"), "not all of the edge know one gateway any more")
            # Who is held up for longer than BFD waits is taken for dead: the tunnels move as they did before.
            was_dead = sites.deaths(successor) > deaths
            require(holder == successor or was_dead, f"{gateway} takes over from {successor}, which lives")
            gaps = (f"{each.silence(mended) * 1000:.0f} ms" for each in streams.values())
            left = f"it leaves the tunnels to {successor}" if holder == successor else f"{successor} was taken for dead"
            say(f"{left}, silent for {' and '.join(gaps)}")


def _silent(asked: Iterable[tuple[Host, Address]]) -> list[tuple[Host, Address]]:
    """Ping once from each host to each address, some at a time; return the pairs without an answer."""

    def is_silent(pair: tuple[Host, Address]) -> bool:
        source, target = pair
        return source.run(["ping", "-n", "-c", "1", "-W", "1", str(target)], check=False).returncode != 0

    listed = list(asked)
    with ThreadPoolExecutor(max_workers=8) as pool:
        return [pair for pair, silent in zip(listed, pool.map(is_silent, listed), strict=True) if silent]


def _is_tunnel(frame: bytes) -> bool:
    """Whether it is UDP over IPv4, to or from the tunnels' port; no packet of the lab has options."""
    if frame[12:14] != b"\x08\x00" or frame[14] != 0x45 or frame[23] != socket.IPPROTO_UDP:
        return False
    return _PORT in struct.unpack_from("!HH", frame, 34)
