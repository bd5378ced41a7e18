"""All sessions of one node: which one a packet belongs to, which one the time has come for, and what came of it."""

from collections import Counter
from collections.abc import Callable, Iterator
from heapq import heappop, heappush
from typing import Final, NamedTuple

from netlb.bfd.events import Event
from netlb.bfd.packet import YOUR_DISCRIMINATOR, decode
from netlb.bfd.session import SLOW, Session
from netlb.bfd.settings import Settings
from netlb.reasons import BfdVerdict

__all__ = ["Arrival", "SessionPath", "Sessions"]

_SLACK: Final = 0.1
_MOST_SLACK: Final = 0.01
_SECOND: Final = 1e6


class SessionPath(NamedTuple):
    """What a session is about; there is one session to a path (RFC 5881 section 2, RFC 5883 section 2)."""

    peer: bytes
    """The other end's address, 4 or 16 octets, as is the next."""
    local: bytes
    """This end's."""
    interface: int
    """Index of the interface, or 0: any."""
    multihop: bool


class Arrival(NamedTuple):
    """How a datagram came in, as the kernel tells."""

    source: bytes
    destination: bytes
    interface: int
    ttl: int
    """TTL or hop limit."""
    multihop: bool
    """It was sent to the port for several hops (RFC 5883) and not to the one for a single hop (RFC 5881)."""


