"""Which endpoints a node's clients may reach at all, by OpenYurt's annotation `openyurt.io/topologyKeys`. Pure.

What YurtHub's filter `servicetopology` leaves of an EndpointSlice before kube-proxy sees it. It is strict: a Service
that has no endpoint near a node has none for that node. Readiness, zones and hints have no part in it.
"""

from collections.abc import Sequence
from enum import Enum

from netlb.api.core import Endpoint, Service
from netlb.api.keys import TOPOLOGY_KEYS
from netlb.topology.places import NodePools

__all__ = ["Reach", "reach", "within_reach"]


class Reach(Enum):
    """How far away an endpoint may be."""

    CLUSTER = "cluster"
    NODE_POOL = "node pool"
    NODE = "node"


_REACHES = {
    "kubernetes.io/hostname": Reach.NODE,
    "kubernetes.io/zone": Reach.NODE_POOL,
    "openyurt.io/nodepool": Reach.NODE_POOL,
}


def reach(service: Service) -> Reach:
    """Return how far away a Service's endpoints may be.

    The annotation holds one key: `kubernetes.io/hostname`, or `openyurt.io/nodepool`, for which `kubernetes.io/zone` is
    another name. With anything else, lists too, it has no effect.
    """
    return _REACHES.get(service.metadata.annotations.get(TOPOLOGY_KEYS, ""), Reach.CLUSTER)


def within_reach(service: Service, endpoints: Sequence[Endpoint], node: str, pools: NodePools) -> tuple[Endpoint, ...]:
    """Return the endpoints that clients on a node may reach; one that says no node is near nobody."""
    near = reach(service)
    if near is Reach.CLUSTER:
        return tuple(endpoints)
    nodes = pools.together(node) if near is Reach.NODE_POOL else frozenset({node})
    return tuple(endpoint for endpoint in endpoints if endpoint.node_name in nodes)
