"""Plain data to records, with messages that name the object, the field and the remedy."""

import difflib
import re
from collections.abc import Iterator
from typing import Any, TypeVar, get_args

import msgspec

from netlb.errors import ConfigError
from netlb.findings import Finding, ObjectRef
from netlb.reasons import ManifestProblem

__all__ = ["convert", "without_nulls"]

T = TypeVar("T", bound=msgspec.Struct)


def convert(value: Any, kind: type[T], *, subject: ObjectRef, origin: str, field: str = "") -> T:
    """Convert plain data to a record; ConfigError names the field (below `field`) and the remedy."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ConfigError(_finding(error, kind, subject, origin, field)) from None


def without_nulls(value: Any) -> Any:
    """Drop keys without a value: to Kubernetes, `labels:` alone is the same as no labels at all."""
    if isinstance(value, dict):
        return {key: without_nulls(inner) for key, inner in value.items() if inner is not None}
    return [without_nulls(inner) for inner in value] if isinstance(value, list) else value


# msgspec's messages end in the path of the field; ours, raised in __post_init__, begin with the rest of it.
_PATH = re.compile(r"^(?P<problem>.*?)(?: - at `(?:key in )?`?\$\.?(?P<path>[^`]*)`)?$", re.DOTALL)
_INNER = re.compile(r"^(?P<path>[A-Za-z][\w.-]*(?:\[\d+\][\w.-]*)*): (?P<problem>.*)$", re.DOTALL)
_REMEDY = re.compile(r"^(.*); (write .*)$", re.DOTALL)
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
        if (said := _REMEDY.match(problem)) is not None:
            problem, remedy = said.groups()
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
