"""What native objects select: how many nodes and pools each one is for. Pure."""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from netlb.api.meta import selects
from netlb.api.snapshot import Snapshot
from netlb.api.v1alpha1 import BGPAdvertisement, BGPConfiguration, BGPPeer, L2Advertisement
from netlb.findings import ObjectRef
from netlb.plan.validate import advertises

__all__ = ["Selected", "same_selected", "selected"]


class Selected(NamedTuple):
    """How many there are that an object is for."""

    nodes: int
    pools: int | None = None
    """None: its kind selects none."""


def selected(snapshot: Snapshot) -> Mapping[ObjectRef, Selected]:
    """Return how many nodes, and pools, each advertisement, peer and configuration is for."""
    labels = [node.metadata.labels for node in snapshot.nodes.values()]
    found = {}
    advertisements: Iterable[L2Advertisement | BGPAdvertisement]
    advertisements = (*snapshot.l2_advertisements.values(), *snapshot.bgp_advertisements.values())
    for record in advertisements:
        nodes = sum(selects(record.spec.node_selectors, each) for each in labels)
        found[record.ref] = Selected(nodes, sum(advertises(record, pool) for pool in snapshot.pools.values()))
    others: Iterable[BGPPeer | BGPConfiguration] = (*snapshot.bgp_peers.values(), *snapshot.bgp_configurations.values())
    for other in others:
        found[other.ref] = Selected(sum(selects(other.spec.node_selectors, each) for each in labels))
    return found


def same_selected(one: Snapshot, other: Snapshot) -> bool:
    """Say whether objects select the same in both; of records that are the very same, that costs next to nothing."""
    return (
        one.nodes == other.nodes
        and one.pools == other.pools
        and one.l2_advertisements == other.l2_advertisements
        and one.bgp_advertisements == other.bgp_advertisements
        and one.bgp_peers == other.bgp_peers
        and one.bgp_configurations == other.bgp_configurations
    )
