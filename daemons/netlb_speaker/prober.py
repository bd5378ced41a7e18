"""The service that probes what the guard withholds. Batches run side by side: a new address waits for no older one."""

import asyncio
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet

from structlog.typing import FilteringBoundLogger

from netlb.errors import DataplaneError, NetlbError
from netlb.l2.adapter.operations import Where
from netlb.l2.announces import Announces, Stranger
from netlb.l2.probe import ProbeTimings
from netlb.net import Address
from netlb.plan import NodePlan
from netlb.reasons import Silence
from netlb_speaker.guard import Guard, Withheld

__all__ = ["Prober"]


class Prober:
    """Asks the segment about fresh addresses. `on_change` is called when other addresses are withheld than before."""

    def __init__(
        self,
        announcer: Announces,
        timings: ProbeTimings,
        log: FilteringBoundLogger,
        on_change: Callable[[], None],
        *,
        probes: bool = True,
        yields: bool = False,
    ) -> None:
        """`probes` and `yields` as of `Guard`."""
        self._guard = Guard(timings.rate_limit_interval, probes=probes, yields=yields)
        self._announcer = announcer
        self._timings = timings
        self._log = log
        self._on_change = on_change
        self._planned = asyncio.Event()

    @property
    def withheld(self) -> Mapping[Address, Withheld]:
        """What must not be announced now."""
        return self._guard.withheld

    def planned(
        self, held: AbstractSet[Address], plan: NodePlan, *, alone: bool = False, announcing: bool = True
    ) -> None:
        """Take in a snapshot, as of `Guard.planned`; `withheld` is right at once."""
        self._guard.planned(held, plan, alone=alone, announcing=announcing)
        self._planned.set()

    def claimed(self, address: Address, stranger: Stranger, where: Where) -> bool:
        """Give up an address that another station claims, if that is how it is done; it is asked for again.

        Return whether it was given up.
        """
        if not self._guard.claimed(address, stranger, where, _now()):
            return False
        self._tell_conflict(address, stranger)
        self._planned.set()
        self._on_change()
        return True

    def give_up(self, address: Address, stranger: Stranger, where: Where) -> None:
        """Give up an address that another station claims, until nobody else has it."""
        if self._guard.give_up(address, stranger, where, _now()):
            self._tell_conflict(address, stranger)
            self._planned.set()
            self._on_change()

    async def run(self) -> None:
        """Probe until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._planned.clear()
                if asked := self._guard.start(_now()):
                    group.create_task(self._probe(asked))
                try:
                    async with asyncio.timeout_at(self._guard.next_wakeup()):
                        await self._planned.wait()
                except TimeoutError:
                    continue

    async def _probe(self, asked: Mapping[Address, Where]) -> None:
        try:
            found = await self._announcer.probe(dict(asked.items()), self._timings)
        except DataplaneError as error:
            if len(asked) > 1:  # one of them is refused, and must not stand in the way of the others
                await asyncio.gather(*(self._probe({address: where}) for address, where in asked.items()))
                return
            self._guard.failed(asked, str(error), _now())
        except NetlbError as error:
            self._guard.failed(asked, str(error), _now())
        else:
            for address, stranger in self._guard.found(asked, found, _now()):
                if stranger is None:
                    self._log.info("address conflict over", address=str(address))
                else:
                    self._tell_conflict(address, stranger)
        self._planned.set()  # the time to wake up is another now
        self._on_change()

    def _tell_conflict(self, address: Address, stranger: Stranger) -> None:
        self._log.warning(
            "address not announced",
            reason=str(Silence.ADDRESS_CONFLICT),
            address=str(address),
            mac=stranger.mac,
            interface=stranger.interface,
            remedy="take the address from that station, or out of the pool",
        )


def _now() -> float:
    return asyncio.get_running_loop().time()
