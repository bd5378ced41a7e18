"""What gateways of one process hear of each other: BFD and hellos in memory, cut at will."""

import asyncio
from collections.abc import Callable, Mapping
from ipaddress import IPv4Address
from types import TracebackType
from typing import Self

from netlb.bfd.adapter.bfd import Peer
from netlb.bfd.events import AdminDown, Down, Event, Up
from netlb.bfd.packet import Diagnostic
from netlb.bfd.settings import Settings
from netlb.errors import DataplaneError
from netlb.net import Address
from netlb.raven.hello import Hello

__all__ = ["Air", "FakeInner"]

Hear = Callable[[Peer, Event], None]


class Air:
    """Addresses that reach each other, unless they are cut off."""

    def __init__(self) -> None:
        self.cut: set[Address] = set()
        self._sessions: dict[tuple[Address, Address], tuple[Peer, Hear]] = {}
        self._up: set[frozenset[Address]] = set()
        self._sockets: dict[Address, _Socket] = {}

    def bfd(self, *, on_problem: Callable[[str], None]) -> "_Bfd":
        """Make what stands for `Bfd`."""
        return _Bfd(self)

    def socket(self, local: Address, _: int, hear: Callable[[Address, Hello, int], None]) -> "_Socket":
        """Make what stands for `HelloSocket`."""
        return _Socket(self, local, hear)

    def fail(self, *addresses: Address) -> None:
        """Cut addresses off: whoever watches them finds out."""
        self.cut.update(addresses)
        self.settle()

    def heal(self, *addresses: Address) -> None:
        """Let these hear and be heard, or everybody."""
        self.cut.difference_update(addresses or set(self.cut))
        self.settle()

    def settle(self) -> None:
        """Take sessions up and down as they should be."""
        for local, remote in list(self._sessions):
            pair = frozenset((local, remote))
            should = (remote, local) in self._sessions and not pair & self.cut
            if should != (pair in self._up):
                (self._up.add if should else self._up.discard)(pair)
                event: Event = Up(100_000, 300_000) if should else Down(Diagnostic.CONTROL_DETECTION_TIME_EXPIRED, 0)
                for one, other in ((local, remote), (remote, local)):
                    self._tell(one, other, event)

    def _tell(self, local: Address, remote: Address, event: Event) -> None:
        if (found := self._sessions.get((local, remote))) is not None:
            peer, hear = found
            asyncio.get_running_loop().call_soon(hear, peer, event)

    def add(self, local: Address, peer: Peer, hear: Hear) -> None:
        self._sessions[local, peer.address] = peer, hear
        self.settle()

    def remove(self, local: Address, peer: Peer) -> None:
        self._sessions.pop((local, peer.address), None)
        pair = frozenset((local, peer.address))
        if pair in self._up:
            self._up.discard(pair)
            self._tell(peer.address, local, AdminDown())

    def crash(self, bfd: "_Bfd") -> None:
        for peer in bfd.sessions:
            assert peer.local is not None
            self._sessions.pop((peer.local, peer.address), None)
        self.settle()

    def open(self, socket: "_Socket") -> None:
        self._sockets[socket.local] = socket

    def close(self, socket: "_Socket") -> None:
        if self._sockets.get(socket.local) is socket:
            del self._sockets[socket.local]

    def send(self, local: Address, to: Address, hello: Hello, size: int) -> None:
        found = self._sockets.get(to)
        if found is not None and not {local, to} & self.cut:
            asyncio.get_running_loop().call_soon(found.hear, local, hello, size)


class _Bfd:
    def __init__(self, air: Air) -> None:
        self._air = air
        self.sessions: dict[Peer, Settings] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._air.crash(self)

    def add(self, peer: Peer, settings: Settings, hear: Hear) -> None:
        assert peer.local is not None
        self.sessions[peer] = settings
        self._air.add(peer.local, peer, hear)

    def change(self, peer: Peer, settings: Settings) -> None:
        self.sessions[peer] = settings

    async def remove(self, peer: Peer) -> None:
        assert peer.local is not None
        del self.sessions[peer]
        self._air.remove(peer.local, peer)


class _Socket:
    def __init__(self, air: Air, local: Address, hear: Callable[[Address, Hello, int], None]) -> None:
        self._air = air
        self.local = local
        self.hear = hear

    async def open(self) -> None:
        self._air.open(self)

    def send(self, to: Address, hello: Hello, size: int = 0) -> None:
        self._air.send(self.local, to, hello, size)

    def close(self) -> None:
        self._air.close(self)


class FakeInner:
    """Stands for `InnerAddress`."""

    def __init__(self) -> None:
        self.addresses: dict[str, IPv4Address] = {}
        self.fails = False

    async def observe(self) -> Mapping[str, IPv4Address]:
        return dict(self.addresses)

    async def apply(self, changes: Mapping[str, IPv4Address]) -> Mapping[str, Exception]:
        if self.fails:
            return {key: DataplaneError("set the address", 1) for key in changes}
        self.addresses.update(changes)
        return {}

    async def prune(self, keys: object) -> Mapping[str, Exception]:
        self.addresses.clear()
        return {}
