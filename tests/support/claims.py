"""Who says on a segment that it has an address, and when: RFC 826 and RFC 4861 section 4.4, by the bytes."""

import socket
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import NamedTuple

from netlb.testing.lab import Host

__all__ = ["Claim", "Watching", "overlap", "watching"]

_ALL = 0x0003
_TIMESTAMPNS = 35
_SO_RCVBUFFORCE = 33


class Claim(NamedTuple):
    """A frame by which a station claims an address: an answer, or one that nobody asked for."""

    at: float
    """Seconds, by the kernel's clock, when the frame came in."""
    address: str
    mac: str


class Watching:
    """What a host hears of addresses, from the moment it was made; the kernel keeps the frames and their times."""

    def __init__(self, host: Host) -> None:
        self._socket = host.inside(_open)
        self._claims: list[Claim] = []

    def claims(self) -> list[Claim]:
        """Return every claim so far."""
        while True:
            try:
                frame, extra, _, sender = self._socket.recvmsg(2048, 64)
            except BlockingIOError:
                return list(self._claims)
            found = _claimed(frame)
            if found and sender[2] != socket.PACKET_OUTGOING:
                [(_, _, stamp)] = [one for one in extra if one[1] == _TIMESTAMPNS]
                seconds, nanoseconds = struct.unpack("@qq", stamp[:16])
                address, mac = found
                self._claims.append(Claim(seconds + nanoseconds / 1e9, str(ip_address(address)), mac.hex(":")))

    def close(self) -> None:
        """Hear no more."""
        self._socket.close()


@contextmanager
def watching(host: Host) -> Iterator[Watching]:
    """Watch from a host."""
    made = Watching(host)
    try:
        yield made
    finally:
        made.close()


def overlap(claims: Iterable[Claim], address: str, before: str, after: str) -> float:
    """Return for how many seconds two stations had an address: from the later one's first claim to the other's last.

    Not above zero: there was none.
    """
    listed = [claim for claim in claims if claim.address == address]
    last = max((claim.at for claim in listed if claim.mac == before), default=float("-inf"))
    return last - min(claim.at for claim in listed if claim.mac == after)


def _open() -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, 8 << 20)
    sock.setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
    sock.bind(("eth0", _ALL))
    return sock


def _claimed(frame: bytes) -> tuple[bytes, bytes] | None:
    if frame[12:14] == b"\x08\x06":
        return None if frame[28:32] == bytes(4) else (frame[28:32], frame[22:28])
    if frame[12:14] == b"\x86\xdd" and frame[20] == 58 and frame[54] == 136:
        return frame[62:78], frame[6:12]
    return None
