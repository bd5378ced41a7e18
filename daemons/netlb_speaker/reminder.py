"""Announcing once more what is announced already: others may have been told otherwise meanwhile."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress

from netlb.errors import NetlbError
from netlb.net import Address

__all__ = ["Reminder"]


class Reminder:
    """Announces when a node returns, which may have lived and answered others, and what other stations claim."""

    def __init__(
        self, announce: Callable[[Collection[Address]], Awaitable[None]], owned: Callable[[], Collection[Address]]
    ) -> None:
        """`announce` passes over what is not announced; `owned` returns what this node is to answer for."""
        self._announce = announce
        self._owned = owned
        self._due = asyncio.Event()
        self._contested: set[Address] = set()
        """What is to be announced; empty: everything."""

    def everything(self) -> None:
        """Announce all that is owned."""
        self._contested.clear()
        self._due.set()

    def contested(self, address: Address) -> None:
        """Announce an address that another station claims: told of once in ten seconds, as of RFC 5227."""
        if self._contested or not self._due.is_set():
            self._contested.add(address)
        self._due.set()

    async def run(self) -> None:
        """Announce what is to be, until cancelled."""
        while True:
            await self._due.wait()
            self._due.clear()
            contested, self._contested = self._contested, set()
            owned = self._owned()
            with suppress(NetlbError):  # the responder is being restarted, and then announces everything
                await self._announce([each for each in owned if each in contested] if contested else owned)
