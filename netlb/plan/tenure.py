"""Who keeps what it announces: addresses that do not go back to a better node (`revertive: false`). Pure.

Each node says which of them it holds, since which term: one more than the highest that was said of the address when it
took it over. Of the living who say that they hold an address those of the highest term do. So who wakes up and still
believes that it has something loses against who has taken that over, and a node that returns finds that it is taken.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from netlb.api.reports import Tenancy
from netlb.net import Address, parse_address
from netlb.plan.owners import NOBODY

__all__ = ["Tenure", "Terms", "read_tenancies", "tenancies"]

Terms = Mapping[Address, int]
"""The addresses that a node holds, and since which term."""


class Tenure:
    """What one node knows of it."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._own: Terms | None = None
        """None: it has not decided anything yet, and what it said before it died counts as anybody's word."""
        self._said: Mapping[str, Terms] = {}

    def heard(self, said: Mapping[str, Terms]) -> bool:
        """Take in what every node says, this one too; return whether another one says something new."""
        before, self._said = self._said, dict(said)
        others = before.keys() | said.keys()
        return any(before.get(one) != said.get(one) for one in others if self._own is None or one != self._node)

    def holders(self, dead: Collection[str]) -> Mapping[Address, frozenset[str]]:
        """Return who holds an address, several of them where they do not know of each other yet."""
        highest: dict[Address, int] = {}
        found: dict[Address, frozenset[str]] = {}
        for node, terms in self._valid().items():
            if node in dead:
                continue
            for address, term in terms.items():
                if term > highest.get(address, 0):
                    highest[address], found[address] = term, frozenset({node})
                elif term == highest[address]:
                    found[address] |= {node}
        return found or NOBODY

    def decided(self, held: Iterable[Address]) -> Terms:
        """Take in what this node holds from now on, and return it with its terms."""
        own = self._own or {}
        self._own = {address: own.get(address) or self._next(address) for address in held}
        return self._own

    def _valid(self) -> Mapping[str, Terms]:
        return self._said if self._own is None else {**self._said, self._node: self._own}

    def _next(self, address: Address) -> int:
        return 1 + max((terms.get(address, 0) for terms in self._said.values()), default=0)


def tenancies(terms: Terms) -> list[dict[str, Any]]:
    """Return what a node holds as it is written: addresses of one term together."""
    by_term: dict[int, list[Address]] = {}
    for address, term in terms.items():
        by_term.setdefault(term, []).append(address)
    return [
        {
            "term": term,
            "addresses": [str(each) for each in sorted(by_term[term], key=lambda each: (each.version, each))],
        }
        for term in sorted(by_term)
    ]


def read_tenancies(written: Sequence[Tenancy]) -> Terms:
    """Return what is written; what is no address says nothing."""
    found: dict[Address, int] = {}
    for each in written:
        for text in each.addresses:
            try:
                found[parse_address(text)] = each.term
            except ValueError:
                continue
    return found
