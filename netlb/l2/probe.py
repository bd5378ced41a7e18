"""Whether somebody else has an address: RFC 5227 section 2.1 for IPv4, RFC 4862 section 5.4 for IPv6.

A probe asks the segment of one interface for one address, and listens. It ends with the MAC address of the first
station that has the address or asks for it in the same way, or with nobody's when its time is over:

- IPv4: any ARP request or reply sent from the address, or another station's ARP probe for it;
- IPv6: any advertisement of the address, or another station's solicitation for it from `::`. Some announcers, as
  MetalLB's, do not answer the probes of RFC 4862: an ordinary question goes beside each, from the interface's own
  link-local address, where it has one.

Stations of ours, on any interface of this node, are nobody. Ordinary questions for the address tell nothing. Like
bursts, probes of many addresses are paced (`netlb.l2.pace`); IPv4 spreads them over `probe_wait` besides. IPv6 would
wait too if a solicitation were the first frame of a new interface, which it is not here.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Final, NamedTuple

from netlb.l2 import arp, ndp
from netlb.l2.ethernet import ARP, is_group
from netlb.l2.pace import BATCH, Pace

__all__ = ["RFC_TIMINGS", "YIELD_TIMINGS", "ProbeTimings", "Probing", "Verdict"]


@dataclass(frozen=True, slots=True)
class ProbeTimings:
    """How often is asked and how long is listened, in seconds but for the two numbers of frames."""

    probe_wait: float = 1.0
    """PROBE_WAIT of RFC 5227 section 1.1: the first ARP probe waits up to this, by lot."""
    probe_num: int = 3
    """PROBE_NUM: ARP probes."""
    probe_min: float = 1.0
    """PROBE_MIN: between two ARP probes at least."""
    probe_max: float = 2.0
    """PROBE_MAX: between two ARP probes at most; in between lots are drawn."""
    announce_wait: float = 2.0
    """ANNOUNCE_WAIT: behind the last ARP probe."""
    dup_addr_detect_transmits: int = 1
    """DupAddrDetectTransmits of RFC 4862 section 5.1: solicitations."""
    retrans_timer: float = 1.0
    """RetransTimer of RFC 4861 section 10: between two solicitations, and behind the last."""
    rate_limit_interval: float = 60.0
    """RATE_LIMIT_INTERVAL of RFC 5227 section 1.1: until who found somebody probes again. Whoever asks keeps it."""


RFC_TIMINGS: Final = ProbeTimings()
YIELD_TIMINGS: Final = ProbeTimings(
    probe_wait=0.1,
    probe_min=0.2,
    probe_max=0.3,
    announce_wait=0.3,
    dup_addr_detect_transmits=3,
    retrans_timer=0.3,
    rate_limit_interval=1.0,
)
"""For who gives way to another announcer, and takes its place when it falls silent: a second, and a second between."""


class Verdict(NamedTuple):
    """How the probe of one address on one interface ended."""

    interface: int
    address: bytes
    mac: bytes
    """The other station, or empty: there is none."""


class _Job:
    """One probe under way."""

    __slots__ = ("address", "due", "interface", "left", "source", "timings")

    def __init__(self, interface: int, address: bytes, timings: ProbeTimings, due: float, source: bytes) -> None:
        self.interface = interface
        self.address = address
        self.source = source
        """The link-local address that asks beside, or empty."""
        self.timings = timings
        self.left = timings.probe_num if len(address) == 4 else timings.dup_addr_detect_transmits
        """How often is still to be asked."""
        self.due = due
        """When the next frame is due, or the end behind the last one."""


class Probing:
    """The probes under way on all interfaces of a node.

    `lots` draws a number in [0, 1) at each call.
    """

    def __init__(self, lots: Callable[[], float]) -> None:
        self._lots = lots
        self._macs: dict[int, bytes] = {}
        self._jobs: dict[tuple[int, bytes], _Job] = {}
        # By time. A job that has ended or begun anew stays in until it comes to the front.
        self._queue: list[tuple[float, int, _Job]] = []
        self._numbers = count()
        self._pace = Pace()
        self._verdicts: list[Verdict] = []

    def set_interface(self, index: int, mac: bytes) -> None:
        """Probe with this MAC address on the interface from now on."""
        self._macs[index] = mac

    def remove_interface(self, index: int) -> None:
        """Forget the interface and its probes, which get no verdict."""
        self._macs.pop(index, None)
        self._jobs = {key: job for key, job in self._jobs.items() if key[0] != index}
        self._verdicts = [verdict for verdict in self._verdicts if verdict.interface != index]

    def start(
        self, interface: int, addresses: Iterable[bytes], timings: ProbeTimings, now: float, source: bytes = b""
    ) -> None:
        """Probe the addresses on a known interface; a probe that runs already begins anew.

        `source` is the interface's link-local address, if it has one.
        """
        for address in addresses:
            wait = self._lots() * timings.probe_wait if len(address) == 4 else 0.0
            job = self._jobs[interface, address] = _Job(interface, address, timings, now + wait, source)
            self._push(job)

    def begin_anew(self, interface: int, address: bytes, at: float) -> None:
        """Probe from the beginning at that time, for want of a frame that could be sent; pass over what has ended."""
        job = self._jobs.get((interface, address))
        if job is not None:
            self.start(interface, [address], job.timings, at, job.source)

    def frames_to_send(self, now: float) -> list[tuple[int, bytes, bytes]]:
        """Return what is due and within the pace, as interface index, address and frame; at most about BATCH.

        Probes whose time is over end.
        """
        self._pace.advance(now)
        frames: list[tuple[int, bytes, bytes]] = []
        for _ in range(BATCH):
            job = self._first()
            if job is None or job.due > now:
                break
            if job.left and not self._pace.allows():
                break
            heappop(self._queue)
            if not job.left:
                self._end(job, b"")
                continue
            asked = _questions(self._macs[job.interface], job)
            self._pace.spend(len(asked))
            frames += [(job.interface, job.address, frame) for frame in asked]
            job.left -= 1
            job.due = now + self._pause(job)
            self._push(job)
        return frames

    def next_wakeup(self) -> float | None:
        """Return when to call `frames_to_send` next, or None while nothing is under way."""
        job = self._first()
        if job is None:
            return None
        return max(job.due, self._pace.next_wakeup()) if job.left else job.due

    def receive(self, interface: int, frame: bytes) -> None:
        """Look whether a frame that came in on the interface tells of another station; whatever its bytes are."""
        if not self._jobs:
            return
        try:
            claim = _claim_by_arp(frame) if frame[12:14] == ARP else _claim_by_nd(frame)
        except ValueError:
            return
        if claim is None:
            return
        address, mac = claim
        job = self._jobs.get((interface, address))
        if job is not None and not is_group(mac) and mac not in self._macs.values():
            self._end(job, mac)

    def verdicts(self) -> list[Verdict]:
        """Return the probes that ended since the last call."""
        verdicts, self._verdicts = self._verdicts, []
        return verdicts

    def _push(self, job: _Job) -> None:
        heappush(self._queue, (job.due, next(self._numbers), job))

    def _first(self) -> _Job | None:
        while self._queue:
            job = self._queue[0][2]
            if self._jobs.get((job.interface, job.address)) is job:
                return job
            heappop(self._queue)
        return None

    def _pause(self, job: _Job) -> float:
        timings = job.timings
        if len(job.address) == 16:
            return timings.retrans_timer
        if not job.left:
            return timings.announce_wait
        return timings.probe_min + self._lots() * (timings.probe_max - timings.probe_min)

    def _end(self, job: _Job, mac: bytes) -> None:
        del self._jobs[job.interface, job.address]
        self._verdicts.append(Verdict(job.interface, job.address, mac))


def _questions(mac: bytes, job: _Job) -> list[bytes]:
    if len(job.address) == 4:
        return [arp.probe(mac, job.address)]
    return [ndp.probe(mac, job.address), *([ndp.question(mac, job.source, job.address)] if job.source else [])]


_Claim = tuple[bytes, bytes] | None
"""The address that a frame shows to be somebody's, and the MAC address; None: it shows nothing of the kind."""


def _claim_by_arp(frame: bytes) -> _Claim:
    packet = arp.ArpPacket.decode(frame)
    if packet.operation == arp.REQUEST and packet.sender_address == arp.UNSPECIFIED:
        return packet.target_address, packet.sender_mac
    return (packet.sender_address, packet.sender_mac) if packet.operation in {arp.REQUEST, arp.REPLY} else None


def _claim_by_nd(frame: bytes) -> _Claim:
    if frame[54:55] == bytes((ndp.ADVERTISEMENT,)):
        advertisement = ndp.NeighborAdvertisement.decode(frame)
        link = ndp.link_address(advertisement.options, ndp.TARGET_LINK_ADDRESS)
        return advertisement.target, link or advertisement.source_mac
    solicitation = ndp.NeighborSolicitation.decode(frame)
    return (solicitation.target, solicitation.source_mac) if solicitation.source == ndp.UNSPECIFIED else None
