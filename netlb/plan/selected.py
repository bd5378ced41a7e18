"""What native objects select: how many nodes and pools each one is for. Pure."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from netlb.api.meta import LabelSelector, selects
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
    advertisements: list[L2Advertisement | BGPAdvertisement] = [
        *snapshot.l2_advertisements.values(),
        *snapshot.bgp_advertisements.values(),
    ]
    speaking: list[BGPPeer | BGPConfiguration] = [*snapshot.bgp_peers.values(), *snapshot.bgp_configurations.values()]

    def nodes(selectors: Sequence[LabelSelector]) -> int:
        return sum(selects(selectors, each) for each in labels)

    return {
        **{
            one.ref: Selected(
                nodes(one.spec.node_selectors), sum(advertises(one, pool) for pool in snapshot.pools.values())
            )
            for one in advertisements
        },
        **{one.ref: Selected(nodes(one.spec.node_selectors)) for one in speaking},
    }


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
