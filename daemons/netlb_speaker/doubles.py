"""The service that looks whether this node's kernel answers for addresses which other nodes announce."""

import asyncio
from collections.abc import Callable, Collection, Iterable

from prometheus_client import Metric
from structlog.typing import FilteringBoundLogger

from netlb.api.snapshot import Snapshot
from netlb.errors import NetlbError
from netlb.l2.adapter.locals import arp_ignore, interface_names, local_addresses
from netlb.l2.announces import Announces
from netlb.l2.doubles import Double, find_doubles, sentences
from netlb.net import Address
from netlb.runtime.metrics import gauge

__all__ = ["EVERY", "Doubles", "addresses_held"]

EVERY = 10.0
"""Seconds between two looks."""


def addresses_held(snapshot: Snapshot | None) -> set[Address]:
    """Return the addresses that Services hold."""
    holdings = snapshot.holdings.values() if snapshot else ()
    return {address for holding in holdings for address in holding.addresses}


class Doubles:
    """Tells of such addresses. `foreign` returns what others are to answer for."""

    def __init__(
        self,
        log: FilteringBoundLogger,
        announcer: Announces,
        foreign: Callable[[], Collection[Address]],
        on_note: Callable[[], None],
        *,
        every: float = EVERY,
    ) -> None:
        self._log = log
        self._foreign = foreign
        self._announcer = announcer
        self._on_note = on_note
        self._every = every
        self._found: list[Double] = []
        self._told: frozenset[str] = frozenset()

    async def run(self) -> None:
        """Look now and then, until cancelled."""
        while True:
            await asyncio.sleep(self._every)
            foreign, interfaces = self._foreign(), {interface.name for interface in self._announcer.interfaces()}
            try:
                local = local_addresses() if foreign and interfaces else []
            except NetlbError:
                continue  # netlink is busy
            found = find_doubles(foreign, local, interface_names(), arp_ignore(interfaces))
            if found != self._found:
                self._found = found
                self._tell()

    def notes(self) -> list[str]:
        """Return what an operator should know, and do."""
        return sentences(self._found)

    def metrics(self) -> Iterable[Metric]:
        """Count the addresses."""
        holders = [holder for _, holder in {(double.address, double.holder) for double in self._found}]
        yield gauge(
            "netlb_layer2_answered_by_kernel",
            "Addresses of an interface that other nodes announce, and this node's kernel answers for.",
            ("interface",),
            {(holder,): float(holders.count(holder)) for holder in set(holders)},
        )

    def _tell(self) -> None:
        holders = frozenset(double.holder for double in self._found)
        if holders - self._told:
            for problem in self.notes():
                self._log.warning("kernel answers too", problem=problem)
        elif not holders:
            self._log.info("kernel answers no more for what others announce")
        self._told = holders
        self._on_note()
