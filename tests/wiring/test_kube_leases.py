"""Leases of many nodes, of which each follows a few: a death comes to all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from netlb.source.kube import KubeClient
from netlb.source.kube_leases import NodeLeases
from netlb.source.vigil import Life
from netlb.testing.apiserver import ApiServer
from tests.support.waiting import becomes

LEASES = "leases.coordination.k8s.io"
NODES = ("a", "b", "c", "d")
BESIDE = {"a": "bd", "b": "ac", "c": "bd", "d": "ca"}
"""A circle, in which everybody follows two."""


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with ApiServer(bookmark_interval=0.2) as server:
        for name in NODES:
            server.put({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
        yield server


class Speaker:
    """One node's part, and how it ends."""

    def __init__(self, name: str, kubeconfig: Path, *, uid: str = "uid") -> None:
        self.uid = uid
        self.client = KubeClient(kubeconfig, field_manager=name)
        self.leases = NodeLeases(
            self.client,
            name,
            namespace=lambda: "default",
            uid=lambda: self.uid,
            identity=f"{name}-1",
            duration=2,
        )
        self.leases.arrange(set(NODES) - {name}, set(BESIDE[name]))
        self.leases.be_ready(True)
        self.task = asyncio.create_task(self.leases.run())

    async def crash(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        await self.client.close()


@contextlib.asynccontextmanager
async def speakers(server: ApiServer, root: Path) -> AsyncIterator[dict[str, Speaker]]:
    path = server.write_kubeconfig(root / "kubeconfig")
    made = {name: Speaker(name, path) for name in NODES}
    try:
        yield made
    finally:
        for one in made.values():
            await one.crash()


def call_dead(server: ApiServer, name: str) -> None:
    """Write into a Lease what a neighbour does."""
    lease = server.get(LEASES, name, "default")
    assert lease
    lease["spec"].pop("holderIdentity", None)
    labels = {**lease["metadata"]["labels"], "netlb.io/alive": "false"}
    server.put({**lease, "metadata": {"name": name, "namespace": "default", "labels": labels}})


def holder(server: ApiServer, name: str) -> str:
    """Who holds a Lease; empty for nobody."""
    lease = server.get(LEASES, name, "default")
    return str(lease["spec"].get("holderIdentity", "")) if lease else ""


def test_a_neighbour_says_who_is_dead_and_all_know(server: ApiServer, tmp_path: Path) -> None:
    async def main() -> None:
        async with speakers(server, tmp_path) as made:
            await becomes(lambda: all(one.leases.settled and not one.leases.dead for one in made.values()))
            assert [Life.ALIVE] * 3 == [made["a"].leases.life(name) for name in "bcd"]
            await made["c"].crash()
            await becomes(lambda: all({"c"} == made[name].leases.dead for name in "abd"))
            assert Life.DEAD is made["a"].leases.life("c")
            left = server.get(LEASES, "c", "default")
            assert left
            assert ("false", None) == (left["metadata"]["labels"]["netlb.io/alive"], left["spec"].get("holderIdentity"))
            made["c"] = Speaker("c", tmp_path / "kubeconfig")
            await becomes(lambda: all(not one.leases.dead for one in made.values()))

    asyncio.run(main())


def test_who_is_called_dead_and_lives_says_so_and_all_know(server: ApiServer, tmp_path: Path) -> None:
    async def main() -> None:
        async with speakers(server, tmp_path) as made:
            await becomes(lambda: all(one.leases.settled and not one.leases.dead for one in made.values()))
            async with asyncio.timeout(60):
                while "c" not in made["a"].leases.dead:  # what it says to it may come at once with it
                    call_dead(server, "c")
                    await becomes(lambda: "c" in made["a"].leases.dead or holder(server, "c") != "")
            await becomes(lambda: all(not one.leases.dead for one in made.values()))
            await becomes(lambda: made["c"].leases.renewing)

    asyncio.run(main())


def test_without_its_node_a_lease_is_not_written(server: ApiServer, tmp_path: Path) -> None:
    async def main() -> None:
        async with speakers(server, tmp_path) as made:
            await becomes(lambda: server.get(LEASES, "a", "default") is not None)
            made["a"].uid = ""
            await becomes(lambda: not made["a"].leases.renewing)
            server.delete(LEASES, "a", "default")
            before = len(server.seen("update", LEASES))
            await becomes(lambda: len(server.seen("update", LEASES)) > before + 10)
            assert server.get(LEASES, "a", "default") is None
            made["a"].uid = "other"
            await becomes(lambda: server.get(LEASES, "a", "default") is not None)

    asyncio.run(main())


def test_changed_neighbours_are_followed(server: ApiServer, tmp_path: Path) -> None:
    async def main() -> None:
        async with speakers(server, tmp_path) as made:
            await becomes(lambda: all(one.leases.settled for one in made.values()))
            made["a"].leases.arrange({"b", "c", "d"}, None)
            await becomes(lambda: [Life.ALIVE] * 3 == [made["a"].leases.life(name) for name in "bcd"])
            made["a"].leases.arrange({"b"}, None)
            await becomes(lambda: made["a"].leases.settled)
            assert Life.UNKNOWN is made["a"].leases.life("c")

    asyncio.run(main())
