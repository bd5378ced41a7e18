"""Records to structural schemas, as `apiextensions.k8s.io/v1` wants them: typed throughout, nothing nullable."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import inspect

from netlb.api.crds.source import Check, Text
from netlb.api.crds.table import CHECKS, FIELDS, MAX_ITEMS, RULES

__all__ = ["record_schema"]

Schema = dict[str, Any]

_INT32 = 0x7FFFFFFF
_RULES = "x-kubernetes-validations"


def record_schema(kind: type[msgspec.Struct], texts: Mapping[str, Text]) -> Schema:
    """Return the schema of a record; `texts` has what the source says about each class, by name."""
    described = inspect.type_info(kind)
    assert isinstance(described, inspect.StructType)
    return _struct(described, texts)


def _struct(kind: inspect.StructType, texts: Mapping[str, Text]) -> Schema:
    name = kind.cls.__name__
    text = texts.get(name, Text(""))
    properties = {field.encode_name: _field(field, name, text, texts) for field in kind.fields}
    schema: Schema = {"type": "object", "properties": properties}
    if text.description:
        schema = {"description": text.description, **schema}
    if required := [field.encode_name for field in kind.fields if field.required]:
        schema["required"] = required
    if rules := RULES.get(name):
        schema[_RULES] = [{"rule": rule.rule, "message": rule.message, "fieldPath": f".{rule.field}"} for rule in rules]
    return schema


def _field(field: inspect.Field, record: str, text: Text, texts: Mapping[str, Text]) -> Schema:
    schema = _value(field.type, texts)
    if description := text.fields.get(field.name):
        schema["description"] = description
    for check in text.checks:
        if check.path[0] == field.encode_name:
            _merge(_part(schema, check.path[1:]), _fragment(check))
    _merge(schema, FIELDS.get(record, {}).get(field.encode_name, {}))
    _add_bounds(schema)
    _add_default(schema, field)
    return {key: schema[key] for key in sorted(schema, key="description".__ne__)}


def _value(kind: inspect.Type, texts: Mapping[str, Text]) -> Schema:
    match kind:
        case inspect.BoolType():
            return {"type": "boolean"}
        case inspect.IntType():
            return {"type": "integer"}
        case inspect.StrType():
            return {"type": "string"}
        case inspect.LiteralType(values=values):
            return {"type": "string", "enum": list(values)}
        case inspect.VarTupleType(item_type=item):
            return {"type": "array", "items": _value(item, texts)}
        case inspect.DictType(value_type=value):
            return {"type": "object", "additionalProperties": _value(value, texts)}
        case inspect.StructType():
            return _struct(kind, texts)
        case inspect.UnionType(types=types):
            # Absent is `None` in a record; in a manifest it is a field that is not there.
            (only,) = (member for member in types if not isinstance(member, inspect.NoneType))
            return _value(only, texts)
    raise TypeError(f"{kind} has no place in a manifest; use bool, int, str, Literal, tuple, dict or a record")


def _fragment(check: Check) -> Mapping[str, Any]:
    if check.function == "check_bounds":
        return dict(zip(("minimum", "maximum"), check.bounds, strict=True))
    return CHECKS.get(check.function, {})


def _part(schema: Schema, path: Sequence[str]) -> Schema:
    for step in path:
        schema = schema["items" if step == "items" else "additionalProperties"]
    return schema


def _merge(schema: Schema, more: Mapping[str, Any]) -> None:
    for key, value in more.items():
        if isinstance(value, Mapping):
            _merge(schema[key], value)
        else:
            schema[key] = value


def _add_bounds(schema: Schema) -> None:
    """Add what follows from the rest: the width of numbers, the size of lists with rules, what sets ask of objects."""
    for part in (schema, schema.get("items", {}), schema.get("additionalProperties", {})):
        if part.get("type") == "integer":
            part["format"] = "int32" if part.get("maximum", _INT32 + 1) <= _INT32 else "int64"
    items = schema.get("items", {})
    if _has_rules(items):
        schema["maxItems"] = MAX_ITEMS
    if schema.get("x-kubernetes-list-type") == "set" and items["type"] == "object":
        items["x-kubernetes-map-type"] = "atomic"


def _has_rules(schema: Schema) -> bool:
    return _RULES in schema or any(
        _has_rules(inner)
        for inner in (*schema.get("properties", {}).values(), schema.get("items"), schema.get("additionalProperties"))
        if inner
    )


def _add_default(schema: Schema, field: inspect.Field) -> None:
    """Show a default that says something; "", () and None are the same as an absent field."""
    default = field.default
    if isinstance(default, msgspec.Struct):
        if default != type(default)():
            raise TypeError(f"{field.name}: the default of a record within a record has to be that record's own")
        schema["default"] = {}
    elif isinstance(default, bool | int) or (isinstance(default, str) and default):
        schema["default"] = default
