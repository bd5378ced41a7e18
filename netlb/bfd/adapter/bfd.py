"""BFD for programs that use asyncio: sessions with peers, what happens to them, and how they are."""

import asyncio
import errno
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Any, Final, Self

from netlb.bfd.adapter.process import EngineProcess, News
from netlb.bfd.adapter.sockets import source_address
from netlb.bfd.control import Happened, Kept, Over
from netlb.bfd.events import Down, Event, ParametersChanged, Up
from netlb.bfd.packet import Diagnostic, State
from netlb.bfd.sessions import SessionPath
from netlb.bfd.settings import DEFAULTS, SINGLE_HOP_TTL, Settings
from netlb.errors import DataplaneError, NetlbError, SettingError, TransientError
from netlb.net import Address, is_station
from netlb.reasons import BfdVerdict
from netlb.worker.adapter.process import WorkerProcess
from netlb.worker.adapter.shelter import Shelter
from netlb.worker.terms import Terms

__all__ = ["PATIENCE", "WORKER", "Bfd", "Peer", "SessionStatus"]

WORKER: Final = "bfd"
"""Its process, among those of a program that outlive it."""

PATIENCE: Final = 10.0
"""Seconds for which an event loop may stand still: more than planning the largest cluster takes on a slow machine."""
_RETURN: Final = 5.0
"""Seconds in which a session that was up is up again in a new process: sessions begin at one packet a second."""
_UNCLAIMED: Final = 30.0
"""Seconds for which a session of an earlier program is kept that nobody has added again."""
_AGAIN: Final = 1.0
"""Seconds until what was refused is tried again, and that a process lives at least before another takes its place."""

