"""Announcing once more what is announced already: others may have been told otherwise meanwhile; and now and then."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from contextlib import suppress
from typing import Final

from netlb.errors import NetlbError
from netlb.l2.burst import ROUNDS
from netlb.l2.refresh import Refresh
from netlb.net import Address

__all__ = ["Reminder"]

_TURN: Final = 1.0
"""Seconds between two looks whose turn it is."""


class Reminder:
    """Announces when a node returns, which may have lived and answered others, and what other stations claim."""

    def __init__(
        self,
        announce: Callable[[Collection[Address], int], Awaitable[None]],
        owned: Callable[[], Collection[Address]],
        refresh: float | None,
    ) -> None:
        """`announce` is given how many times, and passes over what is not announced.

        `owned` returns what this node is to answer for.
        `refresh`: seconds after which each of them is announced again, whatever happens; None: it is not.
        """
        self._announce = announce
        self._owned = owned
        self._refresh = Refresh(refresh) if refresh else None
        self._due = asyncio.Event()
        self._contested: set[Address] = set()
        """What is to be announced; empty: everything."""
        self._hushed = False

    def everything(self) -> None:
        """Announce all that is owned."""
        self._hushed = False
        self._contested.clear()
        self._due.set()

    def hush(self) -> None:
        """Announce nothing until `everything` is to be: who hears nothing would draw clients that it cannot answer."""
        self._hushed = True
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
            if some := self._now(clock()):
                with suppress(NetlbError):  # the responder is being restarted, and then announces everything
                    await self._announce(some, 0 if self._hushed else ROUNDS)

    def _now(self, now: float) -> Collection[Address]:
        """Return what is to be announced now."""
        owned = self._owned()
        turn = self._refresh.due(owned, now) if self._refresh else ()
        if not self._due.is_set():
            return turn
        self._due.clear()
        if self._hushed:
            return owned
        contested, self._contested = self._contested, set()
        return {*turn, *(each for each in owned if each in contested)} if contested else owned
