"""Documents to records: the one place where a declared object is checked field by field."""

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar, get_args

import msgspec

from netlb.api.core import ConfigMap, EndpointSlice, Namespace, Node, Service
from netlb.api.documents import Document
from netlb.api.meta import Record
from netlb.api.v1alpha1 import API_VERSION, KINDS
from netlb.errors import ConfigError
from netlb.findings import Finding, ObjectRef
from netlb.reasons import ManifestProblem

__all__ = ["convert", "decode", "identify", "without_nulls"]

T = TypeVar("T", bound=msgspec.Struct)

_NAMESPACED: Mapping[tuple[str, str], type[Record]] = {
    ("v1", "Service"): Service,
    ("v1", "ConfigMap"): ConfigMap,
    ("discovery.k8s.io/v1", "EndpointSlice"): EndpointSlice,
}
_CLUSTER_WIDE: Mapping[tuple[str, str], type[Record]] = {
    ("v1", "Node"): Node,
    ("v1", "Namespace"): Namespace,
    **{(API_VERSION, kind.__name__): kind for kind in KINDS},
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
    name, namespace = metadata.get("name"), metadata.get("namespace") or "default"
    rule = _LABEL if kind in (Service, Namespace) else _SUBDOMAIN
    if not isinstance(name, str) or not rule.fullmatch(name):
        return None
    if kind in _CLUSTER_WIDE.values():
        return ObjectRef(kind.__name__, "", name)
    if not isinstance(namespace, str) or not _LABEL.fullmatch(namespace):
        return None
    return ObjectRef(kind.__name__, namespace, name)


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
    declared = {key: without_nulls(value) for key, value in body.items() if value is not None}
    declared["metadata"] |= {"namespace": ref.namespace}
    return convert(declared, kind, subject=ref, origin=document.origin)


def convert(value: Any, kind: type[T], *, subject: ObjectRef, origin: str, field: str = "") -> T:
    """Convert plain data to a record; ConfigError names the field (below `field`) and the remedy."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(_finding(error, kind, subject, origin, field)) from None


def _kind(body: Mapping[str, Any]) -> type[Record] | None:
    key = (str(body.get("apiVersion")), str(body.get("kind")))
    return _NAMESPACED.get(key) or _CLUSTER_WIDE.get(key)


def without_nulls(value: Any) -> Any:
    """Drop keys without a value: to Kubernetes, `labels:` alone is the same as no labels at all."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


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
    known = sorted(known for group, known in (*_NAMESPACED, *_CLUSTER_WIDE) if group == version)
    if not isinstance(version, str) or not isinstance(kind, str):
        field = "kind" if isinstance(version, str) else "apiVersion"
        problem, remedy = "the field is required and is no text", "add it"
    elif version.partition("/")[0] == _OUR_GROUP:
        field = "kind" if version == API_VERSION else "apiVersion"
        ours = ", ".join(sorted(ours for group, ours in _CLUSTER_WIDE if group == API_VERSION))
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


# msgspec's messages end in the path of the field; ours, raised in __post_init__, begin with the rest of it.
_PATH = re.compile(r"^(?P<problem>.*?)(?: - at `(?:key in )?`?\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_INNER = re.compile(r"^(?P<path>[A-Za-z][\w.-]*(?:\[\d+\])?): (?P<problem>.*)$", re.DOTALL)
_UNKNOWN = re.compile(r"unknown field `(?P<name>[^`]*)`")
_MISSING = re.compile(r"missing required field `(?P<name>[^`]*)`")


def _finding(
    error: msgspec.ValidationError, kind: type[msgspec.Struct], subject: ObjectRef, origin: str, field: str
) -> Finding:
    matched = _PATH.match(str(error))
    problem, path = (matched["problem"], matched["path"] or "") if matched else (str(error), "")
    reason, remedy = ManifestProblem.INVALID_OBJECT, "correct the field"
    if unknown := _UNKNOWN.search(problem):
        path = _join(path, unknown["name"])
        reason, problem = ManifestProblem.UNKNOWN_FIELD, "there is no such field"
        near = difflib.get_close_matches(unknown["name"], sorted(set(_field_names(kind))), n=1)
        remedy = f"did you mean {near[0]!r}?" if near else "remove it"
    elif missing := _MISSING.search(problem):
        path, problem, remedy = _join(path, missing["name"]), "the field is required and missing", "add it"
    elif inner := _INNER.match(problem):
        path, problem = _join(path, inner["path"]), inner["problem"]
        if "addresses" in path:
            reason = ManifestProblem.INVALID_RANGE
            remedy = "write an address, a prefix (192.0.2.0/24) or a range (192.0.2.10-192.0.2.20)"
    elif problem.startswith("Expected"):
        problem = problem[0].lower() + problem[1:].replace("`", "")
        remedy = "put the value in quotes" if "expected str, got" in problem else "correct the value's type"
    return Finding(
        origin=origin,
        subject=subject,
        field=_join(field, path),
        reason=reason,
        problem=problem,
        remedy=remedy,
    )


def _join(path: str, rest: str) -> str:
    return f"{path}.{rest}" if path and rest else path or rest


def _field_names(kind: type[msgspec.Struct]) -> Iterator[str]:
    """Yield the names of all fields of a record and of the records inside it."""
    for field in msgspec.structs.fields(kind):
        yield field.encode_name
        for inner in (field.type, *get_args(field.type)):
            if isinstance(inner, type) and issubclass(inner, msgspec.Struct):
                yield from _field_names(inner)
