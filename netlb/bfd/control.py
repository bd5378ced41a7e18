"""What a program and the process that keeps its sessions say to each other.

One JSON array is a message, on a SOCK_SEQPACKET pair.
A session is named by a number that the program chooses. Each request but `Beat` carries a sequence number, which its
answer repeats. Octets are hexadecimal. Reading raises ValueError for everything that is not a message, and never shows
what was read: keys are in it.
"""

import json
from collections.abc import Callable
from math import isfinite
from typing import Any, Final, NamedTuple

from netlb.bfd.events import AdminDown, Down, Event, ParametersChanged, Up
from netlb.bfd.packet import Diagnostic, Key
from netlb.bfd.sessions import SessionPath
from netlb.bfd.settings import Settings
from netlb.errors import SettingError

__all__ = [
    "MOST_BYTES",
    "MOST_KEPT",
    "Ack",
    "Add",
    "AskCounts",
    "AskSessions",
    "AskStatus",
    "Beat",
    "Change",
    "Counts",
    "End",
    "Ending",
    "Happened",
    "Kept",
    "Message",
    "Over",
    "Ready",
    "Reply",
    "Request",
    "SessionsKept",
    "Status",
    "Stop",
    "decode",
    "encode",
]

MOST_BYTES: Final = 32_768
MOST_KEPT: Final = 128
"""Sessions in one message."""


class Add(NamedTuple):
    """Begin a session."""

    seq: int
    session: int
    path: SessionPath
    settings: Settings


class Change(NamedTuple):
    """Put other settings in force."""

    seq: int
    session: int
    settings: Settings


class Stop(NamedTuple):
    """Take a session down on purpose; `Over` follows."""

    seq: int
    session: int


class AskStatus(NamedTuple):
    """Ask for `Status`."""

    seq: int
    session: int


class AskCounts(NamedTuple):
    """Ask for `Counts`."""

    seq: int


class AskSessions(NamedTuple):
    """Ask for `SessionsKept`: one page of the sessions that are kept, from number `start`."""

    seq: int
    start: int


class Beat(NamedTuple):
    """The program's event loop turns; sent back, so does the process's."""

    decided: bool
    """It has decided what it wants: always true of the program that started the process."""


class End(NamedTuple):
    """Take every session down, and end; a program that is gone without a word has died."""


class Ready(NamedTuple):
    """The process serves."""


class Ack(NamedTuple):
    """A request was carried out; if `errno` is not 0, the kernel refused the operation that is named."""

    seq: int
    errno: int
    operation: str


class Status(NamedTuple):
    """How a session is: its fields by the names that `netlb.bfd.session.Session` has for them, and unsent packets."""

    seq: int
    fields: dict[str, float]
    dropped: dict[str, int]


class Counts(NamedTuple):
    """Every packet that came in, by verdict."""

    seq: int
    counts: dict[str, int]


class Kept(NamedTuple):
    """A session that is kept."""

    session: int
    path: SessionPath
    up: Up | None
    """What it told when it came up, as that is now; None: it is not up."""


class SessionsKept(NamedTuple):
    """One page of the sessions; an empty one ends the list."""

    seq: int
    sessions: tuple[Kept, ...]


class Happened(NamedTuple):
    """What a session tells."""

    session: int
    event: Event


class Over(NamedTuple):
    """A session that was stopped is gone: its peer knows, or has had the time to."""

    session: int


class Ending(NamedTuple):
    """The process ends of its own accord: why, in a few words or a traceback."""

    reason: str


Request = Add | Change | Stop | AskStatus | AskCounts | AskSessions
Reply = Ack | Status | Counts | SessionsKept
Message = Request | Beat | End | Reply | Ready | Happened | Over | Ending

_EVENTS: Final[dict[str, Callable[..., Event]]] = {kind.__name__: kind for kind in (Up, ParametersChanged)}


def _path(value: list[Any]) -> SessionPath:
    peer, local, interface, multihop = value
    return SessionPath(bytes.fromhex(peer), bytes.fromhex(local), int(interface), bool(multihop))


def _key(value: list[Any] | None) -> Key | None:
    if value is None:
        return None
    identifier, secret, meticulous = value
    return Key(int(identifier), bytes.fromhex(secret), meticulous=bool(meticulous))


def _settings(value: list[Any]) -> Settings:
    transmit, receive, multiplier, passive, ttl, key, former, path_down = value
    numbers = int(transmit), int(receive), int(multiplier)
    return Settings(*numbers, bool(passive), int(ttl), _key(key), tuple(map(_key, former)), bool(path_down))


def _fields(value: dict[str, float]) -> dict[str, float]:
    if not all(isinstance(each, float | int) and isfinite(each) for each in value.values()):
        raise ValueError("fields that are no numbers")
    return dict(value)


def _counts(value: dict[str, int]) -> dict[str, int]:
    return {str(name): int(number) for name, number in value.items()}


def _event(value: list[Any]) -> Event:
    name, *fields = value
    if name == Down.__name__:
        diagnostic, remote = fields
        return Down(Diagnostic(diagnostic), int(remote))
    if name == AdminDown.__name__:
        return AdminDown(*fields)
    transmit, detection, usable = fields
    return _EVENTS[name](int(transmit), int(detection), bool(usable))


def _kept(value: list[Any]) -> tuple[Kept, ...]:
    return tuple(Kept(int(session), _path(path), _up(up)) for session, path, up in value)


def _up(value: list[Any] | None) -> Up | None:
    event = None if value is None else _event(value)
    if isinstance(event, Up | None):
        return event
    raise ValueError("not a session that is up")


_READERS: Final[dict[type[Message], tuple[Callable[[Any], Any], ...]]] = {
    Add: (int, int, _path, _settings),
    Change: (int, int, _settings),
    Stop: (int, int),
    AskStatus: (int, int),
    AskCounts: (int,),
    AskSessions: (int, int),
    Beat: (bool,),
    End: (),
    Ready: (),
    Ack: (int, int, str),
    Status: (int, _fields, _counts),
    Counts: (int, _counts),
    SessionsKept: (int, _kept),
    Happened: (int, _event),
    Over: (int,),
    Ending: (str,),
}
_KINDS: Final = {kind.__name__: kind for kind in _READERS}


def _plain(value: object) -> Any:
    """Return a field as JSON has it."""
    match value:
        case SessionPath(peer, local, interface, multihop):
            return [peer.hex(), local.hex(), interface, multihop]
        case Settings():
            timers = [value.transmit_interval, value.receive_interval, value.detect_multiplier]
            keys = [_plain(value.key), [_plain(key) for key in value.former]]
            return [*timers, value.passive, value.minimum_ttl, *keys, value.path_down]
        case Key():
            return [value.identifier, value.secret.hex(), value.meticulous]
        case Kept():
            return [value.session, _plain(value.path), _plain(value.up)]
        case tuple() if value and isinstance(value[0], Kept):
            return [_plain(each) for each in value]
        case Up() | ParametersChanged() | Down() | AdminDown():
            return [type(value).__name__, *value]
    return value


def encode(message: Message) -> bytes:
    """Return the message as bytes."""
    return json.dumps([type(message).__name__, *map(_plain, message)], separators=(",", ":")).encode()


def decode(data: bytes) -> Message:
    """Read one message; ValueError where it is none."""
    try:
        name, *values = json.loads(data)
        kind = _KINDS[name]
        return kind(*(read(value) for read, value in zip(_READERS[kind], values, strict=True)))
    except (TypeError, LookupError, ValueError, AttributeError, OverflowError, RecursionError, SettingError):
        raise ValueError(f"{len(data)} octets that are not a message") from None
