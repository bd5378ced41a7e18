"""Two worlds to try an announcer in: segments in memory, and veth pairs between two network namespaces.

In both, the announcer's interfaces are called as one likes and have a segment each, on which a stranger asks. What
is expected is waited for with patience; what must not happen is given a short time to happen.
"""

import asyncio
import os
import shutil
import signal
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import replace
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch

from netlb.l2 import arp, ndp
from netlb.l2.adapter import process
from netlb.l2.adapter.announcer import WORKER, Announcer
from netlb.l2.announces import Announces, Event, FastPath, Stranger, parse_station
from netlb.l2.ethernet import format_mac
from netlb.net import Address
from netlb.testing.l2 import FakeAnnouncer, FakeSegment, FakeShelter
from netlb.testing.lab.namespaces import batch, inside
from netlb.worker.adapter.shelter import Shelter
from netlb.worker.beats import BEAT
from tests.support.waiting import becomes
from tests.unit.l2.crafted import ASKER, REQUEST, SOLICITATION

PATIENCE = 30.0
"""Seconds in which what is expected comes, however busy the machine."""
MOMENT = 0.15
"""Seconds in which an answer that must not come would have come."""


Found = Mapping[Address, Stranger | None]


class Worked(Announces, Protocol):
    """What both announcers have beyond the promise of Announces."""

    restarts: int

    @property
    def worker_pid(self) -> int | None: ...


class Rig(Protocol):
    """One world."""

    events: list[Event]

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run a scenario on an event loop inside this world."""

    def announcer(self) -> AbstractAsyncContextManager[Worked]:
        """Make an announcer on the interfaces n0, n1 and n2, of which n0 exists."""

    def heir(self, *, leaves: bool = True) -> AbstractAsyncContextManager[Worked]:
        """Make one that takes over from the heir before it, and leaves its responder to the next, or does not."""

    def add_interface(self, name: str) -> None: ...

    def remove_interface(self, name: str) -> None: ...

    def kill_worker(self, announcer: Worked) -> None:
        """Kill the responder process, and see that it is restarted."""

    async def ask(self, address: str, interface: str = "n0") -> list[str]:
        """Ask once who has an address; return the MAC addresses that answered within a moment."""

    def mac(self, interface: str) -> str: ...

    def send(self, frame: bytes) -> None:
        """Send a frame on the segment of n0."""

    async def announced(self, frame: bytes, times: int, interface: str = "n0") -> int:
        """Wait until the frame was seen so often; return how often it was."""

    def probed(self, frame: bytes, interface: str = "n0") -> int:
        """Return how often the probe was seen."""

    def occupy(self, address: str) -> None:
        """Let a stranger, at ASKER, have an address on the segment of n0, and answer for it as its kernel does."""

    def vacate(self, address: str) -> None:
        """Let the stranger give it up."""

    def pass_time(self) -> None:
        """Let a little time pass where it does not by itself."""


async def ends(rig: Rig, probe: "asyncio.Future[Found]") -> Found:
    """Let time pass until a probe has ended; return what it found."""

    def done() -> bool:
        rig.pass_time()
        return probe.done()

    await becomes(done)
    return probe.result()


def question(address: str, sender: int) -> bytes:
    """Ask as a stranger with the address of that number, to know the answer again."""
    packed = parse_station(address).packed
    if len(packed) == 4:
        return replace(REQUEST, sender_address=(0x0A000000 + sender).to_bytes(4, "big"), target_address=packed).encode()
    group = ndp.solicited_node(packed)
    return replace(
        SOLICITATION,
        destination_mac=ndp.group_mac(group),
        source=bytes.fromhex("fe80") + sender.to_bytes(14, "big"),
        destination=group,
        target=packed,
    ).encode()


class FakeRig:
    """Segments in memory."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._segments: dict[str, FakeSegment] = {"n0": FakeSegment()}
        self._announcer: FakeAnnouncer | None = None
        self._shelter = FakeShelter()

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        asyncio.run(scenario())

    def announcer(self) -> FakeAnnouncer:
        self._announcer = FakeAnnouncer(self._segments, interfaces=["n0", "n1", "n2"], on_event=self.events.append)
        return self._announcer

    def heir(self, *, leaves: bool = True) -> FakeAnnouncer:
        self._shelter.leaves = leaves
        self._announcer = FakeAnnouncer(
            self._segments, interfaces=["n0", "n1", "n2"], shelter=self._shelter, on_event=self.events.append
        )
        return self._announcer

    def add_interface(self, name: str) -> None:
        assert self._announcer is not None
        self._segments[name] = FakeSegment()
        self._announcer.add_interface(name, self._segments[name])

    def remove_interface(self, name: str) -> None:
        assert self._announcer is not None
        self._announcer.remove_interface(name)

    def kill_worker(self, announcer: Worked) -> None:
        assert isinstance(announcer, FakeAnnouncer)
        announcer.kill_worker()
        announcer.restart_worker()

    async def ask(self, address: str, interface: str = "n0") -> list[str]:
        return await self._segments[interface].who_has(address)

    def mac(self, interface: str) -> str:
        assert self._announcer is not None
        return next(format_mac(i.mac) for i in self._announcer.interfaces() if i.name == interface)

    def send(self, frame: bytes) -> None:
        self._segments["n0"].send(frame)

    async def announced(self, frame: bytes, times: int, interface: str = "n0") -> int:
        segment = self._segments[interface]
        while segment.announced.count(frame) < times:
            segment.advance(0.1)
        return segment.announced.count(frame)

    def probed(self, frame: bytes, interface: str = "n0") -> int:
        return self._segments[interface].probed.count(frame)

    def occupy(self, address: str) -> None:
        self._segments["n0"].occupy(address, format_mac(ASKER))

    def vacate(self, address: str) -> None:
        self._segments["n0"].vacate(address)

    def pass_time(self) -> None:
        for segment in self._segments.values():
            segment.advance(0.01)


