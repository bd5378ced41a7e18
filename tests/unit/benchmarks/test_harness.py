"""Processes of the harness, its clock for pytest-benchmark, and its view of the machine."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.harness.machine import Cpus, debian_version, machine_facts, machine_facts_after
from benchmarks.harness.processes import cpu_nanoseconds, ended, family, pinned, resident_bytes
from tests.support.waiting import eventually

PARENT = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
REPLAYED = """
import pytest
from benchmarks.harness.replay import CLOCK, replay

@pytest.mark.benchmark(timer=CLOCK.read)
def test_replayed(benchmark):
    replay(benchmark, [3e-6, 1e-6, 0.5], {"peer": "x"})
"""
ROOT = Path(__file__).parents[3]
BURNER = """
import threading, time
def burn():
    while time.thread_time() < 0.1:
        pass
    print(time.process_time_ns(), flush=True)
    input()
threading.Thread(target=burn).start()
"""
DEAF = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(60)"


def python(program: str) -> "subprocess.Popen[str]":
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, text=True)


def test_a_family_is_a_process_with_its_children() -> None:
    with python(PARENT) as process:
        eventually(lambda: len(family(process.pid)) == 2, "it has a child")
        pids = family(process.pid)
        assert process.stdin is not None
        process.stdin.close()
    assert 2 == len(pids)
    assert process.pid == pids[0]
    assert [] == family(process.pid)


def test_cpu_time_is_that_of_all_threads_and_nothing_else() -> None:
    with python(BURNER) as process:
        assert process.stdout is not None
        used = int(process.stdout.readline())
        assert used > 100_000_000
        assert used == pytest.approx(cpu_nanoseconds([process.pid]), abs=10_000_000)
        process.kill()


def test_a_process_that_is_gone_takes_no_time() -> None:
    with python("pass") as process:
        pass
    assert 0 == cpu_nanoseconds([process.pid])


def test_resident_memory_is_in_bytes() -> None:
    assert 5 << 20 < resident_bytes(os.getpid()) < 5 << 30


def test_a_process_is_ended_even_if_it_will_not_and_the_measurement_breaks() -> None:
    with python(DEAF) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with pytest.raises(KeyboardInterrupt), ended(process):
            raise KeyboardInterrupt
        assert -9 == process.returncode


def test_a_command_is_pinned_where_there_are_cpus_to_choose_from() -> None:
    assert ["taskset", "--cpu-list", "1", "true"] == pinned(["true"], 1)
    assert ["true"] == pinned(["true"], None)


@pytest.mark.parametrize(
    ("usable", "expected", "words"),
    [({0}, Cpus(None, None), "nothing is pinned"), ({40, 2, 35}, Cpus(2, 35), "pinned to CPU 2, every peer to CPU 35")],
)
def test_measuring_and_measured_are_kept_apart_where_there_are_two_cpus(
    monkeypatch: pytest.MonkeyPatch, usable: set[int], expected: Cpus, words: str
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: usable)
    assert expected == Cpus.allot()
    assert words in Cpus.allot().describe()


def test_the_machine_is_described() -> None:
    facts = machine_facts()
    assert {"taken", "kernel", "architecture", "cpu", "cpus", "load", "python", "netlb"} == facts.keys()
    assert os.uname().release == facts["kernel"]


@pytest.mark.parametrize(("before", "after", "calm"), [(0.1, 2.0, "yes"), (2.1, 1.2, "no"), (0.1, 2.1, "no")])
def test_a_run_on_a_busy_machine_says_so(
    monkeypatch: pytest.MonkeyPatch, before: float, after: float, calm: str
) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (after, 9.0, 9.0))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    facts = machine_facts_after({"kernel": "6.1", "load": before})
    assert ("6.1", before, after) == (facts["kernel"], facts["load"], facts["load_after"])
    assert str(facts["calm"]).startswith(calm)


def test_a_package_that_nobody_has_is_of_unknown_version() -> None:
    assert "unknown" == debian_version("netlb-has-no-such-package")


def test_what_was_measured_elsewhere_reaches_pytest_benchmark_unchanged(tmp_path: Path) -> None:
    program, saved = tmp_path / "test_replayed.py", tmp_path / "saved.json"
    program.write_text(REPLAYED)
    command = [sys.executable, "-m", "pytest", "--rootdir", str(tmp_path), "-p", "no:cacheprovider", str(program)]
    # Whoever runs under pytest-xdist, and so would this, has no benchmarks.
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_XDIST")}
    command.append(f"--benchmark-json={saved}")
    subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, timeout=50, check=True)
    [found] = json.loads(saved.read_text())["benchmarks"]
    assert {"peer": "x"} == found["extra_info"]
    assert [3e-6, 1e-6, 0.5] == pytest.approx(found["stats"]["data"])
