"""What is watched in Kubernetes: resources, versions, selectors, and the part of an object that is kept. Pure."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from types import UnionType
from typing import Any, Union, get_args, get_origin

import msgspec

from netlb.api import dialects, keys
from netlb.api.calico import BlockAffinity
from netlb.api.core import EndpointSlice, Namespace, Node, Secret, Service
from netlb.api.crds.status import REPORTS as WRITTEN
from netlb.api.crds.table import KINDS as NAMES
from netlb.api.dialects import DEFAULT, Compatibility
from netlb.api.meta import Record
from netlb.api.reports import GatewayNodeStatus
from netlb.api.v1alpha1 import API_VERSION, KINDS
from netlb.errors import ConfigError
from netlb.findings import Finding, ObjectRef
from netlb.reasons import ManifestProblem

__all__ = [
    "ADDRESSING",
    "CONFIG_MAPS",
    "ENDPOINT_SLICES",
    "GATEWAYS",
    "GATEWAY_NODES",
    "LEASES",
    "NATIVE",
    "NODES",
    "SECRETS",
    "SERVICES",
    "SPEAKER_STATUSES",
    "Reader",
    "Resource",
    "Watched",
    "narrowing",
    "password",
    "watched",
]

Mask = Mapping[str, Any] | None
"""By name, what of a field is kept; None: all of it."""

_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
_HELD: Mapping[str, Any] = {"status": {"loadBalancer": {"ingress": None}, "conditions": None}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource in one version, as it stands in URLs."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    def __str__(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """Return the path of all of it, of a namespace's part, of one object, or of an object's subresource."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        inside = f"namespaces/{namespace}" if namespace and self.namespaced else ""
        return "/".join(filter(None, (root, inside, self.plural, name, subresource)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """One kind that is followed."""

    resources: tuple[Resource, ...]
    """The same objects in several versions; the first one that is served is read."""
    records: tuple[type[Record], ...]
    """What is read of each version."""
    namespace: str = ""
    """Only this one; empty: all."""
    labels: str = ""
    fields: str = ""
    optional: bool = False
    """Whether it is all right if the kind is not served."""
    annotations: frozenset[str] = frozenset()
    """Those that are kept of Kubernetes' own objects; of all others nearly all are."""
    lean: bool = False
    """Whether only that is kept which says who announces what (`kube_lean`)."""

    def __str__(self) -> str:
        return str(self.resources[0])

    def origin(self, namespace: str, name: str) -> str:
        """Say where an object is declared, in a way that `kubectl get` understands."""
        return f"{self}/{name}" + (f" -n {namespace}" if namespace else "")


NODES = Resource(group="", version="v1", plural="nodes", kind="Node", namespaced=False)
SERVICES = Resource(group="", version="v1", plural="services", kind="Service")
LEASES = Resource(group="coordination.k8s.io", version="v1", plural="leases", kind="Lease")
SECRETS = Resource(group="", version="v1", plural="secrets", kind="Secret")
CONFIG_MAPS = Resource(group="", version="v1", plural="configmaps", kind="ConfigMap")
ENDPOINT_SLICES = Resource(group="discovery.k8s.io", version="v1", plural="endpointslices", kind="EndpointSlice")
_GROUP, _, _VERSION = API_VERSION.partition("/")
NATIVE: Mapping[str, Resource] = {
    kind.kind(): Resource(
        group=_GROUP,
        version=_VERSION,
        plural=NAMES[kind.kind()].plural,
        kind=kind.kind(),
        namespaced=kind.NAMESPACED,
    )
    for kind in KINDS
}
"""The native kinds' resources, by kind."""
ADDRESSING: Mapping[str, Resource] = {kind: resource for kind, resource in NATIVE.items() if kind != "Gateway"}
"""Those that say who gets which address, and who announces it."""
REPORTS: Mapping[str, Resource] = {
    kind: Resource(group=_GROUP, version=_VERSION, plural=report.names.plural, kind=kind, namespaced=report.namespaced)
    for kind, report in WRITTEN.items()
    if kind != GatewayNodeStatus.kind()
}
"""What speakers write: about Services, and each about itself; by kind."""
SPEAKER_STATUSES = REPORTS["SpeakerStatus"]
GATEWAYS = NATIVE["Gateway"]
GATEWAY_NODES = Resource(
    group=_GROUP,
    version=_VERSION,
    plural=WRITTEN[GatewayNodeStatus.kind()].names.plural,
    kind=GatewayNodeStatus.kind(),
    namespaced=False,
)
"""What gateways write, each about its node, and read of each other."""
_SITES = frozenset({"BlockAffinity", "Gateway", "GatewayNodeStatus", "Node"})

_MANY = (Service, EndpointSlice)
"""Kinds of which there are thousands."""
_CORE: tuple[Watched, ...] = (
    Watched(resources=(SERVICES,), records=(Service,), annotations=keys.SERVICE_ANNOTATIONS),
    Watched(
        resources=(ENDPOINT_SLICES,),
        records=(EndpointSlice,),
        # As kube-proxy asks: headless Services are never of type LoadBalancer.
        labels="kubernetes.io/service-name,!service.kubernetes.io/headless",
    ),
    Watched(resources=(NODES,), records=(Node,)),
    Watched(
        resources=(Resource(group="", version="v1", plural="namespaces", kind="Namespace", namespaced=False),),
        records=(Namespace,),
    ),
    Watched(
        resources=(
            Resource(
                group="crd.projectcalico.org",
                version="v1",
                plural="blockaffinities",
                kind="BlockAffinity",
                namespaced=False,
            ),
        ),
        records=(BlockAffinity,),
        optional=True,
    ),
)


class Reader(Enum):
    """Who follows: nobody asks for what no plan of theirs is made from."""

    EVERYTHING = frozenset[str]()
    ANNOUNCEMENTS = frozenset({"BlockAffinity", "Gateway", "GatewayNodeStatus"})
    """Speakers, which know nothing of sites."""
    ADDRESSES = frozenset({"BlockAffinity", "EndpointSlice", "Gateway", "GatewayNodeStatus"})
    """The controller: endpoints change more often than all the rest, and have no part in who gets which address."""
    DECLARATIONS = frozenset(
        {"BlockAffinity", "EndpointSlice", "Gateway", "GatewayNodeStatus", "Namespace", "Node", "Service"}
    )
    """The webhook: what operators declare for netlb."""
    SITES = (
        frozenset({*NATIVE, *(kind for _, kind in dialects.KINDS), "EndpointSlice", "Namespace", "Service"}) - _SITES
    )
    """Gateways, which know nothing of Services."""


def watched(
    compatibility: Compatibility = DEFAULT, reader: Reader = Reader.EVERYTHING, *, lean: bool = False
) -> tuple[Watched, ...]:
    """Return what is followed: Kubernetes' kinds, ours, and those of other systems where they are installed.

    `lean`: of the kinds of which there are thousands, only what a speaker plans from. Secrets are followed one by one.
    """
    ours = (
        *(Watched(resources=(NATIVE[kind.kind()],), records=(kind,)) for kind in KINDS),
        Watched(resources=(GATEWAY_NODES,), records=(GatewayNodeStatus,), optional=True),
    )
    foreign: dict[tuple[str, str], list[tuple[Resource, type[Record]]]] = {}
    understood = {
        key: record
        for system, kinds in dialects.KINDS_OF.items()
        if system in compatibility.systems
        for key, record in kinds.items()
    }
    for (api_version, kind), record in understood.items():
        group, _, version = api_version.rpartition("/")
        plural = re.sub("(?<![aeiou])y$", "ie", kind.lower()) + "s"
        resource = Resource(group=group, version=version, plural=plural, kind=kind, namespaced=record.NAMESPACED)
        foreign.setdefault((group, kind), []).append((resource, record))
    theirs = []
    for (group, kind), versions in foreign.items():
        resources, records = zip(*sorted(versions, key=lambda one: _age(one[0].version)), strict=True)
        if (group, kind) == ("", "ConfigMap"):
            namespace, fields = compatibility.metallb_namespace, "metadata.name=config"
            theirs.append(Watched(resources=resources, records=records, namespace=namespace, fields=fields))
        else:
            theirs.append(Watched(resources=resources, records=records, optional=True))
    core = (
        replace(
            one,
            annotations=one.annotations - compatibility.foreign_annotations,
            lean=lean and one.records[0] in _MANY,
        )
        for one in _CORE
    )
    return tuple(one for one in (*core, *ours, *theirs) if one.resources[0].kind not in reader.value)


def password(namespace: str, name: str) -> Watched:
    """Return one Secret, of which the password is kept: whoever is allowed to read it need not read all of them."""
    return Watched(resources=(SECRETS,), records=(Secret,), namespace=namespace, fields=f"metadata.name={name}")


def narrowing(
    resource: Resource,
    record: type[Record],
    origin: Callable[[str, str], str],
    annotations: frozenset[str] = frozenset(),
) -> Callable[[Any], bytes]:
    """Return what makes JSON of the part of an object that `record` reads, the same whenever that part is the same.

    Of the annotations of Kubernetes' own objects these are kept. ConfigError if it is nothing that has a name.
    """
    mask = dict(_mask(record) or {})
    if record is Service:
        mask |= _HELD
    core = record in (Service, EndpointSlice, Node, Namespace, Secret)

    def narrow(body: Any) -> bytes:
        metadata = body.get("metadata") if isinstance(body, Mapping) else None
        if not isinstance(metadata, Mapping) or not isinstance(metadata.get("name"), str):
            raise ConfigError(_nameless(resource, origin))
        kept = _kept(body, mask) | {"apiVersion": resource.api_version, "kind": resource.kind}
        if isinstance(noted := kept["metadata"].get("annotations"), Mapping):
            kept["metadata"]["annotations"] = {
                name: value for name, value in noted.items() if (name in annotations if core else name != _LAST_APPLIED)
            }
        if record is Service and isinstance(conditions := kept.get("status", {}).get("conditions"), list):
            ours = [one for one in conditions if isinstance(one, Mapping) and one.get("type") == keys.ALLOCATED]
            kept["status"].pop("conditions")
            kept["status"] |= {"conditions": ours} if ours else {}
        if record is Secret and isinstance(data := kept.get("data"), Mapping):
            kept["data"] = {name: value for name, value in data.items() if name == "password"}
        return msgspec.json.encode(kept, order="sorted")

    return narrow


def _kept(value: Any, mask: Mask) -> Any:
    if mask is None:
        return value
    if isinstance(value, Mapping):
        return {name: _kept(value[name], inner) for name, inner in mask.items() if name in value}
    return [_kept(inner, mask) for inner in value] if isinstance(value, list) else value


def _mask(kind: Any) -> Mask:
    """Return what msgspec reads of a value of this type; of one that takes no unknown fields, everything."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        if kind.__struct_config__.forbid_unknown_fields:
            return None
        return {field.encode_name: _mask(field.type) for field in msgspec.structs.fields(kind)}
    if get_origin(kind) in (tuple, list, Union, UnionType):
        inner = [argument for argument in get_args(kind) if argument not in (type(None), Ellipsis)]
        return _mask(inner[0]) if len(inner) == 1 else None
    return None


def _age(version: str) -> tuple[int, int, int]:
    """Order versions as Kubernetes prefers them: v2, v1, v1beta2, v1beta1, v1alpha1."""
    found = re.fullmatch(r"v(\d+)(?:(alpha|beta)(\d+))?", version)
    if found is None:
        return (3, 0, 0)
    major, stage, minor = found.groups()
    return ({None: 0, "beta": 1, "alpha": 2}[stage], -int(major), -int(minor or 0))


def _nameless(resource: Resource, origin: Callable[[str, str], str]) -> Finding:
    return Finding(
        origin=origin("", ""),
        subject=ObjectRef(resource.kind, "", ""),
        field="metadata.name",
        reason=ManifestProblem.INVALID_OBJECT,
        problem="the API server sent an object without a name",
        remedy="look what stands between netlb and the API server",
    )
