"""Label and field selectors, as they stand in a query (apimachinery's `labels.Parse` and `fields.ParseSelector`)."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from netlb.testing.apiserver.status import Refused

__all__ = ["Matches", "parse_fields", "parse_labels"]

Matches = Callable[[Mapping[str, Any]], bool]

_LABEL = re.compile(
    r"(?P<absent>!)?(?P<key>[\w./-]+)\s*(?:(?P<operator>==?|!=|\bin\b|\bnotin\b)\s*(?P<value>\([^)]*\)|[\w.-]*))?"
)


def parse_labels(text: str) -> Matches:
    """Return whether an object's labels are selected; Refused (400) if the selector cannot be read."""
    conditions = [_label(part) for part in _split(text)]
    return lambda body: all(condition(body.get("metadata", {}).get("labels") or {}) for condition in conditions)


def parse_fields(text: str, supported: Mapping[str, str]) -> Matches:
    """Return whether an object is selected; `supported` has, of each field that may be asked, its default."""
    conditions: list[tuple[str, bool, str]] = []
    for part in filter(None, text.split(",")):
        name, operator, value = re.fullmatch(r"([^=!]*)(==?|!=)?(.*)", part).groups()  # type: ignore[union-attr]
        if not operator:
            raise Refused(400, "BadRequest", f"unable to parse field selector: {part!r}")
        if name not in supported:
            raise Refused(400, "BadRequest", f"field label not supported: {name}")
        conditions.append((name, operator != "!=", value))

    def matches(body: Mapping[str, Any]) -> bool:
        return all((_field(body, name, supported[name]) == value) is wanted for name, wanted, value in conditions)

    return matches


def _field(body: Any, path: str, default: str) -> str:
    for step in path.split("."):
        body = body.get(step) if isinstance(body, Mapping) else None
    return default if body is None else str(body)


def _split(text: str) -> Iterator[str]:
    """Split at the commas that are not inside parentheses."""
    yield from (part.strip() for part in re.split(r",(?![^(]*\))", text) if part.strip())


def _label(part: str) -> Callable[[Mapping[str, str]], bool]:
    found = _LABEL.fullmatch(part)
    if found is None or (found["absent"] and found["operator"]):
        raise Refused(400, "BadRequest", f"unable to parse requirement: {part!r}")
    key, value = found["key"], found["value"] or ""
    values = {one.strip() for one in value.strip("()").split(",")}
    match found["operator"]:
        case "=" | "==":
            return lambda labels: labels.get(key) == value
        case "!=":
            return lambda labels: labels.get(key) != value
        case "in":
            return lambda labels: labels.get(key) in values
        case "notin":
            return lambda labels: labels.get(key) not in values
        case _ if found["absent"]:
            return lambda labels: key not in labels
        case _:
            return lambda labels: key in labels
