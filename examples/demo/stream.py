"""A TCP connection over which something is said all the time, to see for how long nothing of it comes back."""

import contextlib
import socket
import struct
import threading
import time
from ipaddress import ip_address
from itertools import pairwise
from typing import Final, Self

from netlb.net import Address
from netlb.testing.lab import Host

_PORT: Final = 5203
_PAUSE: Final = 0.005
_WORD: Final = struct.Struct("!d")
_PATIENCE: Final = 30.0


class Stream:
    """A client that says what time it is every 5 ms, and a server that sends back what it hears."""

    def __init__(self, source: Host, target: Host, address: Address | str) -> None:
        family = socket.AF_INET if ip_address(address).version == 4 else socket.AF_INET6
        self._listening = target.inside(lambda: socket.create_server((str(address), _PORT), family=family))
        self._near = source.connect(address, _PORT, _PATIENCE)
        self._far, _ = self._listening.accept()
        self._near.settimeout(None)
        self._near.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._over = threading.Event()
        self._threads = [threading.Thread(target=each) for each in (self._say, self._echo, self._hear)]
        self._heard: list[tuple[float, float]] = []
        """When it was said, and when it came back."""

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for each in (self._near, self._far):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for each in (self._near, self._far, self._listening):
            each.close()

    def flows(self, since: float) -> bool:
        """Whether all that was said of late comes back in time, for half a second after a moment.

        What was held up comes back all at once, and does not count.
        """
        last = self._heard[-100:]
        if len(last) < 100 or last[0][0] < since or last[-1][1] - last[0][1] < 0.3:
            return False
        return all(heard - said < 1.0 for said, heard in last)

    def silence(self, since: float) -> float:
        """Return the longest time since a moment in which nothing came back, in seconds."""
        times = [heard for _, heard in list(self._heard)]
        return max((after - before for before, after in pairwise(times) if after >= since))

    def _say(self) -> None:
        with contextlib.suppress(OSError):
            while not self._over.wait(_PAUSE):
                self._near.sendall(_WORD.pack(time.monotonic()))

    def _echo(self) -> None:
        with contextlib.suppress(OSError):
            while piece := self._far.recv(4096):
                self._far.sendall(piece)

    def _hear(self) -> None:
        left = b""
        with contextlib.suppress(OSError):
            while piece := self._near.recv(4096):
                now = time.monotonic()
                left += piece
                whole = len(left) // _WORD.size * _WORD.size
                self._heard += [(said, now) for (said,) in _WORD.iter_unpack(left[:whole])]
                left = left[whole:]
