"""An owner of an address fails, and another node takes over: netlb and keepalived, as clients see it.

Everything is measured in one run, by turns; docs/benchmarks.md says how, and how to read the result.
"""

import contextlib
import os
from dataclasses import asdict
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from rich.console import RenderableType

from benchmarks.failover.idle import NEIGHBOURS, idle
from benchmarks.failover.many import SIZES, ManyKeepalived, ManyNetlb, Mass, masses
from benchmarks.failover.measure import (
    ASKED_EVERY,
    FAULTS,
    REQUESTED_EVERY,
    SEEN_FOR,
    Calm,
    Case,
    fill,
    keep_busy,
    serve,
    turn,
)
from benchmarks.failover.reading import HAND_OVER
from benchmarks.failover.stations import NETLB, STATIONS, running
from benchmarks.failover.table import calm_table, idle_table, mass_table, takeover_table, targets
from benchmarks.harness.machine import machine_facts, machine_facts_after
from benchmarks.harness.replay import CLOCK, replay
from benchmarks.harness.results import Results
from netlb.testing.lab import Lab

ROUNDS = int(os.environ.get("NETLB_BENCH_ROUNDS", "20"))
# `make bench BENCH=failover` hands BENCH on, as make does with what it is given; among all benchmarks a look will do.
LOAD_SECONDS = float(
    os.environ.get("NETLB_BENCH_LOAD_SECONDS", "300" if os.environ.get("BENCH") == "failover" else "30")
)
IDLE_SECONDS = 30.0
_SEED = 5798  # RFC 5798 is VRRP's; the order of turns is the same in every run

METHOD = f"""\
Three nodes and three clients on a bridge, each in a namespace. In each round each program runs on all nodes and keeps \
an address, alone, while one fault after the other, in an order drawn anew, befalls the owner: every process is killed \
(crash), its frames are lost though its link is up (cut link) and pass again (link back), what it sends is lost and it \
hears everything (one-way link), the process that decides is stopped and does not know it (frozen), it is declared to \
have nothing any more (drain: a label on its Node, the lowest priority), or it is told to end (orderly stop).
One client asks by ARP every {ASKED_EVERY / 1000:g} ms, and answers are stamped by its kernel. Another begins an HTTP \
request to the address every {REQUESTED_EVERY / 1000:g} ms, whatever became of those before; each node forwards to a \
pod of its own. Neither is told anything. A third one sees when somebody else answers; {SEEN_FOR:g} s later it is over.
taken over: from the fault (before the signal is sent, or `ip` is called) until the first answer of another node; of \
link back, of the owner that returns. silent: the longest time without any answer. unserved: the longest time without \
a completed request; a node whose programs crash still forwards. both answer: from the first answer of the new owner \
to the last one of the old owner; a frozen one, and an address that a crash left on an interface, answer to the end.
second: the old owner's answers meanwhile, median; those in the first {HAND_OVER / 1e6:g} ms of an orderly stop are a \
hand-over.
keepalived: VRRP version 3, multicast, priorities 254 to 252; with 1 s, its default, it takes part in every fourth \
round. While every CPU is busy with as many endless loops, nothing fails and everybody keeps an address at once.
Many addresses: the owner of them all crashes once, and a client hears gratuitous ARP. Idle: one speaker hears \
{NEIGHBOURS} others at ten packets a second each, for which one process stands in, and nothing changes.
Of fewer than 100 rounds, p99 is the slowest. x netlb is the median of the rounds' own ratios."""

pytestmark = pytest.mark.timeout(7200)


@pytest.fixture(scope="module")
def cases(reports: list[RenderableType]) -> list[Case]:
    """Measure everything, write the results file and leave the report for the end."""
    before, random, numbers = machine_facts(), Random(_SEED), count(1)
    cases = [Case(kind=kind, fault=fault) for fault in FAULTS for kind in STATIONS.values()]
    with (
        TemporaryDirectory(prefix="netlb-bench-") as temporary,
        Lab(nodes=3, clients=3, pods_per_node=1, name="bench") as lab,
    ):
        serve(lab, [kind.address for kind in STATIONS.values()])
        for coming in fill(
            cases, ROUNDS, random, lambda kind: turn(kind, lab, Path(temporary, str(next(numbers))), random)
        ):
            print(f"\n{coming}", end="", flush=True)
        print(f"\nevery CPU is busy for {LOAD_SECONDS:g} s", end="", flush=True)
        calm = load(lab, Path(temporary, "load"))
        print("\nmany addresses", end="", flush=True)
        many = mass(lab, Path(temporary, "many"))
        print(f"\nnothing to do for {IDLE_SECONDS:g} s", end="", flush=True)
    with TemporaryDirectory(prefix="netlb-bench-") as temporary:
        cost = idle(Path(temporary, "idle"), IDLE_SECONDS)
    results = Results(
        name="failover",
        machine=machine_facts_after(before),
        method=METHOD.splitlines(),
        numbers={
            "cases": [case.as_json() for case in cases],
            "busy": [asdict(each) for each in calm],
            "many": [asdict(each) for each in many],
            "idle": asdict(cost),
        },
        targets=targets(cases, calm, many, cost),
    )
    path = results.write()
    reports.append(results.report([takeover_table(cases), mass_table(many), calm_table(calm), idle_table(cost)]))
    reports.append(f"Every number: {path}")
    return cases


def load(lab: Lab, directory: Path) -> list[Calm]:
    """Let all stations keep an address at once while every CPU is busy."""
    with contextlib.ExitStack() as stack:
        stations = {
            name: stack.enter_context(running(kind, lab, directory / str(number)))
            for number, (name, kind) in enumerate(STATIONS.items())
            if not kind.missing
        }
        return keep_busy(lab, stations, LOAD_SECONDS, len(os.sched_getaffinity(0)))


def mass(lab: Lab, directory: Path) -> list[Mass]:
    """Let an owner of many addresses crash."""
    kept = STATIONS["keepalived, 0.1 s"]
    makers = [(NETLB.name, ManyNetlb), *([] if kept.missing else [(kept.name, ManyKeepalived)])]
    return list(masses(lab, directory, makers, SIZES))


@pytest.mark.benchmark(timer=CLOCK.read)
@pytest.mark.parametrize("station", STATIONS)
@pytest.mark.parametrize("fault", FAULTS)
def test_failover(benchmark: BenchmarkFixture, cases: list[Case], fault: str, station: str) -> None:
    """Each round of pytest-benchmark is the time of one of ours until another node answered."""
    case = next(case for case in cases if (case.kind.name, case.fault) == (station, fault))
    if case.kind.missing:  # `make bench` installs all of them; a machine without one still compares the others
        pytest.skip(case.kind.missing)
    if case.failure:
        pytest.fail(f"{station}, {fault}: {case.failure}")
    taken = case.values(lambda each: each.takeover_ms)
    if len(taken) < len(case.outcomes):
        pytest.fail(f"{station}, {fault}: nobody took over in {len(case.outcomes) - len(taken)} rounds")
    benchmark.group = f"{fault}: until another node answers"
    replay(benchmark, [each / 1e3 for each in taken], case.as_json())
