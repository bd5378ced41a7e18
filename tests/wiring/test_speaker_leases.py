"""Speakers that know of each other by Leases: who takes over when, and what becomes of them without the API server."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netlb.runtime.app import App
from netlb_speaker.wiring import LivenessMode
from tests.support.kubernetes import LEASES, NAMESPACE, Kubernetes, kubernetes, node
from tests.support.speaking import Net
from tests.support.wired import Wired, wired

ADDRESS = "192.0.2.1"
"""That node-1 owns while it lives."""
BOTH = ["eth0", "eth1"]
NODES = ("node-1", "node-2")
DURATION = 4
"""Seconds for which a Lease lasts: who is held up for a moment does not lose it."""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Kubernetes]:
    """Two nodes, both of them on this machine, and a Service that either may announce."""
    monkeypatch.setattr("tests.support.kubernetes.SHORTEST_LEASE", DURATION)
    with kubernetes(tmp_path, leases=True) as cluster:
        cluster.server.put(node("node-1", "127.0.0.1"), node("node-2", "127.0.0.2"))
        cluster.give("web", ADDRESS)
        yield cluster


@pytest.fixture
def nets(net: Net) -> dict[str, Net]:
    """Each node's announcer, both on the same segments."""
    other = Net()
    other.segments = net.segments
    return {"node-1": net, "node-2": other}


def speaker(cluster: Kubernetes, net: Net, name: str, **settings: Any) -> App:
    return cluster.speaker(net, name, liveness=LivenessMode.LEASE, **settings)


def lease(cluster: Kubernetes, name: str) -> dict[str, Any]:
    """A node's Lease."""
    found = cluster.server.get(LEASES, name, NAMESPACE)
    assert found
    return found


def alive(cluster: Kubernetes, name: str) -> str | None:
    """What a node's Lease says of it, if there is one."""
    found = cluster.server.get(LEASES, name, NAMESPACE)
    return str(found["metadata"]["labels"]["netlb.io/alive"]) if found else None


async def both_alive(cluster: Kubernetes, *daemons: Wired) -> None:
    for daemon in daemons:
        await daemon.ready()
        await daemon.until(lambda: ["true"] * 2 == [alive(cluster, name) for name in NODES], "both can answer")
    await daemons[0].until(lambda: daemons[0].metric("netlb_speaker_node_alive", node="node-2") == 1.0, "it is known")
    await daemons[1].until(lambda: daemons[1].metric("netlb_speaker_node_alive", node="node-1") == 1.0, "it is known")


async def first_answers(daemon: Wired, nets: dict[str, Net]) -> None:
    """Wait until node-1 answers, and it alone."""
    first, second = (nets[name].worker for name in NODES)
    await daemon.until(lambda: first.held() and not second.held(), "node-1 alone answers")


async def answers_with_its_lease(daemon: Wired, cluster: Kubernetes, own: Net) -> None:
    """Wait until node-1 answers, and its Lease says so: before, what it owns it only takes if nobody has it."""
    await daemon.until(lambda: own.worker.held() and alive(cluster, "node-1") == "true", "it answers")


def test_one_answers_until_it_crashes_and_then_the_other(cluster: Kubernetes, nets: dict[str, Net]) -> None:
    async def scenario() -> None:
        async with wired(speaker(cluster, nets["node-2"], "node-2")) as second:
            async with wired(speaker(cluster, nets["node-1"], "node-1")) as first:
                await both_alive(cluster, first, second)
                await first_answers(first, nets)
                assert BOTH == await nets["node-1"].answers(ADDRESS)
                await first.cancel()
                first.app.on_stop.clear()  # type: ignore[attr-defined]
                await second.until(nets["node-2"].worker.held, "it takes over")
                assert 0.0 == second.metric("netlb_speaker_node_alive", node="node-1")
            async with wired(speaker(cluster, Net(), "node-1")) as again:
                await both_alive(cluster, again, second)
                await second.until(lambda: not nets["node-2"].worker.held(), "it gives back")

    asyncio.run(scenario())


def test_who_stops_in_order_says_so_and_the_other_takes_over_meanwhile(
    cluster: Kubernetes, nets: dict[str, Net], monkeypatch: pytest.MonkeyPatch
) -> None:
    for patience in ("_HAND_OVER", "_LEAVE"):  # each of the two may be held up for a moment
        monkeypatch.setattr(f"netlb_speaker.leases.{patience}", 5.0)
    taken: list[bool] = []
    nets["node-1"].on_release = lambda: taken.append(bool(nets["node-2"].worker.held()))

    async def scenario() -> None:
        async with wired(speaker(cluster, nets["node-2"], "node-2")) as second:
            async with wired(speaker(cluster, nets["node-1"], "node-1")) as first:
                await both_alive(cluster, first, second)
                await first_answers(first, nets)
                taken.clear()
            assert taken
            assert taken[0], "it answers until the other one does"
            assert "holderIdentity" not in lease(cluster, "node-1")["spec"]

    asyncio.run(scenario())


