"""Kubernetes' own kinds, narrowed to the fields that netlb reads; other fields are ignored."""

from base64 import b64decode
from collections.abc import Set as AbstractSet
from typing import ClassVar, Literal

import msgspec

from netlb.api.meta import Record

__all__ = [
    "ConfigMap",
    "Endpoint",
    "EndpointConditions",
    "EndpointHints",
    "EndpointSlice",
    "Hint",
    "Namespace",
    "Node",
    "NodeAddress",
    "NodeCondition",
    "NodeSpec",
    "NodeStatus",
    "Secret",
    "Service",
    "ServicePort",
    "ServiceSpec",
    "without_annotations",
]

Protocol = Literal["TCP", "UDP", "SCTP"]


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Base of the parts of an object."""


class ServicePort(_Part, frozen=True, kw_only=True):
    """One port of a Service."""

    port: int
    name: str = ""
    protocol: Protocol = "TCP"


class ServiceSpec(_Part, frozen=True, kw_only=True):
    """`v1.ServiceSpec`."""

    type: Literal["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"] = "ClusterIP"
    ports: tuple[ServicePort, ...] = ()
    cluster_ip: str = msgspec.field(default="", name="clusterIP")
    cluster_ips: tuple[str, ...] = msgspec.field(default=(), name="clusterIPs")
    ip_families: tuple[Literal["IPv4", "IPv6"], ...] = ()
    ip_family_policy: Literal["SingleStack", "PreferDualStack", "RequireDualStack"] | None = None
    selector: dict[str, str] = {}
    external_traffic_policy: Literal["Cluster", "Local"] = "Cluster"
    load_balancer_ip: str = msgspec.field(default="", name="loadBalancerIP")
    load_balancer_class: str = ""
    traffic_distribution: str = ""
    """Which endpoints are preferred: PreferClose and PreferSameZone, PreferSameNode; others mean nothing."""


class Service(Record, frozen=True, kw_only=True):
    """`v1.Service`. Its status is not here: who holds which address is `Snapshot.holdings`."""

    spec: ServiceSpec


def without_annotations(service: Service, names: AbstractSet[str]) -> Service:
    """Return the Service as if it had none of these annotations."""
    annotations = service.metadata.annotations
    if names.isdisjoint(annotations):
        return service
    kept = {name: value for name, value in annotations.items() if name not in names}
    metadata = msgspec.structs.replace(service.metadata, annotations=kept)
    return msgspec.structs.replace(service, metadata=metadata)


class EndpointConditions(_Part, frozen=True, kw_only=True):
    """`discovery.k8s.io/v1 EndpointConditions`; None means that the field was absent."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class Hint(_Part, frozen=True, kw_only=True):
    """`discovery.k8s.io/v1 ForZone` and `ForNode`: one of those for whom an endpoint is meant."""

    name: str


class EndpointHints(_Part, frozen=True, kw_only=True):
    """`discovery.k8s.io/v1 EndpointHints`: for whom an endpoint is meant."""

    for_zones: tuple[Hint, ...] | None = ()
    for_nodes: tuple[Hint, ...] | None = ()


class Endpoint(_Part, frozen=True, kw_only=True):
    """One endpoint of a slice: one pod, and where it runs."""

    addresses: tuple[str, ...] | None = ()
    """As they are written: they are told to readers, and never used."""
    conditions: EndpointConditions = EndpointConditions()
    node_name: str | None = None
    zone: str | None = None
    hints: EndpointHints | None = None


class EndpointSlice(Record, frozen=True, kw_only=True):
    """`discovery.k8s.io/v1 EndpointSlice`; the label `kubernetes.io/service-name` names its Service."""

    address_type: str = ""
    """IPv4, IPv6 or FQDN; who has endpoints of both families has slices of both."""
    endpoints: tuple[Endpoint, ...] | None = ()


class NodeCondition(_Part, frozen=True, kw_only=True):
    """`v1.NodeCondition`."""

    type: str
    status: Literal["True", "False", "Unknown"]


class NodeAddress(_Part, frozen=True, kw_only=True):
    """`v1.NodeAddress`: an address by which the node is known; `InternalIP` is one within the cluster's network."""

    type: str
    address: str


class NodeStatus(_Part, frozen=True, kw_only=True):
    """`v1.NodeStatus`."""

    conditions: tuple[NodeCondition, ...] = ()
    addresses: tuple[NodeAddress, ...] = ()


class NodeSpec(_Part, frozen=True, kw_only=True):
    """`v1.NodeSpec`."""

    unschedulable: bool = False
    """True on a node that was cordoned, as before it is drained."""
    pod_cidr: str = msgspec.field(default="", name="podCIDR")
    pod_cidrs: tuple[str, ...] = msgspec.field(default=(), name="podCIDRs")
    """The prefixes of its pods' addresses, one of each family; the first one is `podCIDR`."""


class Node(Record, frozen=True, kw_only=True):
    """`v1.Node`."""

    NAMESPACED: ClassVar[bool] = False

    spec: NodeSpec = NodeSpec()
    status: NodeStatus = NodeStatus()


class Namespace(Record, frozen=True, kw_only=True):
    """`v1.Namespace`: read for its labels."""

    NAMESPACED: ClassVar[bool] = False


class Secret(Record, frozen=True, kw_only=True):
    """`v1.Secret` of type kubernetes.io/basic-auth: read for its password, which no `repr` shows."""

    type: str = "Opaque"
    data: dict[str, str] = {}
    string_data: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"Secret({self.metadata.namespace}/{self.metadata.name})"

    @property
    def password(self) -> str | None:
        """The value under `password`; None if there is none, or it cannot be read."""
        if "password" in self.string_data:
            return self.string_data["password"]
        try:
            return b64decode(self.data["password"], validate=True).decode()
        except (KeyError, ValueError):
            return None


class ConfigMap(Record, frozen=True, kw_only=True):
    """`v1.ConfigMap`: read where a dialect keeps its configuration in one."""

    data: dict[str, str] = {}
