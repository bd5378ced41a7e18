"""A client that asks for addresses a hundred times a second, and knows of each question who answered it, and when."""

import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from ipaddress import ip_address
from types import TracebackType
from typing import NamedTuple, Self

from netlb.testing.lab import Host
from tests.support.waiting import eventually
from tests.unit.l2.rigs import question

__all__ = ["Asked", "SteadyAsker"]

_INTERVAL = 0.01
_FIRST = 1000
"""Of the numbers of questions: lower ones look like well-known multicast groups."""
_LATE, _LATEST = 0.3, 10.0
"""Seconds after the last question in which answers are still waited for, and those if an address has none."""
_FIRST_IPV4 = 0x0A000000
"""Of the addresses that `question` asks from."""
_ICMPV6, _ADVERTISEMENT = 58, 136
_QUIET = 2.0
"""Seconds between two rounds of a burst are fewer."""
_SOL_PACKET, _PACKET_IGNORE_OUTGOING, _ETH_P_ALL = 263, 23, 3


class Asked(NamedTuple):
    """One question."""

    at: float
    address: str
    stations: tuple[str, ...]
    """The MAC addresses of all answers."""


class SteadyAsker:
    """Asks for each address in turn while the context lasts; `asked` has all questions afterwards."""

    def __init__(self, client: Host, addresses: Sequence[str]) -> None:
        self._socket = client.inside(_listen)
        self._addresses = addresses
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="steady asker")
        self._times: dict[int, tuple[float, str]] = {}
        self._answers: dict[int, list[str]] = {}
        self.unasked: list[tuple[float, str, str]] = []
        """What was announced to all: when, the address, and who has it."""

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        self._socket.close()

    @property
    def asked(self) -> list[Asked]:
        """What was asked, in order, with the answers so far."""
        return [
            Asked(at, address, tuple(self._answers.get(number, ())))
            for number, (at, address) in self._times.copy().items()
        ]

    @property
    def answers(self) -> Counter[tuple[str, ...]]:
        """How often which stations answered a question."""
        return Counter(each.stations for each in self.asked)

    def await_more(self, number: int) -> None:
        """Wait until so many more questions have been asked."""
        enough = len(self._times) + number
        eventually(lambda: len(self._times) > enough, "it is asked")

    def await_quiet(self) -> None:
        """Wait until nothing has been announced for a while, and begin to count anew from there."""
        began = time.monotonic()
        eventually(
            lambda: time.monotonic() > max([began, *(at for at, _, _ in self.unasked[-1:])]) + _QUIET, "bursts are over"
        )
        self.unasked.clear()

    def _run(self) -> None:
        number = _FIRST
        while not self._stopping.wait(_INTERVAL):
            number += 1
            address = self._addresses[number % len(self._addresses)]
            self._times[number] = time.monotonic(), address
            self._socket.send(question(address, number))
            self._hear()
        ended = time.monotonic()
        last = range(max(_FIRST, number - len(self._addresses)) + 1, number + 1)  # of each address
        while (passed := time.monotonic() - ended) < _LATE or (
            passed < _LATEST and not all(number in self._answers for number in last)
        ):
            time.sleep(_INTERVAL)  # answers come by themselves
            self._hear()

    def _hear(self) -> None:
        with suppress(BlockingIOError):
            while True:
                found = _claim(self._socket.recv(2048))
                if found is None or found[0] not in self._addresses:
                    continue
                address, station, asker = found
                if asker in self._times:
                    self._answers.setdefault(asker, []).append(station)
                else:
                    self.unasked.append((time.monotonic(), address, station))


def _claim(frame: bytes) -> tuple[str, str, int] | None:
    """Read an ARP reply or neighbour advertisement: address, who has it, and the number of who had asked, if any did."""
    if frame[12:14] == b"\x08\x06" and frame[20:22] == b"\x00\x02":
        packed, asker = frame[28:32], int.from_bytes(frame[38:42], "big") - _FIRST_IPV4
    elif frame[12:14] == b"\x86\xdd" and frame[20] == _ICMPV6 and frame[54] == _ADVERTISEMENT:
        packed, asker = frame[62:78], int.from_bytes(frame[40:54], "big")
    else:
        return None
    return str(ip_address(packed)), frame[6:12].hex(":"), asker


def _listen() -> socket.socket:
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    sock.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
    sock.bind(("eth0", _ETH_P_ALL))
    return sock
