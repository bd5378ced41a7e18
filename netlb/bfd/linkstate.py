"""Who of a large segment lives, where each node watches a few of the others: from what all of them say of those.

As in a link-state routing protocol (RFC 2328): each node says of which neighbours it has lost sight, what it says is
passed on by everybody, and a node lives for us if there is a way to it over links that neither end denies. So a dead
node is dead to all as soon as the last of its neighbours has noticed; the two halves of a segment that has come apart
are dead to each other; and one neighbour that sees what others do not changes nothing.
"""

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["LinkState", "Statement"]


class Statement(NamedTuple):
    """What a node says of its neighbours."""

    origin: str
    version: int
    """Of two statements of a node the one with the higher number counts; microseconds of its wall clock."""
    lost: frozenset[str]
    """The neighbours that it does not hear. It hears all others."""


class LinkState:
    """What one node knows of all."""

    def __init__(self, node: str) -> None:
        self._node = node
        self._graph: Mapping[str, frozenset[str]] = {}
        self._known: dict[str, Statement] = {}

    def arrange(self, graph: Mapping[str, frozenset[str]]) -> None:
        """Take in who watches whom (`circles.neighbours`); what was said by nodes that have left is forgotten."""
        self._graph = graph
        self._known = {origin: said for origin, said in self._known.items() if origin in graph}

    def say(self, lost: frozenset[str], now: int) -> Statement:
        """Return what this node says from now on; `now` in microseconds, and a clock that went back does no harm."""
        before = self._known.get(self._node)
        if before is None:
            return self._take(Statement(self._node, now, lost))
        if before.lost == lost:
            return before
        return self._take(Statement(self._node, max(now, before.version + 1), lost))

    def heard(self, said: Statement, now: int) -> Statement | None:
        """Take in a statement; return what others must be told on account of it, or None.

        That is the statement itself where it is news. If it is our own, from before we began anew, and ours would not
        count beside it, ours is made to count.
        """
        known = self._known.get(said.origin)
        if said.origin not in self._graph or (known is not None and known.version >= said.version):
            return None
        if said.origin == self._node:
            lost = known.lost if known else frozenset[str]()
            return self._take(Statement(self._node, max(now, said.version + 1), lost))
        return self._take(said)

    def statements(self) -> tuple[Statement, ...]:
        """Return all that is worth telling a node that comes: who has lost nobody need not say so."""
        return tuple(said for said in self._known.values() if said.lost or said.origin == self._node)

    def dead(self) -> frozenset[str]:
        """Return the nodes to which there is no way; linear in the links."""
        reached = {self._node}
        edge = [self._node]
        while edge:
            node = edge.pop()
            lost = self._lost(node)
            for other in self._graph.get(node, frozenset()):
                if other not in reached and other not in lost and node not in self._lost(other):
                    reached.add(other)
                    edge.append(other)
        return frozenset(self._graph.keys() - reached)

    def _lost(self, node: str) -> frozenset[str]:
        said = self._known.get(node)
        return said.lost if said else frozenset()

    def _take(self, said: Statement) -> Statement:
        self._known[said.origin] = said
        return said
