"""The service that defends addresses which other stations claim, or gives them up, by what the operator chose."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress

from structlog.typing import FilteringBoundLogger

from netlb.errors import NetlbError
from netlb.l2.announces import Announces, Conflict
from netlb.l2.defence import SETTLED, Conduct, Defence
from netlb.net import Address

__all__ = ["Defender"]


class Defender:
    """Acts on claims. `give_up` is called with those to addresses that are to be given up."""

    def __init__(
        self,
        conduct: Conduct,
        announcer: Announces,
        log: FilteringBoundLogger,
        give_up: Callable[[Conflict], None],
        *,
        settled: float = SETTLED,
    ) -> None:
        self._conduct = conduct
        self._announcer = announcer
        self._log = log
        self._give_up = give_up
        self._defence = Defence(settled)
        self._defended: Counter[Address] = Counter()
        self._news = asyncio.Event()

    def claimed(self, conflict: Conflict) -> None:
        """Take in a claim to an address that is announced."""
        if self._conduct is not Conduct.REPORT:
            self._defence.claimed(conflict, asyncio.get_running_loop().time())
            self._news.set()

    def counts(self) -> Mapping[tuple[str, ...], float]:
        """Return how often each address was defended."""
        return {(str(address),): float(times) for address, times in self._defended.items()}

    async def run(self) -> None:
        """Act until cancelled."""
        while True:
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._defence.next_wakeup()):
                    await self._news.wait()
            for conflict in self._defence.due(asyncio.get_running_loop().time(), self._announcer.held()):
                if self._conduct is Conduct.YIELD:
                    self._give_up(conflict)
                else:
                    await self._defend(conflict)

    async def _defend(self, conflict: Conflict) -> None:
        try:
            await self._announcer.announce([conflict.address], rounds=1)
        except NetlbError:
            return  # the responder is being restarted, and then announces everything
        self._defended[conflict.address] += 1
        self._log.info("address defended", address=str(conflict.address), mac=conflict.mac)
