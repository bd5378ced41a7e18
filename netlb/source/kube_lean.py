"""What a speaker keeps of Services and EndpointSlices, of which there are thousands: records, and little besides. Pure.

The parts that are read are decoded at once, by types that msgspec skips everything else with. An object that is not as
these types say is left to `kube_kinds.narrowing` and the intake, which find out what is wrong with it.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import msgspec

from netlb.api import keys
from netlb.api.core import Endpoint, EndpointConditions, EndpointSlice, Service, ServiceSpec
from netlb.api.decode import named
from netlb.api.meta import ObjectMeta, Record

__all__ = ["DOORS", "Door", "Lean", "body_of", "said_of"]

T = TypeVar("T")

_MARKS = frozenset({*keys.ALLOCATED_FROM, keys.OPENELB_MARK})
"""Annotations that say whose the addresses of a Service are."""
_READ = frozenset({keys.GROUP, keys.OPENELB_MARK, keys.TOPOLOGY_KEYS})
"""Annotations that say who announces them."""


class Lean(msgspec.Struct, frozen=True, gc=False):
    """What is kept of one object. Two of these are equal if nothing that a speaker reads is different."""

    record: Record
    held: bytes = b""
    """Of a Service: the JSON of what says what it holds, and who says so."""


class _Meta(msgspec.Struct, frozen=True, rename="camel"):
    name: str
    namespace: str = ""
    resource_version: str = ""
    labels: dict[str, str] = {}


class _ServiceMeta(_Meta, frozen=True):
    uid: str = ""
    annotations: dict[str, str] = {}


class _Condition(msgspec.Struct, frozen=True):
    type: str
    status: str


class _LoadBalancer(msgspec.Struct, frozen=True):
    ingress: msgspec.Raw = msgspec.Raw(b"")


class _ServiceStatus(msgspec.Struct, frozen=True, rename="camel"):
    load_balancer: _LoadBalancer | None = None
    conditions: tuple[_Condition, ...] = ()


class _ServiceSpec(msgspec.Struct, frozen=True, rename="camel"):
    type: str = "ClusterIP"
    external_traffic_policy: str = "Cluster"
    load_balancer_class: str = ""


class _Service(msgspec.Struct, frozen=True):
    metadata: _ServiceMeta
    spec: _ServiceSpec
    status: _ServiceStatus = _ServiceStatus()


class _Slice(msgspec.Struct, frozen=True):
    metadata: _Meta
    endpoints: tuple[Endpoint, ...] | None = ()


class Door:
    """Makes `Lean` of what has been decoded by `form`; what is equal in many objects is kept once."""

    form: type[msgspec.Struct]
    """By this, an object of the API is decoded from its JSON."""

    def __init__(self, annotations: frozenset[str]) -> None:
        """Of the annotations that are understood, those that a speaker reads are kept."""
        self._shared: dict[Any, Any] = {}
        self._marks = _MARKS & annotations
        self._read = _READ & annotations

    def lean(self, body: Any) -> Lean | None:
        """Return what is kept of an object; None if it is not one that netlb can name."""
        raise NotImplementedError

    def _share(self, value: T) -> T:
        shared: T = self._shared.setdefault(value, value)
        return shared


class ServiceDoor(Door):
    """`v1.Service`: its type, traffic policy, class and labels, and what it holds."""

    form = _Service

    def lean(self, body: _Service) -> Lean | None:
        metadata, spec = body.metadata, body.spec
        if (ref := named(Service, metadata.namespace, metadata.name)) is None:
            return None
        kept = self._shared.get(spec)
        if kept is None:
            try:
                kept = msgspec.convert(msgspec.to_builtins(spec), ServiceSpec)
            except msgspec.ValidationError:
                return None
            self._shared[spec] = kept
        annotations = {name: text for name, text in metadata.annotations.items() if name in self._read} or _NONE
        about = ObjectMeta(
            name=ref.name,
            namespace=self._share(ref.namespace),
            labels=metadata.labels or _NONE,
            annotations=annotations,
        )
        marks = {name: text for name, text in metadata.annotations.items() if name in self._marks}
        said: dict[str, Any] = {"metadata": {"annotations": marks}} if marks else {}
        if (balancer := body.status.load_balancer) is not None:
            said["status"] = {"loadBalancer": {"ingress": balancer.ingress} if bytes(balancer.ingress) else {}}
        ours = [one for one in body.status.conditions if one.type == keys.ALLOCATED]
        if ours:
            said.setdefault("status", {})["conditions"] = ours
        return Lean(Service(metadata=about, spec=kept), msgspec.json.encode(said) if said else b"")


class SliceDoor(Door):
    """`discovery.k8s.io/v1 EndpointSlice`: whose it is, and on which nodes who takes traffic."""

    form = _Slice

    def lean(self, body: _Slice) -> Lean | None:
        metadata, share = body.metadata, self._share
        if (ref := named(EndpointSlice, metadata.namespace, metadata.name)) is None:
            return None
        service = metadata.labels.get(keys.SERVICE_NAME_LABEL)
        labels = {keys.SERVICE_NAME_LABEL: service} if service else _NONE
        about = ObjectMeta(name=ref.name, namespace=share(ref.namespace), labels=labels)
        endpoints = share(tuple(map(self._endpoint, body.endpoints or ())))
        return Lean(EndpointSlice(metadata=about, endpoints=endpoints))

    def _endpoint(self, endpoint: Endpoint) -> Endpoint:
        known = self._shared.get(endpoint)
        if known is None:
            conditions: EndpointConditions = self._share(endpoint.conditions)
            known = Endpoint(conditions=conditions, node_name=self._share(endpoint.node_name))
            self._shared[known] = known
        return known


def said_of(lean: Lean) -> dict[str, Any]:
    """Return what an object says beside its record: its name, and of a Service what it holds."""
    said: dict[str, Any] = msgspec.json.decode(lean.held) if lean.held else {}
    name = {"name": lean.record.metadata.name, "namespace": lean.record.metadata.namespace}
    return {**said, "metadata": {**said.get("metadata", {}), **name}}


def body_of(lean: Lean) -> dict[str, Any]:
    """Return the object of the API that says the same."""
    said, record = said_of(lean), msgspec.to_builtins(lean.record)
    kind = {"apiVersion": "v1" if isinstance(lean.record, Service) else "discovery.k8s.io/v1"}
    annotations = {**record["metadata"].get("annotations", {}), **said["metadata"].get("annotations", {})}
    metadata = {**record["metadata"], **said["metadata"], "annotations": annotations}
    return {**kind, "kind": lean.record.kind(), **record, **said, "metadata": metadata}


_NONE: Final[dict[str, str]] = {}
"""For all who have none: nobody changes what is in a record."""
DOORS: Mapping[type[Record], Callable[[frozenset[str]], Door]] = {Service: ServiceDoor, EndpointSlice: SliceDoor}
