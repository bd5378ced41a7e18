"""What a record's source says that its type does not: docstrings of fields, and the bounds it checks."""

import ast
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from netlb.api.v1alpha1 import base

__all__ = ["Check", "Text", "read"]


@dataclass(frozen=True, slots=True)
class Check:
    """One call in `__post_init__`, as in `check_bounds("asn", self.asn, 1, U32)`."""

    function: str
    path: tuple[str, ...]
    """The field's name in manifests; then `items` or `values` where each element is checked and not the whole."""
    bounds: tuple[int, ...]
    """The numbers among the arguments, in their order."""


@dataclass(frozen=True, slots=True)
class Text:
    """What the source of one class says."""

    description: str
    fields: Mapping[str, str] = field(default_factory=dict)
    """Docstrings of fields, by the names of their attributes."""
    checks: tuple[Check, ...] = ()


def read(sources: Iterable[str]) -> Mapping[str, Text]:
    """Return what modules, given as source text, say about their classes, by the classes' names."""
    return {
        node.name: Text(_flat(ast.get_docstring(node) or ""), dict(_docstrings(node)), tuple(_checks(node)))
        for source in sources
        for node in ast.parse(source).body
        if isinstance(node, ast.ClassDef)
    }


def _flat(text: str) -> str:
    return " ".join(text.split())


def _docstrings(node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    for statement, following in zip(node.body, node.body[1:], strict=False):
        match statement, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, _flat(text)


def _checks(node: ast.ClassDef) -> Iterator[Check]:
    """Yield the checks whose arguments are written out; one in a loop over names has its line in the table."""
    for function in node.body:
        if not (isinstance(function, ast.FunctionDef) and function.name == "__post_init__"):
            continue
        for call in ast.walk(function):
            match call:
                case ast.Call(func=ast.Name(id=name), args=[first, ast.Attribute() | ast.Name(), *rest]):
                    bounds = tuple(number for bound in rest if (number := _number(bound)) is not None)
                    if (path := _path(first)) and len(bounds) == len(rest):
                        yield Check(name, path, bounds)


def _path(node: ast.expr) -> tuple[str, ...]:
    """Return the path in `"asn"`, in `f"asnPerRack.{rack}"` and in `f"addresses[{index}]"`, or nothing."""
    match node:
        case ast.Constant(value=str(name)):
            return (name,)
        case ast.JoinedStr(values=[ast.Constant(value=str(start)), *_]) if start[-1] in ".[":
            return (start[:-1], "items" if start.endswith("[") else "values")
    return ()


def _number(node: ast.expr) -> int | None:
    """Return a number that is written out, or is one of the constants that all records share."""
    match node:
        case ast.Constant(value=int(number)):
            return number
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int(number))):
            return -number
        case ast.Name(id=name):
            shared = getattr(base, name, None)
            return shared if isinstance(shared, int) else None
    return None
