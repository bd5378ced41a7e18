"""At which addresses the nodes of a segment watch each other."""

from collections.abc import Iterable

from netlb.api.core import Node
from netlb.api.snapshot import Snapshot
from netlb.net import Address, Family, family_of, parse_address

__all__ = ["addresses_of", "segment_peers"]


def segment_peers(snapshot: Snapshot, node: str, others: Iterable[str]) -> dict[str, Address]:
    """Return an address of each of the other nodes, of a family that this node has too, IPv4 first.

    Nodes without one (`InternalIP` in their status) are left out: nobody can say whether they live.
    """
    mine = addresses_of(snapshot.nodes.get(node))
    peers: dict[str, Address] = {}
    for other in sorted(others):
        theirs = addresses_of(snapshot.nodes.get(other))
        common = [family for family in Family if family in mine and family in theirs]
        if common and theirs[common[0]] != mine[common[0]]:
            peers[other] = theirs[common[0]]
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
