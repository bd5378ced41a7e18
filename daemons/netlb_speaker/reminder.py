"""Announces again what is owned: when a node returns, which may have lived and answered others, and now and then."""

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
    """Reminds of the addresses that `owned` returns."""

    def __init__(
        self,
        announce: Callable[[Collection[Address]], Awaitable[None]],
        owned: Callable[[], Collection[Address]],
        refresh: float | None,
    ) -> None:
        """`refresh`: seconds after which each of them is announced again, whatever happens; None: it is not."""
        self._announce = announce
        self._owned = owned
        self._refresh = Refresh(refresh) if refresh else None
        self._wanted = asyncio.Event()

    def everything(self) -> None:
        """Announce all of them soon."""
        self._wanted.set()

    async def run(self) -> None:
        """Announce until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_TURN if self._refresh else None):
                    await self._wanted.wait()
            everything = self._wanted.is_set()
            self._wanted.clear()
            due = self._refresh.due(self._owned(), clock()) if self._refresh else ()
            if some := self._owned() if everything else due:
                with suppress(NetlbError):  # the responder is being restarted, and then announces everything
                    await self._announce(some)
