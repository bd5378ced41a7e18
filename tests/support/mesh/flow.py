"""A TCP connection between two pods that lives through what happens to the network."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

from netlb.net import Address
from netlb.testing.lab import Host

__all__ = ["Flow"]

_PORT = 5202


class Flow:
    """An open connection to an echo."""

    def __init__(self, source: Host, target: Host, address: Address) -> None:
        family = socket.AF_INET if address.version == 4 else socket.AF_INET6
        self._listening = target.inside(lambda: socket.create_server((str(address), _PORT), family=family))
        self._connection = source.connect(address, _PORT, 60.0)
        self._far, _ = self._listening.accept()
        self._echo = threading.Thread(target=self._answer)
        self._echo.start()
        self._said = 0

    def answers(self, within: float = 60.0) -> bool:
        """Say something and wait until it comes back; `within` bounds the wait of a test that fails."""
        self._said += 1
        word = f"{self._said}\n".encode()
        self._connection.settimeout(within)
        try:
            self._connection.sendall(word)
            return self._connection.makefile("rb").readline() == word
        except OSError:
            return False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in (self._connection, self._far):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._echo.join()
        for each in (self._connection, self._far, self._listening):
            each.close()

    def _answer(self) -> None:
        try:
            while piece := self._far.recv(4096):
                self._far.sendall(piece)
        except OSError:
            return
