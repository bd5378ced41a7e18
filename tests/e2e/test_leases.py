"""Three speakers that know of each other by Leases alone: deaths, an API server that is away, and nodes cut off from it."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from netlb.testing.lab import Host
from tests.support.asking import Asker
from tests.support.daemons import Daemon
from tests.support.kube_cluster import KubeCluster
from tests.support.kubernetes import LEASES, NAMESPACE, Kubernetes, kubernetes
from tests.support.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(300)]

SERVICES = ("web", "shop", "mail")
MODE = ("--liveness", "lease", "--lease-duration", "5")
"""Who is held up for a moment does not lose its Lease."""


@pytest.fixture
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    """The double of the API server, where speakers may write Leases."""
    with kubernetes(tmp_path_factory.mktemp("api"), leases=True) as api:
        yield api


class Segment:
    """What runs: a controller, and a speaker on every node."""

    def __init__(self, kube: KubeCluster) -> None:
        self.kube = kube
        kube.declare("192.168.122.90-192.168.122.99")
        self.controller = kube.controller()
        self.speakers = {name: self.speaker(name) for name in kube.lab.nodes}
        for name in SERVICES:
            kube.apply(name)
        self.addresses = {name: kube.await_address(name) for name in SERVICES}
        for daemon in self.speakers.values():
            kube.await_ready(daemon)
        self.owners = {name: eventually(partial(self._owner, name), f"who owns {name} answers") for name in SERVICES}
        kube.forward(SERVICES)
        self.before = {name: self.moves(name) for name in self.speakers}
        """What moved while they all started."""

    def _owner(self, name: str) -> str | None:
        """Return the node that says that it announces a Service, if it alone answers; it moves while speakers start."""
        owner = self.kube.await_announced(name)
        macs = set(self.kube.answerers(self.addresses[name]))
        return owner if macs == {self.kube.lab.nodes[owner].mac} else None

    def speaker(self, name: str) -> Daemon:
        """Start a node's speaker."""
        return self.kube.keeping_speaker(name, *MODE)

    def asking(self) -> Asker:
        """Ask for all addresses, from a host on the segment."""
        return Asker(self.kube.client, tuple(self.addresses.values()))

    def renewals(self) -> dict[str, str]:
        """When each node wrote its Lease last, by its own calendar."""
        return {name: body["spec"]["renewTime"] for (_, name), body in self.kube.api.server.all(LEASES).items()}

    def moves(self, name: str) -> list[str]:
        """Return what a speaker says of addresses that came to it, and that it has given up."""
        return [line for line in self.speakers[name].lines() if "taken over" in line or "given up" in line]

    def await_renewed(self) -> None:
        """Wait until every node has written its Lease three times more."""
        for _ in range(3):
            before = self.renewals()
            eventually(
                lambda before=before: all(before[name] != self.renewals()[name] for name in self.speakers),  # type: ignore[misc]
                "all are renewed",
            )

    def await_only(self, address: str, *, other_than: str) -> Host:
        """Wait until one node alone answers for an address, which is not that one."""
        others = {host.mac: host for host in self.kube.lab.nodes.values() if host.name != other_than}

        def found() -> Host | None:
            macs = set(self.kube.answerers(address))
            return others.get(macs.pop()) if len(macs) == 1 else None

        return eventually(found, f"one node other than {other_than} answers for {address}", within=60)

    def unmoved(self) -> None:
        """Make sure that nothing has moved at any time, and who owned an address answers for it alone."""
        assert self.before == {name: self.moves(name) for name in self.speakers}
        for name, address in self.addresses.items():
            mac = self.kube.lab.nodes[self.owners[name]].mac
            eventually(lambda: {mac} == set(self.kube.answerers(address)), f"{address} has its owner")  # noqa: B023


@pytest.fixture
def segment(kube: KubeCluster) -> Segment:
    return Segment(kube)


def test_a_speaker_dies_and_others_take_over_until_it_is_back(segment: Segment, kube: KubeCluster) -> None:
    owner, address = segment.owners["web"], segment.addresses["web"]
    segment.speakers[owner].kill()
    successor = segment.await_only(address, other_than=owner)
    assert segment.speakers[successor.name].lines("node dead", f"dead={owner}") == []
    assert segment.speakers[successor.name].lines("node dead")
    segment.speakers[owner] = again = segment.speaker(owner)
    kube.await_ready(again)
    kube.await_answered(address, owner)
    with segment.asking() as asker:
        asker.goes_on()
        assert 0 == again.stop()
        asker.await_station(address, successor.mac)
    left = kube.api.server.get(LEASES, owner, NAMESPACE)
    assert left
    assert ("false", False) == (left["metadata"]["labels"]["netlb.io/alive"], "holderIdentity" in left["spec"])


def test_without_the_api_server_nothing_moves_nor_when_it_is_back(segment: Segment, kube: KubeCluster) -> None:
    with segment.asking() as asker:
        asker.goes_on()
        before = segment.renewals()
        kube.api.server.go_away()
        for speaker in segment.speakers.values():
            eventually(lambda speaker=speaker: speaker.lines("Lease not renewed"), "it is noticed")  # type: ignore[misc]
        asker.goes_on(120)  # more than twice the duration of a Lease
        kube.api.server.come_back()
        eventually(lambda: all(before[name] != now for name, now in segment.renewals().items()), "all are renewed")
        segment.await_renewed()
        segment.await_renewed()
        asker.goes_on()
        segment.unmoved()


def test_what_a_node_has_that_is_cut_off_alone_others_take_over_and_it_is_silent(
    segment: Segment, kube: KubeCluster
) -> None:
    owner, address = segment.owners["web"], segment.addresses["web"]
    with segment.asking() as asker:
        asker.goes_on()
        kube.cut(owner)
        successor = segment.await_only(address, other_than=owner)
        eventually(lambda: segment.speakers[owner].lines("address not announced", f"address={address}"), "it gives way")
        asker.await_station(address, successor.mac)
        asker.goes_on()
        assert segment.await_only(address, other_than=owner) is successor
        kube.mend(owner)
        kube.await_answered(address, owner)
        asker.await_station(address, kube.lab.nodes[owner].mac)
        eventually(lambda: segment.speakers[owner].lines("Lease renewed again"), "it is told")


def test_nodes_that_start_without_the_api_server_answer_for_what_is_their_own(
    segment: Segment, kube: KubeCluster, tmp_path: Path
) -> None:
    owner, address = segment.owners["web"], segment.addresses["web"]
    kept = kube.api.root / f"state-{owner}" / "netlb-speaker.snapshot"
    eventually(lambda: kept.exists() and address.encode() in kept.read_bytes(), "it is kept")
    kube.cut(*kube.lab.nodes)
    segment.speakers[owner].kill()
    segment.speakers[owner] = segment.speaker(owner)
    kube.await_answered(address, owner)
    for name in segment.speakers.keys() - {owner}:
        assert segment.before[name] == segment.moves(name), "nobody is found dead"
    with segment.asking() as asker:
        kube.mend(*kube.lab.nodes)
        segment.await_renewed()
        kube.await_answered(address, owner)
        asker.goes_on()
