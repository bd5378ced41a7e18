"""The generic netlink messages of WireGuard in the kernel (Linux: include/uapi/linux/wireguard.h). Pure.

Messages are given and taken behind their netlink header. Packed here and not by pyroute2, whose call takes one peer at
a time: prefixes have to move from one peer to another in one message.
"""

import struct
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import ip_address, ip_network
from typing import Final

from netlb.raven.keys import PrivateKey, key_octets, key_text
from netlb.raven.model import Prefix
from netlb.raven.nat import Destination
from netlb.raven.wireguard import NO_SHARED_KEY, DeviceDump, PeerDump, PeerWrite, Write

__all__ = ["FAMILY", "MessageError", "attributes", "dump_request", "pack", "read_dump", "write_requests"]

FAMILY: Final = "wireguard"
_HEADER: Final = struct.Struct("=BBH")
"""genlmsghdr: command, version, reserved."""
_ATTRIBUTE: Final = struct.Struct("=HH")
"""nlattr: length with this header, type."""
_GET_DEVICE, _SET_DEVICE, _VERSION = 0, 1, 1
_NESTED: Final = 0x8000
_TYPE: Final = 0x3FFF
_IFNAME, _PRIVATE_KEY, _LISTEN_PORT, _PEERS = 2, 3, 6, 8
_PUBLIC_KEY, _PRESHARED_KEY, _FLAGS, _ENDPOINT, _KEEPALIVE, _HANDSHAKE, _RX, _TX, _ALLOWED = range(1, 10)
_FAMILY, _ADDRESS, _LENGTH = 1, 2, 3
_REMOVE_ME: Final = 1
_INET, _INET6 = 2, 10
_ROOM: Final = 60_000
"""Octets of peers in a message: the length of an attribute has 16 bits."""


class MessageError(ValueError):
    """A message is cut off, or not as the kernel makes them; it does not say what is in it."""


def dump_request(device: str) -> bytes:
    """Return the request for all that a device says; it is sent with NLM_F_DUMP."""
    return _HEADER.pack(_GET_DEVICE, _VERSION, 0) + pack(_IFNAME, device.encode() + b"\0")


def write_requests(device: str, write: Write) -> Iterator[bytes]:
    """Yield the requests that write all of it: one, unless that would be larger than messages can be."""
    head = _HEADER.pack(_SET_DEVICE, _VERSION, 0) + pack(_IFNAME, device.encode() + b"\0")
    if write.private is not None:
        head += pack(_PRIVATE_KEY, write.private.octets)
    if write.port is not None:
        head += pack(_LISTEN_PORT, struct.pack("=H", write.port))
    parts = list(_parts(write.peers))
    yield head + pack(_PEERS | _NESTED, parts[0]) if parts else head
    for part in parts[1:]:
        yield (
            _HEADER.pack(_SET_DEVICE, _VERSION, 0)
            + pack(_IFNAME, device.encode() + b"\0")
            + pack(_PEERS | _NESTED, part)
        )


def read_dump(messages: Iterable[bytes]) -> DeviceDump:
    """Return what a device says. A peer may be split over messages: its key comes again, and more of its prefixes."""
    private: PrivateKey | None = None
    port = 0
    peers: dict[str, PeerDump] = {}
    try:
        for message in messages:
            for kind, value in attributes(message[_HEADER.size :]):
                if kind == _PRIVATE_KEY:
                    private = PrivateKey(value) if any(value) else None
                elif kind == _LISTEN_PORT:
                    (port,) = struct.unpack("=H", value)
                elif kind == _PEERS:
                    for _, peer in attributes(value):
                        _read_peer(peers, dict(attributes(peer)))
    except (ValueError, LookupError, struct.error):
        raise MessageError("a message of WireGuard's cannot be read") from None
    return DeviceDump(private=private, port=port, peers=peers)


def pack(kind: int, value: bytes) -> bytes:
    """Return an attribute, padded to four octets."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield types and values of attributes; MessageError where they are cut off."""
    at = 0
    while at < len(data):
        if len(data) - at < _ATTRIBUTE.size:
            raise MessageError("an attribute is cut off")
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if length < _ATTRIBUTE.size or at + length > len(data):
            raise MessageError("an attribute is longer than what is there")
        yield kind & _TYPE, data[at + _ATTRIBUTE.size : at + length]
        at += length + -length % 4


