"""Links as rtnetlink says them: messages of rtnetlink(7) (linux/rtnetlink.h, linux/if_link.h). Pure.

Written here rather than left to a library, which takes a fifth of a speaker's memory.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from netlb.l2 import netlink
from netlb.l2.interfaces import Link

__all__ = ["LinkMessage", "decode", "encode_list"]

_NEW, _GONE, _LIST = 16, 17, 18
_REQUEST_DUMP: Final = 0x301
_BODY: Final = struct.Struct("=BxHiII")  # ifinfomsg: family, type, index, flags, change
_WORD: Final = struct.Struct("=I")
_ADDRESS, _NAME, _MASTER = 1, 3, 10
_AF_UNSPEC: Final = 0


@dataclass(frozen=True, slots=True)
class LinkMessage:
    """What the kernel says of one link, or of a list: that it is at its end, or why there is none."""

    sequence: int
    """Of the request that it answers; 0: of none."""
    index: int = 0
    link: Link | None = None
    """What the link is now; None: gone."""
    ended: bool = False
    errno: int = 0
    interrupted: bool = False
    """Of a list: it changed meanwhile."""


def encode_list(sequence: int) -> bytes:
    """Ask for all links; the answer ends with a message that says so."""
    return netlink.encode(_LIST, _REQUEST_DUMP, sequence, _BODY.pack(_AF_UNSPEC, 0, 0, 0, 0))


def decode(data: bytes) -> Iterator[LinkMessage]:
    """Read the messages of one datagram from the kernel; what is neither of a link itself nor an answer is left out.

    Bridges send messages of their own family about their ports, and such a "deletion" only ends the membership.
    """
    for kind, flags, sequence, body in netlink.split(data):
        interrupted = bool(flags & netlink.INTERRUPTED)
        if kind == netlink.ERROR and len(body) >= _WORD.size:
            yield LinkMessage(sequence, ended=True, errno=-struct.unpack_from("=i", body)[0])
        elif kind == netlink.DONE:
            yield LinkMessage(sequence, ended=True, interrupted=interrupted)
        elif kind in {_NEW, _GONE} and len(body) >= _BODY.size:
            family, _, index, state, _ = _BODY.unpack_from(body)
            attributes = netlink.split_attributes(body, _BODY.size)
            if family == _AF_UNSPEC and attributes is not None:
                link = _link(index, state, attributes) if kind == _NEW else None
                yield LinkMessage(sequence, index, link, interrupted=interrupted)


def _link(index: int, flags: int, attributes: dict[int, bytes]) -> Link:
    master = attributes.get(_MASTER, b"")
    return Link(
        index=index,
        name=attributes.get(_NAME, b"").rstrip(b"\0").decode(errors="replace"),
        mac=attributes.get(_ADDRESS, b""),
        flags=flags,
        master=_WORD.unpack(master)[0] if len(master) == _WORD.size else None,
    )
