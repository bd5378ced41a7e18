"""Which resources there are: Kubernetes' own, those of CustomResourceDefinitions, and their discovery."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from netlb.testing.apiserver.apply import Keys

__all__ = ["BUILT_IN", "CRDS", "Resource", "defined", "discovery"]

Path = tuple[str, ...]

_NAMES: Mapping[str, str] = {"metadata.name": "", "metadata.namespace": ""}
_CONDITIONS: Mapping[Path, Path] = {("status", "conditions"): ("type",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """One resource in one version."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True
    short: tuple[str, ...] = ()
    status: bool = False
    """Whether it has the status subresource."""
    unconditional: bool = True
    """Whether it may be written without saying which version is replaced."""
    selectable: Mapping[str, str] = field(default_factory=lambda: _NAMES)
    """Fields that a field selector may ask for, and what they count as where they are absent."""
    lists: Mapping[Path, Path] = field(default_factory=dict)
    """Lists that are merged, by path, and the keys of their elements."""
    schema: Mapping[str, Any] | None = None
    """Of a custom resource: its OpenAPI schema."""

    @property
    def name(self) -> str:
        """The resource's name in the store and in messages, the same for all versions."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        """The `apiVersion` of its objects."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def keys(self) -> Keys:
        """How its lists are merged."""
        return lambda path: _KEYED.get(path) or self.lists.get(path, () if path in _SETS else None)


_KEYED: Mapping[Path, Path] = {("metadata", "ownerReferences"): ("uid",)}
_SETS = {("metadata", "finalizers")}

CRDS = Resource(
    group="apiextensions.k8s.io",
    version="v1",
    plural="customresourcedefinitions",
    kind="CustomResourceDefinition",
    namespaced=False,
    short=("crd", "crds"),
    status=True,
    unconditional=False,
    lists=_CONDITIONS,
)

BUILT_IN: tuple[Resource, ...] = (
    Resource(
        group="",
        version="v1",
        plural="services",
        kind="Service",
        short=("svc",),
        status=True,
        selectable={**_NAMES, "spec.clusterIP": "", "spec.type": "ClusterIP"},
        lists={("spec", "ports"): ("port", "protocol"), **_CONDITIONS},
    ),
    Resource(
        group="",
        version="v1",
        plural="nodes",
        kind="Node",
        namespaced=False,
        short=("no",),
        status=True,
        lists=_CONDITIONS,
    ),
    Resource(
        group="",
        version="v1",
        plural="namespaces",
        kind="Namespace",
        namespaced=False,
        short=("ns",),
        status=True,
        lists=_CONDITIONS,
    ),
    Resource(group="", version="v1", plural="configmaps", kind="ConfigMap", short=("cm",)),
    Resource(group="", version="v1", plural="secrets", kind="Secret"),
    Resource(group="", version="v1", plural="events", kind="Event"),
    Resource(group="events.k8s.io", version="v1", plural="events", kind="Event"),
    Resource(group="discovery.k8s.io", version="v1", plural="endpointslices", kind="EndpointSlice"),
    Resource(group="coordination.k8s.io", version="v1", plural="leases", kind="Lease", unconditional=False),
    CRDS,
)


def defined(definition: Mapping[str, Any]) -> list[Resource]:
    """Return the resources, one for each version that is served, that a CustomResourceDefinition makes."""
    spec = definition["spec"]
    found = []
    for version in spec["versions"]:
        schema = version.get("schema", {}).get("openAPIV3Schema", {"x-kubernetes-preserve-unknown-fields": True})
        if version["served"]:
            found.append(
                Resource(
                    group=spec["group"],
                    version=version["name"],
                    plural=spec["names"]["plural"],
                    kind=spec["names"]["kind"],
                    namespaced=spec["scope"] == "Namespaced",
                    short=tuple(spec["names"].get("shortNames", ())),
                    status="status" in version.get("subresources", {}),
                    unconditional=False,
                    lists=dict(_lists(schema, ())),
                    schema=schema,
                )
            )
    return found


def _lists(schema: Mapping[str, Any], path: Path) -> Iterable[tuple[Path, Path]]:
    match schema.get("x-kubernetes-list-type"):
        case "map":
            yield path, tuple(schema["x-kubernetes-list-map-keys"])
        case "set":
            yield path, ()
    for name, inner in schema.get("properties", {}).items():
        yield from _lists(inner, (*path, name))
    if schema.get("x-kubernetes-list-type") == "map":
        yield from _lists(schema["items"], path)


def discovery(path: list[str], resources: Iterable[Resource]) -> Mapping[str, Any] | None:
    """Return what `/api`, `/apis` and the paths below them say; None if there is no such group or version."""
    found = list(resources)
    match path:
        case ["api"]:
            return {"kind": "APIVersions", "versions": ["v1"]}
        case ["api", version]:
            return _resource_list(found, "", version)
        case ["apis"]:
            groups = dict.fromkeys(one.group for one in found if one.group)
            return {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(found, group) for group in groups]}
        case ["apis", group]:
            return {"apiVersion": "v1", **_group(found, group)} if any(one.group == group for one in found) else None
        case ["apis", group, version]:
            return _resource_list(found, group, version)
    return None


def _group(resources: Iterable[Resource], group: str) -> dict[str, Any]:
    served = dict.fromkeys(one.version for one in resources if one.group == group)
    versions = [{"groupVersion": f"{group}/{version}", "version": version} for version in served]
    return {"kind": "APIGroup", "name": group, "versions": versions, "preferredVersion": versions[0]}


def _resource_list(resources: Iterable[Resource], group: str, version: str) -> dict[str, Any] | None:
    entries: list[dict[str, Any]] = []
    for one in resources:
        if (one.group, one.version) != (group, version):
            continue
        entry = {
            "name": one.plural,
            "singularName": one.kind.lower(),
            "namespaced": one.namespaced,
            "kind": one.kind,
            "verbs": ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"],
            "shortNames": list(one.short),
        }
        entries.append(entry)
        if one.status:
            status = {"name": f"{one.plural}/status", "singularName": "", "verbs": ["get", "patch", "update"]}
            entries.append({**status, "namespaced": one.namespaced, "kind": one.kind})
    if not entries:
        return None
    group_version = f"{group}/{version}" if group else version
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": entries}