_ETH_P_ALL = 3
_SOL_PACKET, _PACKET_IGNORE_OUTGOING = 263, 23
_NUMBERS = count(1)


class VethRig:
    """Veth pairs between a node's and a stranger's network namespace."""

    def __init__(self, fastpath: FastPath = FastPath.OFF, *, bridged: bool = False) -> None:
        """Have an announcer with a fast path or without; on bridges that have the veth pairs as ports, if `bridged`."""
        self.fastpath = fastpath
        self._bridged = bridged
        number = next(_NUMBERS)
        self.node, self.stranger = f"l2-{os.getpid()}-{number}-node", f"l2-{os.getpid()}-{number}-far"
        self.events: list[Event] = []
        self._askers = count(1)
        self._sockets: dict[str, socket.socket] = {}
        self._seen: dict[str, list[bytes]] = {}
        self._workers = Path(tempfile.mkdtemp(prefix="netlb-"))

    def open(self) -> None:
        batch([f"netns add {self.node}", f"netns add {self.stranger}"])
        self.add_interface("n0")

    def close(self) -> None:
        for sock in self._sockets.values():
            sock.close()
        for namespace in (self.node, self.stranger):
            batch([f"netns delete {namespace}"])
        shutil.rmtree(self._workers)

    def run(self, scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Run it in a thread of its own, which a namespace is a property of."""
        inside(self.node, lambda: asyncio.run(scenario()))

    def announcer(self) -> Announcer:
        names = ["n0", "n1", "n2"]
        return Announcer(interfaces=names, fastpath=self.fastpath, on_event=self.events.append)

    @asynccontextmanager
    async def heir(self, *, leaves: bool = True, patience: float = PATIENCE) -> AsyncIterator[Announcer]:
        shelter = Shelter(self._workers, "rig", patience, "--worker-dir")
        shelter.claim((WORKER,))
        shelter.leaves = leaves
        names = ["n0", "n1", "n2"]
        async with Announcer(
            interfaces=names, fastpath=self.fastpath, shelter=shelter, on_event=self.events.append
        ) as announcer:
            yield announcer

    def add_interface(self, name: str) -> None:
        port, mac = (f"port-{name}", "") if self._bridged else (name, f"address {self.mac(name)}")
        batch(
            [
                f"link add name far-{name} address {format_mac(ASKER)} type veth peer name {port} {mac} "
                f"netns {self.node}",
                f"link set far-{name} up",
            ],
            self.stranger,
        )
        bridge = [
            f"link add name {name} address {self.mac(name)} type bridge forward_delay 0",
            f"link set {port} master {name}",
            f"link set {port} up",
        ]
        batch([*(bridge if self._bridged else ()), f"link set {name} up"], self.node)
        self._sockets[name] = inside(self.stranger, lambda: _listen(f"far-{name}"))
        self._seen[name] = []

    def remove_interface(self, name: str) -> None:
        batch([f"link delete {name}"], self.node)
        self._sockets.pop(name).close()

    def kill_worker(self, announcer: Worked) -> None:
        assert announcer.worker_pid is not None
        os.kill(announcer.worker_pid, signal.SIGKILL)

    async def ask(self, address: str, interface: str = "n0") -> list[str]:
        sender = next(self._askers)
        before = len(self.seen(interface))  # the answer may be there before send() returns
        self._sockets[interface].send(question(address, sender))
        await asyncio.sleep(MOMENT)
        return [mac for frame in self.seen(interface)[before:] if (mac := _answered(frame, address, sender))]

    def mac(self, interface: str) -> str:
        return f"02:00:5e:00:53:0{int(interface[1]) + 1}" if interface == "n0" else f"02:00:5e:00:54:0{interface[1]}"

    def send(self, frame: bytes) -> None:
        self._sockets["n0"].send(frame)

    async def announced(self, frame: bytes, times: int, interface: str = "n0") -> int:
        await becomes(lambda: self.seen(interface).count(frame) >= times)
        return self.seen(interface).count(frame)

    def probed(self, frame: bytes, interface: str = "n0") -> int:
        return self.seen(interface).count(frame)

    def occupy(self, address: str) -> None:
        batch([f"address add {address} dev far-n0 {'nodad' if ':' in address else ''}"], self.stranger)

    def vacate(self, address: str) -> None:
        batch([f"address delete {address} dev far-n0"], self.stranger)

    def pass_time(self) -> None:
        """It does by itself."""

    def seen(self, interface: str = "n0") -> list[bytes]:
        """Return all frames that the stranger got, oldest first."""
        try:
            while True:
                self._seen[interface].append(self._sockets[interface].recv(2048))
        except BlockingIOError:
            return self._seen[interface]


@contextmanager
def veth_rig(fastpath: FastPath = FastPath.OFF, *, bridged: bool = False) -> Iterator[VethRig]:
    """Responders that a busy machine holds up are not taken for hung meanwhile."""
    rig = VethRig(fastpath, bridged=bridged)
    try:
        rig.open()
        with (
            patch.object(process, "MOST_UNANSWERED", round(PATIENCE / BEAT)),
            patch("netlb.worker.adapter.shelter._ANSWER", PATIENCE),
            patch("netlb.worker.adapter.shelter._DYING", PATIENCE),
        ):
            yield rig
    finally:
        rig.close()


def _listen(interface: str) -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    sock.bind((interface, _ETH_P_ALL))
    return sock


def _answered(frame: bytes, address: str, sender: int) -> str | None:
    """Return who says in this frame that it has the address, to the asker of that number."""
    packed = ip_address(address).packed
    try:
        if len(packed) == 4:
            reply = arp.ArpPacket.decode(frame)
            to_us = reply.operation == arp.REPLY and int.from_bytes(reply.target_address, "big") == 0x0A000000 + sender
            return format_mac(reply.sender_mac) if to_us and reply.sender_address == packed else None
        advertisement = ndp.NeighborAdvertisement.decode(frame)
    except ValueError:
        return None
    to_us = int.from_bytes(advertisement.destination[2:], "big") == sender
    return format_mac(advertisement.source_mac) if to_us and advertisement.target == packed else None
