"""Who owns which field: server-side apply and `metadata.managedFields`, as structured-merge-diff does it. Pure.

A field set is a set of paths of leaves; the steps of a path are written as in FieldsV1: `f:name` a field, `k:{...}` the
element of a list by its keys, `v:...` an element of a set. Maps are granular, lists atomic unless keys are declared.
"""

import copy
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from netlb.testing.apiserver.status import Refused

__all__ = ["Keys", "Owner", "apply", "owners_of", "ownership", "updated"]

Path = tuple[str, ...]
Keys = Callable[[Path], tuple[str, ...] | None]
"""By the names of the fields that lead to a list: the keys of its elements, () for a set, None if it is atomic."""

_MISSING = object()
_KEY_DEFAULTS = {"protocol": "TCP"}
_IDENTITY = frozenset({"creationTimestamp", "deletionTimestamp", "generateName", "generation", "managedFields", "name"})
_UNOWNED = {("f:apiVersion",), ("f:kind",)} | {
    ("f:metadata", f"f:{name}") for name in (*_IDENTITY, "namespace", "resourceVersion", "selfLink", "uid")
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose fields a set is."""

    manager: str
    operation: str
    """Apply or Update."""
    api_version: str
    subresource: str = ""


Owned = dict[Owner, set[Path]]


def apply(
    live: Mapping[str, Any], config: Mapping[str, Any], owner: Owner, keys: Keys, *, force: bool
) -> dict[str, Any]:
    """Return an object after a manager applied what it wants of it; Refused (409) names who owns what it may not take.

    What this manager applied before and does not now is removed, unless somebody else owns it too.
    """
    owned = owners_of(live)
    wanted = _leaves(config, keys) - _UNOWNED
    contested = {
        other: taken
        for other, paths in owned.items()
        if other != owner and (taken := {path for path in wanted & paths if _get(live, path) != _get(config, path)})
    }
    if contested and not force:
        raise _conflict(contested)
    for other, taken in contested.items():
        owned[other] -= taken
    merged = _merge(live, config, keys, ())
    others = set().union(*(paths for other, paths in owned.items() if other != owner))
    for path in sorted(owned.get(owner, set()) - wanted, key=len):  # an element of a list before the keys in it
        if path not in others:
            _remove(merged, path)
    owned[owner] = wanted
    return ownership(merged, owned, live)


def updated(before: Mapping[str, Any], after: dict[str, Any], owner: Owner, keys: Keys) -> dict[str, Any]:
    """Return an object that was written without apply: what changed is its writer's from now on."""
    owned = owners_of(before)
    there = _leaves(after, keys) - _UNOWNED
    changed = {path for path in there if _get(before, path) != _get(after, path)}
    owned = {one: paths & there - (changed if one != owner else set()) for one, paths in owned.items()}
    if changed:
        owned[owner] = owned.get(owner, set()) | changed
    return ownership(after, owned, before)


def ownership(body: dict[str, Any], owned: Owned, before: Mapping[str, Any]) -> dict[str, Any]:
    """Return an object with these managedFields; the time of an entry that did not change stays."""
    old = {_owner(entry): entry for entry in before.get("metadata", {}).get("managedFields", ())}
    entries = []
    for owner, paths in owned.items():
        if not paths:
            continue
        entry = {
            "manager": owner.manager,
            "operation": owner.operation,
            "apiVersion": owner.api_version,
            "fieldsType": "FieldsV1",
            "fieldsV1": _fields(paths),
            **({"subresource": owner.subresource} if owner.subresource else {}),
        }
        same = owner in old and old[owner]["fieldsV1"] == entry["fieldsV1"]
        entries.append(old[owner] if same else entry)
    return {**body, "metadata": {**body["metadata"], "managedFields": entries}}


def owners_of(body: Mapping[str, Any]) -> Owned:
    """Return who owns which fields of an object."""
    entries = body.get("metadata", {}).get("managedFields", ())
    return {_owner(entry): set(_paths(entry["fieldsV1"], ())) for entry in entries}


def _owner(entry: Mapping[str, Any]) -> Owner:
    return Owner(
        manager=entry["manager"],
        operation=entry["operation"],
        api_version=entry["apiVersion"],
        subresource=entry.get("subresource", ""),
    )


def _conflict(contested: Mapping[Owner, Iterable[Path]]) -> Refused:
    causes = []
    for owner, paths in contested.items():
        using = f" using {owner.api_version}{'' if owner.operation == 'Apply' else f' with {owner.operation}'}"
        for path in sorted(paths):
            field = "".join(f".{step[2:]}" if step.startswith("f:") else f"[{step[2:]}]" for step in path)
            message = f'conflict with "{owner.manager}"{using if owner.operation != "Apply" else ""}'
            causes.append({"reason": "FieldManagerConflict", "message": message, "field": field})
    count = len(causes)
    listed = "; ".join(f"{cause['message']}: {cause['field']}" for cause in causes)
    message = f"Apply failed with {count} conflict{'s' if count > 1 else ''}: {listed}"
    return Refused(409, "Conflict", message, causes=causes)


def _leaves(value: Any, keys: Keys, path: Path = (), names: Path = ()) -> set[Path]:
    if isinstance(value, Mapping) and value:
        return set().union(
            *(_leaves(inner, keys, (*path, f"f:{name}"), (*names, name)) for name, inner in value.items())
        )
    if isinstance(value, list) and (by := keys(names)) is not None:
        found: set[Path] = set()
        for element in value:
            here = (*path, _step(element, by))
            found |= {here} | (_leaves(element, keys, here, names) if by else set())
        return found
    return {path}


def _step(element: Any, by: tuple[str, ...]) -> str:
    if not by:
        return f"v:{json.dumps(element)}"
    return f"k:{json.dumps({name: _key(element, name) for name in by}, sort_keys=True, separators=(',', ':'))}"


def _key(element: Mapping[str, Any], name: str) -> Any:
    return element.get(name, _KEY_DEFAULTS.get(name))


def _find(holder: Any, step: str) -> Any:
    """Return where a step leads to."""
    name = step[2:]
    if step.startswith("f:"):
        return holder.get(name, _MISSING) if isinstance(holder, Mapping) else _MISSING
    if not isinstance(holder, list):
        return _MISSING
    wanted = json.loads(name)
    if step.startswith("v:"):
        return wanted if wanted in holder else _MISSING
    return next(
        (one for one in holder if all(_key(one, key) == value for key, value in wanted.items())),
        _MISSING,
    )


def _get(body: Any, path: Path) -> Any:
    for step in path:
        body = _find(body, step)
    # That an element of a list is there, and that a map is, is all that its own path says.
    return _MISSING if body is _MISSING else () if path[-1].startswith("k:") or isinstance(body, Mapping) else body


def _remove(body: dict[str, Any], path: Path) -> None:
    """Remove what a path leads to, and the maps that it leaves empty."""
    *above, last = path
    holders: list[Any] = [body]
    for step in above:
        holders.append(_find(holders[-1], step))
        if holders[-1] is _MISSING:
            return
    gone = _find(holders[-1], last)
    if gone is _MISSING:
        return
    if last.startswith("f:"):
        del holders[-1][last[2:]]
    else:
        holders[-1].remove(gone)
    if above and not holders[-1] and above[-1].startswith("f:") and len(above) > 1:
        _remove(body, tuple(above))


def _merge(live: Any, config: Any, keys: Keys, names: Path) -> Any:
    if isinstance(live, Mapping) and isinstance(config, Mapping):
        merged = {name: copy.deepcopy(value) for name, value in live.items()}
        for name, value in config.items():
            merged[name] = _merge(live.get(name), value, keys, (*names, name))
        return merged
    if isinstance(live, list) and isinstance(config, list) and (by := keys(names)) is not None:
        elements = {_step(element, by): copy.deepcopy(element) for element in live}
        for element in config:
            step = _step(element, by)
            elements[step] = _merge(elements.get(step), element, keys, names)
        return list(elements.values())
    return copy.deepcopy(config)


def _fields(paths: Iterable[Path]) -> dict[str, Any]:
    """Return a field set as FieldsV1."""
    tree: dict[str, Any] = {}
    for path in sorted(paths):
        node = tree
        for step in path:
            node = node.setdefault(step, {})
        if path[-1].startswith("k:"):
            node["."] = {}
    return tree


def _paths(tree: Mapping[str, Any], path: Path) -> Iterable[Path]:
    if not tree:
        yield path
    for step, inner in tree.items():
        if step == ".":
            yield path
        else:
            yield from _paths(inner, (*path, step))