class Sessions:
    """The sessions of a node, by their local discriminators."""

    def __init__(self, lots: Callable[[], float]) -> None:
        """`lots` draws a number in [0, 1) at each call, for jitter."""
        self.counts: Counter[BfdVerdict] = Counter()
        """Every packet that came in, once."""
        self._lots = lots
        self._sessions: dict[int, Session] = {}
        self._paths: dict[int, SessionPath] = {}
        self._by_path: dict[SessionPath, int] = {}
        # A session is in the heap at or before its next wakeup; `_queued` tells its entry from what is left of older
        # ones. A packet that only puts a deadline off costs nothing here.
        self._heap: list[tuple[float, int]] = []
        self._queued: dict[int, float] = {}
        self._slack: float | None = None
        self._crowded: bool | None = None
        self._usual: dict[int, Arrival] = {}
        """How the last packet came in that a session has accepted, and the next will most likely."""
        self._packets: list[tuple[int, bytes]] = []
        self._events: list[tuple[int, Event]] = []

    def __iter__(self) -> Iterator[int]:
        return iter(self._sessions)

    def __contains__(self, discriminator: object) -> bool:
        return discriminator in self._sessions

    def __getitem__(self, discriminator: int) -> Session:
        """Return a session, to be looked at; KeyError if there is none."""
        return self._sessions[discriminator]

    def path(self, discriminator: int) -> SessionPath:
        """Return what a session is about; KeyError if there is none."""
        return self._paths[discriminator]

    @property
    def slack(self) -> float:
        """Seconds that nothing is the worse for: what is due within them may be done at once, and what has come wait.

        A tenth of the shortest interval that was negotiated, and at most 10 ms.
        """
        if self._slack is None:
            self._crowded = None
            intervals = (session.shortest_interval for session in self._sessions.values())
            self._slack = min(_MOST_SLACK, min(intervals, default=SLOW) / _SECOND * _SLACK)
        return self._slack

    @property
    def crowded(self) -> bool:
        """Whether a packet or more is to be expected within every slack."""
        slack = self.slack
        if self._crowded is None:
            intervals = (session.shortest_interval for session in self._sessions.values())
            self._crowded = sum(slack * _SECOND / interval for interval in intervals) >= 1
        return self._crowded

    def find(self, path: SessionPath) -> int | None:
        """Return the discriminator of the session on exactly this path."""
        return self._by_path.get(path)

    def add(self, discriminator: int, path: SessionPath, settings: Settings, sequence: int, now: float) -> None:
        """Begin a session; ValueError if its discriminator is taken or 0, or its path has a session already.

        `sequence` is as `Session` wants it.
        """
        if not 0 < discriminator < 1 << 32 or discriminator in self._sessions:
            raise ValueError(f"discriminator {discriminator} is taken or impossible")
        if path in self._by_path:
            raise ValueError(f"a session on {path} exists")
        self._sessions[discriminator] = Session(discriminator, settings, sequence=sequence, lots=self._lots, now=now)
        self._paths[discriminator] = path
        self._by_path[path] = discriminator
        self._slack = None
        self._gather(discriminator)

    def change(self, discriminator: int, settings: Settings, now: float) -> None:
        """See Session."""
        self._sessions[discriminator].change(settings, now)
        self._slack = None
        self._gather(discriminator)

    def link_up(self, interface: int, now: float) -> None:
        """See Session; of all that go by this interface."""
        for discriminator, path in self._paths.items():
            if path.interface == interface:
                self._sessions[discriminator].link_up(now)
                self._gather(discriminator)

    def stop(self, discriminator: int, now: float) -> None:
        """See Session; `remove` it when it is over."""
        self._sessions[discriminator].stop(now)
        self._gather(discriminator)

    def abandon(self, discriminator: int, now: float) -> None:
        """See Session; `remove` it then."""
        self._sessions[discriminator].abandon(now)
        self._gather(discriminator)

    def remove(self, discriminator: int) -> None:
        """Forget a session, without a word to the peer."""
        self._slack = None
        del self._sessions[discriminator]
        del self._by_path[self._paths.pop(discriminator)]
        self._queued.pop(discriminator, None)
        self._usual.pop(discriminator, None)

    def receive(self, data: bytes, arrival: Arrival, now: float) -> BfdVerdict:
        """Take in the payload of one datagram, whatever it is."""
        discriminator = int.from_bytes(data[YOUR_DISCRIMINATOR], "big")
        usual = arrival == self._usual.get(discriminator)
        if usual and self._sessions[discriminator].hear_again(data, arrival.ttl, now):
            self.counts[BfdVerdict.ACCEPTED] += 1
            return BfdVerdict.ACCEPTED
        verdict = self._receive(data, arrival, now)
        self.counts[verdict] += 1
        return verdict

    def due(self, now: float) -> None:
        """Do what the time has come for, in all sessions, and send what may be sent within the slack."""
        slack, near = self.slack, []
        while self._heap and self._heap[0][0] <= now + slack:
            at, discriminator = heappop(self._heap)
            if self._queued.get(discriminator) == at:
                del self._queued[discriminator]
                near.append(discriminator)
        for discriminator in near:
            self._sessions[discriminator].due(now, slack)
            self._gather(discriminator)

    def next_wakeup(self) -> float | None:
        """Return when to call `due` next; it may find that nothing is due yet."""
        while self._heap:
            at, discriminator = self._heap[0]
            if self._queued.get(discriminator) == at:
                return at
            heappop(self._heap)
        return None

    def take_packets(self) -> list[tuple[int, bytes]]:
        """Return what is to be sent now, with the discriminator of the session that sends it."""
        packets, self._packets = self._packets, []
        return packets

    def take_events(self) -> list[tuple[int, Event]]:
        """Return what happened since the last call, with the discriminators of the sessions."""
        events, self._events = self._events, []
        return events

    def _receive(self, data: bytes, arrival: Arrival, now: float) -> BfdVerdict:
        packet = decode(data)
        if isinstance(packet, BfdVerdict):
            return packet
        if packet.your_discriminator:
            discriminator = packet.your_discriminator
            path = self._paths.get(discriminator)
            if path is None:
                return BfdVerdict.UNKNOWN_DISCRIMINATOR
            if not _came_along(path, arrival):
                return BfdVerdict.WRONG_PATH
        else:
            source, destination, interface, _, multihop = arrival
            found = self._by_path.get(SessionPath(source, destination, interface, multihop))
            if found is None:
                found = self._by_path.get(SessionPath(source, destination, 0, multihop))
            if found is None:
                return BfdVerdict.UNKNOWN_PEER
            discriminator = found
        verdict = self._sessions[discriminator].receive(packet, data, arrival.ttl, now)
        if verdict is BfdVerdict.ACCEPTED or verdict is BfdVerdict.STOPPED:
            self._usual[discriminator] = arrival
            self._gather(discriminator)
        return verdict

    def _gather(self, discriminator: int) -> None:
        """Take what a session has made, and have it woken in time."""
        session = self._sessions[discriminator]
        packets = session.take_packets()
        if packets:
            self._packets += [(discriminator, octets) for octets in packets]
        events = session.take_events()
        if events:
            self._slack = None
            self._events += [(discriminator, event) for event in events]
        wakeup = session.next_wakeup(self._slack or 0.0)
        if wakeup is None:
            return
        queued = self._queued.get(discriminator)
        if queued is None or wakeup < queued:
            self._queued[discriminator] = wakeup
            heappush(self._heap, (wakeup, discriminator))


def _came_along(path: SessionPath, arrival: Arrival) -> bool:
    return (
        path.peer == arrival.source
        and path.local == arrival.destination
        and path.interface in (0, arrival.interface)
        and path.multihop is arrival.multihop
    )
