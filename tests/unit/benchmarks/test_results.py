"""The form of the results file, and what is said of targets."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from benchmarks.harness.results import Results
from benchmarks.harness.targets import Target

MET = Target(name="a / b", value=0.5, limit=1.0, unit="x")
MISSED = Target(name="c", value=1.0, limit=1.0, unit="s")
UNKNOWN = Target(name="d", value=None, limit=2.0, unit="x")


@pytest.fixture
def results() -> Results:
    return Results(
        name="speed",
        machine={"kernel": "6.1", "load_after": 0.12345},
        method=["One sentence.", "Another."],
        numbers={"rounds": [{"p50_us": 1.5}]},
        targets=[MET, MISSED, UNKNOWN],
    )


def shown(results: Results) -> str:
    console = Console(width=100)
    with console.capture() as captured:
        console.print(results.report(["a table"]))
    return captured.get()


def test_the_file_has_everything_and_nothing_else(results: Results, tmp_path: Path) -> None:
    path = results.write(tmp_path / "results")
    assert tmp_path / "results" / "speed.json" == path
    assert {
        "benchmark": "speed",
        "machine": {"kernel": "6.1", "load_after": 0.12345},
        "method": ["One sentence.", "Another."],
        "numbers": {"rounds": [{"p50_us": 1.5}]},
        "targets": [
            {"name": "a / b", "value": 0.5, "limit": 1.0, "unit": "x", "met": True},
            {"name": "c", "value": 1.0, "limit": 1.0, "unit": "s", "met": False},
            {"name": "d", "value": None, "limit": 2.0, "unit": "x", "met": None},
        ],
    } == json.loads(path.read_text())


def test_a_later_run_replaces_the_file(results: Results, tmp_path: Path) -> None:
    results.write(tmp_path)
    results.write(tmp_path)
    assert ["speed.json"] == [path.name for path in tmp_path.iterdir()]


def test_a_number_that_is_none_is_not_written(results: Results, tmp_path: Path) -> None:
    broken = Results(name="x", machine={}, method=[], numbers={"p50": float("nan")}, targets=[])
    with pytest.raises(ValueError, match="Out of range float"):
        broken.write(tmp_path)


def test_the_report_has_table_method_machine_and_every_verdict(results: Results) -> None:
    lines = [" ".join(line.split()) for line in shown(results).splitlines()]
    assert ["a table", "One sentence.", "Another.", "Machine: kernel 6.1, load after 0.12."] == lines[:4]
    assert {"a / b 0.5 < 1 x met", "c 1 < 1 s not met", "d - < 2 x not measured"} <= set(lines)
