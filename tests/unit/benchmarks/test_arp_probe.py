"""What the probe says is taken at its word only where every answer was right."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from benchmarks.arp.probe import Isolated, ProbeError, Windowed, compile_probe, parse_isolated, parse_windowed

RIGHT = {"sent": 5, "answered": 4, "surplus": 0, "wrong": 0, "wrong_frame": ""}


def said(**changes: object) -> str:
    return json.dumps(RIGHT | changes)


def test_isolated_answers_are_in_microseconds_and_what_is_missing_is_lost() -> None:
    text = said(latencies_ns=[1500, 2000, 250])
    assert Isolated(microseconds=[1.5, 2.0, 0.25], lost=1, answered=4) == parse_isolated(text, 5)


def test_a_window_counts_what_came_in_time() -> None:
    assert Windowed(per_second=6.0, lost=1, answered=4) == parse_windowed(said(in_time=3, duration_ns=500_000_000))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"wrong": 2, "wrong_frame": "ffff"}, "2 wrong answers of 5, the first ffff"),
        ({"surplus": 1}, "1 answers that nobody waited for"),
        ({"answered": 0}, "no answers in time to 5 questions"),
        ({"latencies_ns": []}, "no answers in time"),
        ({"in_time": 0}, "no answers in time"),
    ],
)
def test_anything_else_is_no_measurement(changes: dict[str, object], words: str) -> None:
    text = said(**{"latencies_ns": [1000], "in_time": 1, "duration_ns": 1, **changes})
    for read in (lambda: parse_isolated(text, 5), lambda: parse_windowed(text)):
        with pytest.raises(ProbeError, match=words):
            read()


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler; Debian's packages gcc and libc6-dev have one")
def test_the_probe_compiles_and_refuses_wrong_arguments(tmp_path: Path) -> None:
    program = compile_probe(tmp_path)
    for arguments in ([], ["-i", "lo", "-s", "192.0.2.1", "-t", "192.0.2.2"], ["-n", "-1"]):
        refused = subprocess.run([program, *arguments], capture_output=True, text=True, timeout=10, check=False)
        assert (2, "") == (refused.returncode, refused.stdout), arguments


def test_a_missing_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ProbeError, match="packages gcc and libc6-dev"):
        compile_probe(tmp_path)
