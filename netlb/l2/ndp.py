"""Neighbour discovery for IPv6 on Ethernet: solicitations and advertisements (RFC 4861 sections 4.3 and 4.4).

`decode` makes every check that RFC 4861 section 7.1 demands of a receiver. IPv6 extension headers are refused: no
station sends neighbour discovery behind them, and RFC 6980 forbids the one that would matter.
"""

import struct
from dataclasses import dataclass
from functools import lru_cache
from typing import Self

from netlb.l2.ethernet import IPV6

__all__ = [
    "ADVERTISEMENT",
    "ALL_NODES",
    "ALL_NODES_MAC",
    "HOP_LIMIT",
    "SHORTEST",
    "SOLICITATION",
    "SOLICITED_NODE_PREFIX",
    "SOURCE_LINK_ADDRESS",
    "TARGET_LINK_ADDRESS",
    "UNSPECIFIED",
    "NeighborAdvertisement",
    "NeighborSolicitation",
    "checksum",
    "encode_option",
    "group_mac",
    "link_address",
    "parse_options",
    "probe",
    "question",
    "solicited_node",
    "unsolicited",
]

SOLICITATION = 135
ADVERTISEMENT = 136
SOURCE_LINK_ADDRESS = 1
TARGET_LINK_ADDRESS = 2
HOP_LIMIT = 255
"""Only a packet that crossed no router can still carry it (RFC 4861 section 3.1)."""

UNSPECIFIED = bytes(16)
ALL_NODES = b"\xff\x02" + bytes(13) + b"\x01"
ALL_NODES_MAC = b"\x33\x33\x00\x00\x00\x01"
SOLICITED_NODE_PREFIX = b"\xff\x02" + bytes(9) + b"\x01\xff"

_ICMPV6 = 58
_HEADERS = struct.Struct("!6s6s2sIHBB16s16s")
_MESSAGE = struct.Struct("!BBHI16s")
SHORTEST = _HEADERS.size + _MESSAGE.size
"""Bytes of a frame whose message has no option."""

_MULTICAST = 0xFF
_ROUTER, _SOLICITED, _OVERRIDE = 0x80000000, 0x40000000, 0x20000000

Options = tuple[tuple[int, bytes], ...]
"""Options in order: type, and the bytes behind type and length, padding included."""


def solicited_node(address: bytes) -> bytes:
    """Return the multicast group that every holder of `address` joins (RFC 4291 section 2.7.1)."""
    return SOLICITED_NODE_PREFIX + address[13:]


def group_mac(group: bytes) -> bytes:
    """Return the MAC address of an IPv6 multicast group (RFC 2464 section 7)."""
    return b"\x33\x33" + group[12:]


def checksum(source: bytes, destination: bytes, message: bytes) -> int:
    """Return the ICMPv6 checksum (RFC 4443 section 2.3) of a message of even length; 0 if it holds a right one.

    The ones'-complement sum of 16-bit words is the number that the bytes spell, modulo 65535. What is summed
    here is never zero, so the two forms of zero cannot be mixed up.
    """
    words = int.from_bytes(source + destination + message, "big")
    return -(words + len(message) + _ICMPV6) % 0xFFFF


