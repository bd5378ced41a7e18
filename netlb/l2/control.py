"""What a program and its responder process say to each other: one JSON array a message, on a SOCK_SEQPACKET pair.

Sets of addresses travel as increments of at most 256, never as whole states: applying one message delays an answer
by a fraction of a millisecond, and its size is bounded. Each request carries a sequence number, which its answer
repeats. Addresses and MAC addresses are hexadecimal. Reading raises ValueError for everything that is not a message.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import astuple
from itertools import islice
from math import isfinite
from typing import Any, NamedTuple, TypeVar

from netlb.l2.probe import ProbeTimings

__all__ = [
    "MOST_ADDRESSES",
    "MOST_BYTES",
    "MOST_GROUPS",
    "Accelerate",
    "Accelerated",
    "Ack",
    "Announce",
    "AskCounters",
    "AskOpen",
    "AskStats",
    "Beat",
    "ClaimSeen",
    "Counters",
    "Crashed",
    "End",
    "Event",
    "Hold",
    "Message",
    "Opened",
    "Probe",
    "Probed",
    "Ready",
    "Release",
    "RemoveInterface",
    "Reply",
    "Request",
    "SetInterface",
    "Stats",
    "batches",
    "by_family",
    "decode",
    "encode",
]

_Item = TypeVar("_Item")

MOST_ADDRESSES = 256
MOST_BYTES = 32_768
MOST_GROUPS = 32
"""IPv6 addresses in a message that has their groups joined, which takes the responder some 10 µs each."""


class SetInterface(NamedTuple):
    """Open the interface, or open it anew with nothing held if it was open."""

    seq: int
    interface: int
    mac: bytes


class Accelerate(NamedTuple):
    """Open the fast path of an open interface; of interface 0: only find out whether the kernel would load it."""

    seq: int
    interface: int


class RemoveInterface(NamedTuple):
    """Close the interface with all that is held on it."""

    seq: int
    interface: int


class Hold(NamedTuple):
    """Answer for the addresses on one interface, and announce those that were not held there."""

    seq: int
    interface: int
    addresses: tuple[bytes, ...]
    more: bool
    """Another message of the same update follows; socket filters are renewed with the last one."""


class Release(NamedTuple):
    """Answer no more for the addresses on one interface."""

    seq: int
    interface: int
    addresses: tuple[bytes, ...]
    more: bool


class Announce(NamedTuple):
    """Announce those of the addresses that are held on the interface once more, so many times, or with 0 no more."""

    seq: int
    interface: int
    addresses: tuple[bytes, ...]
    rounds: int


class Probe(NamedTuple):
    """Find out whether another station on the interface's segment has one of the addresses; `Probed` follows."""

    seq: int
    interface: int
    addresses: tuple[bytes, ...]
    timings: ProbeTimings


class AskStats(NamedTuple):
    """Ask for `Stats`."""

    seq: int


class AskCounters(NamedTuple):
    """Ask for `Counters`: one page of the addresses held on an interface, from number `start`."""

    seq: int
    interface: int
    start: int


class AskOpen(NamedTuple):
    """Ask for `Opened`; what is held there is asked for by `AskCounters`."""

    seq: int


class Beat(NamedTuple):
    """The program's event loop turns; the answer tells that the process's does, too."""

    seq: int
    decided: bool
    """It has decided what it wants: always true of the program that started the process."""


class End(NamedTuple):
    """Be silent, and end; a program that is gone without a word has died."""


class Ready(NamedTuple):
    """The process runs; `errno` says why it cannot open packet sockets, or is 0."""

    errno: int


class Ack(NamedTuple):
    """A request was carried out, but for the addresses in `refused`, or not at all if `errno` is not 0."""

    seq: int
    errno: int
    refused: tuple[tuple[bytes, int], ...]


class Accelerated(NamedTuple):
    """How the fast path of an interface is attached; or which step was refused, with its errno."""

    seq: int
    errno: int
    how: str


class Stats(NamedTuple):
    """Frames since the process started: by interface and verdict, lost in receive buffers, and not sent.

    `fast` has each interface's fast path: how it is attached, and how many requests it answered.
    """

    seq: int
    verdicts: dict[int, dict[str, int]]
    fast: dict[int, tuple[str, int]]
    overrun: int
    unsent: int


class Opened(NamedTuple):
    """The open interfaces: index and MAC address."""

    seq: int
    interfaces: tuple[tuple[int, bytes], ...]


class Counters(NamedTuple):
    """One page of counters: address, requests received, responses and gratuitous frames sent."""

    seq: int
    rows: tuple[tuple[bytes, int, int, int], ...]


class ClaimSeen(NamedTuple):
    """Another station claimed a held address."""

    interface: int
    address: bytes
    mac: bytes


