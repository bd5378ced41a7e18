"""A kernel's table of addresses in memory, for tests of what keeps addresses on interfaces: no root, no waiting.

`netlb.l2.adapter.kernel.KernelAddresses` works on it as on the real one, and the same contract tests run with both. Its
time stands still until `pass_time`; the announcements that are sent reach its segments at once.

    kernel = FakeKernel({"eth0": FakeSegment()})
    kernel.assign("eth0", "192.0.2.1/24")
    async with KernelAddresses(kernel=kernel.opened) as addresses:
        await addresses.apply({ip_address("192.0.2.10"): None})
"""

import asyncio
import errno
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from ipaddress import ip_interface
from itertools import count

from netlb.l2.adapter.rtnetlink import Kernel
from netlb.l2.addrmsg import InterfaceAddress, Kind, Message
from netlb.l2.ethernet import format_mac
from netlb.l2.interfaces import Link
from netlb.l2.residents import Place
from netlb.l2.responder import Responder
from netlb.testing.segment import FakeSegment, judge

__all__ = ["FakeKernel"]

_DOWN, _UP = 0x2, 0x1 | 0x2 | 0x10000


class _Silent:
    """Nothing is due on its own: who announces does so by the real clock."""

    def next_wakeup(self) -> float | None:
        return None

    def transmit(self, now: float) -> None:
        """There is nothing to send."""


class _Port:
    """One interface on a segment: the kernel answers for what it has."""

    def __init__(self, link: Link, segment: FakeSegment) -> None:
        self.announcer = _Silent()
        self.link = link
        self.segment = segment
        self.responder = Responder(link.mac)

    def receive(self, frame: bytes) -> bytes | None:
        _, answer = judge(self.responder, frame)
        return answer


class FakeKernel:
    """Implements `netlb.l2.adapter.rtnetlink.Kernel`."""

    def __init__(self, segments: Mapping[str, FakeSegment]) -> None:
        """Have an interface of each name on its segment."""
        self.refuses: dict[str, int] = {}
        """By address, the errno with which adding it is refused."""
        self._indexes = count(1)
        self._ports: dict[str, _Port] = {}
        self._table: dict[InterfaceAddress, float | None] = {}
        self._now = 0.0
        self._told: list[Message] = []
        self._changed: Callable[[Sequence[Message] | None], None] | None = None
        self._links: asyncio.Queue[tuple[int, Link | None]] = asyncio.Queue()
        for name, segment in segments.items():
            self.add_interface(name, segment)

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Kernel]:
        """Be what `KernelAddresses` is given."""
        try:
            yield self
        finally:
            self._changed = None

    # What the world does to it

    def add_interface(self, name: str, segment: FakeSegment) -> None:
        """Let an interface appear."""
        index = next(self._indexes)
        link = Link(index=index, name=name, mac=b"\x02\xfe" + index.to_bytes(4, "big"), flags=_UP)
        port = self._ports[name] = _Port(link, segment)
        segment.plug(port)
        self._links.put_nowait((index, link))

    def set_link(self, name: str, *, up: bool) -> None:
        """Let an interface go down or up; with the one its addresses of IPv6 are gone, as in Linux."""
        port = self._ports[name]
        flags = _UP if up else _DOWN
        port.link = Link(index=port.link.index, name=name, mac=port.link.mac, flags=flags)
        (port.segment.plug if up else port.segment.unplug)(port)
        for each in [each for each in self._table if each.index == port.link.index and each.address.version == 6]:
            if not up:
                self._forget(each)
        self._links.put_nowait((port.link.index, port.link))

    def assign(self, name: str, address: str) -> None:
        """Let somebody else give an interface an address, as 192.0.2.1/24."""
        self._put(self._foreign(name, address), None)

    def withdraw(self, name: str, address: str) -> None:
        """Let somebody take an address away, with its prefix length; one of netlb's, too."""
        there = self._foreign(name, address)
        for each in [each for each in self._table if (each.index, each.address) == (there.index, there.address)]:
            if each.prefix_length == there.prefix_length:
                self._forget(each)

    def pass_time(self, seconds: float) -> None:
        """Let time go by: what is not renewed ends."""
        self._now += seconds
        for each in [each for each, until in self._table.items() if until is not None and until <= self._now]:
            self._forget(each)

    def has(self, name: str) -> dict[str, bool]:
        """Return the addresses of an interface in the kernel's order, and whether they have netlb's mark."""
        return {str(each.address): each.ours for each in self._table if each.index == self._ports[name].link.index}

    def mac(self, name: str) -> str:
        """Return an interface's MAC address."""
        return format_mac(self._ports[name].link.mac)

    # What Kernel promises

    @property
    def links(self) -> Mapping[int, Link]:
        """See Kernel."""
        return {port.link.index: port.link for port in self._ports.values()}

    async def changes(self) -> AsyncIterator[tuple[int, Link | None]]:
        """See Kernel."""
        while True:
            yield await self._links.get()

    def follow(self, changed: Callable[[Sequence[Message] | None], None]) -> None:
        """See Kernel."""
        self._changed = changed

    def addresses(self) -> list[InterfaceAddress]:
        """See Kernel."""
        self._told.clear()
        return list(self._table)

    async def add(self, places: Sequence[Place], valid: int, *, renew: bool) -> dict[Place, int]:
        """See Kernel."""
        refused: dict[Place, int] = {}
        for index, address in places:
            each = InterfaceAddress(index, address, address, address.max_prefixlen, ours=True)
            number = self.refuses.get(str(address), 0)
            if not renew and any((other.index, other.address) == (index, address) for other in self._table):
                number = number or errno.EEXIST
            if number or index not in self.links:
                refused[index, address] = number or errno.ENODEV
            else:
                self._put(each, self._now + valid)
        return refused

    async def remove(self, places: Sequence[Place]) -> dict[Place, int]:
        """See Kernel."""
        refused: dict[Place, int] = {}
        for index, address in places:
            found = [each for each in self._table if (each.index, each.address, each.ours) == (index, address, True)]
            for each in found:
                self._forget(each)
            if not found:
                refused[index, address] = errno.EADDRNOTAVAIL
        return refused

    def send(self, interface: str, frame: bytes) -> bool:
        """See Kernel."""
        port = self._ports[interface]
        port.segment.announce(frame, port)
        return True

    def _foreign(self, name: str, address: str) -> InterfaceAddress:
        parsed = ip_interface(address)
        index = self._ports[name].link.index
        return InterfaceAddress(index, parsed.ip, parsed.ip, parsed.network.prefixlen, ours=False)

    def _port(self, index: int) -> _Port:
        return next(port for port in self._ports.values() if port.link.index == index)

    def _put(self, each: InterfaceAddress, until: float | None) -> None:
        known = each in self._table
        self._table[each] = until
        self._port(each.index).responder.hold(each.address.packed)
        if not known:
            self._tell(Message(Kind.ADDED, 0, address=each))

    def _forget(self, each: InterfaceAddress) -> None:
        del self._table[each]
        self._port(each.index).responder.release(each.address.packed)
        self._tell(Message(Kind.REMOVED, 0, address=each))

    def _tell(self, message: Message) -> None:
        """Tell it soon, as the kernel does: not in the middle of what brought it about."""
        if self._changed is not None:
            self._told.append(message)
            asyncio.get_running_loop().call_soon(self._flush)

    def _flush(self) -> None:
        told, self._told = self._told, []
        if told and self._changed is not None:
            self._changed(told)
