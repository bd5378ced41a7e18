"""What a speaker says of itself in the API: that it is there, how it is, and that it runs from what it kept."""

import asyncio
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

from netlb.source.kube import KubeClient
from netlb.source.kube_recorder import EventRecorder
from netlb.source.kube_reports import NodeReports
from tests.support.kubernetes import Kubernetes, kubernetes
from tests.support.speaking import Net
from tests.support.virtual_time import run
from tests.support.wired import wired

KINDS = ("servicel2statuses.netlb.io", "servicebgpstatuses.netlb.io", "speakerstatuses.netlb.io")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Kubernetes]:
    with kubernetes(tmp_path) as cluster:
        cluster.give("web", "192.0.2.1")
        yield cluster


def said(cluster: Kubernetes) -> dict[str, Any]:
    """What node-1's speaker says of itself; empty while it says nothing."""
    found: dict[str, Any] = (cluster.server.get(KINDS[2], "node-1") or {}).get("status", {})
    return found


def test_a_speaker_says_how_it_is_and_takes_that_back_when_it_stops(cluster: Kubernetes, net: Net) -> None:
    async def scenario() -> None:
        async with wired(cluster.speaker(net)) as daemon:
            await daemon.until(lambda: said(cluster).get("interfaces"), "it is said")
            assert {"eth0", "eth1"} == said(cluster)["interfaces"].keys()
            assert "keptSince" not in said(cluster)
            await daemon.until(lambda: cluster.announced("web")[0] == "True", "it is reported")
            for verb, kind in (("list", "services"), ("watch", "services"), ("patch", KINDS[0])):
                received = partial(daemon.metric, "netlb_source_received_bytes_total", verb=verb, kind=kind)
                await daemon.until(received, f"it is counted what is received: {verb}")
        assert {} == said(cluster)
        writes = [seen for seen in cluster.server.seen() if seen.resource in KINDS and seen.verb in ("patch", "delete")]
        assert ("patch", KINDS[2]) == (writes[0].verb, writes[0].resource), "by it the others are found"
        assert ("delete", KINDS[2]) == (writes[-1].verb, writes[-1].resource)

    asyncio.run(scenario())


def test_what_changes_often_is_not_written_as_often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netlb.source.kube_reports._PAUSE", 0.1)
    written: list[tuple[float, list[str]]] = []

    class Client:
        async def apply(self, _resource: object, _namespace: str, body: Mapping[str, Any], *, force: bool) -> None:
            assert force
            written.append((asyncio.get_running_loop().time(), body["status"]["notes"]))

    async def scenario() -> None:
        client = cast(KubeClient, Client())
        reports = NodeReports(client, lambda *_: None, cast(EventRecorder, None), node="n1")
        for number in range(4):
            node = {"node": "n1", "interfaces": {}, "nodes": {}, "notes": [str(number)]}
            assert {} == await reports.apply(reports.forms(node, {}))

    run(scenario())
    assert [["0"], ["1"], ["2"], ["3"]] == [notes for _, notes in written]
    assert [] == [late - early for (early, _), (late, _) in pairwise(written) if late - early < 0.1 - 1e-9]


def test_a_speaker_that_can_write_and_not_read_says_since_when(cluster: Kubernetes, net: Net, tmp_path: Path) -> None:
    state = tmp_path / "state"

    async def scenario() -> None:
        async with wired(cluster.speaker(Net(), state_dir=state)) as daemon:
            await daemon.ready()
        faults = cluster.server.faults
        faults.stall(verb="list", resource="endpointslices.discovery.k8s.io", times=10**6)
        async with wired(cluster.speaker(net, state_dir=state)) as daemon:
            await daemon.until(lambda: said(cluster).get("keptSince"), "it is said")
            kept = daemon.metric("netlb_source_kept_timestamp_seconds")
            assert kept
            assert "what was heard before" in daemon.problems()["source"]
            faults.clear()
            cluster.server.reset_connections()
            await daemon.ready()
            await daemon.until(lambda: said(cluster) and "keptSince" not in said(cluster), "it is not any more")

    asyncio.run(scenario())


def test_what_a_restored_server_has_lost_is_said_again(cluster: Kubernetes, net: Net) -> None:
    backup = cluster.server.revision

    async def scenario() -> None:
        async with wired(cluster.speaker(net)) as daemon:
            await daemon.until(lambda: cluster.announced("web")[0] == "True", "it is reported")
            await daemon.until(lambda: said(cluster), "it is said")
            received = partial(daemon.metric, "netlb_source_received_bytes_total", verb="watch", kind="services")
            for _ in range(2):  # the second one was sent after all of that
                before = received() or 0.0
                await daemon.until(lambda: (received() or 0.0) > before, "a bookmark comes")  # noqa: B023
            cluster.server.go_away()
            cluster.server.come_back(revision=backup)
            assert {} == said(cluster)
            await daemon.until(lambda: cluster.announced("web")[0] == "True", "it is reported again")
            await daemon.until(lambda: said(cluster), "it is said again")

    asyncio.run(scenario())
