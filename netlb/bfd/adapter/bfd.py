"""BFD for programs that use asyncio: sessions with peers, what happens to them, and how they are."""

import asyncio
import errno
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from netlb.bfd.adapter.engine import Engine
from netlb.bfd.adapter.sockets import source_address
from netlb.bfd.events import Event
from netlb.bfd.packet import State
from netlb.bfd.sessions import SessionPath
from netlb.bfd.settings import DEFAULTS, SINGLE_HOP_TTL, Settings
from netlb.errors import DataplaneError, SettingError
from netlb.net import Address, is_station
from netlb.reasons import BfdVerdict

__all__ = ["Bfd", "Peer", "SessionStatus"]


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


class Bfd:
    """Sessions with peers, on the running event loop.

    Used as `async with Bfd(on_event=...) as bfd`. Leaving the context takes every session down on purpose and waits
    until the peers know, at most for the time in which they would notice by themselves. All methods are for the loop's
    own thread.
    """

    def __init__(self, *, on_event: Callable[[Peer, Event], None] | None = None) -> None:
        """`on_event` is called for each session that brings no callable of its own.

        Both are called from the event loop and must neither wait nor raise.
        """
        self._emit: Callable[[Peer, Event], None] = on_event or (lambda _peer, _event: None)
        self._engine = Engine()
        self._sessions: dict[Peer, int] = {}
        self._peers: dict[int, Peer] = {}
        self._hearers: dict[Peer, Callable[[Peer, Event], None]] = {}
        self._leaving: dict[int, asyncio.Future[None]] = {}
        self._watched: set[int] = set()
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            for peer in list(self._sessions):
                self._stop(peer)
            if self._leaving:
                await asyncio.wait(self._leaving.values())
        finally:
            self._close()

    def add(
        self, peer: Peer, settings: Settings = DEFAULTS, on_event: Callable[[Peer, Event], None] | None = None
    ) -> None:
        """Begin a session. A Bfd may serve several users, each with an `on_event` of its own.

        SettingError where the settings do not suit the peer, or it has a session already; DataplaneError where the
        kernel refuses: no such interface, no route, the local address is not this node's, the port is taken.
        """
        _check(peer, settings)
        if peer in self._sessions:
            raise SettingError(f"peer {peer}", "there is a session with it", "change it, or remove it first")
        path = _path(peer)
        try:
            discriminator = self._engine.add(path, settings, self._loop.time())
        except ValueError:
            problem = "there is a session with it on the same path"
            raise SettingError(f"peer {peer}", problem, "use that one, or remove it first") from None
        self._sessions[peer] = discriminator
        self._peers[discriminator] = peer
        self._hearers[peer] = on_event or self._emit
        for fileno in self._engine.filenos() - self._watched:
            self._watched.add(fileno)
            self._loop.add_reader(fileno, self._readable, fileno)
        self._settle()

    def change(self, peer: Peer, settings: Settings) -> None:
        """Put other settings in force, without taking the session down; KeyError if there is no session."""
        _check(peer, settings)
        self._engine.change(self._sessions[peer], settings, self._loop.time())
        self._settle()

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
        """Return how a session is; KeyError if there is none."""
        discriminator = self._sessions[peer]
        session = self._engine.sessions[discriminator]
        return SessionStatus(
            state=session.state,
            remote_state=session.remote_state,
            diagnostic=session.diagnostic,
            remote_diagnostic=session.remote_diagnostic,
            local_discriminator=session.local_discriminator,
            remote_discriminator=session.remote_discriminator,
            transmit_interval=session.transmit_interval,
            detection_time=session.detection_time,
            polling=session.polling,
            since=self._loop.time() - session.changed_at,
            sent=session.sent,
            unsent=self._engine.unsent[discriminator],
            received=session.received,
            dropped=dict(session.dropped),
            ups=session.ups,
            downs=session.downs,
        )

    def counts(self) -> Mapping[BfdVerdict, int]:
        """Return what became of all packets that came in, those that no session is meant by too."""
        return dict(self._engine.sessions.counts)

    def _stop(self, peer: Peer) -> asyncio.Future[None] | None:
        discriminator = self._sessions.pop(peer)
        del self._peers[discriminator], self._hearers[peer]
        self._engine.stop(discriminator, self._loop.time())
        if discriminator not in self._engine.sessions:
            return None
        leaving = self._leaving[discriminator] = self._loop.create_future()
        self._settle()
        return leaving

    def _readable(self, fileno: int) -> None:
        self._engine.readable(fileno, self._loop.time())
        self._settle()

    def _run_due(self) -> None:
        self._timer = None
        self._engine.run_due(self._loop.time())
        self._settle()

    def _settle(self) -> None:
        """Be woken in time, and tell what happened."""
        wakeup = self._engine.next_wakeup()
        if self._timer is not None and (wakeup is None or wakeup < self._timer.when()):
            self._timer.cancel()
            self._timer = None
        if self._timer is None and wakeup is not None:
            self._timer = self._loop.call_at(wakeup, self._run_due)
        for discriminator in [one for one in self._leaving if one not in self._engine.sessions]:
            leaving = self._leaving.pop(discriminator)
            if not leaving.done():
                leaving.set_result(None)
        for discriminator, event in self._engine.take_events():
            peer = self._peers.get(discriminator)
            if peer is not None:
                self._hearers[peer](peer, event)

    def _close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for fileno in self._watched:
            self._loop.remove_reader(fileno)
        self._watched.clear()
        self._engine.close()


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
