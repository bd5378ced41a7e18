"""Sockets of rtnetlink, and batches of messages over one.

The kernel works on a request within the call that sends it, and its answers are there when that returns: nothing is
waited for, so nothing here needs the event loop but to let it turn between two parts of a large batch.
"""

import asyncio
import contextlib
import ctypes
import errno
import os
import socket
import struct
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final

from netlb.errors import DataplaneError
from netlb.raven.rtmsg import Flag, Kind, messages

__all__ = ["Exchange", "Refusal", "ignore", "open_netlink"]

_SOL_NETLINK: Final = 270
_ADD_MEMBERSHIP, _CAP_ACK, _EXT_ACK, _STRICT = 1, 10, 11, 12
_SO_ATTACH_FILTER, _SO_RCVBUFFORCE = 26, 33
_PORT_OFFSET: Final = 12
_ROOM: Final = 4 << 20
"""Octets for answers: if each message of a part is refused, there is room for all the words."""
_PART: Final = 250
"""Messages sent at once: some 2 ms of the kernel's time, for which the event loop stands still."""
_CHUNK: Final = 1 << 16
_REQUEST: Final = int(Flag.REQUEST)
_LAST: Final = int(Flag.REQUEST | Flag.ACK)
_ERROR: Final = struct.Struct("=iIHHII")  # nlmsgerr: the error, and the header of what it is about
_ATTRIBUTE: Final = struct.Struct("=HH")
_CAPPED: Final = 0x100
_WORDS: Final = 1  # NLMSGERR_ATTR_MSG
_TRIES: Final = 10

Refusal = tuple[int, str]
"""Why the kernel refused: errno, and its own words (or those of the errno)."""


def open_netlink(
    protocol: int = socket.NETLINK_ROUTE, groups: Iterable[int] = (), *, brief: bool = False
) -> socket.socket:
    """Open a netlink socket that does not block and is told of what happens in these groups; OSError if there is none.

    `brief` leaves out of answers what was asked, which pyroute2 expects there. The socket belongs for good to the
    network namespace that its thread is in.
    """
    # asyncio, and pyroute2 with it, takes datagram sockets only; to netlink the two types are one.
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
    try:
        for option in (_EXT_ACK, _STRICT, *((_CAP_ACK,) if brief else ())):
            opened.setsockopt(_SOL_NETLINK, option, 1)
        with contextlib.suppress(PermissionError):
            opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)
        opened.bind((0, 0))
        for group in groups:
            opened.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)
    except BaseException:
        opened.close()
        raise
    return opened


def ignore(listening: socket.socket, ports: Collection[int]) -> None:
    """Drop in the kernel what is told of things that were done through sockets with these ports.

    A message names that port in its header; classic BPF (Documentation/networking/filter.rst) reads it there, as big
    endian. Ten thousand routes of our own would else be told one by one.
    """
    load, equal, give = 0x20, 0x15, 0x06
    code = [(load, 0, 0, _PORT_OFFSET)]
    for place, port in enumerate(ports):
        code.append((equal, len(ports) - place, 0, int.from_bytes(port.to_bytes(4, sys.byteorder), "big")))
    code += [(give, 0, 0, 0xFFFFFFFF), (give, 0, 0, 0)]
    packed = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in code))
    listening.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(code), ctypes.addressof(packed)))


class Exchange:
    """Requests and their answers over one socket, one caller at a time."""

    def __init__(self, opened: socket.socket) -> None:
        self._socket = opened
        self._sequence = 0

    async def batch(self, encoders: Sequence[Callable[[int, int], bytes]]) -> dict[int, Refusal]:
        """Send what each encoder makes of the flags of a request and a sequence number; return refusals by place.

        Only the last message of a part asks to be acknowledged: refusals come in any case, and all others have worked
        when it has.
        """
        refused: dict[int, Refusal] = {}
        for start in range(0, len(encoders), _PART):
            part = encoders[start : start + _PART]
            first = self._sequence = self._sequence + 1
            self._sequence = last = first + len(part) - 1
            data = b"".join(
                encode(_LAST if number == last else _REQUEST, number) for number, encode in enumerate(part, first)
            )
            self._socket.send(data)
            for number, refusal in self._answers(last):
                if refusal is not None and first <= number <= last:
                    refused[start + number - first] = refusal
            await asyncio.sleep(0)
        return refused

    def dump(self, encode: Callable[[int], bytes]) -> list[bytes]:
        """Return the bodies of what a dump consists of; DataplaneError if it never comes to an end in peace.

        One that changes meanwhile is begun again.
        """
        for _ in range(_TRIES):
            self._sequence += 1
            self._socket.send(encode(self._sequence))
            found, interrupted = self._dumped(self._sequence)
            if not interrupted:
                return found
        raise DataplaneError("list what is in the kernel: it changes all the time", errno.EINTR)

    def _dumped(self, sequence: int) -> tuple[list[bytes], bool]:
        found: list[bytes] = []
        interrupted = False
        while True:
            for kind, flags, number, body in messages(self._socket.recv(_CHUNK)):
                if number != sequence:
                    continue
                interrupted |= bool(flags & Flag.DUMP_INTERRUPTED)
                if kind == Kind.DONE:
                    return found, interrupted
                if kind == Kind.ERROR:
                    refusal = _refusal(flags, body)[1] or (0, "")
                    if refusal[0] == errno.ENOENT:  # no such table
                        return found, interrupted
                    raise DataplaneError(f"list what is in the kernel: {refusal[1]}", refusal[0])
                found.append(body)

    def _answers(self, last: int) -> Iterator[tuple[int, Refusal | None]]:
        """Yield the answers up to that to the last message."""
        while True:
            for kind, flags, number, body in messages(self._socket.recv(_CHUNK)):
                if kind == Kind.ERROR:
                    yield number, _refusal(flags, body)[1]
                    if number == last:
                        return


def _refusal(flags: int, body: bytes) -> tuple[int, Refusal | None]:
    """Return the sequence number that an error is about, and the error; None: it is an acknowledgement."""
    code, length, _, _, sequence, _ = _ERROR.unpack_from(body)
    if code == 0:
        return sequence, None
    number = -code
    # Behind the header comes the whole request, unless it was left out (NLM_F_CAPPED), and then attributes.
    offset = _ERROR.size if flags & _CAPPED else 4 + (length + 3 & ~3)
    while len(body) - offset >= _ATTRIBUTE.size:
        size, attribute = _ATTRIBUTE.unpack_from(body, offset)
        if size < _ATTRIBUTE.size:
            break
        if attribute == _WORDS:
            return sequence, (number, body[offset + 4 : offset + size].rstrip(b"\0").decode(errors="replace"))
        offset += size + 3 & ~3
    return sequence, (number, os.strerror(number))
