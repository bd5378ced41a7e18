"""Which nodes may attract a Service's traffic: those where it would not be lost."""

from collections.abc import Mapping, Sequence

from netlb.api.core import Endpoint, EndpointSlice, Node, NodeCondition, Service
from netlb.api.keys import EXCLUDE_NODE_LABEL
from netlb.reasons import Silence
from netlb.topology.places import NodePools
from netlb.topology.reach import Reach, reach

__all__ = ["candidates", "eligible_nodes"]


def eligible_nodes(nodes: Mapping[str, Node], *, ready_only: bool = False) -> frozenset[str]:
    """Return the nodes that take traffic from outside at all.

    Excluded are nodes with the label `node.kubernetes.io/exclude-from-external-load-balancers`, whatever its
    value, and nodes whose condition NetworkUnavailable is True. Cordoned nodes stay, as with MetalLB, and, unless
    `ready_only`, so do nodes whose condition Ready is False or Unknown. A node that does not say counts as ready.
    """
    return frozenset(
        name
        for name, node in nodes.items()
        if EXCLUDE_NODE_LABEL not in node.metadata.labels
        and not any(_excludes(condition, ready_only) for condition in node.status.conditions)
    )


def candidates(
    service: Service, slices: Sequence[EndpointSlice], eligible: frozenset[str], pools: NodePools
) -> frozenset[str] | Silence:
    """Return the nodes that may announce a Service's addresses, or why none may.

    externalTrafficPolicy Cluster: every eligible node that may reach a serving endpoint (see `reach`); Local: the
    eligible nodes with a serving endpoint of their own.
    """
    serving = [endpoint for member in slices for endpoint in member.endpoints or () if _takes_traffic(endpoint)]
    if not serving:
        return Silence.NO_ENDPOINT
    near = reach(service)
    if near is not Reach.CLUSTER or service.spec.external_traffic_policy == "Local":
        own = {endpoint.node_name for endpoint in serving if endpoint.node_name}
        if near is Reach.NODE_POOL and service.spec.external_traffic_policy == "Cluster":
            own = set().union(*map(pools.together, own))
        eligible &= own
    return eligible or Silence.NO_CANDIDATE


def _excludes(condition: NodeCondition, ready_only: bool) -> bool:
    if condition.type == "Ready":
        return ready_only and condition.status != "True"
    return condition.type == "NetworkUnavailable" and condition.status == "True"


def _takes_traffic(endpoint: Endpoint) -> bool:
    """MetalLB's rule: ready (or unset) counts, and so does terminating but still serving."""
    return endpoint.conditions.ready is not False or endpoint.conditions.serving is True
