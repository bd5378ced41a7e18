"""What is done about a station that claims an address which is announced here (RFC 5227 section 2.4). Pure.

It is done once the claim has lasted: when an address moves between our own nodes, the new owner's announcements look
just like a claim, and a moment later the address is not announced here any more. And once in DEFEND_INTERVAL at most,
so that two stations that both defend an address do not flood the segment.
"""

from collections.abc import Collection
from enum import StrEnum
from typing import Final

from netlb.l2.announces import Conflict
from netlb.l2.conflicts import INTERVAL
from netlb.net import Address

__all__ = ["SETTLED", "Conduct", "Defence"]

SETTLED: Final = 5.0
"""Seconds after which our own nodes agree on who owns an address: as long as one that starts is waited for."""


class Conduct(StrEnum):
    """What is done about a claim."""

    REPORT = "report"
    """Say so, and nothing else."""
    DEFEND = "defend"
    """And announce the address once: (c) of RFC 5227 section 2.4, for addresses that must not be given up."""
    YIELD = "yield"
    """And cease using the address, as (a) has it, until no other station has it."""


class Defence:
    """The claims that are waited on, and when an address was defended last."""

    def __init__(self, settled: float = SETTLED) -> None:
        self._settled = settled
        self._claims: dict[Address, tuple[float, Conflict]] = {}
        """By address, the first claim that was not acted upon, and when it will be."""
        self._acted: dict[Address, float] = {}

    def claimed(self, conflict: Conflict, now: float) -> None:
        """Take in a claim."""
        self._claims.setdefault(conflict.address, (now + self._settled, conflict))

    def due(self, now: float, announced: Collection[Address]) -> list[Conflict]:
        """Return the claims to act upon now, to addresses that are announced here still; it counts as done."""
        self._acted = {address: at for address, at in self._acted.items() if now < at + INTERVAL}
        ripe = [conflict for at, conflict in self._claims.values() if at <= now]
        for conflict in ripe:
            del self._claims[conflict.address]
        lasting = [each for each in ripe if each.address in announced and each.address not in self._acted]
        self._acted |= {conflict.address: now for conflict in lasting}
        return lasting

    def next_wakeup(self) -> float | None:
        """Return when `due` next has something to say, or None."""
        return min((at for at, _ in self._claims.values()), default=None)
