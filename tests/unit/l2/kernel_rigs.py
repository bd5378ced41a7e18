"""Two worlds to keep addresses on interfaces in: a kernel in memory, and the real one in a network namespace."""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from pyroute2 import IPRoute

from netlb.l2.adapter.kernel import KernelAddresses
from netlb.l2.addrmsg import MARK
from netlb.testing.kernel_addresses import FakeKernel
from netlb.testing.lab.namespaces import batch, inside
from netlb.testing.segment import FakeSegment
from tests.support.waiting import becomes, eventually
from tests.unit.l2.rigs import VethRig

__all__ = ["FakeKernelRig", "KernelRig", "VethKernelRig", "veth_kernel_rig"]

NAMES = ["n0", "n1"]


class KernelRig(Protocol):
    """One world, with a segment on which a stranger asks behind each interface: n0, and n1 if it is added."""

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a scenario on an event loop inside this world."""

    def addresses(self, *, lifetime: int = 10, on_change: Callable[[], None] | None = None) -> KernelAddresses: ...

    def add_interface(self, name: str) -> None: ...

    def set_link(self, name: str, *, up: bool) -> None: ...

    def assign(self, name: str, address: str) -> None:
        """Give an interface an address that is not netlb's, as 192.0.2.1/24."""

    def withdraw(self, name: str, address: str) -> None:
        """Take an address away, also netlb's."""

    def has(self, name: str) -> dict[str, bool]:
        """Return the addresses of an interface in the kernel's order, and whether they have netlb's mark."""

    async def ask(self, address: str, interface: str = "n0") -> list[str]:
        """Ask once who has an address; return the MAC addresses that answered."""

    def mac(self, interface: str) -> str: ...

    async def announced(self, frame: bytes, times: int, interface: str = "n0") -> int:
        """Wait until the frame was seen so often; return how often it was."""

    async def pass_lifetime(self, seconds: float) -> None:
        """Let time pass for lifetimes."""


class FakeKernelRig:
    """Segments in memory."""

    def __init__(self) -> None:
        self._segments = {"n0": FakeSegment()}
        self.kernel = FakeKernel(self._segments)

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        asyncio.run(scenario())

    def addresses(self, *, lifetime: int = 10, on_change: Callable[[], None] | None = None) -> KernelAddresses:
        return KernelAddresses(interfaces=NAMES, lifetime=lifetime, on_change=on_change, kernel=self.kernel.opened)

    def add_interface(self, name: str) -> None:
        self._segments[name] = FakeSegment()
        self.kernel.add_interface(name, self._segments[name])

    def set_link(self, name: str, *, up: bool) -> None:
        self.kernel.set_link(name, up=up)

    def assign(self, name: str, address: str) -> None:
        self.kernel.assign(name, address)

    def withdraw(self, name: str, address: str) -> None:
        self.kernel.withdraw(name, address)

    def has(self, name: str) -> dict[str, bool]:
        return self.kernel.has(name)

    async def ask(self, address: str, interface: str = "n0") -> list[str]:
        return await self._segments[interface].who_has(address)

    def mac(self, interface: str) -> str:
        return self.kernel.mac(interface)

    async def announced(self, frame: bytes, times: int, interface: str = "n0") -> int:
        await becomes(lambda: self._segments[interface].announced.count(frame) >= times)
        return self._segments[interface].announced.count(frame)

    async def pass_lifetime(self, seconds: float) -> None:
        self.kernel.pass_time(seconds)


class VethKernelRig(VethRig):
    """The kernel of a namespace, with veth pairs to a stranger's."""

    def addresses(self, *, lifetime: int = 10, on_change: Callable[[], None] | None = None) -> KernelAddresses:
        return KernelAddresses(interfaces=NAMES, lifetime=lifetime, on_change=on_change)

    def set_link(self, name: str, *, up: bool) -> None:
        batch([f"link set {name} {'up' if up else 'down'}"], self.node)

    def assign(self, name: str, address: str) -> None:
        batch([f"address add {address} dev {name} {'nodad' if ':' in address else ''}"], self.node)

    def withdraw(self, name: str, address: str) -> None:
        batch([f"address delete {address} dev {name}"], self.node)

    def has(self, name: str) -> dict[str, bool]:
        return inside(self.node, lambda: _addresses(name))

    async def pass_lifetime(self, seconds: float) -> None:
        """It does by itself: whoever waits for an end has patience."""


def _addresses(name: str) -> dict[str, bool]:
    with IPRoute() as route:
        index = route.link_lookup(ifname=name)[0]
        return {
            message.get("IFA_LOCAL") or message.get("IFA_ADDRESS"): message.get("IFA_PROTO") == MARK
            for message in route.get_addr(index=index)
            if not _is_link_local(message)
        }


def _has_link_local(name: str) -> bool:
    with IPRoute() as route:
        index = route.link_lookup(ifname=name)[0]
        return any(map(_is_link_local, route.get_addr(index=index)))


def _is_link_local(message: Any) -> bool:
    return str(message.get("IFA_ADDRESS")).startswith("fe80:")


@contextmanager
def veth_kernel_rig() -> Iterator[VethKernelRig]:
    rig = VethKernelRig()
    try:
        rig.open()
        # The kernel assigns it when it comes to it, which is no news that is tried here.
        eventually(lambda: inside(rig.node, lambda: _has_link_local("n0")), "n0 has its link-local address")
        yield rig
    finally:
        rig.close()
