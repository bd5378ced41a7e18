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

from benchmarks.arp.measure import FLOOD, GAP, WINDOW, Case, measure_all, measure_round
from benchmarks.arp.peers import KERNEL, NETLB, OTHER, PEERS, SOCKETS
from benchmarks.arp.places import lay_cable, places
from benchmarks.arp.probe import compile_probe
from benchmarks.arp.table import memory_table, round_trip_table, targets, traffic_table
from benchmarks.arp.traffic import SECONDS, measure_traffic
from benchmarks.harness.machine import Cpus, machine_facts, machine_facts_after
from benchmarks.harness.replay import CLOCK, replay
from benchmarks.harness.results import Results
from netlb.testing.lab import Lab

ROUNDS = int(os.environ.get("NETLB_BENCH_ROUNDS", "5"))
_SEED = 826  # RFC 826 is ARP's; the order of turns is the same in every run
_OVER_THE_CABLE = [peer for peer in PEERS if peer in (KERNEL, NETLB, SOCKETS, OTHER)]


def made_cases() -> list[Case]:
    """Return everything that is measured: all over the bridge, the fast over the cable too, and ours with many."""
    found = []
    for family in ("ARP", "NDP"):
        found += [Case(peer=peer, family=family, way="veth") for peer in _OVER_THE_CABLE]
        found += [
            Case(peer=peer, family=family, way="veth", addresses=addresses)
            for addresses in (1_000, 100_000)
            for peer in (NETLB, SOCKETS)
        ]
        found += [Case(peer=peer, family=family) for peer in PEERS if family in peer.families]
    return found


_CASES = made_cases()

pytestmark = pytest.mark.timeout(1200)


def method(cpus: Cpus) -> str:
    """Say how it was measured."""
    return f"""\
A node and a client, each in a namespace, on a bridge and joined by a veth pair. Each peer has an address of its own \
on the node; it is started, asked and ended in every round, and alone while it is asked. netlb BPF is netlb with a \
fast path, netlb AF_PACKET is --l2-fastpath off. Where it answers for many (of), each question is for another of them.
p50, p99: one question at a time, {GAP} µs and up to {PEERS[0].effort.jitter} µs after the answer before \
(farpd: up to 500 ms, since it reads twice a second), from its sending to the checked answer. The probe polls, and \
never sleeps. Of fewer than 100 questions in a round, p99 is the slowest answer.
answers/s: {WINDOW} questions always outstanding. CPU: of all processes of the peer, for each isolated answer. The \
kernel and the BPF program answer inside the asker's send: they have no CPU of their own beside the probe's.
of flood: which part was not answered of 100,000 questions a second, for {FLOOD / 1000:.0f} ms of each round.
All numbers are medians over the rounds, drawn in a new order each; x kernel is the median of the rounds' own ratios, \
to the kernel's answer for one address over the same way. scapy and farpd, which no noise can make fast, and many \
addresses, which take long to announce, take part in every third round.
TCP: iperf3, {SECONDS} s at a time after one that does not count, by turns.
{cpus.describe()}"""


@pytest.fixture(scope="module")
def cases(reports: list[RenderableType]) -> list[Case]:
    """Measure everything, write the results file and leave the report for the end."""
    cpus, before, random = Cpus.allot(), machine_facts(), Random(_SEED)
    cases = made_cases()

    def tell(text: str) -> None:
        print(f"\n{text}", end="", flush=True)

    with (
        TemporaryDirectory(prefix="netlb-bench-") as temporary,
        Lab(nodes=1, clients=1, pods_per_node=0, name="bench") as lab,
    ):
        directory = Path(temporary)
        lay_cable(lab.nodes["node-1"], lab.clients["client-1"])
        where = places(lab, compile_probe(directory), cpus.measuring)
        measure_all(cases, ROUNDS, random, lambda case: measure_round(case, where, directory, cpus), tell)
        traffic = measure_traffic(where["veth"], directory, cpus, random, tell)
    results = Results(
        name="arp",
        machine=machine_facts_after(before),
        method=method(cpus).splitlines(),
        numbers={"cases": [case.as_json() for case in cases], "tcp_bits_per_second": traffic.bits},
        targets=targets(cases, traffic),
    )
    path = results.write()
    reports.append(results.report([round_trip_table(cases), memory_table(cases), traffic_table(traffic)]))
    reports.append(f"Every number: {path}")
    return cases


@pytest.mark.benchmark(timer=CLOCK.read)
@pytest.mark.parametrize("number", range(len(_CASES)), ids=[case.title for case in _CASES])
def test_round_trip(benchmark: BenchmarkFixture, cases: list[Case], number: int) -> None:
    """Each round of pytest-benchmark is the p50 of one of ours. Being slow fails nothing; being wrong does."""
    case = cases[number]
    if case.peer.missing:
        pytest.skip(case.peer.missing)  # `make bench` installs all of them; without one the others still compare
    if case.failure:
        pytest.fail(f"{case.title}: {case.failure}")
    benchmark.group = f"{case.family}: p50 of each round"
    replay(benchmark, [each.round_trip_us.p50 / 1e6 for each in case.rounds], case.as_json())
