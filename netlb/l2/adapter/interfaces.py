"""Links of the kernel and their changes, from rtnetlink: one dump, then events; nothing is polled."""

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator
from typing import Any, Final, Self

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.rtnl import RTMGRP_LINK

from netlb.errors import DataplaneError
from netlb.l2.interfaces import Link

__all__ = ["LinkWatch"]

_AF_UNSPEC: Final = 0
_RETRY: Final = 0.2
"""Seconds between two attempts to open netlink anew."""


class LinkWatch:
    """Every link of the network namespace, kept up to date while `changes` is iterated."""

    def __init__(self) -> None:
        self.links: dict[int, Link] = {}
        self._route: AsyncIPRoute | None = None

    async def __aenter__(self) -> Self:
        """Read the links; DataplaneError where netlink does not serve."""
        try:
            self._route, self.links = await _open()
        except (OSError, NetlinkError) as error:
            raise DataplaneError("list the network interfaces", _errno(error)) from error
        return self

    async def __aexit__(self, *_: object) -> None:
        self._close()

    async def changes(self) -> AsyncIterator[tuple[int, Link | None]]:
        """Yield index and new state of each link that changes, or None where it is gone; never ends by itself.

        When events were lost, all links are read again, and the differences yielded.
        """
        while True:
            try:
                assert self._route is not None
                async for message in self._route.get():
                    change = _change(message)
                    if change is not None and self.links.get(change[0]) != change[1]:
                        yield self._apply(*change)
            except (OSError, NetlinkError):
                for index, link in await self._resync():
                    yield self._apply(index, link)

    async def _resync(self) -> list[tuple[int, Link | None]]:
        self._close()
        while True:
            with contextlib.suppress(OSError, NetlinkError):
                self._route, links = await _open()
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
        if self._route is not None:
            self._route.close()
            self._route = None


async def _open() -> tuple[AsyncIPRoute, dict[int, Link]]:
    """Subscribe first and read then, so that no change falls in between."""
    route = AsyncIPRoute()
    try:
        await route.bind(groups=RTMGRP_LINK)
        found = [_change(message) async for message in await route.get_links()]
    except BaseException:
        route.close()
        raise
    return route, {index: link for index, link in filter(None, found) if link is not None}


def _change(message: Any) -> tuple[int, Link | None] | None:
    """Read one netlink message; None where it is not about a link itself.

    Bridges send messages of their own family about their ports, and such a "deletion" only ends the membership.
    """
    if message["family"] != _AF_UNSPEC or message["event"] not in {"RTM_NEWLINK", "RTM_DELLINK"}:
        return None
    index = int(message["index"])
    if message["event"] == "RTM_DELLINK":
        return index, None
    address = message.get("address")
    mac = bytes.fromhex(address.replace(":", "")) if address else b""
    return index, Link(
        index=index, name=message.get("ifname"), mac=mac, flags=message["flags"], master=message.get("master")
    )


def _errno(error: OSError | NetlinkError) -> int:
    return (error.errno if isinstance(error, OSError) else error.code) or errno.EIO
