"""YAML as kubectl reads it."""

import pytest

from netlb.api.documents import parse_documents, parse_value
from netlb.errors import ConfigError
from netlb.reasons import ManifestProblem


def test_documents_are_numbered_and_lists_unpacked() -> None:
    text = "a: 1\n---\n---\nkind: List\nitems:\n- b: 2\n- c: 3\n"
    documents = parse_documents(text, "x.yaml")
    assert [("x.yaml#1", {"a": 1}), ("x.yaml#3", {"b": 2}), ("x.yaml#3", {"c": 3})] == [
        (document.origin, document.body) for document in documents
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1:20", "1:20"),
        ("65000:10", "65000:10"),
        ("2026-01-01", "2026-01-01"),
        ("yes", True),
        ("0x10", 16),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("~", None),
        ("''", ""),
        ("10.0.0.1", "10.0.0.1"),
        ("::1", "::1"),
        ("-", [None]),
    ],
)
def test_scalars_mean_what_they_mean_to_kubernetes(text: str, value: object) -> None:
    assert value == parse_value(text, "x")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\na: 2", "line 2, column 1: key 'a' stands twice"),
        ("a: [1", "line 2, column 1"),
        ("- just a list", "a list where a Kubernetes object is expected"),
        ("1: 2", "a dict where a Kubernetes object is expected"),
        ("text", "a str where"),
        ("a: !!python/object:os.system {}", "tag tag:yaml.org,2002:python/object:os.system is not read"),
        *(
            (text, "is not read")
            for text in ("a: !!bool abc", "a: !!timestamp x", 'a: !!int ""', "a: !!map [a]", "!!set [a]")
        ),
        ("[" * 30_000 + "]" * 30_000, "nested more than 64 levels deep"),
        ("{a: " * 100, "nested more than 64 levels deep"),
        ("x: *y", "stands for nothing"),
        ("\x00", "control characters are not allowed"),
    ],
)
def test_broken_text_is_refused_with_its_place(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_documents(text, "x.yaml")
    assert caught.value.finding.reason is ManifestProblem.INVALID_YAML
    assert problem in caught.value.finding.problem


def test_a_merged_mapping_may_be_overridden() -> None:
    text = "b: &b {x: 1, y: 1}\nx: {c: &c {<<: *b, x: 2}}\nd: {<<: *c}"
    assert {"x": 2, "y": 1} == parse_value(text, "x")["d"]
    assert {"!": "a", "s": "1"} == parse_value("'!': ! a\ns: !!str 1", "x")


def test_aliases_that_would_unfold_without_bound_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    with pytest.raises(ConfigError, match="aliases are expanded"):
        parse_documents("\n".join(lines), "bomb.yaml")
    with pytest.raises(ConfigError, match="stands for nothing that is complete"):
        parse_documents("a: &a [*a]", "endless.yaml")
