"""The kernel's table of addresses, its links, and a socket that sends frames and hears nothing."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Final, Protocol, Self

from netlb.errors import DataplaneError
from netlb.l2 import addrmsg
from netlb.l2.adapter.interfaces import LinkWatch
from netlb.l2.addrmsg import Flag, InterfaceAddress, Kind, Message
from netlb.l2.interfaces import Link
from netlb.l2.residents import Place

__all__ = ["Kernel", "Rtnetlink"]

_SOL_NETLINK, _CAP_ACK = 270, 10
_SO_RCVBUFFORCE: Final = 33
_RTMGRP_IPV4_IFADDR, _RTMGRP_IPV6_IFADDR = 0x10, 0x100
_ROOM: Final = 4 << 20
_PART: Final = 128
"""Messages sent at once: half a millisecond of the kernel's time, and their answers have room in any buffer."""
_CHUNK: Final = 1 << 16
_TRIES: Final = 10

Changed = Callable[[Sequence[Message] | None], None]
"""Called with what happened to addresses; with None where some of it was lost."""


class Kernel(Protocol):
    """What holds the addresses of a node; `netlb.testing.kernel_addresses.FakeKernel` is another one."""

    @property
    def links(self) -> Mapping[int, Link]:
        """All links."""
        ...

    def changes(self) -> AsyncIterator[tuple[int, Link | None]]:
        """Yield links that change, see `LinkWatch.changes`."""
        ...

    def follow(self, changed: Changed) -> None:
        """Say from now on what happens to addresses."""
        ...

    def addresses(self) -> list[InterfaceAddress]:
        """Return all addresses, by interface in the kernel's order; DataplaneError where that does not work.

        What happened before is not told of any more.
        """
        ...

    async def add(self, places: Sequence[Place], valid: int, *, renew: bool) -> dict[Place, int]:
        """Add marked addresses for so many seconds, or renew those that are there; return errnos of what is refused."""
        ...

    async def remove(self, places: Sequence[Place]) -> dict[Place, int]:
        """Remove addresses; return errnos of what is refused."""
        ...

    def send(self, interface: str, frame: bytes) -> bool:
        """Send a frame; False where that does not work now."""
        ...


class Rtnetlink:
    """The real one, of the network namespace that it is entered in."""

    def __init__(self) -> None:
        self._watch = LinkWatch()
        self._sequence = 0
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Open the sockets; DataplaneError where that is not permitted (CAP_NET_RAW)."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(self._watch)
            try:
                self._requests = stack.enter_context(_netlink(0))
                self._events = stack.enter_context(_netlink(_RTMGRP_IPV4_IFADDR | _RTMGRP_IPV6_IFADDR))
                self._frames = stack.enter_context(
                    # For no protocol: nothing is received.
                    socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
                )
            except OSError as error:
                raise DataplaneError("open sockets for addresses of the kernel", error.errno or errno.EIO) from error
            self._exit = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._events.fileno())
        await self._exit.aclose()

    @property
    def links(self) -> Mapping[int, Link]:
        """See Kernel."""
        return self._watch.links

    def changes(self) -> AsyncIterator[tuple[int, Link | None]]:
        """See Kernel."""
        return self._watch.changes()

    def follow(self, changed: Changed) -> None:
        """See Kernel."""

        def read() -> None:
            try:
                changed(list(addrmsg.decode(self._events.recv(_CHUNK))))
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                changed(None)

        asyncio.get_running_loop().add_reader(self._events.fileno(), read)

    def addresses(self) -> list[InterfaceAddress]:
        """See Kernel. A list that changes while it is read is begun again."""
        for _ in range(_TRIES):
            try:
                self._pass_over()
                found = self._list()
            except OSError as error:
                raise DataplaneError("list the addresses of this node", error.errno or errno.EIO) from error
            if found is not None:
                return found
        raise DataplaneError("list the addresses of this node, which change all the time", errno.EINTR)

    def _pass_over(self) -> None:
        """Read events that wait: told after the list, they would undo what is in it for a moment."""
        while True:
            try:
                self._events.recv(_CHUNK)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise

    def _list(self) -> list[InterfaceAddress] | None:
        self._sequence += 1
        self._requests.send(addrmsg.encode_list(self._sequence))
        found: list[InterfaceAddress] = []
        interrupted = False
        while True:
            for message in addrmsg.decode(self._requests.recv(_CHUNK)):
                if message.sequence != self._sequence:
                    continue
                interrupted |= message.interrupted
                if message.kind == Kind.ERROR:
                    raise OSError(message.errno, "refused")
                if message.kind == Kind.DONE:
                    return None if interrupted else found
                if message.address is not None:
                    found.append(message.address)

    async def add(self, places: Sequence[Place], valid: int, *, renew: bool) -> dict[Place, int]:
        """See Kernel."""
        how = Flag.REPLACE if renew else Flag.CREATE | Flag.EXCLUSIVE
        return await self._request(
            places,
            lambda place, flags, sequence: addrmsg.encode_add(*place, valid, flags | how, sequence),
        )

    async def remove(self, places: Sequence[Place]) -> dict[Place, int]:
        """See Kernel."""
        return await self._request(
            places, lambda place, flags, sequence: addrmsg.encode_remove(*place, flags, sequence)
        )

    async def _request(self, places: Sequence[Place], encode: Callable[[Place, Flag, int], bytes]) -> dict[Place, int]:
        """Send a request for each place. Refusals come in any case; only the last one of a part is acknowledged."""
        refused: dict[Place, int] = {}
        for start in range(0, len(places), _PART):
            part = places[start : start + _PART]
            first = self._sequence + 1
            self._sequence += len(part)
            flags = [Flag.REQUEST] * (len(part) - 1) + [Flag.REQUEST | Flag.ACK]
            data = (encode(*each) for each in zip(part, flags, range(first, first + len(part)), strict=True))
            try:
                self._requests.send(b"".join(data))
                for message in self._answers(self._sequence):
                    if message.errno and first <= message.sequence:
                        refused[part[message.sequence - first]] = message.errno
            except OSError as error:
                raise DataplaneError("change the addresses of this node", error.errno or errno.EIO) from error
            await asyncio.sleep(0)
        return refused

    def _answers(self, last: int) -> Iterable[Message]:
        while True:
            for message in addrmsg.decode(self._requests.recv(_CHUNK)):
                if message.kind == Kind.ERROR:
                    yield message
                    if message.sequence == last:
                        return

    def send(self, interface: str, frame: bytes) -> bool:
        """See Kernel."""
        try:
            self._frames.sendto(frame, (interface, int.from_bytes(frame[12:14], "big")))
        except OSError:  # the queue is full, or the link is down or gone
            return False
        return True


def _netlink(groups: int) -> socket.socket:
    opened = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    )
    try:
        opened.setsockopt(_SOL_NETLINK, _CAP_ACK, 1)
        with suppress(PermissionError):
            opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)
        opened.bind((0, groups))
    except OSError:
        opened.close()
        raise
    return opened
