"""Whole speakers, gobgpds and links are killed again and again: nobody is sent to the dead, and afterwards all is as planned.

Three nodes answer for addresses on a segment, and announce others to a router with FRR, which watches them by BFD.
"""

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from ipaddress import IPv4Address
from pathlib import Path
from statistics import median

import pytest

from netlb.l2.election import owner
from netlb.testing.lab import Host, Lab, requirements
from tests.manifests import advertisement, native, pool, service, slice_of
from tests.support.bgp import without_gobgpd
from tests.support.bgp_node import NODES_ASN
from tests.support.bgp_world import neighbor
from tests.support.cluster import Cluster
from tests.support.daemons import Daemon
from tests.support.frr import FrrRouter, frr_router, missing_frr
from tests.support.needs import needs
from tests.support.route_watch import Heard, RouteWatch, Sent
from tests.support.routers import ASN, next_hops
from tests.support.waiting import eventually

ROUNDS = 20
INTERVAL = 100
"""Milliseconds between BFD packets, of which three may be missing."""
SECOND = 14
"""BFD packets that a node sends within a second at most: as jitter may shorten each interval by a quarter."""
ON_SEGMENT = ("192.168.122.90", "192.168.122.91", "192.168.122.92", "fd00:122::90", "fd00:122::91", "fd00:122::92")
ROUTED = ("203.0.113.10/32", "2001:db8:cafe::10/128")
WINDOW = 0.1
PATIENCE = 60.0

pytestmark = [pytest.mark.root, pytest.mark.timeout(600)]


