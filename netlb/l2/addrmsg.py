"""Addresses of interfaces as rtnetlink says them: messages of rtnetlink(7) (linux/rtnetlink.h, linux/if_addr.h).

Written here rather than left to a library, since ten thousand addresses are refreshed within milliseconds that way.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from netlb.l2 import netlink
from netlb.net import Address

__all__ = [
    "MARK",
    "Flag",
    "InterfaceAddress",
    "Kind",
    "Message",
    "decode",
    "encode_add",
    "encode_list",
    "encode_remove",
]

MARK: Final = 110
"""The protocol (IFA_PROTO, Linux 5.18) of addresses that are netlb's; the kernel's own are below 4."""

_BODY: Final = struct.Struct("=BBBBI")  # ifaddrmsg: family, prefix length, flags, scope, index
_ERROR: Final = struct.Struct("=i")
_WORD: Final = struct.Struct("=I")
_LIFETIMES: Final = struct.Struct("=IIII")  # ifa_cacheinfo: preferred, valid, two times that only the kernel writes
_AF_UNSPEC, _AF_INET, _AF_INET6 = 0, 2, 10
_ADDRESS, _LOCAL, _CACHEINFO, _FLAGS, _PROTO = 1, 2, 6, 8, 11
_SCOPE_UNIVERSE: Final = 0
_NODAD, _NOPREFIXROUTE = 0x02, 0x200


class Kind(IntEnum):
    """Types of messages."""

    ERROR = netlink.ERROR
    DONE = netlink.DONE
    ADDED = 20
    REMOVED = 21
    LIST = 22


class Flag(IntFlag):
    """Flags of requests."""

    REQUEST = 0x1
    ACK = 0x4
    DUMP = 0x300
    REPLACE = 0x100
    EXCLUSIVE = 0x200
    CREATE = 0x400


@dataclass(frozen=True, slots=True)
class InterfaceAddress:
    """An address that an interface has."""

    index: int
    address: Address
    network: Address
    """Any address of the prefix that is on the link: the peer's where there is one."""
    prefix_length: int
    ours: bool
    """Whether it has our mark."""


@dataclass(frozen=True, slots=True)
class Message:
    """What the kernel says; for ERROR the errno (0: it worked), for ADDED and REMOVED the address."""

    kind: int
    sequence: int
    errno: int = 0
    address: InterfaceAddress | None = None
    interrupted: bool = False
    """Of a list: it changed meanwhile."""


def encode_add(index: int, address: Address, valid: int, flags: Flag, sequence: int) -> bytes:
    """Ask for an address of an interface that ends by itself after `valid` seconds unless it is renewed.

    It is one host's (/32, /128) and makes no route to others, and it is deprecated from the beginning (RFC 4862 section
    5.5.4), so that it is nobody's choice for what the node sends. Whether others have it is not asked by the kernel.
    """
    wire = _NOPREFIXROUTE | (_NODAD if address.version == 6 else 0)
    attributes = (
        netlink.attribute(_LOCAL, address.packed),
        netlink.attribute(_ADDRESS, address.packed),
        netlink.attribute(_FLAGS, _WORD.pack(wire)),
        netlink.attribute(_CACHEINFO, _LIFETIMES.pack(0, valid, 0, 0)),
        netlink.attribute(_PROTO, bytes([MARK])),
    )
    return netlink.encode(Kind.ADDED, flags, sequence, _body(address, index) + b"".join(attributes))


def encode_remove(index: int, address: Address, flags: Flag, sequence: int) -> bytes:
    """Ask for the removal of an address that `encode_add` made."""
    body = (
        _body(address, index) + netlink.attribute(_LOCAL, address.packed) + netlink.attribute(_ADDRESS, address.packed)
    )
    return netlink.encode(Kind.REMOVED, flags, sequence, body)


def encode_list(sequence: int) -> bytes:
    """Ask for all addresses of all interfaces, DONE at the end."""
    return netlink.encode(Kind.LIST, Flag.REQUEST | Flag.DUMP, sequence, _BODY.pack(_AF_UNSPEC, 0, 0, 0, 0))


def decode(data: bytes) -> Iterator[Message]:
    """Read the messages of one datagram from the kernel; what is neither of addresses nor an answer is left out."""
    for kind, flags, sequence, body in netlink.split(data):
        interrupted = bool(flags & netlink.INTERRUPTED)
        match kind:
            case Kind.ERROR:
                yield Message(kind, sequence, -_ERROR.unpack_from(body)[0])
            case Kind.DONE:
                yield Message(kind, sequence, interrupted=interrupted)
            case Kind.ADDED | Kind.REMOVED if (found := _interface_address(body)) is not None:
                yield Message(kind, sequence, address=found, interrupted=interrupted)


def _body(address: Address, index: int) -> bytes:
    family = _AF_INET if address.version == 4 else _AF_INET6
    return _BODY.pack(family, address.max_prefixlen, 0, _SCOPE_UNIVERSE, index)


def _interface_address(body: bytes) -> InterfaceAddress | None:
    if len(body) < _BODY.size:
        return None
    family, prefix_length, _, _, index = _BODY.unpack_from(body)
    attributes = netlink.split_attributes(body, _BODY.size)
    if attributes is None:
        return None
    network = attributes.get(_ADDRESS, b"")
    local = attributes.get(_LOCAL, network)
    ours = attributes.get(_PROTO) == bytes([MARK])
    if family == _AF_INET and len(local) == 4:
        return InterfaceAddress(index, IPv4Address(local), IPv4Address(network or local), prefix_length, ours)
    if family == _AF_INET6 and len(local) == 16:
        return InterfaceAddress(index, IPv6Address(local), IPv6Address(network or local), prefix_length, ours)
    return None
