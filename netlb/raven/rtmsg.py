"""Routes as messages of rtnetlink (rtnetlink(7), linux/rtnetlink.h), packed by hand: general encoders take 0.4 ms a
route, and a gateway may have ten thousand.

Messages are in the byte order of the machine. Nothing here sends any: see `netlb.raven.adapter.netlink`.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum, IntFlag
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import Final

from netlb.raven.dataplane import Route, RouteKind
from netlb.raven.objects import RouteKey, Strange

__all__ = [
    "HEADER",
    "Entry",
    "Flag",
    "Kind",
    "attributes",
    "decode",
    "delete_route",
    "dump_routes",
    "messages",
    "new_route",
]

HEADER: Final = struct.Struct("=IHHII")
"""Of every netlink message: length, type, flags, sequence number, port (nlmsghdr)."""


class Kind(IntEnum):
    """Types of messages that are used here."""

    ERROR = 2
    DONE = 3
    NEW_LINK = 16
    DEL_LINK = 17
    NEW_ADDRESS = 20
    DEL_ADDRESS = 21
    NEW_ROUTE = 24
    DEL_ROUTE = 25
    GET_ROUTE = 26
    NEW_NEIGHBOUR = 28
    DEL_NEIGHBOUR = 29
    NEW_RULE = 32
    DEL_RULE = 33


class Flag(IntFlag):
    """Flags of messages."""

    REQUEST = 0x1
    ACK = 0x4
    DUMP_INTERRUPTED = 0x10
    REPLACE = 0x100
    EXCLUSIVE = 0x200
    DUMP = 0x300
    CREATE = 0x400


_ROUTE: Final = struct.Struct("=BBBBBBBBI")  # rtmsg
_ATTRIBUTE: Final = struct.Struct("=HH")
_NUMBER: Final = struct.Struct("=HHI")
_ADDRESS4: Final = struct.Struct("=HH4s")
_ADDRESS6: Final = struct.Struct("=HH16s")
_MTU: Final = struct.Struct("=HHHHI")  # RTA_METRICS with RTAX_MTU in it
_U32: Final = struct.Struct("=I")

_DST, _OIF, _GATEWAY, _PRIORITY, _PREFSRC, _METRICS, _CACHEINFO, _TABLE, _PREF = 1, 4, 5, 6, 7, 8, 12, 15, 20
_RTAX_MTU = 2
_ONLINK = 4
_AF_INET, _AF_INET6 = 2, 10
_SCOPE_LINK, _SCOPE_NOWHERE = 253, 255
_DEFAULT_METRIC6: Final = 1024
"""What the kernel makes of an IPv6 route's metric if none is said (IP6_RT_PRIO_USER)."""
_CODES: Final = {RouteKind.UNICAST: 1, RouteKind.UNREACHABLE: 7, RouteKind.THROW: 9}
_KINDS: Final = {code: kind for kind, code in _CODES.items()}


@dataclass(frozen=True, slots=True)
class Entry:
    """A route as the kernel has it."""

    key: RouteKey
    protocol: int
    type: int
    """RTN_*."""
    route: Route | Strange
    """Strange where it says what we never say."""


def new_route(route: Route, protocol: int, index: int, flags: int, sequence: int) -> bytes:
    """Return the message that makes a route; `index` is that of its device, 0 if it has none."""
    prefix, via = route.prefix, route.via
    packed = prefix.network_address.packed
    four = len(packed) == 4
    address = _ADDRESS4 if four else _ADDRESS6
    size = address.size
    parts = [address.pack(size, _DST, packed), _NUMBER.pack(8, _TABLE, route.table)]
    scope = 0
    if route.metric:
        parts.append(_NUMBER.pack(8, _PRIORITY, route.metric))
    if index:
        parts.append(_NUMBER.pack(8, _OIF, index))
        if via is not None:
            parts.append(address.pack(size, _GATEWAY, via.packed))
        elif four:
            scope = _SCOPE_LINK
    if route.source is not None:
        parts.append(address.pack(size, _PREFSRC, route.source.packed))
    if route.mtu:
        parts.append(_MTU.pack(12, _METRICS, 8, _RTAX_MTU, route.mtu))
    return _message(
        Kind.NEW_ROUTE,
        flags,
        sequence,
        _ROUTE.pack(
            _AF_INET if four else _AF_INET6,
            prefix.prefixlen,
            0,
            0,
            0,
            protocol,
            scope,
            _CODES[route.kind],
            0 if via is None else _ONLINK,
        ),
        parts,
    )


def delete_route(key: RouteKey, protocol: int, type_: int, flags: int, sequence: int) -> bytes:
    """Return the message that removes a route of a protocol, and no other one.

    For IPv4 the kernel takes a metric of 0 for any, so the type goes along: a route that says unreachable stays when
    the one before it is gone already. Scope "nowhere" stands for any scope.
    """
    packed = key.prefix.network_address.packed
    four = len(packed) == 4
    address = _ADDRESS4 if four else _ADDRESS6
    metric = key.metric or (0 if four else _DEFAULT_METRIC6)
    parts = [address.pack(address.size, _DST, packed), _NUMBER.pack(8, _TABLE, key.table)]
    if metric:
        parts.append(_NUMBER.pack(8, _PRIORITY, metric))
    family = _AF_INET if four else _AF_INET6
    header = _ROUTE.pack(family, key.prefix.prefixlen, 0, 0, 0, protocol, _SCOPE_NOWHERE, type_, 0)
    return _message(Kind.DEL_ROUTE, flags, sequence, header, parts)