_BREATH: Final = 0.05
"""Seconds in which the program acts on the end of a process, before it waits for the next one to come up."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Whom a session is with. SettingError names the field that cannot be."""

    address: Address
    interface: str = ""
    """Packets leave and come in by this interface alone. Link-local addresses need it, and over several hops there
    is none."""
    local: Address | None = None
    """This end's address; None takes the one that the kernel prefers when the session is added."""
    multihop: bool = False
    """Over several hops (RFC 5883). Without, the peer is on the same link (RFC 5881)."""

    def __post_init__(self) -> None:
        if not is_station(self.address):
            raise SettingError("address", f"{self.address} is no single station", "give the peer's own address")
        if self.local is not None and self.local.version != self.address.version:
            problem = f"{self.local} and {self.address} are of different families"
            raise SettingError("local", problem, "give an address of the peer's family, or none")
        if self.multihop and self.interface:
            problem = "the way over several hops is the routing table's"
            raise SettingError("interface", problem, "leave it out, or leave out multihop")
        if self.address.is_link_local and self.address.version == 6 and not self.interface:
            raise SettingError("interface", f"{self.address} is on every link", "name the interface")

    def __str__(self) -> str:
        return f"{self.address}%{self.interface}" if self.interface else str(self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionStatus:
    """How a session is."""

    state: State
    remote_state: State
    """As the peer last said."""
    diagnostic: int
    """Why the state changed last: a Diagnostic."""
    remote_diagnostic: int
    """What the peer gave: a Diagnostic, or a number that none is assigned to."""
    local_discriminator: int
    remote_discriminator: int
    """0: the peer has not been heard for a detection time."""
    transmit_interval: int
    """Microseconds between our packets before jitter, as negotiated."""
    detection_time: int
    """Microseconds of silence that mean failure, as negotiated; 0 until the peer was heard."""
    polling: bool
    """Changed timers wait for the peer's confirmation."""
    since: float
    """For how many seconds the state has been what it is."""
    sent: int
    unsent: int
    """Packets that the kernel did not take."""
    received: int
    dropped: Mapping[BfdVerdict, int]
    """Packets meant for this session that changed nothing, by why."""
    ups: int
    downs: int
    """Failures: what the peer took down on purpose is none."""


_BEING_REPLACED: Final = SessionStatus(
    state=State.DOWN,
    remote_state=State.DOWN,
    diagnostic=0,
    remote_diagnostic=0,
    local_discriminator=0,
    remote_discriminator=0,
    transmit_interval=0,
    detection_time=0,
    polling=False,
    since=0.0,
    sent=0,
    unsent=0,
    received=0,
    dropped={},
    ups=0,
    downs=0,
)


@dataclass(slots=True, eq=False)
class _Session:
    """What is known here of a session, whose packets are another process's business."""

    number: int
    peer: Peer
    path: SessionPath
    settings: Settings
    hear: Callable[[Peer, Event], None]
    kept: bool = False
    """The process has it."""
    up: bool = False
    """The last that was told of it."""
    missed: bool = False
    """It was up in a process that has ended, and is not yet up in the next."""


class Bfd:
    """Sessions with peers, for a program on the running event loop.

    Used as `async with Bfd(on_event=...) as bfd`. Leaving the context takes every session down on purpose and waits
    until the peers know, at most for the time in which they would notice by themselves. All methods are for the loop's
    own thread.

    The packets are sent and judged by a process of its own, which is started with the first session: whatever the
    program does meanwhile, its peers hear of it in time. They are told at once that it is gone when it is killed, and
    when its loop has stood still for `patience` seconds. A process that ends is replaced; what was up stays up as far
    as the program is told, if it is up again within 5 seconds.
    """

    def __init__(
        self,
        *,
        on_event: Callable[[Peer, Event], None] | None = None,
        on_problem: Callable[[str], None] | None = None,
        patience: float = PATIENCE,
        shelter: Shelter | None = None,
    ) -> None:
        """`on_event` is called for each session that brings no callable of its own.

        `on_problem` is told why the process ended, in a few words or a traceback. All are called from the event loop
        and must neither wait nor raise.
        """
        self._emit: Callable[[Peer, Event], None] = on_event or (lambda _peer, _event: None)
        self._complain: Callable[[str], None] = on_problem or (lambda _problem: None)
        self._shelter = shelter
        self._patience = patience
        self._orphans: dict[SessionPath, Kept] = {}
        self._process: EngineProcess | None = None
        self._sessions: dict[Peer, _Session] = {}
        self._by_number: dict[int, _Session] = {}
        self._leaving: dict[int, asyncio.Future[None]] = {}
        self._numbers = count(1)
        self._timers: set[asyncio.TimerHandle] = set()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._started_at = 0.0
        orphan = self._shelter.take(WORKER) if self._shelter is not None else None
        if orphan is not None:
            self._begin(orphan)
            with suppress(TransientError):  # its end is told, and another begins
                self._orphans = {kept.path: kept for kept in self._require().sessions()}
            self._numbers = count(max((kept.session for kept in self._orphans.values()), default=0) + 1)
            self._later(_UNCLAIMED, self._stop_unclaimed)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if self._process is not None and self._shelter is not None and self._shelter.leaves:
                self._process.leave()
                self._process = None
            for peer in list(self._sessions):
                self._stop(peer)
            if self._leaving:
                await asyncio.wait(self._leaving.values())
        finally:
            for timer in self._timers:
                timer.cancel()
            if self._process is not None:
                self._process.close()

    def add(
        self, peer: Peer, settings: Settings = DEFAULTS, on_event: Callable[[Peer, Event], None] | None = None
    ) -> None:
        """Begin a session. A Bfd may serve several users, each with an `on_event` of its own.

        SettingError where the settings do not suit the peer, or it has a session already; DataplaneError where the
        kernel refuses: no such interface, no route, the local address is not this node's, the port is taken;
        TransientError where the process that keeps sessions does not answer.
        """
        _check(peer, settings)
        if peer in self._sessions:
            raise SettingError(f"peer {peer}", "there is a session with it", "change it, or remove it first")
        path = _path(peer)
        if any(path == each.path for each in self._sessions.values()):
            problem = "there is a session with it on the same path"
            raise SettingError(f"peer {peer}", problem, "use that one, or remove it first")
        orphan = self._orphans.pop(path, None)
        number = next(self._numbers) if orphan is None else orphan.session
        session = _Session(number, peer, path, settings, on_event or self._emit)
        process = self._require()
        if orphan is None:
            process.add(number, path, settings)
        else:
            process.change(number, settings)
        process.decided = session.kept = True
        self._sessions[peer] = self._by_number[number] = session
        if orphan is not None and orphan.up is not None:
            self._loop.call_soon(self._heard, Happened(number, orphan.up))

    def change(self, peer: Peer, settings: Settings) -> None:
        """Put other settings in force, without taking the session down; KeyError if there is no session."""
        _check(peer, settings)
        session = self._sessions[peer]
        session.settings = settings
        if self._process is not None and session.kept:
            with suppress(TransientError):  # whoever takes its place is told the settings of now
                self._process.change(session.number, settings)

    async def remove(self, peer: Peer) -> None:
        """Take a session down on purpose, and wait until the peer knows; KeyError if there is none.

        The session is gone at once, and another may be added. A caller that will not wait is cancelled safely.
        """
        leaving = self._stop(peer)
        if leaving is not None:
            await asyncio.shield(leaving)

    def peers(self) -> frozenset[Peer]:
        """Return whom there are sessions with."""
        return frozenset(self._sessions)

    def status(self, peer: Peer) -> SessionStatus:
        """Return how a session is, down and nothing more while its process is being replaced; KeyError if none is."""
        session = self._sessions[peer]
        if self._process is None or not session.kept:
            return _BEING_REPLACED
        try:
            status = self._process.status(session.number)
        except TransientError:
            return _BEING_REPLACED
        known: dict[str, Any] = {**status.fields}
        since = self._loop.time() - known.pop("changed_at")
        known |= {name: State(known[name]) for name in ("state", "remote_state")}
        dropped = {BfdVerdict(name): number for name, number in status.dropped.items()}
        return SessionStatus(**known, since=since, dropped=dropped)

    def counts(self) -> Mapping[BfdVerdict, int]:
        """Return what became of all packets that came in, those that no session is meant by too.

        They begin anew with each process.
        """
        with suppress(TransientError):
            if self._process is not None:
                return {BfdVerdict(name): number for name, number in self._process.counts().counts.items()}
        return {}

    def _stop(self, peer: Peer) -> asyncio.Future[None] | None:
        session = self._sessions.pop(peer)
        del self._by_number[session.number]
        if self._process is None or not session.kept:
            return None
        leaving = self._leaving[session.number] = self._loop.create_future()
        with suppress(TransientError):  # its end ends the waiting too
            self._process.stop(session.number)
        return leaving

    # The process

    def _require(self) -> EngineProcess:
        if self._process is None:
            return self._begin(None)
        return self._process

    def _begin(self, orphan: WorkerProcess | None) -> EngineProcess:
        self._started_at = self._loop.time()
        terms = self._shelter.terms(WORKER) if self._shelter is not None else Terms(self._patience)
        self._process = EngineProcess(orphan, terms, on_news=self._heard, on_end=self._ended)
        return self._process

    def _stop_unclaimed(self) -> None:
        orphans, self._orphans = self._orphans, {}
        for kept in orphans.values():
            with suppress(TransientError):  # gone with the process
                self._require().stop(kept.session)

    def _heard(self, news: News) -> None:
        if isinstance(news, Over):
            self._gone(news.session)
            return
        session = self._by_number.get(news.session)
        if session is not None:
            self._tell(session, news.event)
            return
        for path, kept in self._orphans.items():
            if kept.session == news.session:
                up = Up(*news.event) if isinstance(news.event, Up | ParametersChanged) else None
                self._orphans[path] = kept._replace(up=up)

    def _tell(self, session: _Session, event: Event) -> None:
        if isinstance(event, ParametersChanged):
            session.hear(session.peer, event)
            return
        session.up, session.missed = isinstance(event, Up), False
        session.hear(session.peer, event)

    def _gone(self, number: int) -> None:
        leaving = self._leaving.pop(number, None)
        if leaving is not None and not leaving.done():
            leaving.set_result(None)

    def _ended(self, problem: str) -> None:
        """Begin anew, and give up what is not up again in time."""
        self._process = None
        self._orphans.clear()
        for number in list(self._leaving):
            self._gone(number)
        for session in self._sessions.values():
            session.missed = session.missed or session.up
            session.kept = False
        self._complain(problem)
        self._later(_RETURN, self._give_up)
        self._later(max(_BREATH, self._started_at + _AGAIN - self._loop.time()), self._revive)

    def _revive(self) -> None:
        """Have a process keep what it should; what is refused is tried again."""
        waiting = [session for session in self._sessions.values() if not session.kept]
        for session in waiting:
            with suppress(NetlbError):
                self._require().add(session.number, session.path, session.settings)
                session.kept = True
        if not all(session.kept for session in waiting):
            self._later(_AGAIN, self._revive)

    def _give_up(self) -> None:
        for session in list(self._sessions.values()):
            if session.missed and self._by_number.get(session.number) is session:
                self._tell(session, Down(Diagnostic.CONTROL_DETECTION_TIME_EXPIRED, 0))

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        def run() -> None:
            self._timers.discard(timer)
            call()

        timer = self._loop.call_later(seconds, run)
        self._timers.add(timer)


def _check(peer: Peer, settings: Settings) -> None:
    if not peer.multihop and settings.minimum_ttl != SINGLE_HOP_TTL:
        problem = f"{settings.minimum_ttl} would let in packets from other links"
        raise SettingError("minimum_ttl", problem, f"leave it at {SINGLE_HOP_TTL}, or make the peer multihop")


def _path(peer: Peer) -> SessionPath:
    """Look up what the kernel knows of a peer."""
    index = 0
    if peer.interface:
        try:
            index = socket.if_nametoindex(peer.interface)
        except OSError as error:
            raise DataplaneError(f"BFD with {peer}: find interface {peer.interface}", errno.ENODEV) from error
    if peer.local is not None:
        local = peer.local.packed
    else:
        try:
            local = source_address(peer.address.packed, index)
        except OSError as error:
            raise DataplaneError(f"BFD with {peer}: find the way to it", error.errno or errno.EIO) from error
    return SessionPath(peer.address.packed, local, index, peer.multihop)
