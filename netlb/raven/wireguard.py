"""WireGuard's device as values: what it says, what has to be written to it, and nothing else. Pure.

Prefixes move from peer to peer without a moment in which nobody has them: a peer that gets one takes it from who had
it, and a peer that only loses some loses them to a peer that is made for it and removed in the same call, so that what
it keeps is never taken away and given again.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from netlb.raven.backend import PeerState, Remote
from netlb.raven.keys import KEY_SIZE, Keys, PrivateKey, key_text
from netlb.raven.model import Prefix
from netlb.raven.nat import Destination

__all__ = [
    "NO_SHARED_KEY",
    "OVERHEAD",
    "DeviceDump",
    "PeerDump",
    "PeerWrite",
    "View",
    "Write",
    "found",
    "removal",
    "writes",
]

OVERHEAD: Final = 80
"""Outer IPv6 header, UDP, WireGuard's header and tag."""
NO_SHARED_KEY: Final = bytes(KEY_SIZE)
"""What a device says, and is told, where there is none."""
_SESSION: Final = 180.0
"""Seconds after which a session is over unless keys were agreed on anew: WireGuard's Reject-After-Time."""
_NOBODY: Final = key_text(b"netlb: takes what nobody has now")
"""The peer that takes prefixes out of use; no private key is known for it."""

_NOTHING: Mapping[str, "PeerDump"] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerDump:
    """A peer, as a device says it."""

    shared: bytes = field(default=NO_SHARED_KEY, repr=False)
    endpoint: Destination | None = None
    keepalive: int = 0
    handshake: float = 0.0
    """When keys were agreed on, in seconds since 1970; 0: never."""
    received: int = 0
    sent: int = 0
    allowed: frozenset[Prefix] = frozenset()

    def state(self, now: float) -> PeerState:
        """Return it for people; `now` in seconds since 1970."""
        age = max(now - self.handshake, 0.0) if self.handshake else None
        return PeerState(endpoint=self.endpoint, handshake=age, received=self.received, sent=self.sent)

    def lives(self, now: float) -> bool:
        """Whether there is a session with it."""
        return now - self.handshake < _SESSION


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceDump:
    """A device, as it says itself."""

    private: PrivateKey | None = None
    port: int = 0
    peers: Mapping[str, PeerDump] = field(default_factory=lambda: _NOTHING)
    """By public key in base64."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PeerWrite:
    """What to write to a peer, which is made if there is none; None: leave it."""

    key: str
    remove: bool = False
    shared: bytes | None = field(default=None, repr=False)
    endpoint: Destination | None = None
    keepalive: int | None = None
    add: tuple[Prefix, ...] = ()
    """Prefixes that it gets in addition, and others lose."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """What to write to a device, in this order; None: leave it."""

    private: PrivateKey | None = None
    port: int | None = None
    peers: tuple[PeerWrite, ...] = ()

    def __bool__(self) -> bool:
        """Whether there is anything to write."""
        return self != Write()


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """What a device itself does not know."""

    asked: Mapping[str, Destination | None]
    """The destinations that were asked for last, by public key, as far as that is known."""
    keys: Keys
    now: float
    """In seconds since 1970."""

    @property
    def shared(self) -> bytes:
        """The pre-shared key, as a device has it."""
        return self.keys.shared.octets if self.keys.shared is not None else NO_SHARED_KEY


def found(key: str, dump: PeerDump, view: View) -> Remote:
    """Return a peer in the terms in which it is wanted.

    It is where it was asked to be while it speaks from where it is, or where nothing was asked for: it roams.
    """
    asked = view.asked.get(key)
    at_home = key in view.asked and (asked is None or dump.lives(view.now))
    return Remote(
        allowed=dump.allowed,
        destination=asked if at_home else dump.endpoint,
        keepalive=dump.keepalive,
        shared=dump.shared == view.shared,
    )


def writes(dump: DeviceDump, changes: Mapping[str, Remote], view: View) -> tuple[PeerWrite, ...]:
    """Return what makes peers as they are wanted, in order, and nothing that they are already."""
    peers = [_write(key, want, dump.peers.get(key), view) for key, want in changes.items()]
    taken = {prefix for write in peers for prefix in write.add}
    lost = [
        prefix
        for key, want in changes.items()
        if (have := dump.peers.get(key)) is not None
        for prefix in have.allowed - want.allowed - taken
    ]
    return (*(write for write in peers if write != PeerWrite(key=write.key)), *_out_of_use(lost))


def removal(dump: DeviceDump, keys: Collection[str]) -> tuple[PeerWrite, ...]:
    """Return what removes those peers that are there."""
    return tuple(PeerWrite(key=key, remove=True) for key in keys if key in dump.peers)


def _write(key: str, want: Remote, have: PeerDump | None, view: View) -> PeerWrite:
    if have is None:
        allowed = _in_order(want.allowed)
        return PeerWrite(key=key, shared=view.shared, endpoint=want.destination, keepalive=want.keepalive, add=allowed)
    moved = key in view.asked and view.asked[key] != want.destination
    astray = want.destination != have.endpoint and (moved or not have.lives(view.now))
    return PeerWrite(
        key=key,
        shared=view.shared if have.shared != view.shared else None,
        endpoint=want.destination if astray else None,
        keepalive=want.keepalive if have.keepalive != want.keepalive else None,
        add=_in_order(want.allowed - have.allowed),
    )


def _out_of_use(prefixes: Collection[Prefix]) -> Iterator[PeerWrite]:
    if prefixes:
        yield PeerWrite(key=_NOBODY, add=_in_order(prefixes))
        yield PeerWrite(key=_NOBODY, remove=True)


def _in_order(prefixes: Collection[Prefix]) -> tuple[Prefix, ...]:
    return tuple(sorted(prefixes, key=lambda prefix: (prefix.version, int(prefix.network_address), prefix.prefixlen)))
