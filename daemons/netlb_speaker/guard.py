"""Which addresses are not announced before it is known that no other station has them. Pure: time is an argument.

Who yields asks about every address that it comes to own, at its start and at a failover, too, and gives up again what
another station claims, until nobody has it any more. So does a node that is alone, for that time: others may have taken
it for dead, and it cannot know. What it withholds for that it announces at once when it is not alone any more.

Otherwise an address is *fresh* from when it comes into the holdings, where nobody held it before, until some node owns
it. Its first owner probes it, if that is wanted, and announces it if nobody has it. That is decided from snapshots
alone, so all speakers agree:

- what is there in the first snapshot after a start may have been announced before, and is announced at once;
- so is what comes from another owner, since a failover must not be delayed by seconds;
- what leaves this node's plan before it was ever announced is fresh again, unless another node owns it then.
"""

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from math import inf

from netlb.l2.adapter.operations import Where
from netlb.l2.announces import Stranger
from netlb.net import Address, is_station
from netlb.plan import NodePlan
from netlb.reasons import Silence

__all__ = ["RETRY", "Guard", "Withheld"]

RETRY = 1.0
"""Seconds at most until a probe that could not be made, as without an interface or a responder, is tried again."""


@dataclass(frozen=True, slots=True)
class Withheld:
    """An address that this node owns and does not announce yet."""

    stranger: Stranger | None = None
    """Who has it; None: that is being found out."""
    problem: str = ""
    """Why it could not be found out the last time."""


@dataclass(slots=True)
class _Case:
    where: Where
    due: float
    """When to probe next; never while a probe runs."""
    withheld: Withheld = Withheld()
    alone: bool = False
    """Whether it is a case for want of knowing who lives."""


class Guard:
    """The addresses that are withheld, and when they are probed.

    An address in conflict is probed again `rate_limit_interval` seconds after it was found to be.
    """

    def __init__(self, rate_limit_interval: float, *, probes: bool = True, yields: bool = False) -> None:
        """With `probes` fresh addresses are probed; with `yields` all are, and given up when they are claimed."""
        self._probes = probes
        self._yields = yields
        self._alone = False
        self._owned: AbstractSet[Address] = frozenset()
        self._interval = rate_limit_interval
        self._retry = min(RETRY, rate_limit_interval)
        self._held: AbstractSet[Address] | None = None
        self._fresh: set[Address] = set()
        self._cases: dict[Address, _Case] = {}

    @property
    def withheld(self) -> Mapping[Address, Withheld]:
        """What must not be announced now."""
        return {address: case.withheld for address, case in self._cases.items()}

    def planned(
        self, held: AbstractSet[Address], plan: NodePlan, *, alone: bool = False, announcing: bool = True
    ) -> None:
        """Take in a snapshot: the addresses that Services hold, and what this node makes of them.

        `alone`: it is not known whether others take this node for dead. `announcing`: what is owned is announced, but
        for what is withheld.
        """
        if self._alone and not alone:
            self._cases = {address: case for address, case in self._cases.items() if not case.alone}
        self._alone = alone
        if self._yields or alone:
            self._fresh |= plan.l2.keys() - self._owned - self._cases.keys()
        elif self._probes and self._held is not None:
            self._fresh |= held - self._held
        self._owned = frozenset(plan.l2) if announcing or self._yields else frozenset()
        self._held = held
        gone = self._cases.keys() - plan.l2.keys()
        self._fresh |= {address for address in gone if not self._cases[address].alone}
        for address in gone:
            del self._cases[address]
        elsewhere = {
            address
            for addresses in plan.silent.values()
            for address, silent in addresses.items()
            if silent.reason is Silence.NOT_OWNER
        }
        for address in self._fresh & plan.l2.keys():
            if is_station(address):  # or announcing it fails, and says why
                self._cases[address] = _Case(plan.l2[address].interfaces, -inf, alone=alone)
        for address, case in self._cases.items():
            if case.where != plan.l2[address].interfaces:
                self._cases[address] = _Case(plan.l2[address].interfaces, -inf, case.withheld, case.alone)
        self._fresh = (self._fresh & held) - plan.l2.keys() - elsewhere

    def start(self, now: float) -> dict[Address, Where]:
        """Return what is to be probed now, and where; it counts as being probed until it is told of."""
        due = {address: case for address, case in self._cases.items() if case.due <= now}
        for case in due.values():
            case.due = inf
        return {address: case.where for address, case in due.items()}

    def found(
        self, asked: Mapping[Address, Where], found: Mapping[Address, Stranger | None], now: float
    ) -> Iterable[tuple[Address, Stranger | None]]:
        """Take in how probes ended; return whose conflict began, with the stranger, and whose is over, with None.

        What was not probed is tried again after RETRY. What is no longer wanted, or wanted elsewhere, is passed over.
        """
        news: list[tuple[Address, Stranger | None]] = []
        for address, case in self._asked(asked):
            known = case.withheld.stranger
            if address not in found:
                self._again(case, now, "no interface on which it may be announced takes part")
            elif (stranger := found[address]) is None:
                del self._cases[address]
                if known is not None:
                    news.append((address, None))
            else:
                case.withheld = Withheld(stranger)
                case.due = now + self._interval
                if known is None:
                    news.append((address, stranger))
        return news

    def claimed(self, address: Address, stranger: Stranger, where: Where, now: float) -> bool:
        """Take in that a station claims an address that is announced; say whether it is given up for that."""
        if not (self._yields or self._alone) or address not in self._owned or address in self._cases:
            return False
        self._cases[address] = _Case(where, now + self._interval, Withheld(stranger), self._alone)
        return True

    def give_up(self, address: Address, stranger: Stranger, where: Where, now: float) -> bool:
        """Give up an address that a station claims, and ask for it at once; False if that is so, or it is not owned."""
        if address not in self._owned or address in self._cases:
            return False
        self._cases[address] = _Case(where, now, Withheld(stranger))
        return True

    def failed(self, asked: Mapping[Address, Where], problem: str, now: float) -> None:
        """Take in that the addresses could not be probed, and why; it is tried again after RETRY."""
        for _, case in self._asked(asked):
            self._again(case, now, problem)

    def next_wakeup(self) -> float | None:
        """Return when `start` next has something to return; None: not before another call."""
        due = min((case.due for case in self._cases.values()), default=inf)
        return None if due == inf else due

    def _asked(self, asked: Mapping[Address, Where]) -> list[tuple[Address, _Case]]:
        return [
            (address, case)
            for address, where in asked.items()
            if (case := self._cases.get(address)) is not None and case.where == where
        ]

    def _again(self, case: _Case, now: float, problem: str) -> None:
        case.withheld = Withheld(case.withheld.stranger, problem)
        case.due = now + self._retry