class Site:
    """The cluster, its speakers, and the router that it is announced to."""

    def __init__(self, cluster: Cluster, router: FrrRouter, folder: Path) -> None:
        self.cluster = cluster
        self.router = router
        self.speakers: dict[str, Daemon] = {}
        self._folder = folder

    @property
    def nodes(self) -> Mapping[str, Host]:
        return self.cluster.lab.nodes

    def start(self, name: str) -> None:
        """Start a node's speaker."""
        self.speakers[name] = self.cluster.speaker(name, "--gobgp-dir", str(self._folder / f"gobgp-{name}"))

    def gobgpd(self, name: str) -> int:
        """Return the process of a node's gobgpd."""
        processes = {pid: Path(f"/proc/{pid}/comm").read_text().strip() for pid in self.cluster.responders(name)}
        [found] = [pid for pid, command in processes.items() if command == "gobgpd"]
        return found

    def answers(self) -> dict[str, list[str]]:
        """Return who on the segment answers for each address: the MAC addresses of all answers of a while."""
        with ThreadPoolExecutor(len(ON_SEGMENT)) as pool:
            return dict(
                zip(ON_SEGMENT, pool.map(partial(self.cluster.answerers, window=WINDOW), ON_SEGMENT), strict=True)
            )

    def owned_by(self, *names: str) -> dict[str, list[str]]:
        """Return who should answer for each address while these nodes are alive, and no others."""
        return {address: [self.nodes[str(owner(address, names))].mac] for address in ON_SEGMENT}

    def ends(self, *names: str) -> frozenset[str]:
        """Return the addresses of nodes."""
        return frozenset(str(address) for name in names for address in self.nodes[name].addresses)

    def failures(self, names: Iterable[str]) -> list[int]:
        """Return how often the router has taken each of these nodes for dead, by BFD."""
        counted = self.router.bfd_failures()
        return [counted[str(self.nodes[name].ipv4)] for name in names]

    def await_all(self, watch: RouteWatch) -> None:
        """Wait until everything is as planned for all nodes, in the router's kernel, on the segment and in reports."""
        four, six = zip(*(host.addresses for host in self.nodes.values()), strict=True)
        sent = {prefix: set(map(str, ends)) for prefix, ends in zip(ROUTED, (four, six), strict=True)}

        def routed() -> bool:
            return sent == watch.now() == {prefix: next_hops(self.router.host, prefix) for prefix in ROUTED}

        eventually(routed, "the router sends to all nodes", PATIENCE)
        eventually(lambda: self.owned_by(*self.nodes) == self.answers(), "each address has its owner", PATIENCE)
        eventually(lambda: all(map(self._hears_all, self.nodes)), "all nodes hear each other, and the router", PATIENCE)
        for name in self.nodes:
            self.cluster.await_ready(self.speakers[name])

    def _hears_all(self, name: str) -> bool:
        told = self.cluster.status.node(name)
        others = [state for node, state in told.get("nodes", {}).items() if node != name]
        [peer] = told.get("bgp", {}).get("peers", [{}])
        up = ("ESTABLISHED", "up") == (peer.get("state"), peer.get("bfd"))
        return up and ["alive"] * (len(self.nodes) - 1) == others


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    """Everything runs, and is not as planned yet."""
    needs([*requirements(), *without_gobgpd(), *missing_frr("bgpd", "bfdd")])
    (tmp_path / "site").mkdir()
    with (
        Lab(nodes=3, clients=1, routers=1, pods_per_node=0, name="kills") as lab,
        frr_router(lab.routers["router-1"], bfd=True) as router,
    ):
        cluster = Cluster(tmp_path / "site", lab)
        cluster.write_nodes(watched=True)
        tor = {
            "myASN": NODES_ASN,
            "peerASN": ASN,
            "peerAddress": str(router.host.ipv4),
            "holdTime": "90s",  # whoever is found dead here is found by BFD, or by the end of a connection
            "addressFamilies": ["ipv4", "ipv6"],
            "bfdProfile": "fast",
        }
        cluster.write(
            "bgp.yaml",
            native("BGPPeer", "tor", **tor),
            native("BFDProfile", "fast", transmitInterval=INTERVAL, receiveInterval=INTERVAL, detectMultiplier=3),
            native("BGPAdvertisement", "all", ipAddressPools=["routed"]),
        )
        cluster.write("segment.yaml", pool("segment", *ON_SEGMENT), advertisement(spec="{ipAddressPools: [segment]}"))
        cluster.write("routed.yaml", pool("routed", *ROUTED, protocol="bgp"))
        dual = {"ipFamilyPolicy": "RequireDualStack"}
        for number in range(3):
            near = service(f"near-{number}", annotations="{netlb.io/pool: segment}", **dual)
            cluster.write(f"near-{number}.yaml", near, slice_of(f"near-{number}", *lab.nodes))
        far = service("far", annotations="{netlb.io/pool: routed}", **dual)
        cluster.write("far.yaml", far, slice_of("far", *lab.nodes))
        router.peer_with(*(neighbor(host, bfd=INTERVAL, hold_time=90) for host in lab.nodes.values()))
        site = Site(cluster, router, tmp_path)
        try:
            cluster.await_ready(cluster.controller())
            for name in lab.nodes:
                site.start(name)
            yield site
            cluster.stop()
        finally:
            cluster.kill()
            cluster.show_logs()


def kill_gobgpd(site: Site, name: str) -> Callable[[], None]:
    """The speaker is there, and starts another one."""
    os.kill(site.gobgpd(name), signal.SIGKILL)
    return lambda: None


def pull_cable(site: Site, name: str) -> Callable[[], None]:
    site.cluster.lab.cut(site.nodes[name])
    return partial(site.cluster.lab.mend, site.nodes[name])


def lose_frames(site: Site, name: str) -> Callable[[], None]:
    """As where a switch in the middle fails: both ends of the link stay up."""
    site.cluster.lab.cut(site.nodes[name], carrier=True)
    return partial(site.cluster.lab.mend, site.nodes[name])


def kill_speaker(site: Site, name: str) -> Callable[[], None]:
    site.speakers[name].kill()
    site.speakers[name].http.unlink()
    return partial(site.start, name)


