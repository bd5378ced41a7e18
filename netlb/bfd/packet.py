"""The control packet (RFC 5880 section 4): octets to a record and back, and its authentication by SHA1 (section 6.7.4).

What no session needs to be known for is judged here: a packet that section 6.8.6 discards on sight is a verdict and
not a record. Of the authentication types, Keyed SHA1 and Meticulous Keyed SHA1 are read; the simple password, which
anybody on the segment can copy, and MD5 are recognized and refused by the session.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha1
from hmac import compare_digest
from struct import Struct
from typing import Final, NamedTuple

from netlb.errors import SettingError
from netlb.reasons import BfdVerdict

__all__ = [
    "LONGEST",
    "SHORTEST",
    "VERSION",
    "YOUR_DISCRIMINATOR",
    "Authentication",
    "AuthenticationType",
    "ControlPacket",
    "Diagnostic",
    "Key",
    "State",
    "authentic",
    "decode",
    "encode",
    "sign",
]

VERSION: Final = 1
SHORTEST: Final = 24
"""Octets of a packet without authentication."""
LONGEST: Final = 255
"""Octets that the Length field can count."""
YOUR_DISCRIMINATOR: Final = slice(8, 12)
"""Where the field is in a packet."""

_HEADER: Final = Struct("!BBBBIIIII")
_SHA1_SECTION: Final = Struct("!BBBBI20s")
_DIGEST_AT: Final = SHORTEST + 8
_DIGEST_END: Final = _DIGEST_AT + 20


class State(IntEnum):
    """The state of a session (Sta)."""

    ADMIN_DOWN = 0
    DOWN = 1
    INIT = 2
    UP = 3


class Diagnostic(IntEnum):
    """Why a session left its last state (Diag). A peer may send numbers that are not assigned here."""

    NONE = 0
    CONTROL_DETECTION_TIME_EXPIRED = 1
    ECHO_FUNCTION_FAILED = 2
    NEIGHBOR_SIGNALED_SESSION_DOWN = 3
    FORWARDING_PLANE_RESET = 4
    PATH_DOWN = 5
    CONCATENATED_PATH_DOWN = 6
    ADMINISTRATIVELY_DOWN = 7
    REVERSE_CONCATENATED_PATH_DOWN = 8


class AuthenticationType(IntEnum):
    """Auth Type."""

    SIMPLE_PASSWORD = 1
    KEYED_MD5 = 2
    METICULOUS_KEYED_MD5 = 3
    KEYED_SHA1 = 4
    METICULOUS_KEYED_SHA1 = 5


_SHA1_TYPES: Final = {AuthenticationType.KEYED_SHA1, AuthenticationType.METICULOUS_KEYED_SHA1}


_POLL: Final = 0x20
_FINAL: Final = 0x10
_INDEPENDENT: Final = 0x08
_AUTHENTICATED: Final = 0x04
_DEMAND: Final = 0x02
_MULTIPOINT: Final = 0x01


@dataclass(frozen=True, slots=True)
class Key:
    """A secret that both ends share, for SHA1. SettingError names the part that cannot be."""

    identifier: int
    """Auth Key ID, 0 to 255: the same on both ends."""
    secret: bytes = field(repr=False)
    """1 to 20 octets."""
    meticulous: bool = True
    """Every packet has a new sequence number (type 5). Without, a packet may be repeated at once (type 4)."""

    def __post_init__(self) -> None:
        if not 0 <= self.identifier <= 255:
            raise SettingError("key.identifier", f"{self.identifier} is not a key ID", "give a number from 0 to 255")
        if not 1 <= len(self.secret) <= 20:
            raise SettingError("key.secret", f"it is {len(self.secret)} octets long", "give 1 to 20 octets")

    @property
    def type(self) -> AuthenticationType:
        """What the packets that it signs say."""
        return AuthenticationType.METICULOUS_KEYED_SHA1 if self.meticulous else AuthenticationType.KEYED_SHA1


class Authentication(NamedTuple):
    """What an authentication section says besides its digest; key and number are 0 for the types that are not read."""

    type: int
    key_identifier: int
    sequence: int


class ControlPacket(NamedTuple):
    """The fields of one packet. Multipoint (M) is never set, and Length follows from the rest."""

    my_discriminator: int
    your_discriminator: int
    state: State
    detect_mult: int
    desired_min_tx: int
    """Microseconds, as the next two."""
    required_min_rx: int
    required_min_echo_rx: int = 0
    diagnostic: int = 0
    poll: bool = False
    final: bool = False
    control_plane_independent: bool = False
    demand: bool = False
    authentication: Authentication | None = None
    """Read from a packet; `sign` writes it."""


def encode(packet: ControlPacket) -> bytes:
    """Return the packet without authentication."""
    flags = (
        packet.state << 6
        | packet.poll * _POLL
        | packet.final * _FINAL
        | packet.control_plane_independent * _INDEPENDENT
        | packet.demand * _DEMAND
    )
    return _HEADER.pack(
        VERSION << 5 | packet.diagnostic,
        flags,
        packet.detect_mult,
        SHORTEST,
        packet.my_discriminator,
        packet.your_discriminator,
        packet.desired_min_tx,
        packet.required_min_rx,
        packet.required_min_echo_rx,
    )


def decode(data: bytes) -> ControlPacket | BfdVerdict:
    """Read the payload of one datagram, or say why it is discarded; whatever the octets are, nothing is raised."""
    if len(data) < SHORTEST:
        return BfdVerdict.TOO_SHORT
    first, flags, detect_mult, length, mine, yours, desired_tx, required_rx, required_echo = _HEADER.unpack_from(data)
    if first >> 5 != VERSION:
        return BfdVerdict.WRONG_VERSION
    authenticated = flags & _AUTHENTICATED
    if not (SHORTEST + 2 if authenticated else SHORTEST) <= length <= len(data):
        return BfdVerdict.WRONG_LENGTH
    if not detect_mult:
        return BfdVerdict.ZERO_DETECT_MULT
    if flags & _MULTIPOINT:
        return BfdVerdict.MULTIPOINT
    if not mine:
        return BfdVerdict.ZERO_DISCRIMINATOR
    state = State(flags >> 6)
    if not yours and state > State.DOWN:
        return BfdVerdict.UNEXPECTED_STATE
    authentication = None
    if authenticated:
        authentication = _read_authentication(data[SHORTEST:length])
        if authentication is None:
            return BfdVerdict.MALFORMED_AUTHENTICATION
    return ControlPacket(
        mine,
        yours,
        state,
        detect_mult,
        desired_tx,
        required_rx,
        required_echo,
        first & 0x1F,
        bool(flags & _POLL),
        bool(flags & _FINAL),
        bool(flags & _INDEPENDENT),
        bool(flags & _DEMAND),
        authentication,
    )


def _read_authentication(section: bytes) -> Authentication | None:
    if section[0] not in _SHA1_TYPES:
        return Authentication(section[0], 0, 0) if 2 <= section[1] <= len(section) else None
    if section[1] != _SHA1_SECTION.size or len(section) < _SHA1_SECTION.size:
        return None
    kind, _, key_identifier, _, sequence, _ = _SHA1_SECTION.unpack_from(section)
    return Authentication(kind, key_identifier, sequence)


def sign(octets: bytes, key: Key, sequence: int) -> bytes:
    """Return an encoded packet with the authentication section of a key, and its sequence number, put on."""
    length = SHORTEST + _SHA1_SECTION.size
    head = octets[:1] + bytes((octets[1] | _AUTHENTICATED, octets[2], length)) + octets[4:SHORTEST]
    padded = key.secret.ljust(20, b"\0")
    section = _SHA1_SECTION.pack(key.type, _SHA1_SECTION.size, key.identifier, 0, sequence, padded)
    return head + section[:8] + _digest(head + section)


def authentic(data: bytes, key: Key) -> bool:
    """Say whether the digest of a packet that `decode` has read, with a SHA1 section, was made with the key."""
    length = data[3]
    with_secret = data[:_DIGEST_AT] + key.secret.ljust(20, b"\0") + data[_DIGEST_END:length]
    return compare_digest(data[_DIGEST_AT:_DIGEST_END], _digest(with_secret))


def _digest(octets: bytes) -> bytes:
    return sha1(octets).digest()  # noqa: S324 - the RFC's choice; its strength lies in the secret and the number
