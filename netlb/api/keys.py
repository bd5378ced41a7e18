"""Names that carry meaning on other people's objects: annotations, labels, classes, and accepted aliases."""

from collections.abc import Mapping

__all__ = [
    "ADDRESSES",
    "ALLOCATED_FROM",
    "EXCLUDE_NODE_LABEL",
    "LOAD_BALANCER_CLASS",
    "POOL",
    "SERVICE_NAME_LABEL",
    "annotation",
]

# Each tuple is in order of precedence: a key that is present wins over those behind it, even when it is empty
# (MetalLB's rule between its two prefixes).
ADDRESSES = ("netlb.io/addresses", "metallb.io/loadBalancerIPs", "metallb.universe.tf/loadBalancerIPs")
"""Explicit request: one address, or one of each family, separated by commas."""
POOL = ("netlb.io/pool", "metallb.io/address-pool", "metallb.universe.tf/address-pool")
"""Request for an address of the named pool."""

ALLOCATED_FROM = "netlb.io/allocated-from"
"""Result: the pool that the Service's addresses came from."""

LOAD_BALANCER_CLASS = "netlb.io/netlb"
"""`spec.loadBalancerClass` of Services that are ours alone; Services without a class are served too."""

EXCLUDE_NODE_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"
"""A node that carries this label, with any value, announces nothing."""

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
"""On an EndpointSlice: the Service that it belongs to."""


def annotation(annotations: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str] | None:
    """Return the name and value of the first of these annotations that is present."""
    return next(((name, annotations[name]) for name in names if name in annotations), None)
