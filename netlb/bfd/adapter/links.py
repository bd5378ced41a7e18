"""Which links come up, as the kernel tells by rtnetlink(7): what was sent while they were down is lost."""

import socket
from collections.abc import Iterator
from struct import Struct
from typing import Final

__all__ = ["Links"]

_RTMGRP_LINK: Final = 1
_RTM_NEWLINK: Final = 16
_HEADER: Final = Struct("=IHHII")
"""Of a netlink message: its length with this, its type, flags, number and port."""
_LINK: Final = Struct("=BxHiII")
"""Family, type of hardware, index, flags and which of them changed."""
_ALIGNMENT: Final = 4
_IFF_RUNNING: Final = 0x40
_MOST_BYTES: Final = 1 << 16


class Links:
    """A socket to watch for input."""

    def __init__(self) -> None:
        self._sock = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE)
        self._sock.bind((0, _RTMGRP_LINK))

    def fileno(self) -> int:
        """Return the socket's."""
        return self._sock.fileno()

    def running(self) -> set[int]:
        """Return the interfaces, by index, of which the kernel has said since the last call that they can send.

        One that goes down and comes up again within a second may be said to be up only: the kernel delays the former.
        """
        found: set[int] = set()
        while True:
            try:
                data = self._sock.recv(_MOST_BYTES)
            except BlockingIOError:
                return found
            except OSError:  # there were too many; what is lost costs a second
                continue
            found.update(_running(data))


def _running(data: bytes) -> Iterator[int]:
    at = 0
    while len(data) - at >= _HEADER.size + _LINK.size:
        length, kind, *_ = _HEADER.unpack_from(data, at)
        family, _, index, flags, _ = _LINK.unpack_from(data, at + _HEADER.size)
        if kind == _RTM_NEWLINK and family == socket.AF_UNSPEC and flags & _IFF_RUNNING:
            yield index
        at += max(_HEADER.size, -(-length // _ALIGNMENT) * _ALIGNMENT)
