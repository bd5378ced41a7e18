"""What a user of this room sees: addresses are held, held no more, and things happen meanwhile.

`Announces` is implemented by `netlb.l2.adapter.announcer.Announcer` on real interfaces and by
`netlb.testing.l2.FakeAnnouncer` in memory; one suite of contract tests runs against both.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple, Protocol

from netlb.l2.burst import ROUNDS
from netlb.l2.holdings import Wanted
from netlb.l2.interfaces import Interface
from netlb.l2.probe import RFC_TIMINGS, ProbeTimings
from netlb.net import Address, is_station, parse_address
from netlb.reasons import FrameVerdict

__all__ = [
    "AddressStats",
    "Announces",
    "Conflict",
    "Event",
    "FastPath",
    "FastPathRefused",
    "FrameSource",
    "InterfaceAppeared",
    "InterfaceRefused",
    "InterfaceVanished",
    "Stats",
    "Stranger",
    "WorkerDied",
    "WorkerRestarted",
    "parse_station",
    "parse_wanted",
]


class FastPath(StrEnum):
    """Whether a BPF program in the kernel answers the plain questions in front of the responder process."""

    AUTO = "auto"
    """Where the kernel lets us; the responder answers alone elsewhere."""
    OFF = "off"
    REQUIRE = "require"
    """No interface without it is used."""


@dataclass(frozen=True, slots=True)
class Conflict:
    """Another station, at this MAC address, said that it has an address held here; told once in ten seconds."""

    address: Address
    mac: str
    interface: str


@dataclass(frozen=True, slots=True)
class InterfaceAppeared:
    """An interface became usable; what may be held on it is answered for and announced there."""

    interface: Interface


@dataclass(frozen=True, slots=True)
class InterfaceVanished:
    """An interface is gone, went down, was enslaved, or changed its name or MAC address."""

    interface: Interface


@dataclass(frozen=True, slots=True)
class InterfaceRefused:
    """A usable interface could not be opened; the next `hold` tries again."""

    interface: Interface
    problem: str


@dataclass(frozen=True, slots=True)
class FastPathRefused:
    """The kernel refused the fast path, on an interface or (None) on all; the responder process answers alone there."""

    interface: str | None
    problem: str


@dataclass(frozen=True, slots=True)
class WorkerDied:
    """The responder process ended, and nothing is answered until WorkerRestarted."""

    problem: str


@dataclass(frozen=True, slots=True)
class WorkerRestarted:
    """A new responder process answers for all that was held, and has announced it."""

    pid: int


Event = (
    Conflict | InterfaceAppeared | InterfaceVanished | InterfaceRefused | FastPathRefused | WorkerDied | WorkerRestarted
)


@dataclass(frozen=True, slots=True)
class Stranger:
    """A station that is none of this node's, and has an address or wants it at the same time as we do."""

    mac: str
    interface: str
    """Ours, on whose segment it is."""


@dataclass(frozen=True, slots=True)
class AddressStats:
    """Frames for one held address over all interfaces, since it was held or the responder restarted."""

    requests_received: int = 0
    responses_sent: int = 0
    gratuitous_sent: int = 0

    def plus(self, requests: int, responses: int, gratuitous: int) -> "AddressStats":
        """Return these counters with those of a further interface added."""
        return AddressStats(
            self.requests_received + requests, self.responses_sent + responses, self.gratuitous_sent + gratuitous
        )


class FrameSource(NamedTuple):
    """Where frames were judged."""

    interface: str
    path: str
    """`socket` is the responder process, of which the socket filters keep most that does not concern it; `tcx` or
    `clsact`, by which it is attached, is the fast path, which only counts what it answers."""


@dataclass(frozen=True, slots=True)
class Stats:
    """Frames since the responder started, on the interfaces that are open now."""

    frames: Mapping[FrameSource, Mapping[FrameVerdict, int]]
    """By what became of them."""
    overrun: int
    """Frames that were lost because a receive buffer was full."""
    unsent: int
    """Frames that could not be sent."""
    addresses: Mapping[Address, AddressStats] = field(default_factory=dict)

    @property
    def verdicts(self) -> Counter[FrameVerdict]:
        """The frames of all interfaces, by what became of them."""
        total: Counter[FrameVerdict] = Counter()
        for counts in self.frames.values():
            total.update(counts)
        return total


class Announces(Protocol):
    """Answers for addresses on the segments of this node, and announces them.

    `hold` and `release` may be repeated at will. They raise netlb.errors.DataplaneError where the kernel refuses,
    netlb.errors.TransientError where a later attempt may succeed, and ValueError for what is no unicast address;
    then nothing has changed. An interface that does not exist now is no error: `held` shows where answers are given.
    """

    async def hold(self, address: str | Address, interfaces: Collection[str] | None = None) -> None:
        """Answer for the address from now on, on the named interfaces or on all, those that appear later included.

        It is announced on each interface that it was not held on before. The last call's interfaces count.
        """

    async def hold_many(self, wanted: Mapping[str | Address, Collection[str] | None]) -> None:
        """Hold several addresses, all of them or none."""

    async def release(self, address: str | Address) -> None:
        """Answer no more: silent when it returns. An address that is not held is passed over."""

    async def release_many(self, addresses: Iterable[str | Address]) -> None:
        """Release several addresses."""

    async def announce(self, addresses: Iterable[str | Address], *, rounds: int = ROUNDS) -> None:
        """Announce addresses anew where they are held, so many times (`netlb.l2.burst`); 0: no more, for now."""

    async def probe(
        self, addresses: Mapping[str | Address, Collection[str] | None], timings: ProbeTimings = RFC_TIMINGS
    ) -> Mapping[Address, Stranger | None]:
        """Find out who else has addresses, on the interfaces that `hold` would be called with; nothing is answered.

        It takes 4 to 7 seconds for IPv4 and one for IPv6 (`netlb.l2.probe`). None: nobody has it on any of the
        interfaces that are open now. An address that could not be probed is not in the result: it is held already,
        or none of its interfaces is open or stays so. Raises as `hold` does; TransientError too if the responder
        process dies meanwhile.
        """

    def held(self) -> Mapping[Address, frozenset[str]]:
        """Return every address that is wanted here, and the names of the interfaces that answer for it now."""

    def interfaces(self) -> frozenset[Interface]:
        """Return the interfaces on which answers are given now."""

    async def stats(self) -> Stats:
        """Count frames."""


def parse_station(value: str | Address) -> Address:
    """Return the address; ValueError where no single station of a segment could have it."""
    address = parse_address(str(value))
    if not is_station(address):
        raise ValueError(f"{value} is not an address that a single station can have")
    return address


def parse_wanted(addresses: Mapping[str | Address, Collection[str] | None]) -> dict[bytes, Wanted]:
    """Return which addresses are wanted on which interfaces; ValueError as with `parse_station`."""
    return {
        parse_station(address).packed: None if names is None else frozenset(names)
        for address, names in addresses.items()
    }
