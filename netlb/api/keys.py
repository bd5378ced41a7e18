"""Names that carry meaning on other people's objects: annotations, labels, classes, and accepted aliases."""

from collections.abc import Mapping

__all__ = [
    "ADDRESSES",
    "ALLOCATED",
    "ALLOCATED_FROM",
    "ANNOUNCED",
    "BEFORE_LOAD_BALANCER_IP",
    "DESIRED_NODE_POOL_LABEL",
    "EXCLUDE_NODE_LABEL",
    "GATEWAY_LABEL",
    "GROUP",
    "JOINS_ONLY",
    "LOAD_BALANCER_CLASS",
    "NODE_POOL_LABEL",
    "OPENELB_ADDRESS",
    "OPENELB_MARK",
    "POOL",
    "PREFIXES",
    "PURELB_CLASSES",
    "RACK_LABEL",
    "READY",
    "SERVICE_ANNOTATIONS",
    "SERVICE_NAME_LABEL",
    "SHARE_KEY",
    "TOPOLOGY_KEYS",
    "ZONE_LABEL",
    "annotation",
]

# Each tuple is in order of precedence: a key that is present wins over those behind it, even when it is empty
# (MetalLB's rule between its two prefixes).
OPENELB_ADDRESS = "eip.openelb.kubesphere.io/v1alpha1"
PURELB_ADDRESSES = "purelb.io/addresses"

ADDRESSES = (
    "netlb.io/addresses",
    "metallb.io/loadBalancerIPs",
    "metallb.universe.tf/loadBalancerIPs",
    PURELB_ADDRESSES,
    OPENELB_ADDRESS,
)
"""Explicit request: one address, or one of each family, separated by commas."""
BEFORE_LOAD_BALANCER_IP = frozenset({PURELB_ADDRESSES, OPENELB_ADDRESS})
"""Where their systems read these, spec.loadBalancerIP does not count; elsewhere both together are an error."""
POOL = (
    "netlb.io/pool",
    "metallb.io/address-pool",
    "metallb.universe.tf/address-pool",
    "purelb.io/service-group",
    "eip.openelb.kubesphere.io/v1alpha2",
)
"""Request for an address of the named pool."""
SHARE_KEY = (
    "netlb.io/share-key",
    "metallb.io/allow-shared-ip",
    "metallb.universe.tf/allow-shared-ip",
    "purelb.io/allow-shared-ip",
)
"""Services with the same key may share an address."""
JOINS_ONLY = frozenset({"purelb.io/allow-shared-ip"})
"""Keys whose system gives no second address to a key that has one."""

OPENELB_MARK = "lb.kubesphere.io/v1alpha1"
"""With the value `openelb`: OpenELB serves the Service, whatever its class."""

ALLOCATED_FROM = (
    "netlb.io/allocated-from",
    "metallb.io/ip-allocated-from-pool",
    "metallb.universe.tf/ip-allocated-from-pool",
    "purelb.io/allocated-from",
)
"""Result: the pool that the Service's addresses came from. We write the first; the others tell what was held before."""

GROUP = "netlb.io/group"
"""On a Service: all addresses of the Services of its namespace with the same value are announced by one node."""

PREFIXES: Mapping[str, tuple[str, ...]] = {
    "metallb": ("metallb.io/", "metallb.universe.tf/"),
    "openelb": ("lb.kubesphere.io/", "eip.openelb.kubesphere.io/"),
    "purelb": ("purelb.io/",),
    "raven": ("openyurt.io/",),
}
"""By system: how the names of its annotations begin."""

ALLOCATED = "netlb.io/AddressAllocated"
"""Type of the condition on a Service that says whether it has the addresses that it asks for."""
READY = "netlb.io/Ready"
"""Type of the condition on a Gateway that says whether other sites reach it."""
ANNOUNCED = "netlb.io/Announced"
"""Type of the condition on a ServiceL2Status that says whether the node announces what it owns."""

LOAD_BALANCER_CLASS = "netlb.io/netlb"
"""`spec.loadBalancerClass` of Services that are ours alone; Services without a class are served too."""

PURELB_CLASSES = ("purelb.io/purelb", "purelb.io/purelbv2")
"""The classes of PureLB's Services."""

NODE_POOL_LABEL = "apps.openyurt.io/nodepool"
"""On a Node: the node pool that it is in (OpenYurt)."""

DESIRED_NODE_POOL_LABEL = "apps.openyurt.io/desired-nodepool"
"""On a Node: its former name, which OpenYurt's controllers copy."""

TOPOLOGY_KEYS = "openyurt.io/topologyKeys"
"""On a Service: which endpoints its clients may reach (OpenYurt): those of their node, or of their node pool."""

SERVICE_ANNOTATIONS = frozenset({*ADDRESSES, *POOL, *SHARE_KEY, *ALLOCATED_FROM, OPENELB_MARK, GROUP, TOPOLOGY_KEYS})
"""All that is read of a Service's annotations."""

ZONE_LABEL = "topology.kubernetes.io/zone"
"""On a Node: the zone that it is in."""

GATEWAY_LABEL = "raven.openyurt.io/gateway"
"""On a Node: the Gateway whose site it is in (Raven)."""

RACK_LABEL = "openelb.kubesphere.io/rack"
"""On a Node: the rack that it is in (OpenELB), by which `asnPerRack` finds its number."""

EXCLUDE_NODE_LABEL = "node.kubernetes.io/exclude-from-external-load-balancers"
"""A node that carries this label, with any value, announces nothing."""

SERVICE_NAME_LABEL = "kubernetes.io/service-name"
"""On an EndpointSlice: the Service that it belongs to."""


def annotation(annotations: Mapping[str, str], names: tuple[str, ...]) -> tuple[str, str] | None:
    """Return the name and value of the first of these annotations that is present."""
    return next(((name, annotations[name]) for name in names if name in annotations), None)
