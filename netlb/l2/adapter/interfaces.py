"""Links of the kernel and their changes, from rtnetlink: one dump, then events; nothing is polled."""

import asyncio
import contextlib
import errno
import os
import socket
from collections.abc import AsyncIterator
from typing import Final, Self

from netlb.errors import DataplaneError
from netlb.l2 import linkmsg
from netlb.l2.interfaces import Link

__all__ = ["LinkWatch"]

_RTMGRP_LINK: Final = 1
_CHUNK: Final = 1 << 16
_TRIES: Final = 10
_RETRY: Final = 0.2
"""Seconds between two attempts to open netlink anew."""


class LinkWatch:
    """Every link of the network namespace, kept up to date while `changes` is iterated."""

    def __init__(self) -> None:
        self.links: dict[int, Link] = {}
        self._socket: socket.socket | None = None

    async def __aenter__(self) -> Self:
        """Read the links; DataplaneError where netlink does not serve."""
        try:
            self._socket, self.links = await _open()
        except OSError as error:
            raise DataplaneError("list the network interfaces", error.errno or errno.EIO) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        self._close()

    async def changes(self) -> AsyncIterator[tuple[int, Link | None]]:
        """Yield index and new state of each link that changes, or None where it is gone; never ends by itself.

        When events were lost, all links are read again, and the differences yielded.
        """
        while True:
            try:
                assert self._socket is not None
                data = await asyncio.get_running_loop().sock_recv(self._socket, _CHUNK)
                for message in linkmsg.decode(data):
                    if not message.ended and self.links.get(message.index) != message.link:
                        yield self._apply(message.index, message.link)
            except OSError:
                for index, link in await self._resync():
                    yield self._apply(index, link)

    async def _resync(self) -> list[tuple[int, Link | None]]:
        self._close()
        while True:
            with contextlib.suppress(OSError):
                self._socket, links = await _open()
                break
            await asyncio.sleep(_RETRY)
        gone: list[tuple[int, Link | None]] = [(index, None) for index in self.links.keys() - links.keys()]
        return gone + [(index, link) for index, link in links.items() if self.links.get(index) != link]

    def _apply(self, index: int, link: Link | None) -> tuple[int, Link | None]:
        if link is None:
            self.links.pop(index, None)
        else:
            self.links[index] = link
        return index, link

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None


async def _open() -> tuple[socket.socket, dict[int, Link]]:
    """Subscribe first and read then, so that no change falls in between."""
    opened = socket.socket(
        socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE
    )
    try:
        opened.bind((0, _RTMGRP_LINK))
        for sequence in range(1, _TRIES + 1):
            links = await _list(opened, sequence)
            if links is not None:
                return opened, links
    except BaseException:
        opened.close()
        raise
    opened.close()
    raise OSError(errno.EINTR, os.strerror(errno.EINTR))


async def _list(opened: socket.socket, sequence: int) -> dict[int, Link] | None:
    """Return all links; None where they changed while they were read. Events in between count as they come."""
    links: dict[int, Link] = {}
    interrupted = False
    opened.send(linkmsg.encode_list(sequence))
    while True:
        for message in linkmsg.decode(await asyncio.get_running_loop().sock_recv(opened, _CHUNK)):
            interrupted |= message.interrupted
            if message.errno and message.sequence == sequence:
                raise OSError(message.errno, os.strerror(message.errno))
            if message.ended and message.sequence == sequence:
                return None if interrupted else links
            if message.link is not None:
                links[message.index] = message.link
            elif not message.ended:
                links.pop(message.index, None)
