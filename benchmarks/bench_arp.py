"""The round trip of an ARP request and of a neighbour solicitation: netlb, the kernel, scapy, farpd and ndppd.

Everything is measured in one run, by turns; docs/benchmarks.md says how, and how to read the result.
"""

import os
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from rich.console import RenderableType

from benchmarks.arp.measure import GAP, WINDOW, Case, measure_all, measure_round
from benchmarks.arp.peers import PEERS, Family, Peer
from benchmarks.arp.probe import Probe, compile_probe
from benchmarks.arp.table import memory_table, round_trip_table, targets
from benchmarks.harness.machine import Cpus, machine_facts, machine_facts_after
from benchmarks.harness.replay import CLOCK, replay
from benchmarks.harness.results import Results
from netlb.testing.lab import Lab

ROUNDS = int(os.environ.get("NETLB_BENCH_ROUNDS", "20"))
_SEED = 826  # RFC 826 is ARP's; the order of turns is the same in every run
_CASES: list[tuple[Family, Peer]] = [
    (family, peer) for family in ("ARP", "NDP") for peer in PEERS if family in peer.families
]

pytestmark = pytest.mark.timeout(1200)


def method(cpus: Cpus) -> str:
    """Say how it was measured."""
    return f"""\
A node and a client on a bridge, each in a namespace. Each peer has an address of its own on the node; it is started, \
asked and ended in every round, and alone while it is asked.
p50, p99: one question at a time, {GAP} µs and up to {PEERS[0].effort.jitter} µs after the answer before \
(farpd: up to 500 ms, since it reads twice a second), from its sending to the checked answer. The probe polls, and \
never sleeps. Of fewer than 100 questions in a round, p99 is the slowest answer.
answers/s: {WINDOW} questions always outstanding. CPU: of all processes of the peer, for each isolated answer. The \
kernel answers inside the asker's send: it has no process, and no CPU of its own beside the probe's.
All numbers are medians over the rounds, drawn in a new order each; x kernel is the median of the rounds' own ratios. \
scapy and farpd, which no noise can make fast, take part in every fourth round.
{cpus.describe()}"""


@pytest.fixture(scope="module")
def cases(reports: list[RenderableType]) -> list[Case]:
    """Measure everything, write the results file and leave the report for the end."""
    cpus, before = Cpus.allot(), machine_facts()
    cases = [Case(peer=peer, family=family) for family, peer in _CASES]
    with (
        TemporaryDirectory(prefix="netlb-bench-") as temporary,
        Lab(nodes=1, clients=1, pods_per_node=0, name="bench") as lab,
    ):
        directory = Path(temporary)
        node, client = lab.nodes["node-1"], lab.clients["client-1"]
        probe = Probe(compile_probe(directory), client, cpus.measuring, node.mac)
        measure_all(
            cases,
            ROUNDS,
            Random(_SEED),
            lambda case: measure_round(case, probe, node, directory, cpus),
            lambda text: print(f"\n{text}", end="", flush=True),
        )
    results = Results(
        name="arp",
        machine=machine_facts_after(before),
        method=method(cpus).splitlines(),
        numbers={"cases": [case.as_json() for case in cases]},
        targets=targets(cases),
    )
    path = results.write()
    reports.append(results.report([round_trip_table(cases), memory_table(cases)]))
    reports.append(f"Every number: {path}")
    return cases


@pytest.mark.benchmark(timer=CLOCK.read)
@pytest.mark.parametrize(("family", "peer"), _CASES, ids=lambda value: getattr(value, "name", value))
def test_round_trip(benchmark: BenchmarkFixture, cases: list[Case], family: Family, peer: Peer) -> None:
    """Each round of pytest-benchmark is the p50 of one of ours. Being slow fails nothing; being wrong does."""
    case = next(case for case in cases if (case.family, case.peer) == (family, peer))
    if peer.missing:  # `make bench` installs all of them; a machine without one still compares the others
        pytest.skip(peer.missing)
    if case.failure:
        pytest.fail(f"{peer.name}, {family}: {case.failure}")
    benchmark.group = f"{family}: p50 of each round"
    replay(benchmark, [each.round_trip_us.p50 / 1e6 for each in case.rounds], case.as_json())
