"""The speaker on a cluster: what it announces and reports, and how it goes on without the API server."""

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.kubernetes import SPEAKER, Kubernetes, endpoints, kubernetes, service
from tests.support.speaking import Net
from tests.support.wired import wired

ADDRESS = "192.0.2.1"
BOTH = ["eth0", "eth1"]
ANNOUNCED = ("True", "Announced", "")
POLICY = {"externalTrafficPolicy": "Local"}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Kubernetes]:
    """A Service whose address node-1 owns."""
    with kubernetes(tmp_path) as cluster:
        cluster.give("web", ADDRESS)
        yield cluster


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def test_what_a_service_holds_is_announced_and_reported(cluster: Kubernetes, net: Net) -> None:
    async def scenario() -> None:
        async with wired(cluster.speaker(net)) as daemon:
            await daemon.until(lambda: cluster.announced("web") == ANNOUNCED, "it is reported")
            assert BOTH == await net.answers(ADDRESS)
            await daemon.ready()
            report = cluster.report("web")
            assert report
            assert [{"ip": ADDRESS, "interfaces": BOTH}] == report["status"]["addresses"]
            assert ("node-1", "web") == (report["status"]["node"], report["status"]["serviceName"])
            assert [cluster.service("web")["metadata"]["uid"]] == [
                owner["uid"] for owner in report["metadata"]["ownerReferences"]
            ]
            assert {"netlb.io/node": "node-1"} == report["metadata"]["labels"]
            cluster.server.delete("services", "web", "default")
            await daemon.until(lambda: cluster.report("web") is None, "it is gone")
            assert [] == await net.answers(ADDRESS)
            cluster.give("late", ADDRESS)
            await daemon.until(lambda: cluster.announced("late") == ANNOUNCED, "another one is reported")
        assert cluster.report("late") is None, "what does not answer is not said to"
        assert [] == cluster.server.seen("patch", "services"), "it writes no Service"

    asyncio.run(scenario())


def test_what_metallb_gave_is_announced_once_the_controller_has_taken_it_over(cluster: Kubernetes, net: Net) -> None:
    metallbs = service("old", "192.0.2.2", annotations={"metallb.io/ip-allocated-from-pool": "two"})
    cluster.server.put(metallbs, endpoints("old", "node-1", "node-2"))

    async def scenario() -> None:
        async with wired(cluster.speaker(net)) as daemon, wired(cluster.speaker(net, "node-2")):
            await daemon.until(lambda: cluster.announced("web") == ANNOUNCED, "all is known")
            assert [] == await net.answers("192.0.2.2"), "that is MetalLB's, as far as is known"
            async with wired(cluster.controller()):
                await daemon.until(lambda: cluster.allocated("old")[0] == "True", "it is taken over")
                nodes = ("node-1", "node-2")
                await daemon.until(lambda: ANNOUNCED in [cluster.announced("old", node) for node in nodes], "said")
        assert ["192.0.2.2"] == cluster.ingress("old")

    asyncio.run(scenario())


def test_who_does_not_own_an_address_says_nothing(cluster: Kubernetes, net: Net) -> None:
    async def scenario() -> None:
        async with wired(cluster.speaker(net, "node-2")) as daemon:
            await daemon.ready()
            assert [] == await net.answers(ADDRESS)

    asyncio.run(scenario())
    assert {} == cluster.server.all("servicel2statuses.netlb.io")


def test_events_are_told_once_a_change(cluster: Kubernetes, net: Net) -> None:
    told = ("nodeAssigned", 'announcing from node "node-1" with protocol "layer2"')

    async def scenario() -> None:
        async with wired(cluster.speaker(net)) as daemon:
            await daemon.until(lambda: cluster.events("web"), "it is told")
            for number in range(3):
                cluster.give(f"web-{number}", f"198.51.100.{number}")
            cluster.give("other", "192.0.2.2", **POLICY)
            await daemon.until(lambda: cluster.announced("other") == ANNOUNCED, "others come")
            await daemon.until(lambda: cluster.events("other"), "it is told")

    asyncio.run(scenario())
    assert [told] == cluster.events("web")
    assert [told] == cluster.events("other")


