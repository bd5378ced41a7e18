"""Gateways of a cluster: keys go through the API, what is active is said there, and the API may be away."""

import asyncio
from hashlib import sha256
from pathlib import Path
from typing import Any

from netlb.raven.dataplane import Numbers
from netlb.raven.keys import Keys, PrivateKey
from netlb.runtime.app import App
from netlb.testing.kernel import FakeKernel
from netlb.testing.tunnels import FakeDevice, fake_backend
from netlb_gateway.settings import GatewaySettings
from netlb_gateway.wiring import Doors, build
from tests.support.air import Air, FakeInner
from tests.support.kubernetes import GATEWAY, PACE, Kubernetes, kubernetes
from tests.support.sites import documents
from tests.support.wired import Wired, wired

SITES = {
    "edge": {"nodes": ["e1", "e2", "e3"], "endpoints": [{"nodeName": n, "underNAT": True} for n in ("e1", "e2")]},
    "cloud": {"nodes": ["c1"], "endpoints": [{"nodeName": "c1"}]},
}
NODES, GATEWAYS = "gatewaynodestatuses.netlb.io", "gateways.netlb.io"
PATIENT = 60.0
"""Seconds in which whoever is there to be heard is heard: nobody is taken for dead before all have started."""


def gateway(
    cluster: Kubernetes,
    air: Air,
    name: str,
    device: FakeDevice,
    *,
    state_dir: Path | None = None,
    grace: float = 0.5,
) -> App:
    kernel = FakeKernel(Numbers())
    kernel.others.devices["raven-wg0"] = None
    keys = Keys(PrivateKey.of(sha256(name.encode()).digest()))
    backend = fake_backend(device)
    backend.use(keys)
    settings = GatewaySettings(
        common=cluster.common(GATEWAY), status_dir=None, node=name, key_file=Path("unused"), state_dir=state_dir
    )
    doors = Doors(
        kernel=lambda _: kernel,
        inner=lambda _: FakeInner(),
        backend=backend,
        keys=keys,
        bfd=air.bfd,  # type: ignore[arg-type]
        sockets=air.socket,
    )
    return build(settings, doors, grace=grace, pace=PACE, patience=0.3)


def declare(cluster: Kubernetes) -> None:
    cluster.server.put(*(dict(one.body) for one in documents(SITES)))


def status(cluster: Kubernetes, node: str) -> dict[str, Any]:
    found = cluster.server.get(NODES, node) or {}
    return dict(found.get("status", {}))


def active(cluster: Kubernetes, site: str) -> list[str]:
    found = cluster.server.get(GATEWAYS, site) or {}
    return [one["nodeName"] for one in found.get("status", {}).get("activeEndpoints", ())]


def test_keys_go_through_the_api_and_it_says_who_is_active(tmp_path: Path) -> None:
    async def scenario(cluster: Kubernetes) -> None:
        declare(cluster)
        air, devices = Air(), {name: FakeDevice() for name in ("e1", "e2", "c1")}
        async with (
            wired(gateway(cluster, air, "c1", devices["c1"], grace=PATIENT)) as cloud,
            wired(gateway(cluster, air, "e2", devices["e2"], grace=PATIENT)) as second,
        ):
            first = Wired(gateway(cluster, air, "e1", devices["e1"], grace=PATIENT))
            for daemon in (first, second, cloud):
                await daemon.ready()
            await cloud.until(lambda: len(devices["c1"].dumped.peers) == 2, "it knows both")
            await cloud.until(lambda: active(cluster, "edge") == ["e1"], "the API says so")
            await cloud.until(lambda: status(cluster, "e1").get("role") == "gateway", "so does e1")
            said = cluster.server.get(NODES, "e1")
            assert said is not None
            assert "e1" == said["metadata"]["ownerReferences"][0]["name"]
            assert ("True", "ActiveEndpointElected", "") == cluster.condition(
                cluster.server.get(GATEWAYS, "edge") or {}, "netlb.io/Ready"
            )
            await cloud.until(lambda: ("ActiveEndpointElected", "the active endpoint is hosted by node e1") in cluster.events("edge"), "an Event")  # fmt: skip
            await first.cancel()
            await cloud.until(lambda: active(cluster, "edge") == ["e2"], "the API says so")
            await cloud.until(lambda: ("ActiveEndpointElected", "the active endpoint is hosted by node e2") in cluster.events("edge"), "an Event")  # fmt: skip

    with kubernetes(tmp_path) as cluster:
        asyncio.run(scenario(cluster))


def test_a_gateway_that_starts_while_the_api_is_away_goes_on_with_what_was_kept(tmp_path: Path) -> None:
    async def scenario(cluster: Kubernetes) -> None:
        declare(cluster)
        air, devices = Air(), {name: FakeDevice() for name in ("e1", "c1")}
        state = tmp_path / "state"
        async with wired(gateway(cluster, air, "c1", devices["c1"])):
            first = Wired(gateway(cluster, air, "e1", devices["e1"], state_dir=state))
            await first.ready()
            kept = state / "netlb-gateway.snapshot"

            def is_kept() -> bool:
                key = status(cluster, "c1").get("publicKey", "")
                return key != "" and kept.exists() and key.encode() in kept.read_bytes()

            await first.until(is_kept, "the key of c1 is kept")
            await first.cancel()
            cluster.server.go_away()
            again = Wired(gateway(cluster, air, "e1", FakeDevice(), state_dir=state))
            await again.until(lambda: list(again.problems()) == ["source"], "all but the source is well")
            assert 1.0 == again.metric("netlb_gateway_peer_up", site="cloud", peer="c1")
            await again.cancel()
            cluster.server.come_back()

    with kubernetes(tmp_path) as cluster:
        asyncio.run(scenario(cluster))


def test_each_election_and_each_loss_is_told_once(tmp_path: Path) -> None:
    async def scenario(cluster: Kubernetes) -> None:
        declare(cluster)
        air, devices = Air(), {name: FakeDevice() for name in ("e1", "e2", "e3", "c1")}
        running = {name: Wired(gateway(cluster, air, name, device, grace=PATIENT)) for name, device in devices.items()}
        for daemon in running.values():
            await daemon.ready()
        cloud = running["c1"]

        def state() -> tuple[str, str]:
            return cluster.condition(cluster.server.get(GATEWAYS, "edge") or {}, "netlb.io/Ready")[:2]

        def told() -> list[str]:
            return [note for _, note in cluster.events("edge")]

        by_first, by_second = (f"the active endpoint is hosted by node {name}" for name in ("e1", "e2"))
        await cloud.until(lambda: told() == [by_first], "the first election is told")
        await running.pop("e1").cancel()
        await cloud.until(lambda: told() == [by_first, by_second], "the second one is told")
        await running.pop("e2").cancel()
        await cloud.until(lambda: state() == ("False", "ActiveEndpointLost"), "the loss is in the status")
        lost = [by_first, by_second, "no endpoint is alive"]
        await cloud.until(lambda: told() == lost, "the loss is told")
        running["e2"] = Wired(gateway(cluster, air, "e2", devices["e2"]))
        await running["e2"].ready()
        await cloud.until(lambda: state() == ("True", "ActiveEndpointElected"), "it is back")
        assert lost == told(), "the same endpoint is active as before"
        for daemon in running.values():
            await daemon.cancel()

    with kubernetes(tmp_path) as cluster:
        asyncio.run(scenario(cluster))