class Probed(NamedTuple):
    """The probes of these addresses have ended: each with the MAC address of a station that has it, or empty."""

    interface: int
    found: tuple[tuple[bytes, bytes], ...]


class Crashed(NamedTuple):
    """The process ends with this error."""

    error: str


Request = (
    SetInterface
    | Accelerate
    | RemoveInterface
    | Hold
    | Release
    | Announce
    | Probe
    | AskOpen
    | AskStats
    | AskCounters
    | Beat
)
Reply = Ack | Accelerated | Opened | Stats | Counters
Event = Ready | ClaimSeen | Probed | Crashed
Message = Request | End | Reply | Event


def _octets(value: str, *lengths: int) -> bytes:
    octets = bytes.fromhex(value)
    if len(octets) not in lengths:
        raise ValueError(f"{len(octets)} octets in place of {lengths}")
    return octets


def _address(value: str) -> bytes:
    return _octets(value, 4, 16)


def _mac(value: str) -> bytes:
    return _octets(value, 6)


def _addresses(value: Sequence[str]) -> tuple[bytes, ...]:
    if len(value) > MOST_ADDRESSES:
        raise ValueError(f"{len(value)} addresses in one message")
    return tuple(map(_address, value))


def _timings(value: list[Any]) -> ProbeTimings:
    if not all(isinstance(each, float | int) and isfinite(each) for each in value):
        raise ValueError("timings that are no numbers")
    return ProbeTimings(*value)


def _found(value: list[tuple[str, str]]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((_address(address), _octets(mac, 0, 6)) for address, mac in value)


def _refused(value: list[tuple[str, int]]) -> tuple[tuple[bytes, int], ...]:
    return tuple((_address(address), int(errno)) for address, errno in value)


def _verdicts(value: dict[str, dict[str, int]]) -> dict[int, dict[str, int]]:
    return {int(index): {str(name): int(count) for name, count in counts.items()} for index, counts in value.items()}


def _fast(value: dict[str, tuple[str, int]]) -> dict[int, tuple[str, int]]:
    return {int(index): (str(hook), int(answered)) for index, (hook, answered) in value.items()}


def _rows(value: list[tuple[str, int, int, int]]) -> tuple[tuple[bytes, int, int, int], ...]:
    return tuple((_address(address), int(a), int(b), int(c)) for address, a, b, c in value)


def _interfaces(value: list[tuple[int, str]]) -> tuple[tuple[int, bytes], ...]:
    return tuple((int(index), _mac(mac)) for index, mac in value)


_READERS: dict[type[Message], tuple[Callable[[Any], Any], ...]] = {
    SetInterface: (int, int, _mac),
    Accelerate: (int, int),
    RemoveInterface: (int, int),
    Hold: (int, int, _addresses, bool),
    Release: (int, int, _addresses, bool),
    Announce: (int, int, _addresses, int),
    Probe: (int, int, _addresses, _timings),
    AskStats: (int,),
    AskCounters: (int, int, int),
    AskOpen: (int,),
    Beat: (int, bool),
    End: (),
    Ready: (int,),
    Ack: (int, int, _refused),
    Accelerated: (int, int, str),
    Stats: (int, _verdicts, _fast, int, int),
    Opened: (int, _interfaces),
    Counters: (int, _rows),
    ClaimSeen: (int, _address, _mac),
    Probed: (int, _found),
    Crashed: (str,),
}
_KINDS: dict[str, type[Message]] = {kind.__name__: kind for kind in _READERS}


def _plain(value: bytes | ProbeTimings) -> str | tuple[float, ...]:
    return value.hex() if isinstance(value, bytes) else astuple(value)


def encode(message: Message) -> bytes:
    """Return the message as bytes; ValueError where it is too long."""
    data = json.dumps([type(message).__name__, *message], default=_plain, separators=(",", ":")).encode()
    if len(data) > MOST_BYTES:
        raise ValueError(f"a message of {len(data)} bytes")
    return data


def decode(data: bytes) -> Message:
    """Read one message; ValueError where it is none."""
    try:
        name, *values = json.loads(data)
        kind = _KINDS[name]
        return kind(*(read(value) for read, value in zip(_READERS[kind], values, strict=True)))
    except (TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"not a message: {data[:80]!r}") from error


def batches(items: Sequence[_Item], size: int = MOST_ADDRESSES) -> Iterator[tuple[_Item, ...]]:
    """Cut a list of addresses, or of what is said of each, into parts that fit into one message each."""
    rest = iter(items)
    while batch := tuple(islice(rest, size)):
        yield batch


def by_family(addresses: Iterable[bytes]) -> Iterator[tuple[bytes, ...]]:
    """Cut addresses that are to be held or probed into parts for one message each."""
    known = list(addresses)
    yield from batches([address for address in known if len(address) == 4])
    yield from batches([address for address in known if len(address) == 16], MOST_GROUPS)
