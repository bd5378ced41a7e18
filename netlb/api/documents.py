"""YAML text to documents, as `kubectl apply` reads it.

Differences to plain PyYAML, each because Kubernetes' own parser behaves so: a key that stands twice in one
mapping is an error, `1:20` is text and not a number to the base of sixty, and `2026-01-01` is text.
"""

import re
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from netlb.errors import ConfigError
from netlb.findings import Finding
from netlb.reasons import ManifestProblem

__all__ = ["Document", "parse_documents", "parse_value"]

_MAX_NODES = 200_000  # with aliases expanded: a few lines of YAML can otherwise unfold to gigabytes


@dataclass(frozen=True, slots=True)
class Document:
    """One object as it was written, and where."""

    origin: str
    body: Mapping[str, Any]


class _Loader(yaml.CSafeLoader):
    """The safe C loader with Kubernetes' notion of scalars."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.MarkedYAMLError(problem=f"key {key.value!r} stands twice", problem_mark=key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


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
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^$"), [""])


def _size(value: Any, known: dict[int, int]) -> int:
    """Count the nodes of a value with its aliases expanded, visiting each shared part once."""
    if not isinstance(value, dict | list):
        return 1
    if (size := known.get(id(value))) is None:
        known[id(value)] = _MAX_NODES  # a value that contains itself is endless
        children = value.values() if isinstance(value, dict) else value
        size = known[id(value)] = 1 + sum(_size(child, known) for child in children)
    return size


def _load(text: str, origin: str) -> list[Any]:
    """Load every document of a text; ConfigError with line and column if one of them is broken."""
    remedy = "mend the YAML; until then the last good content stays in force"
    try:
        values = list(yaml.load_all(text, Loader=_Loader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problem = f"{where}{error.problem or error.context}"
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = str(error).splitlines()[0]
    else:
        if _size(values, {}) <= _MAX_NODES:
            return values
        problem = f"the text holds more than {_MAX_NODES} values when its aliases are expanded"
        remedy = "split the file"
    raise ConfigError(Finding(origin=origin, reason=ManifestProblem.INVALID_YAML, problem=problem, remedy=remedy))


def parse_value(text: str, origin: str) -> Any:
    """Parse a text that holds one value, such as a configuration inside a ConfigMap; empty text is None."""
    values = _load(text, origin)
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
