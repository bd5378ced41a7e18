"""Two sessions, and a link between them that loses, delays and reorders packets, in virtual time."""

from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from itertools import count, cycle
from typing import TypeVar

from netlb.bfd.events import AdminDown, Down, Event, ParametersChanged, Up
from netlb.bfd.packet import ControlPacket, State, decode, encode
from netlb.bfd.session import Session
from netlb.bfd.settings import DEFAULTS, Settings
from netlb.reasons import BfdVerdict

Happened = TypeVar("Happened", Up, Down, AdminDown, ParametersChanged)

__all__ = ["FAST", "MINE", "PEER", "Link", "Sent", "deliver", "last", "open_session", "said", "session_in"]

FAST = Settings(transmit_interval=100_000, receive_interval=100_000)
MINE, PEER = 1, 0x55


def open_session(discriminator: int = 1, settings: Settings = DEFAULTS, now: float = 0.0, lot: float = 0.0) -> Session:
    """A session whose lots are all the same."""
    return Session(discriminator, settings, sequence=7, lots=lambda: lot, now=now)


def deliver(session: Session, data: bytes, now: float, ttl: int = 255) -> BfdVerdict:
    """Give a session octets as Sessions does."""
    packet = decode(data)
    if isinstance(packet, BfdVerdict):
        return packet
    return BfdVerdict.ACCEPTED if session.hear_again(data, ttl, now) else session.receive(packet, data, ttl, now)


def said(state: State, **fields: object) -> ControlPacket:
    """A packet of the peer's."""
    packet = ControlPacket(PEER, MINE, state, 3, 100_000, 100_000)
    return packet._replace(**fields)  # type: ignore[arg-type]


def last(session: Session) -> ControlPacket:
    packet = decode(session.take_packets()[-1])
    assert isinstance(packet, ControlPacket)
    return packet


def session_in(state: State, settings: Settings = FAST, now: float = 10.0) -> Session:
    """A session in that state, with nothing left to send or to tell."""
    session = open_session(MINE, settings, now)
    session.due(now)
    for step in {State.ADMIN_DOWN: [], State.DOWN: [], State.INIT: [State.DOWN], State.UP: [State.DOWN, State.UP]}[
        state
    ]:
        assert BfdVerdict.ACCEPTED == deliver(session, encode(said(step)), now)
    if state is State.ADMIN_DOWN:
        session.stop(now)
    if state is State.UP:
        deliver(session, encode(said(State.UP, final=True)), now)
        deliver(session, encode(said(State.UP)), now)
        session.due(session.next_wakeup() or 0.0)
        deliver(session, encode(said(State.UP, final=True)), now + 1)
        deliver(session, encode(said(State.UP)), now + 3)
        assert not session.polling
    assert state is session.state
    session.take_packets()
    session.take_events()
    return session


@dataclass(frozen=True)
class Sent:
    """One packet on the link."""

    at: float
    sender: int
    packet: ControlPacket
    interval: int
    """Microseconds that the sender held for negotiated when it sent this."""


@dataclass
class Link:
    """Sessions 0 and 1; `carry` says for each packet after how many seconds it arrives, or None: it is lost."""

    settings: tuple[Settings, Settings]
    carry: Callable[[int, float], float | None] = lambda _sender, _now: 0.001
    lots: tuple[float, ...] = (0.0, 0.5, 0.9)
    now: float = 100.0
    sent: list[Sent] = field(default_factory=list)
    events: list[tuple[float, int, Event]] = field(default_factory=list)

    def __post_init__(self) -> None:
        drawn = cycle(self.lots)
        self.ends = [
            Session(11 + end, settings, sequence=0xFFFF_FFF0, lots=lambda: next(drawn), now=self.now)
            for end, settings in enumerate(self.settings)
        ]
        self._under_way: list[tuple[float, int, int, bytes]] = []
        self._numbers = count()

    def run(self, seconds: float) -> None:
        """Let that much time go by."""
        until = self.now + seconds
        while True:
            at = min([wakeup for end in self.ends if (wakeup := end.next_wakeup()) is not None], default=until)
            if self._under_way:
                at = min(at, self._under_way[0][0])
            if at >= until:
                self.now = until
                return
            self.now = max(self.now, at)
            if self._under_way and self._under_way[0][0] <= self.now:
                _, _, receiver, data = heappop(self._under_way)
                deliver(self.ends[receiver], data, self.now)
            else:
                for end in self.ends:
                    end.due(self.now)
            self.flush()

    def change(self, end: int, settings: Settings) -> None:
        """Change one end's settings now."""
        self.ends[end].change(settings, self.now)
        self.flush()

    def stop(self, end: int) -> None:
        """Stop one end now."""
        self.ends[end].stop(self.now)
        self.flush()

    def flush(self) -> None:
        """Put on the link what the ends have to send, and note what happened."""
        for number, end in enumerate(self.ends):
            for data in end.take_packets():
                packet = decode(data)
                assert isinstance(packet, ControlPacket)
                self.sent.append(Sent(self.now, number, packet, end.transmit_interval))
                delay = self.carry(number, self.now)
                if delay is not None:
                    heappush(self._under_way, (self.now + delay, next(self._numbers), 1 - number, data))
            self.events += [(self.now, number, event) for event in end.take_events()]

    def happened(self, end: int, kind: type[Happened]) -> list[Happened]:
        """The events of one kind at one end."""
        return [event for _, number, event in self.events if number == end and isinstance(event, kind)]
