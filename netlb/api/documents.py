"""YAML text to documents, as `kubectl apply` reads it, and how to write what is read back as it was.

Differences to plain PyYAML, each because Kubernetes' own parser behaves so: a key that stands twice in one
mapping is an error, `1:20` is text and not a number to the base of sixty, and `2026-01-01` is text.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from netlb.errors import ConfigError
from netlb.findings import Finding
from netlb.reasons import ManifestProblem

__all__ = ["Document", "Dumper", "Plain", "parse_documents", "parse_value"]

_MAX_DEPTH = 64
_TAGS = frozenset({None, "!", "tag:yaml.org,2002:str"})
_MAX_NODES = 200_000  # with aliases expanded: a few lines of YAML can otherwise unfold to gigabytes


@dataclass(frozen=True, slots=True)
class Document:
    """One object as it was written, and where."""

    origin: str
    body: Mapping[str, Any]


class _Loader(yaml.CSafeLoader):
    """The safe C loader with Kubernetes' notion of scalars."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}


class Dumper(yaml.CSafeDumper):
    """The safe C dumper; a text that PyYAML's or Kubernetes' parser would take for something else gets quotes."""


for _tag, _pattern, _first in (
    (
        "bool",
        r"^(?:yes|Yes|YES|no|No|NO|true|True|TRUE|false|False|FALSE|on|On|ON|off|Off|OFF)$",
        "yYnNtTfFoO",
    ),
    ("int", r"^[-+]?(?:0b[01_]+|0o?[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+)$", "-+0123456789"),
    ("float", r"^[-+]?(?:[0-9][0-9_]*)?\.?[0-9]+(?:[eE][-+]?[0-9]+)?$", "-+0123456789."),
    ("merge", r"^<<$", "<"),
    ("null", r"^(?:~|null|Null|NULL|)$", "~nN\0"),
):
    for _class in (_Loader, Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^$"), [""])
Dumper.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^[yYnN]$"), list("yYnN"))  # so kubectl reads them


class _Open:
    """A mapping or sequence that the check is inside of."""

    __slots__ = ("anchor", "keys", "nodes", "want_key")

    def __init__(self, anchor: str | None, *, mapping: bool) -> None:
        self.anchor = anchor
        self.nodes = 1
        self.keys: set[str] | None = set() if mapping else None
        self.want_key = mapping


def _check(text: str) -> None:
    """Refuse, before anything is built, what could not be built or would not end; yaml.YAMLError says what.

    The composer is recursive and written in C: it must never see deep nesting. The constructors of explicit tags
    (`!!int abc`) raise whatever they like.
    """
    stack: list[_Open] = []
    sizes: dict[str, int] = {}
    for event in yaml.parse(text, Loader=_Loader):
        match event:
            case yaml.DocumentStartEvent():
                sizes.clear()
            case yaml.MappingStartEvent() | yaml.SequenceStartEvent():
                if event.tag not in _TAGS:
                    raise _refused(f"tag {event.tag} is not read", event)
                if len(stack) >= _MAX_DEPTH:
                    raise _refused(f"nested more than {_MAX_DEPTH} levels deep", event)
                stack.append(_Open(event.anchor, mapping=isinstance(event, yaml.MappingStartEvent)))
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                closed = stack.pop()
                if closed.anchor:
                    sizes[closed.anchor] = closed.nodes
                _count(stack, closed.nodes, event)
            case yaml.ScalarEvent():
                if event.tag not in _TAGS:
                    raise _refused(f"tag {event.tag} is not read", event)
                if event.anchor:
                    sizes[event.anchor] = 1
                _count(stack, 1, event, key=event.value)
            case yaml.AliasEvent():
                if event.anchor not in sizes:
                    raise _refused(f"alias {event.anchor!r} stands for nothing that is complete", event)
                _count(stack, sizes[event.anchor], event)


def _refused(problem: str, event: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=event.start_mark)


def _count(stack: list[_Open], nodes: int, event: Any, *, key: str | None = None) -> None:
    """Add a node to the collection around it; refuse too many of them, and a key that stands twice."""
    if not stack:
        return
    around = stack[-1]
    around.nodes += nodes
    if around.nodes > _MAX_NODES:
        raise _refused(f"more than {_MAX_NODES} values when its aliases are expanded", event)
    if around.keys is None:
        return
    if around.want_key and key is not None and key != "<<":
        if key in around.keys:
            raise _refused(f"key {key!r} stands twice", event)
        around.keys.add(key)
    around.want_key = not around.want_key


@dataclass(frozen=True, slots=True)
class Plain:
    """A number or truth value that was written without quotes, and how: Go takes it for text where it wants text."""

    text: str
    value: bool | int | float


class _PlainLoader(_Loader):
    """Keeps how numbers and truth values were written."""


def _construct_plain(loader: _PlainLoader, node: yaml.ScalarNode) -> Plain:
    return Plain(node.value, _Loader.yaml_constructors[node.tag](loader, node))


for _tag in ("bool", "int", "float"):
    _PlainLoader.add_constructor(f"tag:yaml.org,2002:{_tag}", _construct_plain)


def _load(text: str, origin: str, loader: type[_Loader] = _Loader) -> list[Any]:
    """Load every document of a text; ConfigError with line and column if one of them is broken."""
    try:
        _check(text)
        return list(yaml.load_all(text, Loader=loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = f"{where}{error.problem or error.context}"
    except (yaml.YAMLError, ValueError, TypeError) as error:
        problem = str(error).splitlines()[0]
    remedy = "mend the YAML; until then the last good content stays in force"
    raise ConfigError(Finding(origin=origin, reason=ManifestProblem.INVALID_YAML, problem=problem, remedy=remedy))


def parse_value(text: str, origin: str, *, plain: bool = False) -> Any:
    """Parse a text that holds one value, such as a configuration inside a ConfigMap; empty text is None.

    With `plain`, numbers and truth values (keys, too) are `Plain`.
    """
    values = _load(text, origin, _PlainLoader if plain else _Loader)
    if len(values) > 1:
        raise ConfigError(
            Finding(
                origin=origin,
                reason=ManifestProblem.INVALID_YAML,
                problem=f"{len(values)} documents where one is expected",
                remedy="remove the `---` lines",
            )
        )
    return values[0] if values else None


def parse_documents(text: str, origin: str) -> tuple[Document, ...]:
    """Parse every object of a manifest; a `List` counts as its items, an empty document as nothing.

    The origin of each is the given one and its number, as in `app.yaml#2`. ConfigError if the text is not
    YAML or a document is not an object: then nothing of the text counts.
    """
    documents: list[Document] = []
    for number, value in enumerate(_load(text, origin), start=1):
        if value is None:
            continue
        items = value.get("items") if isinstance(value, dict) and value.get("kind") == "List" else [value]
        for item in items if isinstance(items, list) else [items]:
            if not isinstance(item, dict) or not all(isinstance(key, str) for key in item):
                raise ConfigError(
                    Finding(
                        origin=f"{origin}#{number}",
                        reason=ManifestProblem.INVALID_YAML,
                        problem=f"a {type(item).__name__} where a Kubernetes object is expected",
                        remedy="write apiVersion, kind and metadata",
                    )
                )
            documents.append(Document(f"{origin}#{number}", item))
    return tuple(documents)