def test_what_fails_for_long_is_told(cluster: Kubernetes, net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netlb.source.kube_reports._DOUBT", 0.1)
    net.refuses[ADDRESS] = 10**6

    async def scenario() -> None:
        async with wired(cluster.speaker(net)) as daemon:
            await daemon.until(lambda: cluster.events("web"), "it is told")
            assert ("False", "AnnounceFailed") == cluster.announced("web")[:2]
            net.refuses.clear()
            await daemon.until(lambda: len(cluster.events("web")) == 2, "it is told")

    asyncio.run(scenario())
    (failed, done) = cluster.events("web")
    assert "announceFailed" == failed[0]
    assert failed[1].startswith('node "node-1", protocol "layer2": AnnounceFailed: ')
    assert "nodeAssigned" == done[0]


def test_what_fails_for_a_moment_is_not_told(cluster: Kubernetes, net: Net) -> None:
    net.refuses[ADDRESS] = 2

    async def scenario() -> None:
        async with wired(cluster.speaker(net)) as daemon:
            await daemon.until(lambda: cluster.events("web"), "it is told")

    asyncio.run(scenario())
    assert ["nodeAssigned"] == [reason for reason, _ in cluster.events("web")]


def test_what_an_earlier_speaker_left_is_taken_over_or_removed(cluster: Kubernetes, net: Net) -> None:
    async def crashed() -> None:
        async with wired(cluster.speaker(net)) as daemon:
            await daemon.until(lambda: cluster.announced("web") == ANNOUNCED, "it is reported")
            await daemon.until(lambda: cluster.events("web"), "it is told")
            await daemon.cancel()
            raise ZeroDivisionError

    async def scenario() -> None:
        with pytest.raises(ZeroDivisionError):
            await crashed()
        left = cluster.report("web")
        assert left
        odd = {**left, "metadata": {**left["metadata"], "name": "odd"}}
        del odd["metadata"]["uid"]
        cluster.server.put(odd)
        async with wired(cluster.speaker(Net())) as daemon:
            await daemon.ready()
            await daemon.until(
                lambda: cluster.server.get("servicel2statuses.netlb.io", "odd", "default") is None, "it is removed"
            )
            again = cluster.report("web")
            assert again
            # While it was about to be announced anew, that was said.
            await daemon.until(lambda: cluster.announced("web") == ANNOUNCED, "it is reported")
            assert left["metadata"]["uid"] == again["metadata"]["uid"]

    asyncio.run(scenario())


# Without the API server


def kept(state: Path) -> set[str]:
    """The origins of what is kept."""
    try:
        return set(json.loads((state / "netlb-speaker.snapshot").read_bytes().partition(b"\n")[2]))
    except FileNotFoundError:
        return set()


async def run_once(cluster: Kubernetes, state: Path) -> None:
    """Let a speaker hear everything and keep it."""
    async with wired(cluster.speaker(Net(), state_dir=state)) as daemon:
        await daemon.ready()
        await daemon.until(lambda: cluster.announced("web") == ANNOUNCED, "it is reported")


def test_without_the_server_what_is_announced_stays(cluster: Kubernetes, net: Net) -> None:
    async def scenario() -> None:
        async with wired(cluster.speaker(net)) as daemon:
            await daemon.until(lambda: cluster.announced("web") == ANNOUNCED, "it is reported")
            cluster.server.go_away()
            await daemon.until(lambda: daemon.metric("netlb_source_missing", kind="services"), "it is noticed")
            assert BOTH == await net.answers(ADDRESS)
            await daemon.ready()
            released: list[int] = []
            net.on_release = lambda: released.append(1)
            cluster.server.come_back()
            await daemon.until(lambda: daemon.metric("netlb_source_missing", kind="services") is None, "it is back")
            cluster.give("late", "192.0.2.2", **POLICY)
            await daemon.until(lambda: cluster.announced("late") == ANNOUNCED, "it goes on")
            assert [] == released

    asyncio.run(scenario())


def test_a_speaker_starts_from_what_it_kept(cluster: Kubernetes, net: Net, state: Path) -> None:
    async def scenario() -> None:
        await run_once(cluster, state)
        assert 0o600 == (state / "netlb-speaker.snapshot").stat().st_mode & 0o777
        cluster.server.go_away()
        daemon: Any
        async with wired(cluster.speaker(net, state_dir=state)) as daemon:
            await daemon.until(lambda: net.announcer and net.worker.held(), "it announces")
            assert BOTH == await net.answers(ADDRESS)
            await daemon.until(lambda: "what was heard before" in daemon.problems().get("source", ""), "it says so")
            await daemon.until(lambda: "no connection" in daemon.problems()["source"], "and why")
            assert (daemon.metric("netlb_source_kept_timestamp_seconds") or 0) > 1.7e9
            released: list[int] = []
            net.on_release = lambda: released.append(1)
            cluster.server.come_back()
            await daemon.ready()
            assert 0.0 == daemon.metric("netlb_source_kept_timestamp_seconds")
            await daemon.until(lambda: cluster.announced("web") == ANNOUNCED, "it is reported")
            assert [] == released, "nothing that need not change"
            assert BOTH == await net.answers(ADDRESS)

    asyncio.run(scenario())


def test_what_went_meanwhile_is_given_up_when_the_server_is_back(cluster: Kubernetes, net: Net, state: Path) -> None:
    async def scenario() -> None:
        await run_once(cluster, state)
        cluster.server.go_away()
        async with wired(cluster.speaker(net, state_dir=state)) as daemon:
            await daemon.until(lambda: net.announcer and net.worker.held(), "it announces")
            cluster.server.delete("services", "web", "default")
            cluster.give("late", "192.0.2.2", **POLICY)
            cluster.server.compact()
            cluster.server.come_back()
            await daemon.until(lambda: cluster.announced("late") == ANNOUNCED, "it has heard")
            await daemon.until(lambda: len(net.worker.held()) == 1, "it has given up the other one")
            assert [] == await net.answers(ADDRESS)

    asyncio.run(scenario())


def test_a_server_that_answers_at_once_is_believed_and_not_the_disk(cluster: Kubernetes, net: Net, state: Path) -> None:
    async def scenario() -> None:
        await run_once(cluster, state)
        cluster.server.delete("services", "web", "default")
        async with wired(cluster.speaker(net, state_dir=state, patience=20)) as daemon:
            await daemon.ready()
            assert {} == net.worker.held()

    asyncio.run(scenario())


SPOILT: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "half of it": (lambda content: content[: len(content) // 2], "its checksum is not that of its content"),
    "a changed byte": (lambda content: content.replace(b"192.0.2.1", b"192.0.2.9"), "its checksum"),
    "another format": (lambda content: content.replace(b'"netlb":1', b'"netlb":9'), "it is of format 9, not 1"),
    "nothing": (lambda _: b"", "it is not what netlb writes"),
    "noise": (lambda _: b"\0\xff\n{", "it is not what netlb writes"),
    "another cluster": (lambda content: content.replace(b"kube:", b"kube:/elsewhere"), "it was heard from"),
}


@pytest.mark.parametrize("how", SPOILT)
def test_what_is_spoilt_is_told_and_not_used(
    cluster: Kubernetes, net: Net, state: Path, how: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil, problem = SPOILT[how]
    path = state / "netlb-speaker.snapshot"

    async def scenario() -> None:
        await run_once(cluster, state)
        path.write_bytes(spoil(path.read_bytes()))
        cluster.server.go_away()
        async with wired(cluster.speaker(net, state_dir=state)) as daemon:
            await daemon.until(lambda: problem in capsys.readouterr().out, "it is told")
            await daemon.until(lambda: daemon.metric("netlb_source_missing", kind="services"), "it tries")
            assert {} == net.worker.held()
            await daemon.until(lambda: "no connection" in daemon.problems()["source"], "it says so")
            cluster.server.come_back()
            await daemon.ready()
            assert BOTH == await net.answers(ADDRESS)
        assert "services/web -n default" in kept(state), "it is replaced"

    asyncio.run(scenario())


def test_a_server_that_hangs_is_as_one_that_is_away(cluster: Kubernetes, net: Net, state: Path) -> None:
    async def scenario() -> None:
        await run_once(cluster, state)
        cluster.server.faults.stall(times=10**6)
        async with wired(cluster.speaker(net, state_dir=state)) as daemon:
            await daemon.until(lambda: net.announcer and net.worker.held(), "it announces")
            cluster.server.faults.clear()
            cluster.server.reset_connections()
            await daemon.ready()

    asyncio.run(scenario())


def test_a_server_with_an_older_history_is_believed(cluster: Kubernetes, net: Net) -> None:
    backup = cluster.server.revision

    async def scenario() -> None:
        async with wired(cluster.speaker(net)) as daemon:
            await daemon.until(lambda: cluster.announced("web") == ANNOUNCED, "it is reported")
            cluster.give("late", "192.0.2.2", **POLICY)
            await daemon.until(lambda: len(net.worker.held()) == 2, "another one")
            cluster.server.go_away()
            cluster.server.come_back(revision=backup)
            await daemon.until(lambda: len(net.worker.held()) == 1, "it is not there any more")
            assert BOTH == await net.answers(ADDRESS)

    asyncio.run(scenario())


def test_a_token_that_is_rotated_is_taken_up(cluster: Kubernetes, net: Net) -> None:
    async def scenario() -> None:
        async with wired(cluster.speaker(net)) as daemon:
            await daemon.until(lambda: cluster.announced("web") == ANNOUNCED, "it is reported")
            cluster.server.rotate_token("another", cluster.token_file(SPEAKER), old=SPEAKER)
            cluster.server.reset_connections()
            cluster.give("late", "192.0.2.2", **POLICY)
            await daemon.until(lambda: cluster.announced("late") == ANNOUNCED, "it goes on")

    asyncio.run(scenario())


def test_an_object_that_cannot_be_read_does_no_harm(cluster: Kubernetes, net: Net) -> None:
    async def scenario() -> None:
        async with wired(cluster.speaker(net)) as daemon:
            await daemon.until(lambda: cluster.announced("web") == ANNOUNCED, "it is reported")
            there = cluster.service("web")
            cluster.server.put(there | {"spec": there["spec"] | {"externalTrafficPolicy": "Sometimes"}})
            cluster.server.put(service("worse", ports=[{"port": "eighty"}]))
            cluster.give("late", "192.0.2.2", **POLICY)
            await daemon.until(lambda: cluster.announced("late") == ANNOUNCED, "others are announced")
            assert BOTH == await net.answers(ADDRESS)

    asyncio.run(scenario())


def test_a_report_that_is_refused_holds_up_nothing(cluster: Kubernetes, net: Net) -> None:
    resource = "servicel2statuses.netlb.io"

    async def scenario() -> None:
        cluster.server.faults.fail(403, "Forbidden", verb="patch", resource=resource, times=10**6)
        async with wired(cluster.speaker(net)) as daemon:
            await daemon.until(lambda: daemon.metric("netlb_reconcile_errors", reconciler="status"), "it is counted")
            assert BOTH == await net.answers(ADDRESS)
            await daemon.ready()
            cluster.server.faults.clear()
            await daemon.until(lambda: cluster.announced("web") == ANNOUNCED, "it is reported")

    asyncio.run(scenario())
