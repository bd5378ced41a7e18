"""See the frames that reach an interface."""

import select
import socket
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

__all__ = ["ETH_P_ALL", "Capture"]

ETH_P_ALL = 0x0003
_ROOM = 8 * 1024 * 1024  # bytes of frames that the kernel keeps for us between two looks
_SO_RCVBUFFORCE = 33


class Capture:
    """Raw Ethernet frames, in the order of arrival, from the moment the capture began.

    The kernel keeps them: there is no thread, and nothing is missed between two looks until 8 MiB are full.
    """

    def __init__(self, opened: socket.socket, match: Callable[[bytes], bool] | None, outgoing: bool) -> None:
        self._socket = opened
        self._socket.setblocking(False)
        self._match = match
        self._outgoing = outgoing
        self._frames: list[bytes] = []

    def frames(self) -> list[bytes]:
        """Every frame so far that matches."""
        while True:
            try:
                frame, address = self._socket.recvfrom(65536)
            except BlockingIOError:
                return list(self._frames)
            if address[2] == socket.PACKET_OUTGOING and not self._outgoing:
                continue
            if self._match is None or self._match(frame):
                self._frames.append(frame)

    def wait(self, count: int = 1, timeout: float = 1.0) -> list[bytes]:
        """Every frame so far, as soon as there are `count` of them or after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while len(frames := self.frames()) < count and (left := deadline - time.monotonic()) > 0:
            select.select([self._socket], [], [], left)
        return frames

    def close(self) -> None:
        """End the capture; what `frames` returned stays valid."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_packet_socket(interface: str, ethertype: int) -> socket.socket:
    """An AF_PACKET socket that hears one interface from its first moment on."""
    opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)
        opened.bind((interface, ethertype))
    except BaseException:
        opened.close()
        raise
    return opened
