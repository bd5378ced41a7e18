"""Which nodes of a large segment watch each other: few, so that packets grow with the nodes and not with their square.

Up to `MOST + 1` nodes all watch each other. More of them stand in several circles, each in an order of its own, and
watch who is next to them on either side. Each circle joins all nodes; together they are a graph that takes the loss of
any few of them, and who comes or goes changes two neighbourships in each circle and no others.
"""

from collections.abc import Collection
from functools import lru_cache
from hashlib import sha256
from typing import Final

__all__ = ["MOST", "neighbours"]

MOST: Final = 32
"""Nodes that one node watches at most."""


def neighbours(nodes: Collection[str], most: int = MOST) -> dict[str, frozenset[str]]:
    """Return whom each node watches, by the names of nodes: the same on every node, and mutual.

    `most` is an even number.
    """
    if len(nodes) <= most + 1:
        everybody = frozenset(nodes)
        return {node: everybody - {node} for node in nodes}
    watched: dict[str, set[str]] = {node: set() for node in nodes}
    for number in range(most // 2):
        circle = sorted(watched, key=lambda node, number=number: _place(number, node))  # type: ignore[misc]
        for node, following in zip(circle, [*circle[1:], circle[0]], strict=True):
            watched[node].add(following)
            watched[following].add(node)
    return {node: frozenset(others) for node, others in watched.items()}


@lru_cache(maxsize=1 << 16)
def _place(circle: int, node: str) -> tuple[bytes, str]:
    return sha256(f"{circle}#{node}".encode()).digest(), node
