"""Speakers of a cluster read from each other what does not go back to a better node, and nothing where all does."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.kubernetes import Kubernetes, advertisement, kubernetes, node
from tests.support.speaking import Net
from tests.support.wired import wired

ADDRESS, OTHER = "192.0.2.1", "192.0.2.2"
ANNOUNCED = ("True", "Announced", "")
BEST = {"best": "true"}
EXCLUDED = {**BEST, "node.kubernetes.io/exclude-from-external-load-balancers": ""}
REPORTS = "speakerstatuses.netlb.io"
PATIENT = 60.0
"""Seconds in which the API server answers: who gives up waiting for the others takes all that is its own."""
STAYS: dict[str, Any] = {"preferredNodeSelectors": [{"matchLabels": BEST}], "revertive": False}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Kubernetes]:
    """A Service whose address is node-1's by preference."""
    with kubernetes(tmp_path) as cluster:
        label(cluster, BEST)
        cluster.give("web", ADDRESS)
        yield cluster


def label(cluster: Kubernetes, labels: dict[str, str]) -> None:
    """Have node-1 with these labels."""
    cluster.server.put({**node("node-1"), "metadata": {"name": "node-1", "labels": labels}})


def holding(cluster: Kubernetes, name: str) -> list[Any]:
    """Return what a node's speaker says that it holds."""
    report = cluster.server.get(REPORTS, name) or {}
    return list(report.get("status", {}).get("holding", ()))


def test_an_address_stays_when_a_better_node_returns_and_when_its_speaker_starts(cluster: Kubernetes) -> None:
    cluster.server.put(advertisement(**STAYS))

    async def scenario() -> None:
        async with wired(cluster.speaker(Net(), "node-2", patience=PATIENT)) as second:
            async with wired(cluster.speaker(Net(), patience=PATIENT)) as first:
                await first.until(lambda: cluster.announced("web") == ANNOUNCED, "the preferred one has it")
                await first.until(lambda: [{"term": 1, "addresses": [ADDRESS]}] == holding(cluster, "node-1"), "said")
                label(cluster, EXCLUDED)
                await second.until(lambda: cluster.announced("web", "node-2") == ANNOUNCED, "another has taken over")
                await second.until(lambda: [{"term": 2, "addresses": [ADDRESS]}] == holding(cluster, "node-2"), "said")
                await first.until(lambda: cluster.report("web") is None, "it was given up")
                label(cluster, BEST)
                cluster.give("other", OTHER)
                await first.until(lambda: cluster.announced("other") == ANNOUNCED, "what is new goes to the better one")
                assert ANNOUNCED == cluster.announced("web", "node-2")
                assert cluster.report("web") is None
            async with wired(cluster.speaker(net := Net(), patience=PATIENT)) as again:
                await again.ready()
                await again.until(lambda: cluster.announced("other") == ANNOUNCED, "it has what it had")
                assert [] == await net.answers(ADDRESS)
                assert ANNOUNCED == cluster.announced("web", "node-2")
                cluster.server.put(advertisement(**STAYS | {"revertive": True}))
                await again.until(lambda: cluster.announced("web") == ANNOUNCED, "now it goes back")
                await again.until(lambda: [] == holding(cluster, "node-1") + holding(cluster, "node-2"), "said no more")

    asyncio.run(scenario())


def test_where_all_go_back_nobody_reads_what_others_hold(cluster: Kubernetes, net: Net) -> None:
    async def scenario() -> None:
        async with wired(cluster.speaker(net)) as daemon:
            await daemon.until(lambda: cluster.announced("web") == ANNOUNCED, "it is announced")
            await daemon.until(lambda: cluster.server.get(REPORTS, "node-1"), "it says how it is")
            assert [] == holding(cluster, "node-1")

    asyncio.run(scenario())
    assert [] == cluster.server.seen("watch", REPORTS)
