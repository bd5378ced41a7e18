"""Which endpoints serve what comes to a Service's address at one node. Pure.

OpenYurt's filter first (`within_reach`), then what kube-proxy makes of the rest: readiness, the traffic policy, and the
hints that follow from `trafficDistribution` (KEP-4444, KEP-3015).
"""

from collections.abc import Collection, Mapping, Sequence
from itertools import chain

from msgspec.structs import replace

from netlb.api.core import Endpoint, EndpointHints, EndpointSlice, Hint, Node, Service
from netlb.topology.places import NodePools, zone
from netlb.topology.reach import within_reach

__all__ = ["distributed", "serving_endpoints"]

_CLOSE = frozenset({"PreferClose", "PreferSameZone", "PreferSameNode"})


def serving_endpoints(
    service: Service, slices: Sequence[EndpointSlice], node: str, nodes: Mapping[str, Node], pools: NodePools
) -> tuple[Endpoint, ...]:
    """Return the endpoints among which traffic from outside is shared out that comes to a Service at a node.

    With externalTrafficPolicy Local those are the node's own. Families are told apart by the slices' `addressType`, and
    each is judged by itself. Hints that slices do not have yet are those that `distributed` gives.
    """
    chosen = []
    for family in dict.fromkeys(one.address_type for one in slices):
        listed = chain.from_iterable(one.endpoints or () for one in slices if one.address_type == family)
        near = within_reach(service, [distributed(service, endpoint) for endpoint in listed], node, pools)
        if service.spec.external_traffic_policy == "Local":
            chosen += _usable([endpoint for endpoint in near if endpoint.node_name == node])
        else:
            chosen += _preferred(_usable(near), node, zone(nodes.get(node)))
    return tuple(chosen)


def distributed(service: Service, endpoint: Endpoint) -> Endpoint:
    """Return an endpoint with the hints that Kubernetes gives it for the Service's `trafficDistribution`.

    Hints that it has are kept: whoever made them knew why. As with Kubernetes, only one that says it is ready gets any.
    """
    wish = service.spec.traffic_distribution
    if endpoint.hints is not None or wish not in _CLOSE or endpoint.conditions.ready is not True:
        return endpoint
    zones = (Hint(name=endpoint.zone),) if endpoint.zone else ()
    nodes = (Hint(name=endpoint.node_name),) if endpoint.node_name and wish == "PreferSameNode" else ()
    return replace(endpoint, hints=EndpointHints(for_zones=zones, for_nodes=nodes))


def _usable(endpoints: Sequence[Endpoint]) -> list[Endpoint]:
    """Return those that are ready, and those that still serve while they end where none is (KEP-1669)."""
    ready = [endpoint for endpoint in endpoints if endpoint.conditions.ready is not False]
    return ready or [
        endpoint
        for endpoint in endpoints
        if endpoint.conditions.serving is not False and endpoint.conditions.terminating is True
    ]


def _preferred(endpoints: Sequence[Endpoint], node: str, in_zone: str) -> Sequence[Endpoint]:
    """Return those that are meant for a node, else for its zone; all, where one is meant for nobody or none for it.

    Hints of endpoints that are not ready count for nothing.
    """
    if any(endpoint.conditions.ready is False for endpoint in endpoints):
        return endpoints
    for meant, name in ((_for_nodes, node), (_for_zones, in_zone)):
        names = [meant(endpoint) for endpoint in endpoints]
        if all(names) and any(name in one for one in names):
            return [endpoint for endpoint, one in zip(endpoints, names, strict=True) if name in one]
    return endpoints


def _for_nodes(endpoint: Endpoint) -> Collection[str]:
    return {hint.name for hint in endpoint.hints.for_nodes or ()} if endpoint.hints else ()


def _for_zones(endpoint: Endpoint) -> Collection[str]:
    return {hint.name for hint in endpoint.hints.for_zones or ()} if endpoint.hints else ()
