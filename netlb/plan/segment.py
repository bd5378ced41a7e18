"""At which addresses the nodes of a segment watch each other, and how fast a death is to be noticed."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from netlb.api.core import Node
from netlb.api.snapshot import Snapshot
from netlb.bfd.settings import Settings
from netlb.net import Address, Family, family_of, parse_address
from netlb.plan.timers import fastest

__all__ = ["Watched", "addresses_of", "segment_peers"]


class Watched(NamedTuple):
    """How another node is watched."""

    address: Address
    """Its own, of a family that both nodes have."""
    timers: Settings
    """The same at both ends, since both plan from the same snapshot."""


def segment_peers(snapshot: Snapshot, node: str, rivals: Mapping[str, Iterable[str]]) -> dict[str, Watched]:
    """Return how each of the other nodes is watched: by an address of a family that this node has too, IPv4 first.

    `rivals` has, by the BFDProfile that a pool names or "", the nodes that may announce the pool's addresses as this
    one may. There is one session to a pair of nodes, so the fastest profile counts. Nodes without an address
    (`InternalIP` in their status) are left out: nobody can say whether they live.
    """
    profiles: dict[str, set[str]] = {}
    for profile, others in rivals.items():
        for other in others:
            profiles.setdefault(other, set()).add(profile)
    mine = addresses_of(snapshot.nodes.get(node))
    peers: dict[str, Watched] = {}
    for other in sorted(profiles.keys() - {node}):
        theirs = addresses_of(snapshot.nodes.get(other))
        common = [family for family in Family if family in mine and family in theirs]
        if common and theirs[common[0]] != mine[common[0]]:
            peers[other] = Watched(theirs[common[0]], fastest(snapshot, profiles[other]))
    return peers


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