def encode_option(kind: int, body: bytes) -> bytes:
    """Return one option, whose `body` must fill units of 8 bytes with the two in front of it."""
    return bytes((kind, (len(body) + 2) // 8)) + body


def parse_options(octets: bytes) -> Options:
    """Read the options of a message; ValueError at one that is empty, or longer than what is left."""
    options = []
    at = 0
    while at < len(octets):
        length = octets[at + 1] * 8 if at + 1 < len(octets) else 0
        if length == 0 or at + length > len(octets):
            raise ValueError("an option of length zero, or cut short")
        options.append((octets[at], octets[at + 2 : at + length]))
        at += length
    return tuple(options)


def link_address(options: Options, kind: int) -> bytes | None:
    """Return the MAC address of the first option of that kind; ValueError if it is not one of a single station."""
    for found, body in options:
        if found == kind:
            if len(body) != 6 or body[0] & 1:
                raise ValueError(f"not the address of one Ethernet station: {body.hex(':')}")
            return body
    return None


def _encode(
    headers: tuple[bytes, bytes, int, bytes, bytes], kind: int, flags: int, target: bytes, options: Options
) -> bytes:
    destination_mac, source_mac, hop_limit, source, destination = headers
    body = b"".join(encode_option(option, value) for option, value in options)
    message = _MESSAGE.pack(kind, 0, 0, flags, target) + body
    message = _MESSAGE.pack(kind, 0, checksum(source, destination, message), flags, target) + body
    return (
        _HEADERS.pack(destination_mac, source_mac, IPV6, 6 << 28, len(message), _ICMPV6, hop_limit, source, destination)
        + message
    )


def _decode(frame: bytes, kind: int) -> tuple[tuple[bytes, bytes, int, bytes, bytes], int, bytes, Options]:
    if len(frame) < SHORTEST:
        raise ValueError(f"{len(frame)} bytes are too few for neighbour discovery")
    to_mac, from_mac, ethertype, version, length, following, hops, source, to = _HEADERS.unpack_from(frame)
    if ethertype != IPV6 or version >> 28 != 6 or following != _ICMPV6:
        raise ValueError("not ICMPv6 right behind IPv6 and Ethernet")
    message = frame[_HEADERS.size : _HEADERS.size + length]
    if len(message) < max(length, _MESSAGE.size) or length % 8:
        raise ValueError(f"a message of {length} bytes is cut short, or not made of units of 8")
    found, code, _, flags, target = _MESSAGE.unpack_from(message)
    if found != kind or code != 0:
        raise ValueError(f"ICMPv6 type {found} code {code}")
    if hops != HOP_LIMIT:
        raise ValueError(f"hop limit {hops}: it crossed a router")
    if source[0] == _MULTICAST or target[0] == _MULTICAST:
        raise ValueError("a multicast address as source or target")
    if checksum(source, to, message):
        raise ValueError("wrong checksum")
    return (to_mac, from_mac, hops, source, to), flags, target, parse_options(message[_MESSAGE.size :])


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighborSolicitation:
    """The question who has `target`; from `::` it is a duplicate address probe (RFC 4862 section 5.4)."""

    destination_mac: bytes
    source_mac: bytes
    source: bytes
    destination: bytes
    target: bytes
    options: Options = ()
    hop_limit: int = HOP_LIMIT

    def encode(self) -> bytes:
        """Return the frame, whatever its fields hold: tests write wrong ones with it."""
        headers = (self.destination_mac, self.source_mac, self.hop_limit, self.source, self.destination)
        return _encode(headers, SOLICITATION, 0, self.target, self.options)

    @classmethod
    def decode(cls, frame: bytes) -> Self:
        """Read a frame; ValueError where RFC 4861 section 7.1.1 says that it must be dropped."""
        (to_mac, from_mac, hops, source, to), _, target, options = _decode(frame, SOLICITATION)
        link = link_address(options, SOURCE_LINK_ADDRESS)
        if source == UNSPECIFIED and (link is not None or not to.startswith(SOLICITED_NODE_PREFIX)):
            raise ValueError("a probe from :: with a link-layer address, or not to a solicited-node group")
        return cls(
            destination_mac=to_mac,
            source_mac=from_mac,
            source=source,
            destination=to,
            target=target,
            options=options,
            hop_limit=hops,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NeighborAdvertisement:
    """The answer, or the unasked notice, where `target` lives."""

    destination_mac: bytes
    source_mac: bytes
    source: bytes
    destination: bytes
    target: bytes
    router: bool = False
    solicited: bool = False
    override: bool = False
    options: Options = ()
    hop_limit: int = HOP_LIMIT

    def encode(self) -> bytes:
        """Return the frame, whatever its fields hold: tests write wrong ones with it."""
        headers = (self.destination_mac, self.source_mac, self.hop_limit, self.source, self.destination)
        flags = self.router * _ROUTER | self.solicited * _SOLICITED | self.override * _OVERRIDE
        return _encode(headers, ADVERTISEMENT, flags, self.target, self.options)

    @classmethod
    def decode(cls, frame: bytes) -> Self:
        """Read a frame; ValueError where RFC 4861 section 7.1.2 says that it must be dropped."""
        (to_mac, from_mac, hops, source, to), flags, target, options = _decode(frame, ADVERTISEMENT)
        link_address(options, TARGET_LINK_ADDRESS)
        if to[0] == _MULTICAST and flags & _SOLICITED:
            raise ValueError("a solicited advertisement to a multicast group")
        return cls(
            destination_mac=to_mac,
            source_mac=from_mac,
            source=source,
            destination=to,
            target=target,
            router=bool(flags & _ROUTER),
            solicited=bool(flags & _SOLICITED),
            override=bool(flags & _OVERRIDE),
            options=options,
            hop_limit=hops,
        )


def unsolicited(mac: bytes, address: bytes) -> bytes:
    """Return the advertisement that tells all nodes where `address` lives now (RFC 4861 section 7.2.6)."""
    before, between, flags, after, sum_without = _unsolicited(mac)
    # The address is in the pseudo-header and in the message; see `checksum` for the arithmetic.
    total = (sum_without - 2 * int.from_bytes(address, "big")) % 0xFFFF
    return b"".join((before, address, between, total.to_bytes(2, "big"), flags, address, after))


@lru_cache(maxsize=256)
def _unsolicited(mac: bytes) -> tuple[bytes, bytes, bytes, bytes, int]:
    """Return what is around the addresses and the checksum, and the checksum without an address.

    A node that takes over ten thousand addresses has a few microseconds for each.
    """
    frame = NeighborAdvertisement(
        destination_mac=ALL_NODES_MAC,
        source_mac=mac,
        source=UNSPECIFIED,
        destination=ALL_NODES,
        target=UNSPECIFIED,
        override=True,
        options=((TARGET_LINK_ADDRESS, mac),),
    ).encode()
    return frame[:22], frame[38:56], frame[58:62], frame[78:], int.from_bytes(frame[56:58], "big")


def probe(mac: bytes, address: bytes) -> bytes:
    """Return the solicitation that asks whether a station has `address` already (RFC 4862 section 5.4.2).

    Its source is the unspecified address, so it carries no source link-layer address (RFC 4861 section 4.3).
    """
    group = solicited_node(address)
    return NeighborSolicitation(
        destination_mac=group_mac(group), source_mac=mac, source=UNSPECIFIED, destination=group, target=address
    ).encode()


def question(mac: bytes, source: bytes, address: bytes) -> bytes:
    """Return the solicitation by which a station at `source` asks who has `address` (RFC 4861 section 7.2.2)."""
    group = solicited_node(address)
    return NeighborSolicitation(
        destination_mac=group_mac(group),
        source_mac=mac,
        source=source,
        destination=group,
        target=address,
        options=((SOURCE_LINK_ADDRESS, mac),),
    ).encode()
