"""Messages of netlink(7) and their attributes, whatever they are about (linux/netlink.h). Pure."""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["DONE", "ERROR", "INTERRUPTED", "Raw", "attribute", "encode", "split", "split_attributes"]

ERROR, DONE = 2, 3
"""Types of messages that end an answer."""
INTERRUPTED: Final = 0x10
"""Flag of a list that changed while it was read."""

_HEADER: Final = struct.Struct("=IHHII")  # nlmsghdr: length, type, flags, sequence, port
_ATTRIBUTE: Final = struct.Struct("=HH")


class Raw(NamedTuple):
    """One message."""

    kind: int
    flags: int
    sequence: int
    body: bytes


def encode(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    """Return a message for the kernel."""
    return _HEADER.pack(_HEADER.size + len(body), kind, flags, sequence, 0) + body


def attribute(kind: int, value: bytes) -> bytes:
    """Return an attribute, as long as it has to be."""
    return _ATTRIBUTE.pack(_ATTRIBUTE.size + len(value), kind) + value + bytes(-len(value) % 4)


def split(data: bytes) -> Iterator[Raw]:
    """Read the messages of one datagram, up to one that is cut short."""
    at = 0
    while len(data) - at >= _HEADER.size:
        length, kind, flags, sequence, _ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or length > len(data) - at:
            return
        yield Raw(kind, flags, sequence, data[at + _HEADER.size : at + length])
        at += length + 3 & ~3


def split_attributes(body: bytes, at: int) -> dict[int, bytes] | None:
    """Return the attributes that begin at an offset, by type; None where one says a length that cannot be."""
    found: dict[int, bytes] = {}
    while len(body) - at >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(body, at)
        if length < _ATTRIBUTE.size:
            return None
        found[kind] = body[at + _ATTRIBUTE.size : at + length]
        at += length + 3 & ~3
    return found
