"""Who of a large segment lives, where each node watches a few of the others: from what all of them say of those.

As in a link-state routing protocol (RFC 2328): each node says which neighbours it does not hear, what it says is passed
on by everybody, and a node lives for us if there is a way to it over nodes that hear the next. So a dead node is dead
to all as soon as the last of its neighbours has noticed; the two halves of a segment that has come apart are dead to
each other; and a neighbour that alone does not hear a node changes nothing.
"""

from collections.abc import Mapping
from typing import Final, NamedTuple

__all__ = ["LinkState", "Reaction", "Statement"]

_LAST: Final = 2**63
"""No clock shows as many microseconds; behind it there is room for all statements that count more."""


class Statement(NamedTuple):
    """What a node says of its neighbours."""

    origin: str
    version: int
    """Of two statements of a node the one with the higher number counts: microseconds of its wall clock, 64 bits."""
    lost: frozenset[str]
    """The neighbours that it does not hear. It hears all others."""

    def counts_more_than(self, other: "Statement") -> bool:
        """Whether it is the one of two of a node that counts: for all the same one, as in RFC 2328, section 13.1.

        A node that begins anew with a clock that went back can give a number twice.
        """
        return (self.version, sorted(self.lost)) > (other.version, sorted(other.lost))


class Reaction(NamedTuple):
    """What is said on account of what was heard."""

    said: Statement
    everybody: bool
    """To all but whoever it came from; otherwise to that one alone."""


class LinkState:
    """What one node knows of all."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._graph: Mapping[str, frozenset[str]] = {}
        self._known: dict[str, Statement] = {}

    def arrange(self, graph: Mapping[str, frozenset[str]]) -> None:
        """Take in who watches whom (`circles.neighbours`); what nodes have said that are gone is forgotten."""
        self._graph = graph
        self._known = {origin: said for origin, said in self._known.items() if origin in graph}

    def say(self, lost: frozenset[str], now: int) -> Statement | None:
        """Say what this node hears from now on; return what others must be told, or None where it is not news.

        `now` are microseconds of the wall clock; one that goes back does no harm.
        """
        before = self._known.get(self._node, Statement(self._node, 0, frozenset()))
        if before.lost == lost:
            return None
        return self._take(before._replace(version=max(now, before.version + 1), lost=lost))

    def hear(self, said: Statement, now: int) -> Reaction | None:
        """Take in what another has passed on.

        News are for all others; who is behind is told what is newer. Where it is our own, from before we began anew,
        all are told one of ours that counts more.
        """
        known = self._known.get(said.origin, Statement(said.origin, 0, frozenset()))
        if said.origin not in self._graph or known == said or said.version > _LAST:
            return None
        if said.origin == self._node and said.version >= known.version:
            return Reaction(self._take(known._replace(version=max(now, said.version + 1))), everybody=True)
        if known.counts_more_than(said):
            return Reaction(known, everybody=False)
        return Reaction(self._take(said), everybody=True)

    def statements(self) -> tuple[Statement, ...]:
        """Return all that a node that comes has to be told."""
        return tuple(said for said in self._known.values() if said.lost)

    def dead(self, lost: frozenset[str]) -> frozenset[str]:
        """Return the nodes to which there is no way but over neighbours that are `lost` to us; linear in the links."""
        reached, edge = {self._node}, [self._node]
        while edge:
            node = edge.pop()
            denied = lost if node == self._node else self._lost(node)
            found = self._graph.get(node, frozenset()) - denied - reached
            reached |= found
            edge.extend(found)
        return frozenset(self._graph.keys() - reached)

    def _lost(self, node: str) -> frozenset[str]:
        said = self._known.get(node)
        return said.lost if said else frozenset()

    def _take(self, said: Statement) -> Statement:
        self._known[said.origin] = said
        return said
