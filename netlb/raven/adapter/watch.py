"""Events of the kernel that were not made by us, as they happen."""

import asyncio
import errno
import socket
from collections.abc import AsyncIterator, Callable, Collection
from typing import Final

from netlb.raven.adapter.netlink import ignore, open_netlink
from netlb.raven.events import NETFILTER_GROUPS, ROUTE_GROUPS, Change, Ears

__all__ = ["Watch"]

_CHUNK: Final = 1 << 16
_PAUSE: Final = 0.02
"""Seconds between two answers: what changes together is told together."""


class Watch:
    """Listens from `open` to `close`."""

    def __init__(self, ears: Ears) -> None:
        self.ears = ears
        self._sockets: list[socket.socket] = []
        self._heard: set[Change] = set()
        self._news = asyncio.Event()

    def open(self, own: Collection[int]) -> None:
        """Begin to listen to all but what is done through sockets with these ports; OSError if netlink does not
        serve."""
        for protocol, groups, hear in (
            (socket.NETLINK_ROUTE, ROUTE_GROUPS, self.ears.route),
            (_NETLINK_NETFILTER, NETFILTER_GROUPS, self.ears.netfilter),
        ):
            opened = open_netlink(protocol, groups)
            self._sockets.append(opened)
            ignore(opened, own)
            asyncio.get_running_loop().add_reader(opened, self._drain, opened, hear)

    def close(self) -> None:
        """Listen no more."""
        for opened in self._sockets:
            asyncio.get_running_loop().remove_reader(opened)
            opened.close()
        self._sockets.clear()

    async def changes(self) -> AsyncIterator[frozenset[Change]]:
        """Yield what has happened since it was last asked, also before it was first; never ends by itself."""
        while True:
            await self._news.wait()
            self._news.clear()
            heard, self._heard = frozenset(self._heard), set()
            yield heard
            await asyncio.sleep(_PAUSE)

    def _drain(self, opened: socket.socket, hear: Callable[[bytes], set[Change]]) -> None:
        while True:
            try:
                self._heard |= hear(opened.recv(_CHUNK))
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._heard |= set(Change)  # some were lost, whatever they were
        if self._heard:
            self._news.set()


_NETLINK_NETFILTER: Final = 12
