"""Reports of nodes: of those that leave the cluster for good the controller removes them, and no others."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netlb.source.kube_reports import node_label
from tests.support.kubernetes import Kubernetes, kubernetes, node
from tests.support.wired import wired

KINDS = ("servicel2statuses.netlb.io", "servicebgpstatuses.netlb.io", "speakerstatuses.netlb.io")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Kubernetes]:
    with kubernetes(tmp_path) as cluster:
        cluster.give("web", "192.0.2.1")
        yield cluster


def leave(cluster: Kubernetes, name: str) -> None:
    """Have what the speaker of a node leaves behind."""
    labels = {"netlb.io/node": node_label(name)}

    def body(kind: str, **metadata: str) -> dict[str, Any]:
        metadata |= {"labels": labels}  # type: ignore[dict-item]
        return {"apiVersion": "netlb.io/v1alpha1", "kind": kind, "metadata": metadata, "status": {"node": name}}

    cluster.server.put(
        body("SpeakerStatus", name=name),
        body("ServiceL2Status", name=f"web.{name}", namespace="default"),
        body("ServiceBGPStatus", name=f"web.{name}", namespace="default"),
        body("ServiceL2Status", name=f"web.{name}", namespace="kube-system"),
    )


def left(cluster: Kubernetes) -> set[str]:
    """The names of the nodes of which reports are there."""
    return {str(body["status"]["node"]) for kind in KINDS for body in cluster.server.all(kind).values()}


def test_what_nodes_left_that_are_gone_is_removed_by_who_leads(cluster: Kubernetes) -> None:
    longest = f"{'x' * 60}.{'y' * 60}"
    for name in ("node-1", "gone-before", longest):
        leave(cluster, name)

    async def scenario() -> None:
        async with wired(cluster.controller()) as daemon:
            await daemon.until(lambda: left(cluster) == {"node-1"}, "those that had gone before")
            cluster.server.put(node("node-3"))
            leave(cluster, "node-3")
            await daemon.until(lambda: cluster.ingress("web"), "it works")
            cluster.server.delete("nodes", "node-1")
            await daemon.until(lambda: left(cluster) == {"node-3"}, "one that goes now")

    asyncio.run(scenario())


def test_what_cannot_be_removed_at_once_is_removed_later(
    cluster: Kubernetes, capsys: pytest.CaptureFixture[str]
) -> None:
    leave(cluster, "gone")
    cluster.server.faults.fail(500, "InternalError", verb="delete", resource=KINDS[0], times=3)
    cluster.server.faults.drop(verb="list", resource=KINDS[1], times=1)

    async def scenario() -> None:
        async with wired(cluster.controller()) as daemon:
            await daemon.until(lambda: not left(cluster), "it is removed")

    asyncio.run(scenario())
    assert "reports of nodes that are gone stay" in capsys.readouterr().out


def test_who_stands_by_asks_for_nothing(cluster: Kubernetes) -> None:
    async def scenario() -> None:
        async with wired(cluster.controller()) as first:
            await first.until(lambda: cluster.server.seen("list", KINDS[2]), "it has looked")
            async with wired(cluster.controller()) as second:
                await second.ready()
                leave(cluster, "gone")
                cluster.server.delete("nodes", "node-2")
                await first.until(lambda: not left(cluster), "the leader removes it")
                assert (1.0, 0.0) == (first.metric("netlb_leader"), second.metric("netlb_leader"))
                assert 2 == len(cluster.server.seen("list", KINDS[2])), "once at first, once when a node went"

    asyncio.run(scenario())
