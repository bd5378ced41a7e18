"""A router in one coroutine: it dials, keeps a session, and writes down every word that it is told (RFC 4271)."""

import asyncio
import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_address
from typing import Never

from netlb.bgp.model import LargeCommunity
from tests.support.waiting import becomes

__all__ = ["Router", "Told"]

_OPEN, _UPDATE, _KEEPALIVE = 1, 2, 4
_MED, _LOCAL_PREF, _COMMUNITIES, _MP_REACH, _MP_UNREACH, _LARGE = 4, 5, 8, 14, 15, 32
_CAPABILITIES = bytes([1, 4, 0, 1, 0, 1, 1, 4, 0, 2, 0, 1])
"""Unicast of both families (RFC 4760 section 8)."""


@dataclass(frozen=True)
class Told:
    """What is told of one route."""

    communities: frozenset[int] = frozenset()
    large_communities: frozenset[LargeCommunity] = frozenset()
    local_pref: int | None = None
    med: int | None = None


@dataclass
class Router:
    """One router, with one neighbour."""

    address: str
    asn: int
    table: dict[str, Told] = field(default_factory=dict)
    """What it knows now, by prefix."""
    words: list[tuple[str, Told | None]] = field(default_factory=list)
    """All that it was told, in order: a prefix, and None where it was withdrawn."""
    sessions: int = 0
    """How often it had one."""
    established: bool = False

    async def run(self, neighbor: str, port: int) -> Never:
        """Dial until cancelled, and again whenever the session ends."""
        while True:
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._session(neighbor, port)
            self.established = False
            self.table.clear()
            await asyncio.sleep(0.02)

    async def up(self) -> None:
        """Wait for a session."""
        await becomes(lambda: self.established)

    async def _session(self, neighbor: str, port: int) -> None:
        reader, writer = await asyncio.open_connection(neighbor, port, local_addr=(self.address, 0))
        try:
            writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            writer.write(_message(_OPEN, self._open()))
            while True:
                kind, body = await _read(reader)
                if kind in (_OPEN, _KEEPALIVE):
                    writer.write(_message(_KEEPALIVE))
                if kind == _KEEPALIVE and not self.established:
                    self.established = True
                    self.sessions += 1
                if kind == _UPDATE:
                    self._learn(body)
        finally:
            writer.close()

    def _open(self) -> bytes:
        capabilities = _CAPABILITIES + struct.pack("!BBI", 65, 4, self.asn)
        parameters = bytes([2, len(capabilities)]) + capabilities
        fixed = struct.pack("!BHH4sB", 4, min(self.asn, 23456), 90, IPv4Address(self.address).packed, len(parameters))
        return fixed + parameters

    def _learn(self, body: bytes) -> None:
        [length] = struct.unpack_from("!H", body)
        withdrawn, rest = body[2 : 2 + length], body[2 + length :]
        [length] = struct.unpack_from("!H", rest)
        attributes = dict(_attributes(rest[2 : 2 + length]))
        gone = [*_prefixes(withdrawn, 4), *_prefixes(attributes.get(_MP_UNREACH, b"")[3:], 16)]
        reach = attributes.get(_MP_REACH, b"")
        new = [*_prefixes(rest[2 + length :], 4), *(_prefixes(reach[5 + reach[3] :], 16) if reach else ())]
        told = _told(attributes)
        for prefix in gone:
            self.table.pop(prefix, None)
            self.words.append((prefix, None))
        for prefix in new:
            self.table[prefix] = told
            self.words.append((prefix, told))


def _told(attributes: dict[int, bytes]) -> Told:
    def numbers(kind: int) -> tuple[int, ...]:
        return tuple(number for (number,) in struct.iter_unpack("!I", attributes.get(kind, b"")))

    large = numbers(_LARGE)
    return Told(
        frozenset(numbers(_COMMUNITIES)),
        frozenset(LargeCommunity(*large[at : at + 3]) for at in range(0, len(large), 3)),
        next(iter(numbers(_LOCAL_PREF)), None),
        next(iter(numbers(_MED)), None),
    )


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    while data:
        long = bool(data[0] & 0x10)
        length = int.from_bytes(data[2 : 4 if long else 3], "big")
        head = 4 if long else 3
        yield data[1], data[head : head + length]
        data = data[head + length :]


def _prefixes(data: bytes, size: int) -> Iterable[str]:
    while data:
        octets = (data[0] + 7) // 8
        packed = data[1 : 1 + octets].ljust(size, b"\0")
        network = ip_address(packed)
        kind = IPv4Network if isinstance(network, IPv4Address) else IPv6Network
        yield str(kind((packed, data[0])))
        data = data[1 + octets :]


def _message(kind: int, body: bytes = b"") -> bytes:
    return b"\xff" * 16 + struct.pack("!HB", 19 + len(body), kind) + body


async def _read(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readexactly(19)
    length, kind = struct.unpack("!HB", head[16:])
    return kind, await reader.readexactly(length - 19)
