"""Announcing once more what is announced already: others may have been told otherwise meanwhile, or forget."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Final

from netlb.errors import NetlbError
from netlb.l2.refresh import Refresh
from netlb.net import Address

__all__ = ["Reminder"]

_TURN: Final = 1.0
"""Seconds between two looks whose turn it is."""


class Reminder:
    """Announces when a node returns, which may have lived, what other stations claim, and everything now and then."""

    def __init__(
        self,
        announce: Callable[[Collection[Address]], Awaitable[None]],
        owned: Callable[[], Collection[Address]],
        refresh: float | None,
    ) -> None:
        """`announce` passes over what is not announced; `owned` returns what this node is to answer for.

        `refresh`: seconds after which each of them is announced again, whatever happens; None: it is not.
        """
        self._announce = announce
        self._owned = owned
        self._refresh = Refresh(refresh) if refresh else None
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
        clock = asyncio.get_running_loop().time
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_TURN if self._refresh else None):
                    await self._due.wait()
            owned = self._owned()
            some: Collection[Address] = self._refresh.due(owned, clock()) if self._refresh else ()
            if self._due.is_set():
                self._due.clear()
                contested, self._contested = self._contested.union(some) if self._contested else set(), set()
                some = [each for each in owned if each in contested] if contested else owned
            if some:
                with suppress(NetlbError):  # the responder is being restarted, and then announces everything
                    await self._announce(some)
