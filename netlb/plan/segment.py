"""At which addresses the nodes of a segment watch each other, and how fast a death is to be noticed."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from netlb.api.core import Node
from netlb.api.snapshot import Snapshot
from netlb.bfd.circles import MOST, neighbours
from netlb.bfd.settings import Settings
from netlb.net import Address, Family, family_of, parse_address
from netlb.plan.timers import fastest

__all__ = ["Segment", "Watched", "addresses_of", "plan_segment"]


class Watched(NamedTuple):
    """How another node is watched."""

    address: Address
    """Its own, of a family that both nodes have."""
    timers: Settings
    """The same at both ends, since both plan from the same snapshot."""


class Segment(NamedTuple):
    """Whose life matters to a node."""

    peers: Mapping[str, Watched]
    """The nodes that it watches."""
    graph: Mapping[str, frozenset[str]]
    """Where that would be too many: who watches whom, of all nodes whose life matters. Empty: all watch each other."""


def plan_segment(snapshot: Snapshot, node: str, groups: Iterable[tuple[str, frozenset[str]]]) -> Segment:
    """Return how others are watched: by an address of a family that both nodes have, IPv4 first.

    `groups` has nodes that may announce the same addresses, each with the BFDProfile that their pool names, or "".
    There is one session to a pair of nodes, so the fastest profile counts. Nodes without an address (`InternalIP` in
    their status) are left out: nobody can say whether they live.
    """
    known = list(groups)
    profiles: dict[str, set[str]] = {}
    for profile, nodes in known:
        if node in nodes:
            for other in nodes:
                profiles.setdefault(other, set()).add(profile)
    all_of_them = _reach(node, {nodes for _, nodes in known})
    graph = neighbours(all_of_them) if len(all_of_them) > MOST + 1 else {}
    chosen = graph[node] if graph else profiles.keys() - {node}
    mine = addresses_of(snapshot.nodes.get(node))
    peers: dict[str, Watched] = {}
    for other in sorted(chosen):
        theirs = addresses_of(snapshot.nodes.get(other))
        common = [family for family in Family if family in mine and family in theirs]
        if common and theirs[common[0]] != mine[common[0]]:
            peers[other] = Watched(theirs[common[0]], fastest(snapshot, profiles.get(other, {""})))
    return Segment(peers, graph)


def _reach(node: str, groups: Iterable[frozenset[str]]) -> set[str]:
    """Return all nodes that a node has to do with, over however many others: the same set for each of them."""
    reached, apart = {node}, set(groups)
    while touching := {nodes for nodes in apart if not reached.isdisjoint(nodes)}:
        apart -= touching
        reached.update(*touching)
    return reached


def addresses_of(node: Node | None, kind: str = "InternalIP") -> dict[Family, Address]:
    """Return the first address of each family by which a node is known, within the cluster or to a kind of others."""
    found: dict[Family, Address] = {}
    for each in node.status.addresses if node else ():
        if each.type == kind:
            try:
                address = parse_address(each.address)
            except ValueError:
                continue
            found.setdefault(family_of(address), address)
    return found