def _parts(peers: Iterable[PeerWrite]) -> Iterator[bytes]:
    """Yield lists of peers, each of which has room in a message, in order."""
    part = b""
    for peer in peers:
        for packed in _peer(peer):
            if len(part) + len(packed) > _ROOM:
                yield part
                part = b""
            part += packed
    if part:
        yield part


def _peer(write: PeerWrite) -> Iterator[bytes]:
    """Yield a peer, and again with further prefixes where it has more than fit."""
    fields = pack(_PUBLIC_KEY, key_octets(write.key))
    key = fields
    if write.remove:
        fields += pack(_FLAGS, struct.pack("=I", _REMOVE_ME))
    if write.shared is not None:
        fields += pack(_PRESHARED_KEY, write.shared)
    if write.endpoint is not None:
        fields += pack(_ENDPOINT, _sockaddr(write.endpoint))
    if write.keepalive is not None:
        fields += pack(_KEEPALIVE, struct.pack("=H", write.keepalive))
    allowed = b""
    for prefix in write.add:
        if len(allowed) > _ROOM // 4:
            yield pack(_NESTED, fields + pack(_ALLOWED | _NESTED, allowed))
            fields, allowed = key, b""
        allowed += pack(_NESTED, _prefix(prefix))
    yield pack(_NESTED, fields + (pack(_ALLOWED | _NESTED, allowed) if allowed else b""))


def _prefix(prefix: Prefix) -> bytes:
    family = _INET if prefix.version == 4 else _INET6
    return (
        pack(_FAMILY, struct.pack("=H", family))
        + pack(_ADDRESS, prefix.network_address.packed)
        + pack(_LENGTH, bytes([prefix.prefixlen]))
    )


def _sockaddr(destination: Destination) -> bytes:
    address, port = destination
    if address.version == 4:
        return struct.pack("=H", _INET) + struct.pack("!H", port) + address.packed + bytes(8)
    return struct.pack("=H", _INET6) + struct.pack("!HI", port, 0) + address.packed + bytes(4)


def _read_peer(peers: dict[str, PeerDump], fields: dict[int, bytes]) -> None:
    key = key_text(fields[_PUBLIC_KEY])
    known = peers.get(key)
    prefixes = (dict(attributes(packed)) for _, packed in attributes(fields.get(_ALLOWED, b"")))
    allowed = {_read_prefix(prefix[_ADDRESS], prefix[_LENGTH][0]) for prefix in prefixes}
    if known is not None:
        peers[key] = PeerDump(
            shared=known.shared,
            endpoint=known.endpoint,
            keepalive=known.keepalive,
            handshake=known.handshake,
            received=known.received,
            sent=known.sent,
            allowed=known.allowed | allowed,
        )
        return
    seconds, nanoseconds = struct.unpack("=qq", fields.get(_HANDSHAKE, bytes(16)))
    peers[key] = PeerDump(
        shared=fields.get(_PRESHARED_KEY, NO_SHARED_KEY),
        endpoint=_read_sockaddr(fields[_ENDPOINT]) if _ENDPOINT in fields else None,
        keepalive=struct.unpack("=H", fields.get(_KEEPALIVE, bytes(2)))[0],
        handshake=seconds + nanoseconds / 1e9,
        received=struct.unpack("=Q", fields.get(_RX, bytes(8)))[0],
        sent=struct.unpack("=Q", fields.get(_TX, bytes(8)))[0],
        allowed=frozenset(allowed),
    )


@lru_cache(maxsize=1 << 16)
def _read_prefix(address: bytes, length: int) -> Prefix:
    """Read a prefix: the same ones come with every dump, and reading them is most of the work."""
    return ip_network((address, length))


def _read_sockaddr(packed: bytes) -> Destination | None:
    family, port = struct.unpack("=H", packed[:2])[0], struct.unpack("!H", packed[2:4])[0]
    if family == _INET:
        return ip_address(packed[4:8]), port
    return (ip_address(packed[8:24]), port) if family == _INET6 else None