FAULTS = {
    # A speaker that loses one gobgpd after another waits ever longer before the next one: let it be killed in between.
    "gobgpd killed": (kill_gobgpd, kill_gobgpd),
    "link cut": (pull_cable, lose_frames),
    "speaker killed": (kill_speaker, kill_speaker),
}


def test_nobody_is_sent_to_the_dead(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    """The second that this may take is told by what a living node sends meanwhile: a busy machine delays that as well.

    What holds up the router alone delays nobody else: one of twenty may take longer.
    """
    seconds: dict[str, list[float]] = {fault: [] for fault in FAULTS}
    packets: dict[str, list[int]] = {fault: [] for fault in FAULTS}
    with RouteWatch(site.router.host, ROUTED) as watch:
        site.await_all(watch)
        for turn in range(ROUNDS):
            for number, (fault, acts) in enumerate(FAULTS.items()):
                # Each fault comes to each node in turn, and two faults in a row never to the same one.
                dead = sorted(site.nodes)[(turn + number) % len(site.nodes)]
                took, sent = lose(site, watch, dead, acts[turn % len(acts)])
                seconds[fault].append(took)
                packets[fault].append(sent)
    with capsys.disabled():
        for fault, times in seconds.items():
            print(f"\n{fault} {ROUNDS} times: traffic went there for {median(times):.3f} s, at most {max(times):.3f} s")
            print(f"  while a living node sent at most {max(packets[fault])} BFD packets")
    late = {fault: sorted(sent)[len(sent) * 9 // 10 :] for fault, sent in packets.items()}
    assert {fault: sent for fault, sent in late.items() if sent[0] > SECOND} == {}


def lose(site: Site, watch: RouteWatch, dead: str, act: Callable[[Site, str], Callable[[], None]]) -> tuple[float, int]:
    """Lose a node and have it back; return for how long traffic went there, in seconds and as `await_gone` counts."""
    alive = [name for name in site.nodes if name != dead]
    failures, mark, begun = site.failures(alive), watch.mark(), time.monotonic()
    recover = act(site, dead)
    gone, sent = await_gone(watch, mark, begun, site.ends(dead), alive=[site.nodes[name].ipv4 for name in alive])
    answering = site.nodes if act is kill_gobgpd else alive
    eventually(partial(answered, site, answering), "each address has one owner who lives", PATIENCE)
    assert act is kill_gobgpd or not site.ends(dead) & frozenset().union(*watch.now().values())
    recover()
    site.await_all(watch)
    if failures == site.failures(alive):  # or the router was too busy to hear the living
        assert [] == [change for change in changes(watch, mark) if not change.hops - site.ends(dead)]
    return gone - begun, sent


def await_gone(
    watch: RouteWatch, mark: int, begun: float, ends: frozenset[str], *, alive: Iterable[IPv4Address]
) -> tuple[float, int]:
    """Wait until nothing is sent to these ends; return when that was, and how much of a living node was heard before."""

    def gone() -> float | None:
        before = {prefix for prefix, hops in watch.now().items() if not hops & ends}  # by a router that was held up
        first = {change.prefix: change.at for change in reversed(changes(watch, mark)) if not change.hops & ends}
        return max([begun, *first.values()]) if {*ROUTED} == before | first.keys() else None

    last = eventually(gone, f"{', '.join(sorted(ends))} are sent nothing", PATIENCE)
    heard = [seen.source for seen in watch.since(mark) if isinstance(seen, Heard) and seen.at <= last]
    return last, max(map(heard.count, alive))


def answered(site: Site, names: Iterable[str]) -> bool:
    """Whether each address has its owner among these nodes, and nobody else answers."""
    return site.owned_by(*names) == site.answers()


def changes(watch: RouteWatch, mark: int) -> list[Sent]:
    """Return what the router's kernel has been told since a mark."""
    return [seen for seen in watch.since(mark) if isinstance(seen, Sent)]
