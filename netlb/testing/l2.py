"""Segments and announcers in memory, for tests of what holds addresses: no root, no process, no waiting.

A FakeAnnouncer does what the real one does, with the same responder, bursts and refusals; the same contract tests
run against both. Its time stands still until `FakeSegment.advance`, and every lot that it draws is one half.

    segment = FakeSegment()
    async with FakeAnnouncer({"eth0": segment}) as announcer:
        await announcer.hold("192.0.2.1")
        assert await segment.who_has("192.0.2.1") == ["02:00:00:00:00:01"]
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from ipaddress import ip_address
from itertools import count
from types import TracebackType
from typing import NamedTuple, Self

from netlb.errors import TransientError
from netlb.l2.adapter.probes import ProbeRounds
from netlb.l2.announces import (
    AddressStats,
    Conflict,
    Event,
    FastPathRefused,
    FrameSource,
    InterfaceAppeared,
    InterfaceVanished,
    Stats,
    Stranger,
    WorkerDied,
    WorkerRestarted,
    parse_station,
    parse_wanted,
)
from netlb.l2.burst import ROUNDS, GratuitousBurst
from netlb.l2.conflicts import ConflictReports
from netlb.l2.ethernet import format_mac
from netlb.l2.holdings import Holdings
from netlb.l2.interfaces import DEFAULT_EXCLUDE, Interface, Link, Selection
from netlb.l2.probe import RFC_TIMINGS, ProbeTimings, Probing
from netlb.l2.responder import Responder
from netlb.net import Address
from netlb.reasons import FrameVerdict
from netlb.testing.segment import FakeSegment, judge

__all__ = ["FakeAnnouncer", "FakeSegment", "FakeShelter"]

_UP_WITH_CARRIER = 0x1 | 0x2 | 0x10000


class _Port:
    """One interface of one announcer on a segment."""

    def __init__(self, announcer: "FakeAnnouncer", interface: Interface, segment: FakeSegment, ipv6: bool) -> None:
        self.announcer = announcer
        self.interface = interface
        self.segment = segment
        self.ipv6 = ipv6
        self.responder = Responder(interface.mac, announcer.macs)

    def receive(self, frame: bytes) -> bytes | None:
        _, answer = judge(self.responder, frame)
        self.announcer.overhear(self, frame)
        self.announcer.report(self)
        return answer


class _Left(NamedTuple):
    """A responder without an announcer."""

    pid: int | None
    macs: set[bytes]
    burst: GratuitousBurst
    usable: dict[int, tuple[Interface, FakeSegment, bool]]
    ports: dict[int, _Port]


class FakeShelter:
    """Where the responder of an announcer lives on while `leaves` is set, for the next announcer that has this."""

    def __init__(self) -> None:
        self.leaves = False
        self.left: _Left | None = None


class FakeAnnouncer:
    """An announcer whose interfaces are in memory: implements `netlb.l2.announces.Announces`."""

    def __init__(
        self,
        segments: Mapping[str, FakeSegment] | None = None,
        *,
        interfaces: Collection[str] = (),
        exclude: Sequence[str] = DEFAULT_EXCLUDE,
        shelter: FakeShelter | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        """Have an interface of each name on its segment; the rest is as with the real announcer."""
        self._shelter = shelter
        self.restarts = 0
        self.macs: set[bytes] = set()
        self._selection = Selection(interfaces, exclude)
        self._emit: Callable[[Event], None] = on_event or (lambda _: None)
        self._holdings = Holdings()
        self._usable: dict[int, tuple[Interface, FakeSegment, bool]] = {}
        self._ports: dict[int, _Port] = {}
        self._burst = GratuitousBurst()
        self._probing = Probing(lambda: 0.5)
        self._probes = ProbeRounds()
        self._conflicts = ConflictReports()
        self._pid: int | None = None
        self._first_segments = dict(segments or {})

    async def __aenter__(self) -> Self:
        left = self._shelter.left if self._shelter is not None else None
        if left is not None:
            self._resume(left)
            return self
        self._pid = next(_PIDS)
        for name, segment in self._first_segments.items():
            self.add_interface(name, segment)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._probes.lose()
        if self._shelter is not None and self._shelter.leaves:
            self._shelter.left = _Left(self._pid, self.macs, self._burst, self._usable, self._ports)
        else:
            self._close_all()
            if self._shelter is not None:
                self._shelter.left = None
        self._pid = None

    def _resume(self, left: _Left) -> None:
        """Go on where another announcer's responder is."""
        self._pid, self.macs, self._burst, self._usable, _ = left
        for index, port in left.ports.items():
            held = [*port.responder.ipv4, *port.responder.ipv6]
            before = self._holdings.wanted(held)
            name = port.interface.name
            self._holdings.want({each: (before.get(each) or frozenset()) | {name} for each in held})
            self._holdings.opened(port.interface)
            self._holdings.answers(index, held)
            port.announcer = self
            self._ports[index] = port
            self._emit(InterfaceAppeared(port.interface))

    # What the world does to it

    def add_interface(
        self, name: str, segment: FakeSegment, *, mac: bytes | None = None, ipv6: bool = True
    ) -> Interface | None:
        """Let an interface appear; without `ipv6` it carries no IPv6. None if it is not asked for."""
        index = next(_INDEXES)
        mac = mac or b"\x02" + index.to_bytes(5, "big")
        interface = self._selection.pick(Link(index=index, name=name, mac=mac, flags=_UP_WITH_CARRIER))
        if interface is not None:
            self._usable[index] = interface, segment, ipv6
            if self._pid is not None:
                self._open(index)
            self._emit(InterfaceAppeared(interface))
        return interface

    def remove_interface(self, name: str) -> None:
        """Let the interface vanish."""
        for index, (interface, _, _) in list(self._usable.items()):
            if interface.name == name:
                del self._usable[index]
                self._close(index)
                self._emit(InterfaceVanished(interface))

    def refuse_fast_path(self, interface: str | None, problem: str) -> None:
        """Let the kernel refuse the fast path, on an interface or on all."""
        self._emit(FastPathRefused(interface, problem))

    def kill_worker(self) -> None:
        """Let the responder process die: nothing is answered until `restart_worker`."""
        self._probes.lose()
        self._close_all()
        self._pid = None
        self._emit(WorkerDied("ended with SIGKILL"))

    def restart_worker(self) -> None:
        """Let the responder process come back, with all that is wanted."""
        self._pid = next(_PIDS)
        self._burst = GratuitousBurst()
        for index in self._usable:
            self._open(index)
        self.restarts += 1
        self._emit(WorkerRestarted(self._pid))

    # What Announces promises

    @property
    def worker_pid(self) -> int | None:
        """A number that changes with each restart, or None while there is no responder."""
        return self._pid

    async def hold(self, address: str | Address, interfaces: Collection[str] | None = None) -> None:
        """See Announces."""
        await self.hold_many({address: interfaces})

    async def hold_many(self, wanted: Mapping[str | Address, Collection[str] | None]) -> None:
        """See Announces."""
        update = parse_wanted(wanted)
        self._require_worker()
        self._holdings.want(update)
        self._settle(update, self._ports)

    async def release(self, address: str | Address) -> None:
        """See Announces."""
        await self.release_many([address])

    async def release_many(self, addresses: Iterable[str | Address]) -> None:
        """See Announces."""
        packed = [parse_station(address).packed for address in addresses]
        self._holdings.unwant(packed)
        self._settle(packed, self._ports)

    async def announce(self, addresses: Iterable[str | Address], *, rounds: int = ROUNDS) -> None:
        """See Announces."""
        packed = [parse_station(address).packed for address in addresses]
        self._require_worker()
        for index, port in self._ports.items():
            held = [address for address in packed if port.responder.counters(address) is not None]
            self._burst.start(index, held, port.segment.now, rounds)
            self.transmit(port.segment.now)

    async def probe(
        self, addresses: Mapping[str | Address, Collection[str] | None], timings: ProbeTimings = RFC_TIMINGS
    ) -> Mapping[Address, Stranger | None]:
        """See Announces; it ends in the time of the segments."""
        wanted = parse_wanted(addresses)
        self._require_worker()
        asked = {
            index: [address for address in probed if len(address) == 4 or self._ports[index].ipv6]
            for index, probed in self._holdings.to_probe(wanted).items()
        }
        with self._probes.begin(asked) as waiting:
            for index, probed in asked.items():
                self._probing.start(index, probed, timings, self._ports[index].segment.now)
            for index in asked:
                self.transmit(self._ports[index].segment.now)
            return await waiting.found()

    def held(self) -> Mapping[Address, frozenset[str]]:
        """See Announces."""
        return self._holdings.held()

    def interfaces(self) -> frozenset[Interface]:
        """See Announces."""
        return self._holdings.interfaces()

    async def stats(self) -> Stats:
        """See Announces."""
        self._require_worker()
        frames: dict[FrameSource, Mapping[FrameVerdict, int]] = {}
        addresses: dict[Address, AddressStats] = {}
        for port in self._ports.values():
            responder = port.responder
            frames[FrameSource(port.interface.name, "socket")] = dict(responder.counts)
            for packed in (*responder.ipv4, *responder.ipv6):
                counters = responder.counters(packed)
                if counters is not None:
                    address = ip_address(packed)
                    addresses[address] = addresses.get(address, AddressStats()).plus(
                        counters.requests, counters.responses, counters.gratuitous
                    )
        return Stats(frames, 0, 0, addresses)

    # What its segments and ports ask of it

    def next_wakeup(self) -> float | None:
        """Return when the next announcement or probe is due."""
        wakeups = [self._burst.next_wakeup(), self._probing.next_wakeup()]
        return min((wakeup for wakeup in wakeups if wakeup is not None), default=None)

    def transmit(self, now: float) -> None:
        """Send the announcements and probes that are due."""
        while due := self._burst.frames_to_send(now):
            for index, address, frame in due:
                port = self._ports[index]
                counters = port.responder.counters(address)
                if counters is not None:
                    counters.gratuitous += 1
                port.segment.announce(frame, port)
        while (wakeup := self._probing.next_wakeup()) is not None and wakeup <= now:
            for index, _, frame in self._probing.frames_to_send(now):
                port = self._ports[index]
                for answer in port.segment.ask(frame, port):
                    port.receive(answer)
        self._tell_verdicts()

    def overhear(self, port: _Port, frame: bytes) -> None:
        """Look whether a frame that came to a port ends a probe."""
        self._probing.receive(port.interface.index, frame)
        self._tell_verdicts()

    def report(self, port: _Port) -> None:
        """Tell of the conflicts that a port has seen."""
        for claim in port.responder.claims():
            if self._conflicts.due(port.interface.index, claim, port.segment.now):
                self._emit(Conflict(ip_address(claim.address), format_mac(claim.mac), port.interface.name))

    def _tell_verdicts(self) -> None:
        for index, address, mac in self._probing.verdicts():
            name = self._ports[index].interface.name
            self._probes.tell(index, address, Stranger(format_mac(mac), name) if mac else None)

    def _require_worker(self) -> None:
        if self._pid is None:
            raise TransientError("the responder process is being restarted", retry_after=0.5)

    def _open(self, index: int) -> None:
        interface, segment, ipv6 = self._usable[index]
        self.macs.add(interface.mac)
        self._burst.set_interface(index, interface.mac)
        self._probing.set_interface(index, interface.mac)
        self._holdings.opened(interface)
        port = self._ports[index] = _Port(self, interface, segment, ipv6)
        segment.plug(port)
        self._settle(self._holdings.all_wanted(), [index])

    def _close(self, index: int) -> None:
        port = self._ports.pop(index, None)
        if port is not None:
            port.segment.unplug(port)
            self._burst.remove_interface(index)
            self._probing.remove_interface(index)
            self._probes.interface_closed(index)
            self._holdings.closed(index)
            self.macs.discard(port.interface.mac)

    def _close_all(self) -> None:
        for index in list(self._ports):
            self._close(index)

    def _settle(self, addresses: Collection[bytes], indexes: Iterable[int]) -> None:
        for index in list(indexes):
            port = self._ports[index]
            surplus = self._holdings.surplus(index, addresses)
            for address in surplus:
                port.responder.release(address)
                self._burst.stop(index, address)
            self._holdings.silent(index, surplus)
            missing = [a for a in self._holdings.missing(index, addresses) if len(a) == 4 or port.ipv6]
            for address in missing:
                port.responder.hold(address)
            self._conflicts.forget(index, missing)
            self._holdings.answers(index, missing)
            self._burst.start(index, missing, port.segment.now)
            self.transmit(port.segment.now)


_PIDS = count(1000)
_INDEXES = count(1)
"""Unique over all fakes, so that MAC addresses made from them are."""
