"""What the API server refuses in a CustomResourceDefinition (apiextensions.k8s.io/v1), as far as our schemas go.

The rules are those of "structural schemas" in Kubernetes' documentation and of apiextensions-apiserver's validation.
"""

import re
from collections.abc import Iterator, Mapping
from math import prod
from typing import Any

from netlb.testing.apiserver.schema import problems

__all__ = ["complaints", "rules"]

Schema = Mapping[str, Any]

_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")
_TYPES = {"string", "integer", "number", "boolean", "array", "object"}
_FORMATS = {
    "string": {"ipv4", "ipv6", "cidr", "uri", "password", "duration", "date", "date-time", "byte"},
    "integer": {"int32", "int64"},
}
_VALUE = {"anyOf", "format", "pattern", "enum", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems"}
"""Keywords that check a value; only these may stand below anyOf."""
_STRUCTURE = {"description", "type", "default", "properties", "additionalProperties", "items", "required"}
_EXTENSIONS = {
    f"x-kubernetes-{name}" for name in ("int-or-string", "list-type", "list-map-keys", "map-type", "validations")
}
_AT_ROOT = {"description", "type", "properties", "required", "x-kubernetes-validations"}
"""What the status subresource leaves for the root."""

_CALLS, _READS = 50, 20
"""More than a rule of ours costs: once, and for each character of a text that it searches."""
_RULE_LIMIT = 10_000_000
_TOTAL_LIMIT = 100_000_000


def complaints(definition: Mapping[str, Any]) -> list[str]:
    """Return everything that is wrong with a definition."""
    spec = definition["spec"]
    (version,) = spec["versions"]
    schema = version["schema"]["openAPIV3Schema"]
    found = [*_names(definition["metadata"]["name"], spec), *_structure(schema, ""), *_columns(version, schema)]
    found += [f"the root has {key}" for key in schema.keys() - _AT_ROOT]
    if schema["properties"]["metadata"] != {"type": "object"}:
        found.append("metadata is specified by Kubernetes")
    costs = [cardinality * _cost(node, rule["rule"]) for cardinality, _, node, rule in rules(schema)]
    if any(cost > _RULE_LIMIT for cost in costs) or sum(costs) > _TOTAL_LIMIT:
        found.append(f"rules may cost {costs}")
    return found


def rules(schema: Schema, path: str = "", cardinality: int = 1) -> Iterator[tuple[int, str, Schema, Schema]]:
    """Yield each CEL rule below a schema: how often it may run, its path, its own schema and the rule.

    ValueError for a list or mapping without a limit above a rule, for which there is no such number.
    """
    for rule in schema.get("x-kubernetes-validations", ()):
        if cardinality < 0:
            raise ValueError(f"{path}: a rule below a list or mapping without a limit")
        yield cardinality, path, schema, rule
    for name, inner in schema.get("properties", {}).items():
        yield from rules(inner, f"{path}.{name}", cardinality)
    for key, limit in (("items", "maxItems"), ("additionalProperties", "maxProperties")):
        if key in schema:
            bound = schema.get(limit, -1)
            below = prod((cardinality, bound)) if min(cardinality, bound) >= 0 else -1
            yield from rules(schema[key], f"{path}[]", below)


def _cost(schema: Schema, rule: str) -> int:
    """Estimate a rule from above, with cel-go's rules: a text that is made there is endless, as is one without a limit."""
    if re.search(r"\+|\bstring\(|\.(join|format|replace)\(", rule):
        return _RULE_LIMIT + 1
    searched = re.findall(r"\bself\.(\w+)\.(?:split|matches|contains|all|exists|exists_one)\(", rule)
    parts = (schema["properties"][name] for name in searched)
    return _CALLS + _READS * sum(int(part.get("maxLength", part.get("maxItems", _RULE_LIMIT))) for part in parts)


def _names(name: str, spec: Mapping[str, Any]) -> Iterator[str]:
    names = spec["names"]
    if name != f"{names['plural']}.{spec['group']}":
        yield f"{name} is not plural.group"
    every = [names["plural"], names["singular"], names["kind"].lower(), names["listKind"].lower()]
    for label in (*every, *names["shortNames"], *names["categories"]):
        if not _LABEL.fullmatch(label):
            yield f"{label} is not a DNS label"
    if names["kind"] == names["listKind"]:
        yield "kind and listKind are the same"


def _columns(version: Mapping[str, Any], schema: Schema) -> Iterator[str]:
    for column in version["additionalPrinterColumns"]:
        if column["type"] not in {"integer", "number", "string", "boolean", "date"}:
            yield f"column {column['name']}: type {column['type']}"
        if column["jsonPath"] == ".metadata.creationTimestamp":
            continue
        shown = schema
        for step in re.sub(r"\[[^]]*\]", "[]", column["jsonPath"]).split(".")[1:]:  # a filter chooses an element
            shown = shown.get("properties", {}).get(step.removesuffix("[]"), {})
            shown = shown.get("items", {}) if step.endswith("[]") else shown
        kinds = {shown.get("type"), "string"} if shown.get("type") in ("array", "object") else {shown.get("type")}
        if column["type"] not in kinds:
            yield f"column {column['name']}: {column['jsonPath']} is {shown.get('type')}"


def _structure(schema: Schema, path: str) -> Iterator[str]:
    where = path or "the root"
    if unknown := schema.keys() - _STRUCTURE - _VALUE - _EXTENSIONS:
        yield f"{where}: {sorted(unknown)}"
        return
    kind = schema.get("type")
    if schema.get("x-kubernetes-int-or-string") and kind is None and path:
        return
    if kind not in _TYPES or (not path and kind != "object"):
        yield f"{where}: type {kind}"
        return
    if kind == "array" and "items" not in schema:
        yield f"{where}: an array without items"
    if "additionalProperties" in schema and ("properties" in schema or not path):
        yield f"{where}: additionalProperties, and properties"
    if missing := set(schema.get("required", ())) - schema.get("properties", {}).keys():
        yield f"{where}: {missing} are required and nowhere specified"
    if "format" in schema and schema["format"] not in _FORMATS.get(str(kind), ()):
        yield f"{where}: format {schema['format']}"
    yield from _junctors(schema, where)
    yield from _extensions(schema, where)
    if "default" in schema:
        yield from (f"{where}: default: {problem}" for problem in problems(schema, schema["default"]))
    for name, inner in schema.get("properties", {}).items():
        yield from _structure(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            yield from _structure(schema[key], f"{path}[]")


def _junctors(schema: Schema, where: str) -> Iterator[str]:
    for part in (schema, *schema.get("anyOf", ())):
        if "pattern" in part:
            try:
                re.compile(part["pattern"])
            except re.error:
                yield f"{where}: pattern {part['pattern']}"
    for part in schema.get("anyOf", ()):
        if unknown := part.keys() - _VALUE:
            yield f"{where}: {sorted(unknown)} below anyOf"


def _extensions(schema: Schema, where: str) -> Iterator[str]:
    items = schema.get("items", {})
    keys = schema.get("x-kubernetes-list-map-keys", [])
    match schema.get("x-kubernetes-list-type"):
        case "set":
            if items.get("type") == "object" and items.get("x-kubernetes-map-type") != "atomic":
                yield f"{where}: a set of objects that are not atomic"
        case "map":
            scalars = {
                name for name, inner in items.get("properties", {}).items() if inner["type"] not in ("array", "object")
            }
            if not keys or not set(keys) <= scalars & set(items.get("required", ())):
                yield f"{where}: keys {keys} of a list that is a map"
        case None if keys:
            yield f"{where}: keys of a list that is no map"
        case None:
            pass
        case other:
            yield f"{where}: list type {other}"
    if "x-kubernetes-list-type" in schema and schema.get("type") != "array":
        yield f"{where}: a list type, and no list"
    if "x-kubernetes-map-type" in schema and schema.get("type") != "object":
        yield f"{where}: a map type, and no map"
    for rule in schema.get("x-kubernetes-validations", ()):
        if not rule["rule"].strip() or not rule["message"].strip() or "\n" in rule["rule"] + rule["message"]:
            yield f"{where}: a rule or a message that is empty or has several lines"
        if rule["fieldPath"][1:] not in schema.get("properties", {}):
            yield f"{where}: {rule['fieldPath']} is no field"
