"""Ask a segment who has an address, and hear every answer.

The frames are made and read here and not with `netlb.l2`: a test that asks with the code under test would
share its mistakes. RFC 826 for ARP, RFC 4861 sections 4.3, 4.4 and 7.1.2 for neighbour discovery.
"""

import select
import socket
import struct
import time
from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from types import TracebackType
from typing import NamedTuple, Self

__all__ = ["Answer", "Question", "arp_request", "arp_sender", "neighbor_advertiser", "neighbor_solicitation"]

ETH_P_ARP = 0x0806
ETH_P_IPV6 = 0x86DD
_BROADCAST = b"\xff" * 6
_SPIN = 0.02  # seconds of busy polling after a question; who has not answered by then is not in a hurry


class Answer(NamedTuple):
    """One station's claim to have the address."""

    mac: str
    microseconds: float
    """From just before the question was sent until the answer was read."""


class Question:
    """A question that can be asked again and again; close it, or use it as a context manager."""

    def __init__(self, open_socket: Callable[[], socket.socket], frame: bytes, read: Callable[[bytes], str | None]):
        self._frame = frame
        self._read = read
        self._socket = open_socket()
        self._socket.setblocking(False)

    def ask(self, timeout: float = 0.5, stop_after: int | None = None) -> list[Answer]:
        """Send the question once; the answers of `timeout` seconds, or the first `stop_after` of them."""
        while self._receive():
            pass
        answers: list[Answer] = []
        clock = time.perf_counter
        start = clock()
        self._socket.send(self._frame)
        while True:
            elapsed = clock() - start
            if _SPIN < elapsed < timeout:
                select.select([self._socket], [], [], timeout - elapsed)
            frame = self._receive()
            if frame and (mac := self._read(frame)):
                answers.append(Answer(mac, (clock() - start) * 1e6))
                if len(answers) == stop_after:
                    break
            # What waits when the time is over came in time: it is the asker that was not let run.
            if not frame and elapsed >= timeout:
                break
        return answers

    def _receive(self) -> bytes:
        try:
            return self._socket.recv(2048)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def arp_request(mac: str, source: IPv4Address, target: IPv4Address) -> bytes:
    """A broadcast ARP request."""
    station = _bytes(mac)
    return (
        _BROADCAST + station + struct.pack("!HHHBBH", ETH_P_ARP, 1, 0x0800, 6, 4, 1)
        + station + source.packed + bytes(6) + target.packed
    )  # fmt: skip


def arp_sender(frame: bytes, asker: IPv4Address, target: IPv4Address) -> str | None:
    """The station that tells the asker in this frame that it has the target; None if none does."""
    if len(frame) < 42 or frame[12:22] != struct.pack("!HHHBBH", ETH_P_ARP, 1, 0x0800, 6, 4, 2):
        return None
    if frame[28:32] != target.packed or frame[38:42] != asker.packed:
        return None
    return _text(frame[22:28])


def neighbor_solicitation(mac: str, source: IPv6Address, target: IPv6Address) -> bytes:
    """A multicast neighbour solicitation with the asker's link-layer address."""
    station = _bytes(mac)
    group = IPv6Address("ff02::1:ff00:0").packed[:13] + target.packed[13:]
    body = target.packed + b"\x01\x01" + station
    length = 8 + len(body)
    pseudo = source.packed + group + struct.pack("!II", length, 58)
    checksum = _checksum(pseudo + struct.pack("!BBHI", 135, 0, 0, 0) + body)
    ethernet = b"\x33\x33" + group[12:] + station + struct.pack("!H", ETH_P_IPV6)
    ipv6 = struct.pack("!IHBB", 6 << 28, length, 58, 255) + source.packed + group
    return ethernet + ipv6 + struct.pack("!BBHI", 135, 0, checksum, 0) + body


def neighbor_advertiser(frame: bytes, asker: IPv6Address, target: IPv6Address) -> str | None:
    """The station that advertises the target to the asker in this frame; None if none does."""
    if len(frame) < 78 or frame[12:14] != b"\x86\xdd" or frame[20:22] != b"\x3a\xff" or frame[54] != 136:
        return None
    if frame[38:54] != asker.packed or frame[62:78] != target.packed:
        return None
    option = frame[78:86]
    return _text(option[2:] if option[:2] == b"\x02\x01" and len(option) == 8 else frame[6:12])


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))


def _text(station: bytes) -> str:
    return station.hex(":")
