"""Documents to records: the one place where a declared object is checked field by field."""

import difflib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from netlb.api import dialects
from netlb.api.calico import BlockAffinity
from netlb.api.convert import convert, without_nulls
from netlb.api.core import ConfigMap, EndpointSlice, Namespace, Node, Secret, Service
from netlb.api.documents import Document
from netlb.api.meta import Record
from netlb.api.reports import GatewayNodeStatus
from netlb.api.v1alpha1 import API_VERSION, KINDS
from netlb.errors import ConfigError
from netlb.findings import Finding, ObjectRef
from netlb.reasons import ManifestProblem

__all__ = ["decode", "identify", "named"]

_KINDS: Mapping[tuple[str, str], type[Record]] = {
    ("v1", "Service"): Service,
    ("v1", "ConfigMap"): ConfigMap,
    ("v1", "Secret"): Secret,
    ("v1", "Node"): Node,
    ("v1", "Namespace"): Namespace,
    ("discovery.k8s.io/v1", "EndpointSlice"): EndpointSlice,
    ("crd.projectcalico.org/v1", "BlockAffinity"): BlockAffinity,
    **{(API_VERSION, kind.__name__): kind for kind in (*KINDS, GatewayNodeStatus)},
    **dialects.KINDS,
}
_OUR_GROUP = API_VERSION.partition("/")[0]
# The API server's rules (RFC 1123): a label for namespaces and Services, a subdomain for everything else.
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


def identify(document: Document) -> ObjectRef | None:
    """Name the object that a document declares; None if netlb does not read its kind, or it has no valid name."""
    kind = _kind(document.body)
    metadata = document.body.get("metadata")
    if kind is None or not isinstance(metadata, dict):
        return None
    return named(kind, metadata.get("namespace"), metadata.get("name"))


def named(kind: type[Record], namespace: Any, name: Any) -> ObjectRef | None:
    """Name an object; None if its name or namespace is none that Kubernetes accepts."""
    namespace = namespace or "default"
    rule = _LABEL if kind in (Service, Namespace) else _SUBDOMAIN
    if not isinstance(name, str) or not rule.fullmatch(name):
        return None
    if not kind.NAMESPACED:
        return ObjectRef(kind.kind(), "", name)
    if not isinstance(namespace, str) or not _LABEL.fullmatch(namespace):
        return None
    return ObjectRef(kind.kind(), namespace, name)


def decode(document: Document) -> Record | None:
    """Return the record that a document declares, or None for kinds that netlb does not read.

    ConfigError names the object, the field and the remedy. Objects without a namespace are in `default`,
    as with `kubectl apply`.
    """
    body = document.body
    kind = _kind(body)
    if kind is None:
        _refuse_misspelt_kind(document)
        return None
    ref = identify(document)
    if ref is None:
        raise ConfigError(_nameless(document))
    declared = without_nulls(body) if _has_nulls(body) else dict(body)
    declared["metadata"] = {**declared["metadata"], "namespace": ref.namespace}
    return convert(declared, kind, subject=ref, origin=document.origin)


def _has_nulls(body: Mapping[str, Any]) -> bool:
    """Say whether a value somewhere may be null: writing it all as JSON is much faster than looking at each."""
    try:
        return b"null" in msgspec.json.encode(body)
    except (TypeError, ValueError):
        return True


def _kind(body: Mapping[str, Any]) -> type[Record] | None:
    return _KINDS.get((str(body.get("apiVersion")), str(body.get("kind"))))


def _nameless(document: Document) -> Finding:
    metadata = document.body.get("metadata")
    name, namespace = (metadata.get("name"), metadata.get("namespace")) if isinstance(metadata, dict) else (None, None)
    field, problem = "metadata.name", f"{name!r} is not a name that Kubernetes accepts"
    remedy = "use lower-case letters, digits and '-', at most 63 of them for a Service or a namespace"
    if name is None:
        problem, remedy = "the object has no name", "give it a metadata.name"
    elif isinstance(name, str) and _LABEL.fullmatch(name):
        field, problem = "metadata.namespace", f"{namespace!r} is not a name that Kubernetes accepts"
    return Finding(
        origin=document.origin,
        subject=ObjectRef(str(document.body["kind"]), "", str(name) if name else "(no name)"),
        field=field,
        reason=ManifestProblem.INVALID_OBJECT,
        problem=problem,
        remedy=remedy,
    )


def _refuse_misspelt_kind(document: Document) -> None:
    """Refuse what was most likely meant for us: no kind at all, an unknown kind of ours, or a near miss."""
    body = document.body
    metadata = body.get("metadata")
    name = str(metadata.get("name", "")) if isinstance(metadata, dict) else ""
    version, kind = body.get("apiVersion"), body.get("kind")
    known = sorted(known for group, known in _KINDS if group == version)
    if not isinstance(version, str) or not isinstance(kind, str):
        field = "kind" if isinstance(version, str) else "apiVersion"
        problem, remedy = "the field is required and is no text", "add it"
    elif version.partition("/")[0] == _OUR_GROUP:
        field = "kind" if version == API_VERSION else "apiVersion"
        ours = ", ".join(sorted(kind.__name__ for kind in KINDS))
        problem, remedy = f"{version} {kind} is not a kind of netlb", f"{API_VERSION} has {ours}"
    elif near := difflib.get_close_matches(kind, known, n=1, cutoff=0.8):
        field, problem, remedy = "kind", f"there is no kind {kind}", f"did you mean {near[0]!r}?"
    else:
        return
    raise ConfigError(
        Finding(
            origin=document.origin,
            subject=ObjectRef(str(kind), "", name),
            field=field,
            reason=ManifestProblem.INVALID_OBJECT,
            problem=problem,
            remedy=remedy,
        )
    )
