"""deploy/crds is what the records say, in a form that the API server takes."""

import importlib.util
import re
from copy import deepcopy
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import pytest

from netlb.api.crds import definitions, table
from netlb.api.crds.status import REPORTS
from netlb.api.documents import parse_documents
from netlb.api.v1alpha1 import KINDS
from tests.support.crds import FOLDER, load, schema_of
from tests.support.structural import complaints, rules

ROOT = Path(__file__).parents[3]
NAMES = [kind.kind() for kind in KINDS]


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate_crds", ROOT / "tools" / "generate_crds.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def nodes(schema: dict[str, Any], path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """Every schema within a schema, by path."""
    found = [(path, schema)]
    for name, inner in schema.get("properties", {}).items():
        found += nodes(inner, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if key in schema:
            found += nodes(schema[key], f"{path}[]")
    return found


def test_the_files_are_what_the_generator_writes() -> None:
    wanted = generator().wanted()
    assert sorted(wanted) == [path.name for path in sorted(FOLDER.iterdir())], "run tools/generate_crds.py"
    for name, text in wanted.items():
        assert text == (FOLDER / name).read_text(), "run tools/generate_crds.py"


def test_a_file_that_differs_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = generator()
    monkeypatch.setattr(tool, "FOLDER", tmp_path)
    wanted = tool.wanted()
    for name, text in wanted.items():
        (tmp_path / name).write_text(text)
    assert [] == tool.differing(wanted)
    (tmp_path / "bgppeers.yaml").write_text("")
    (tmp_path / "gone.yaml").write_text("")
    (tmp_path / "communities.yaml").unlink()
    assert ["bgppeers.yaml", "communities.yaml", "gone.yaml"] == tool.differing(wanted)
    monkeypatch.setattr("sys.argv", ["generate_crds.py", "--check"])
    with pytest.raises(SystemExit) as stopped:
        tool.main()
    assert "bgppeers.yaml, communities.yaml, gone.yaml: not what the records say" in str(stopped.value)
    monkeypatch.setattr("sys.argv", ["generate_crds.py"])
    tool.main()
    assert [] == tool.differing(wanted)


@pytest.mark.parametrize("kind", NAMES)
def test_the_api_server_would_take_it(kind: str) -> None:
    assert [] == complaints(load(kind))
    # `kubectl apply` keeps the whole of it in an annotation of at most 256 KiB; our own parser reads it as Kubernetes'.
    text = (FOLDER / f"{table.KINDS[kind].plural}.yaml").read_text()
    assert len(text) < 1 << 17
    assert "&id" not in text
    assert [load(kind)] == [document.body for document in parse_documents(text, "x.yaml")]


@pytest.mark.parametrize("kind", REPORTS)
def test_the_api_server_would_take_the_kinds_of_reports(kind: str) -> None:
    text = (FOLDER / f"{REPORTS[kind].names.plural}.yaml").read_text()
    [document] = parse_documents(text, "x.yaml")
    assert [] == complaints(document.body)
    assert ("Namespaced" if REPORTS[kind].namespaced else "Cluster") == document.body["spec"]["scope"]


@pytest.mark.parametrize("kind", NAMES)
def test_every_field_says_what_it_is(kind: str) -> None:
    schema = schema_of(kind)
    spec, status = (dict(schema["properties"][name]) for name in ("spec", "status"))
    silent = [
        f"{place}.{name}"
        for place, node in (*nodes(spec, ".spec"), *nodes(status, ".status"))
        for name, inner in node.get("properties", {}).items()
        if not inner.get("description", "").endswith((".", "`"))
    ]
    assert [] == silent
    assert schema["description"]
    assert spec["description"]


def test_every_kind_has_its_line_and_no_line_is_left_over() -> None:
    assert {kind.kind() for kind in KINDS} == table.KINDS.keys()
    short = [names.short for names in table.KINDS.values()]
    assert len(short) == len(set(short))


def test_a_kind_without_a_line_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(cast("dict[str, table.Names]", table.KINDS), "Community")
    with pytest.raises(LookupError, match="Community: the kind has no names; add them to KINDS"):
        definitions([])


def test_rules_name_fields_that_exist() -> None:
    used = set()
    for kind in NAMES:
        for _, place, schema, rule in rules(schema_of(kind)):
            used.add(rule["message"])
            read = set(re.findall(r"\bself\.(\w+)", rule["rule"]))
            assert read, rule
            assert read <= schema["properties"].keys(), place
            # Reading an absent field is an error: it has a default, is required, or is asked for first.
            certain = {name for name, inner in schema["properties"].items() if "default" in inner}
            asked = set(re.findall(r"has\(self\.(\w+)\)", rule["rule"]))
            assert read <= certain | asked | set(schema.get("required", ())), place
    assert {rule.message for every in table.RULES.values() for rule in every} == used


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"type": None}, ".spec.peerPort: type None"),
        ({"$ref": "#/x"}, ".spec.peerPort: ['$ref']"),
        ({"default": 0}, ".spec.peerPort: default: $: 0 is less than the minimum of 1"),
        ({"nullable": True}, ".spec.peerPort: ['nullable']"),
        ({"format": "int16"}, ".spec.peerPort: format int16"),
        ({"anyOf": [{"type": "integer"}]}, ".spec.peerPort: ['type'] below anyOf"),
        ({"x-kubernetes-list-type": "set"}, ".spec.peerPort: a list type, and no list"),
        ({"type": "array"}, ".spec.peerPort: an array without items"),
    ],
)
def test_what_the_api_server_refuses_is_refused_here(change: dict[str, Any], complaint: str) -> None:
    definition = deepcopy(load("BGPPeer"))
    port = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"][
        "peerPort"
    ]
    port |= change
    assert complaint in complaints(definition)


@pytest.mark.parametrize("rule", ["self.description.contains(':')", "string(self.peerPort) + 's' == 's'"])
def test_a_rule_with_too_much_work_is_refused_here(rule: str) -> None:
    definition = deepcopy(load("BGPPeer"))
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    spec["x-kubernetes-validations"].append({"rule": rule, "message": "x", "fieldPath": ".peerASN"})
    (complaint,) = complaints(definition)
    assert "rules may cost" in complaint


def test_a_rule_below_a_list_without_a_limit_is_refused_here() -> None:
    definition = deepcopy(load("Community"))
    spec = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"]
    del spec["properties"]["communities"]["maxItems"]
    with pytest.raises(ValueError, match="a rule below a list or mapping without a limit"):
        complaints(definition)
