"""Other stations that claim addresses which are announced here: told, and defended against or given way to."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from prometheus_client import Metric
from structlog.typing import FilteringBoundLogger

from netlb.errors import NetlbError
from netlb.l2.announces import Announces, Conflict, Stranger
from netlb.l2.defence import SETTLED, Conduct, Defence
from netlb.net import Address
from netlb.plan import NodePlan
from netlb_speaker.disputes import Disputes
from netlb_speaker.metrics import conflict_metrics
from netlb_speaker.prober import Prober

__all__ = ["Conflicts"]


class Conflicts:
    """Tells of claims, and acts on them as the operator chose.

    `plan` returns what is in force; `contested` is called with addresses that are claimed and not given up for it.
    """

    def __init__(
        self,
        conduct: Conduct,
        announcer: Announces,
        prober: Prober,
        log: FilteringBoundLogger,
        plan: Callable[[], NodePlan | None],
        *,
        contested: Callable[[Address], None],
        settled: float = SETTLED,
    ) -> None:
        self._conduct = conduct
        self._announcer = announcer
        self._prober = prober
        self._log = log
        self._plan = plan
        self._contested = contested
        self._disputes = Disputes()
        self._defence = Defence(settled)
        self._defended: Counter[Address] = Counter()
        self._news = asyncio.Event()

    def seen(self, conflict: Conflict) -> None:
        """Take in a claim."""
        now = asyncio.get_running_loop().time()
        if self._disputes.add(conflict, now):
            self._log.warning(
                "address conflict", address=str(conflict.address), mac=conflict.mac, interface=conflict.interface
            )
        if (plan := self._plan()) is not None and (announced := plan.l2.get(conflict.address)):
            if not self._prober.claimed(conflict.address, _stranger(conflict), announced.interfaces):
                self._contested(conflict.address)
            if self._conduct is not Conduct.REPORT:
                self._defence.claimed(conflict, now)
                self._news.set()

    async def run(self) -> None:
        """Act until cancelled."""
        while True:
            self._news.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(self._defence.next_wakeup()):
                    await self._news.wait()
            plan = self._plan()
            announced = plan.l2 if plan else {}
            for conflict in self._defence.due(asyncio.get_running_loop().time(), announced):
                if self._conduct is Conduct.YIELD:
                    where = announced[conflict.address].interfaces
                    self._prober.give_up(conflict.address, _stranger(conflict), where)
                else:
                    await self._defend(conflict)

    def notes(self) -> Iterable[str]:
        """Yield a sentence about each claim to an address that is announced here."""
        plan = self._plan()
        return self._disputes.notes(plan.l2 if plan else ())

    def metrics(self) -> Iterable[Metric]:
        """Count claims and defences, and show what is withheld."""
        defences: Mapping[tuple[str, ...], float] = {(str(each),): float(n) for each, n in self._defended.items()}
        return conflict_metrics(self._prober.withheld, self._disputes.counts(), defences)

    async def _defend(self, conflict: Conflict) -> None:
        try:
            await self._announcer.announce([conflict.address], rounds=1)
        except NetlbError:
            return  # the responder is being restarted, and then announces everything
        self._defended[conflict.address] += 1
        self._log.info("address defended", address=str(conflict.address), mac=conflict.mac)


def _stranger(conflict: Conflict) -> Stranger:
    return Stranger(conflict.mac, conflict.interface)
