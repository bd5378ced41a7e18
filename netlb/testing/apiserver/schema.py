"""What the API server does with a custom object: defaults, the schema, the rules in CEL.

JSON Schema is jsonschema's, CEL is cel-python's; formats, patterns and CEL's `duration` are as Go has them.
"""

import ipaddress
import re
import sys
from collections.abc import Iterator, Mapping
from datetime import timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Any

import celpy
from celpy import celtypes
from celpy.adapter import json_to_cel
from celpy.evaluation import CELEvalError
from jsonschema import Draft202012Validator, FormatChecker, validators
from jsonschema.exceptions import ValidationError

__all__ = ["defaulted", "problems", "rule_holds", "unknown_fields"]

Schema = Mapping[str, Any]


def defaulted(schema: Schema, value: Any) -> Any:
    """Return a value with nulls dropped and absent fields filled in, as it is before it is validated."""
    if isinstance(value, list) and "items" in schema:
        return [defaulted(schema["items"], inner) for inner in value]
    if not isinstance(value, dict):
        return value
    properties, more = schema.get("properties", {}), schema.get("additionalProperties", {})
    filled = {key: inner for key, inner in value.items() if inner is not None}
    filled = {key: inner["default"] for key, inner in properties.items() if "default" in inner} | filled
    return {key: defaulted(properties.get(key, more), inner) for key, inner in filled.items()}


def problems(schema: Schema, value: Any) -> list[str]:
    """Return what is wrong with a value, as `$.path: message`."""
    errors = _Validator(schema, format_checker=_FORMATS).iter_errors(value)
    return [f"{error.json_path}: {error.message}" for error in errors]


def unknown_fields(schema: Schema, value: Any, path: str = "$") -> Iterator[str]:
    """Yield the fields that a schema does not have: strict validation, which kubectl asks for, refuses them."""
    properties, more, items = (schema.get(key, {}) for key in ("properties", "additionalProperties", "items"))
    if isinstance(value, dict):
        for name, inner in value.items():
            if properties and name not in properties:
                yield f"{path}: unknown field {name}"
            yield from unknown_fields(properties.get(name, more), inner, f"{path}.{name}")
    if isinstance(value, list):
        for index, inner in enumerate(value):
            yield from unknown_fields(items, inner, f"{path}[{index}]")


def rule_holds(rule: str, value: Any) -> bool:
    """Say whether a CEL rule holds for `self`; an error in it is a refusal."""
    try:
        return bool(_program(rule).evaluate({"self": json_to_cel(value)}))
    except CELEvalError:
        return False


_UNITS = {
    "h": Fraction(3600),
    "m": Fraction(60),
    "s": Fraction(1),
    "ms": Fraction(1, 10**3),
    "us": Fraction(1, 10**6),
    "µs": Fraction(1, 10**6),
}


def _duration(text: str) -> celtypes.DurationType:
    """`time.ParseDuration`, which takes more than cel-python does: `0`, microseconds by their sign."""
    parts = re.findall(r"([0-9]*\.?[0-9]*)(h|ms|us|µs|m|s)", text)
    if text != "0" and (not parts or "".join(number + unit for number, unit in parts) != text):
        raise ValueError(text)
    seconds = sum((Fraction(number) * _UNITS[unit] for number, unit in parts), Fraction(0))
    return celtypes.DurationType(timedelta(microseconds=round(seconds * 10**6)))


def _split(text: str, separator: str) -> celtypes.ListType:
    """One of the functions for texts that Kubernetes adds to CEL."""
    return celtypes.ListType([celtypes.StringType(part) for part in str(text).split(str(separator))])


# It raises the interpreter's recursion limit, which is not its to change; our rules are flat.
_LIMIT = sys.getrecursionlimit()
_CEL = celpy.Environment()
sys.setrecursionlimit(_LIMIT)


@lru_cache
def _program(rule: str) -> celpy.Runner:
    return _CEL.program(_CEL.compile(rule), functions={"duration": _duration, "split": _split})


_FORMATS = FormatChecker(formats=())


def _parses(parse: Any, text: str) -> bool:
    try:
        parse(text)
    except ValueError:
        return False
    return True


@_FORMATS.checks("ipv4")
def _ipv4(value: object) -> bool:
    return not isinstance(value, str) or ("." in value and "%" not in value and _parses(ipaddress.ip_address, value))


@_FORMATS.checks("ipv6")
def _ipv6(value: object) -> bool:
    return not isinstance(value, str) or ("%" not in value and _parses(ipaddress.IPv6Address, value))


@_FORMATS.checks("cidr")
def _cidr(value: object) -> bool:
    return not isinstance(value, str) or (
        bool(re.search(r"/[0-9]+\Z", value)) and "%" not in value and _parses(ipaddress.ip_interface, value)
    )


@_FORMATS.checks("date-time")
def _date_time(value: object) -> bool:
    return not isinstance(value, str) or bool(
        re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[-+]\d\d:\d\d)", value)
    )


def _pattern(_: Any, pattern: str, value: Any, __: Schema) -> Iterator[ValidationError]:
    """To Go, `$` is the very end and `\\s` is ASCII."""
    going = re.compile(re.sub(r"\$(?=$|\|)", r"\\Z", pattern), re.ASCII)
    if isinstance(value, str) and not going.search(value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


def _list_type(_: Any, kind: str, value: Any, schema: Schema) -> Iterator[ValidationError]:
    if isinstance(value, list) and kind in ("set", "map"):
        keys = schema.get("x-kubernetes-list-map-keys")
        seen = [[entry.get(key) for key in keys] if keys and isinstance(entry, dict) else entry for entry in value]
        yield from (
            ValidationError(f"[{index}] stands twice") for index, entry in enumerate(seen) if entry in seen[:index]
        )


def _rules(_: Any, rules: list[Mapping[str, str]], value: Any, __: Schema) -> Iterator[ValidationError]:
    for rule in rules:
        if not rule_holds(rule["rule"], value):
            yield ValidationError(rule["message"], path=[rule["fieldPath"][1:]])


_Validator = validators.extend(  # type: ignore[no-untyped-call]
    Draft202012Validator,
    {"pattern": _pattern, "x-kubernetes-list-type": _list_type, "x-kubernetes-validations": _rules},
)