def dump_routes(version: int, table: int, sequence: int) -> bytes:
    """Return the message that asks for all routes of a table, of IP version 4 or 6; the socket has to check strictly
    (NETLINK_GET_STRICT_CHK), or all tables are the answer."""
    family = _AF_INET if version == 4 else _AF_INET6
    header = _ROUTE.pack(family, 0, 0, 0, 0, 0, 0, 0, 0)
    return _message(Kind.GET_ROUTE, Flag.REQUEST | Flag.DUMP, sequence, header, [_NUMBER.pack(8, _TABLE, table)])


def messages(data: bytes) -> Iterator[tuple[int, int, int, bytes]]:
    """Yield type, flags, sequence number and body of each message in what was received; ValueError if it is cut off."""
    offset = 0
    while offset < len(data):
        if len(data) - offset < HEADER.size:
            raise ValueError("a netlink message is cut off")
        length, type_, flags, sequence, _ = HEADER.unpack_from(data, offset)
        if not HEADER.size <= length <= len(data) - offset:
            raise ValueError("a netlink message is cut off")
        yield type_, flags, sequence, data[offset + HEADER.size : offset + length]
        offset += length + 3 & ~3


def attributes(data: bytes, offset: int) -> Iterator[tuple[int, bytes]]:
    """Yield type and value of each attribute, flags of the type cleared."""
    while len(data) - offset >= _ATTRIBUTE.size:
        length, type_ = _ATTRIBUTE.unpack_from(data, offset)
        if not _ATTRIBUTE.size <= length <= len(data) - offset:
            raise ValueError("an attribute is cut off")
        yield type_ & 0x3FFF, data[offset + _ATTRIBUTE.size : offset + length]
        offset += length + 3 & ~3


def decode(body: bytes, name_of: Callable[[int], str]) -> Entry:
    """Return the route of a message's body; `name_of` gives the name of the device with an index.

    ValueError if it is cut off.
    """
    if len(body) < _ROUTE.size:
        raise ValueError("a route is cut off")
    family, length, source_length, tos, table, protocol, scope, type_, flags = _ROUTE.unpack_from(body)
    four = family == _AF_INET
    found, odd = {}, []
    for attribute, value in attributes(body, _ROUTE.size):
        if attribute in _KNOWN:
            found[attribute] = value
        elif attribute != _CACHEINFO and (attribute != _PREF or value != b"\0"):
            odd.append(f"attribute {attribute}")
    packed = found.get(_DST, bytes(4 if four else 16))
    prefix = (
        IPv4Network((int.from_bytes(packed, "big"), length))
        if four
        else IPv6Network((int.from_bytes(packed, "big"), length))
    )
    metric = _number(found, _PRIORITY)
    if not four and metric == _DEFAULT_METRIC6:
        metric = 0
    key = RouteKey(prefix, _number(found, _TABLE) or table, metric)
    kind = _KINDS.get(type_)
    via, source = _address(found.get(_GATEWAY), four=four), _address(found.get(_PREFSRC), four=four)
    mtu, other_metrics = _mtu(found.get(_METRICS, b""))
    if kind is None:
        odd.append(f"type {type_}")
    if source_length or tos:
        odd.append("source or tos")
    if other_metrics:
        odd.append("metrics")
    on_link = kind is RouteKind.UNICAST and via is None and four
    if scope != (_SCOPE_LINK if on_link else 0) or bool(flags & _ONLINK) != (via is not None):
        odd.append(f"scope {scope}, flags {flags:#x}")
    if odd or kind is None:
        return Entry(key, protocol, type_, Strange(", ".join(odd)))
    # What says unreachable is shown with the loopback as its device for IPv6.
    device = name_of(_number(found, _OIF)) if kind is RouteKind.UNICAST and _OIF in found else ""
    route = Route(
        prefix=prefix, table=key.table, kind=kind, device=device, via=via, source=source, mtu=mtu, metric=metric
    )
    return Entry(key, protocol, type_, route)


_KNOWN: Final = frozenset((_DST, _OIF, _GATEWAY, _PRIORITY, _PREFSRC, _METRICS, _TABLE))


def _message(kind: Kind, flags: int, sequence: int, header: bytes, attributes: list[bytes]) -> bytes:
    body = b"".join((header, *attributes))
    return HEADER.pack(HEADER.size + len(body), kind, flags, sequence, 0) + body


def _number(found: dict[int, bytes], attribute: int) -> int:
    value = found.get(attribute)
    return int(_U32.unpack(value)[0]) if value is not None and len(value) == 4 else 0


def _address(packed: bytes | None, *, four: bool) -> IPv4Address | IPv6Address | None:
    if packed is None:
        return None
    return IPv4Address(packed) if four else IPv6Address(packed)


@lru_cache(maxsize=64)
def _mtu(metrics: bytes) -> tuple[int, bool]:
    """Return the MTU among a route's metrics, and whether there are others."""
    mtu, others = 0, False
    for metric, value in attributes(metrics, 0):
        if metric == _RTAX_MTU and len(value) == 4:
            mtu = _U32.unpack(value)[0]
        else:
            others = True
    return mtu, others