def test_without_the_server_nothing_moves_and_nobody_is_found_dead(cluster: Kubernetes, nets: dict[str, Net]) -> None:
    async def scenario() -> None:
        async with (
            wired(speaker(cluster, nets["node-2"], "node-2")) as second,
            wired(speaker(cluster, nets["node-1"], "node-1")) as first,
        ):
            await both_alive(cluster, first, second)
            await first_answers(first, nets)
            released: list[int] = []
            nets["node-1"].on_release = lambda: released.append(1)
            cluster.server.go_away()
            await asyncio.sleep(2 * DURATION + 1)  # in which somebody could be found dead
            assert BOTH == await nets["node-1"].answers(ADDRESS)
            assert {} == nets["node-2"].worker.held()
            cluster.server.come_back()
            version = lease(cluster, "node-1")["metadata"]["resourceVersion"]
            await first.until(lambda: lease(cluster, "node-1")["metadata"]["resourceVersion"] != version, "renewed")
            await asyncio.sleep(DURATION + 1)
            assert {} == nets["node-2"].worker.held()
            assert [] == released
            assert 1.0 == second.metric("netlb_speaker_node_alive", node="node-1")

    asyncio.run(scenario())


def test_whose_lease_is_not_renewed_gives_way_to_claims_and_takes_back_afterwards(
    cluster: Kubernetes, nets: dict[str, Net]
) -> None:
    own, stranger = nets["node-1"], nets["node-2"]

    async def scenario() -> None:
        async with wired(speaker(cluster, own, "node-1")) as first, stranger(interfaces=(), on_event=print) as other:
            await answers_with_its_lease(first, cluster, own)
            cluster.server.go_away()
            await asyncio.sleep(DURATION + 1)
            assert own.worker.held(), "nobody claims it"
            await other.hold_many({ADDRESS: None})
            await first.until(own.tick(lambda: not own.worker.held()), "it gives way")
            await other.release_many([ADDRESS])
            await first.until(own.tick(lambda: bool(own.worker.held())), "nobody has it any more, so it answers")
            await other.hold_many({ADDRESS: None})
            await first.until(own.tick(lambda: not own.worker.held()), "it gives way")
            cluster.server.come_back()
            await first.until(own.worker.held, "its Lease is renewed")

    asyncio.run(scenario())


def test_whose_lease_runs_announces_what_another_station_claims(cluster: Kubernetes, nets: dict[str, Net]) -> None:
    own, stranger = nets["node-1"], nets["node-2"]

    async def scenario() -> None:
        async with wired(speaker(cluster, own, "node-1")) as first, stranger(interfaces=(), on_event=print) as other:
            await answers_with_its_lease(first, cluster, own)
            own.advance(10)
            announced = own.segments["eth0"].announced
            await other.hold_many({ADDRESS: None})
            announced.clear()
            mac = next(one.mac for one in own.worker.interfaces() if one.name == "eth0")
            await first.until(own.tick(lambda: any(mac == frame[6:12] for frame in announced)), "it is announced")
            assert own.worker.held()

    asyncio.run(scenario())


def test_a_speaker_that_starts_without_the_server_takes_what_is_its_own_and_nobody_has(
    cluster: Kubernetes, nets: dict[str, Net], tmp_path: Path
) -> None:
    async def scenario() -> None:
        for name in NODES:
            async with wired(speaker(cluster, Net(), name, state_dir=tmp_path / name)) as daemon:
                await daemon.ready()
        cluster.server.go_away()
        async with (
            wired(speaker(cluster, nets["node-1"], "node-1", state_dir=tmp_path / "node-1")) as first,
            wired(speaker(cluster, nets["node-2"], "node-2", state_dir=tmp_path / "node-2")),
        ):
            await first.until(
                nets["node-1"].tick(lambda: bool(nets["node-1"].worker.held())), "it answers for what is its own"
            )
            assert {} == nets["node-2"].worker.held()
            assert nets["node-1"].probed() > 0

    asyncio.run(scenario())


def test_the_lease_goes_with_its_node_and_says_who_writes_it(cluster: Kubernetes, net: Net) -> None:
    async def scenario() -> None:
        async with wired(speaker(cluster, net, "node-1")) as daemon:
            await daemon.ready()
            found = lease(cluster, "node-1")
            owner = cluster.server.get("nodes", "node-1")
            assert owner
            assert [("Node", "node-1", owner["metadata"]["uid"])] == [
                (one["kind"], one["name"], one["uid"]) for one in found["metadata"]["ownerReferences"]
            ]
            assert "node-1" == found["metadata"]["labels"]["netlb.io/node"]
            assert DURATION == found["spec"]["leaseDurationSeconds"]
            await daemon.until(lambda: alive(cluster, "node-1") == "true", "it answers")

    asyncio.run(scenario())


def test_a_lease_that_another_machine_renews_is_left_alone(cluster: Kubernetes, net: Net) -> None:
    metadata = {"name": "node-1", "namespace": NAMESPACE}

    def renew(number: int) -> None:
        spec = {
            "holderIdentity": "other",
            "leaseDurationSeconds": DURATION,
            "renewTime": f"2026-01-01T00:00:{number:02}.000000Z",
        }
        cluster.server.put(
            {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}
        )

    async def scenario() -> None:
        renew(0)
        async with wired(speaker(cluster, net, "node-1")) as daemon:
            for number in range(1, 2 * DURATION + 4):  # for longer than it lasts
                await asyncio.sleep(0.5)  # as another machine renews
                renew(number)
            assert "other" in daemon.problems()["l2"]
            assert {} == net.worker.held()
            assert "other" == lease(cluster, "node-1")["spec"]["holderIdentity"]

    asyncio.run(scenario())
