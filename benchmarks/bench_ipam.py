"""Giving addresses: the time of one allocation, of a restart, and of one change, at any size; and memory.

Everything is measured in one run, by turns, beside the allocator that one would write with netaddr's IPSet.
"""

import gc
import os
import time
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random
from statistics import median
from typing import Final

import pytest
from netaddr import IPAddress, IPSet  # noqa: TID251  the peer
from pytest_benchmark.fixture import BenchmarkFixture
from rich.box import SIMPLE
from rich.console import RenderableType
from rich.table import Table

from benchmarks.harness.machine import machine_facts, machine_facts_after
from benchmarks.harness.replay import CLOCK, replay
from benchmarks.harness.results import Results
from benchmarks.harness.statistics import median_of_ratios
from benchmarks.harness.targets import Target
from benchmarks.ipam.clusters import POOLS, allocator, holdings, service, snapshot
from netlb.ipam import read_request
from netlb.net import Family
from netlb.plan import ClusterPlanner
from netlb.runtime.app import GC_ALLOCATIONS

ROUNDS = int(os.environ.get("NETLB_BENCH_ROUNDS", "5"))
_SEED = 1918  # RFC 1918 is about private addresses; the order of turns is the same in every run
_ALLOCATIONS = 500
_PEERS_ALLOCATIONS = 5
_MANY = 100_000
_CHANGES = 100

METHOD: Final = f"""\
allocation: the time of giving one address to one more Service, mean of {_ALLOCATIONS} in a round \
({_PEERS_ALLOCATIONS} for IPSet), with so many held before: packed, the lowest ones; or scattered, every second one.
IPSet: the first address of a netaddr.IPSet of what is free, and its removal from it; no Services, rules or pools.
restart: planning a cluster of {_MANY:,} Services that hold their addresses, from nothing.
one change: planning it again after one Service came, changed its request or went; median of {_CHANGES} in a round, \
with and without being told which Service it was.
memory: by tracemalloc, for each held address, of all that allocation keeps beside the Services' requests.
All numbers are medians over the rounds, in a new order each; the garbage collector is set as in the daemons."""

pytestmark = pytest.mark.timeout(1200)


@dataclass(frozen=True, slots=True)
class Case:
    """One thing to measure: its name, what it is measured in, and how."""

    name: str
    unit: str
    measure: Callable[[], float]


def allocation(pools: str, held: int, *, scattered: bool = False) -> Case:
    """Give addresses to new Services, and take them back."""
    family, declared = POOLS[pools]
    state, _ = allocator(declared, family, holdings(declared, family, held, every=2 if scattered else 1))
    assert held == len(state.allocations)
    requests = [read_request(service(_MANY * 2 + number, family)) for number in range(_ALLOCATIONS)]
    requests = requests[: sum(pool.usage()[family].free for pool in state.pools.ordered)]

    def measure() -> float:
        begin = time.perf_counter()
        for request in requests:
            state.change(request.service, request)
            state.settle([request.service])
        seconds = time.perf_counter() - begin
        assert held + len(requests) == len(state.allocations)
        for request in requests:
            state.change(request.service, None)
        state.settle([])
        return seconds / len(requests) * 1e6

    return Case(_name("netlb", pools, held, scattered=scattered), "µs", measure)


def ipset_allocation(pools: str, held: int, *, scattered: bool = False) -> Case:
    """Do the same with netaddr."""
    family, declared = POOLS[pools]
    free = IPSet([text for pool in declared.values() for text in pool.spec.addresses])
    taken = holdings(declared, family, held, every=2 if scattered else 1)
    free -= IPSet([str(holding.addresses[0]) for holding in taken.values()])

    def measure() -> float:
        given = []
        begin = time.perf_counter()
        for _ in range(_PEERS_ALLOCATIONS):
            address = IPAddress(min(free.iter_cidrs()).first, 4 if family is Family.IPV4 else 6)
            free.remove(address)
            given.append(address)
        seconds = time.perf_counter() - begin
        free.update(given)
        return seconds / _PEERS_ALLOCATIONS * 1e6

    return Case(_name("IPSet", pools, held, scattered=scattered), "µs", measure)


def restart() -> Case:
    """Plan everything from nothing."""
    family, declared = POOLS["a /8"]
    held = holdings(declared, family, _MANY, every=1)
    cluster = snapshot(declared, (service(number, family) for number in range(_MANY)))

    def measure() -> float:
        begin = time.perf_counter()
        plan = ClusterPlanner(held).plan(cluster)
        seconds = time.perf_counter() - begin
        assert _MANY == len(plan.addresses.allocations)
        return seconds

    return Case(f"restart with {_MANY:,} Services", "s", measure)


def one_change(*, told: bool) -> Case:
    """Plan again after one Service came, changed or went."""
    family, declared = POOLS["a /8"]
    cluster = snapshot(declared, (service(number, family) for number in range(_MANY)))
    planner = ClusterPlanner(holdings(declared, family, _MANY, every=1))
    planner.plan(cluster)

    def measure() -> float:
        now, seconds = cluster, []
        for turn in range(_CHANGES):
            services = dict(now.services)
            number = turn // 3 * 1000
            changed = service(number, family, requested=f"10.99.{turn // 256}.{turn % 256}")
            match turn % 3:
                case 0:
                    services[changed.ref] = changed
                case 1:
                    del services[changed.ref]
                case _:
                    services[changed.ref] = service(number, family)
            now = replace(now, services=services)
            begin = time.perf_counter()
            planner.plan(now, [changed.ref] if told else None)
            seconds.append(time.perf_counter() - begin)
        planner.plan(cluster)
        return median(seconds) * 1e3

    return Case(f"one change among {_MANY:,}{'' if told else ', not told which'}", "ms", measure)


def memory() -> Case:
    """Count what holding an address takes."""
    family, declared = POOLS["a /8"]
    held = holdings(declared, family, _MANY // 10, every=2)

    def measure() -> float:
        gc.collect()
        tracemalloc.start()
        try:
            state, requests = allocator(declared, family, held)
            gc.collect()
            before = tracemalloc.get_traced_memory()[0]
            assert len(requests) == len(state.allocations)
            copies = [read_request(service(number, family)) for number in range(len(held))]
            requests_alone = tracemalloc.get_traced_memory()[0] - before
            assert len(copies) == len(held)
            return (before - requests_alone) / len(held)
        finally:
            tracemalloc.stop()

    return Case("memory of a held address", "bytes", measure)


def _name(who: str, pools: str, held: int, *, scattered: bool) -> str:
    return f"{who}: allocation in {pools}, {held:,} held{', scattered' if scattered else ''}"


def make_cases() -> list[Case]:
    """Prepare everything that is measured."""
    return [
        allocation("a /24", 0),
        allocation("a /64", 0),
        *(allocation("a /8", held) for held in (0, 1_000, 10_000, _MANY)),
        *(allocation("a /8", held, scattered=True) for held in (1_000, _MANY)),
        *(allocation("a /64", held) for held in (10_000, _MANY)),
        *(allocation("1,000 of /28", held) for held in (0, 10_000, 15_000)),
        *(ipset_allocation("a /8", held) for held in (0, _MANY)),
        ipset_allocation("a /8", 10_000, scattered=True),
        ipset_allocation("1,000 of /28", 10_000),
        restart(),
        one_change(told=True),
        one_change(told=False),
        memory(),
    ]


def targets(found: Mapping[str, list[float]]) -> list[Target]:
    """State what is to be shown."""

    def ratio(name: str, reference: str) -> float:
        return median_of_ratios(found[name], found[reference])

    in_8 = {held: _name("netlb", "a /8", held, scattered=False) for held in (1_000, _MANY)}
    scattered = {held: _name("netlb", "a /8", held, scattered=True) for held in (1_000, _MANY)}
    a_24, a_64 = (_name("netlb", pools, 0, scattered=False) for pools in ("a /24", "a /64"))
    growth = "allocation, 100,000 held / 1,000 held"
    restart = median(found[f"restart with {_MANY:,} Services"])
    change = median(found[f"one change among {_MANY:,}"])
    ipset = _name("IPSet", "a /8", _MANY, scattered=False)
    return [
        Target(name=growth, value=ratio(in_8[_MANY], in_8[1_000]), limit=1.5, unit="x"),
        Target(name=f"{growth}, scattered", value=ratio(scattered[_MANY], scattered[1_000]), limit=1.5, unit="x"),
        Target(name="allocation, a /64 / a /24", value=ratio(a_64, a_24), limit=1.2, unit="x"),
        Target(name="allocation, 100,000 held: netlb / IPSet", value=ratio(in_8[_MANY], ipset), limit=1.0, unit="x"),
        Target(name=f"restart with {_MANY:,} Services", value=restart, limit=2.0, unit="s"),
        Target(name=f"one change among {_MANY:,}", value=change, limit=5.0, unit="ms"),
    ]


def table(cases: list[Case], found: Mapping[str, list[float]]) -> Table:
    """Return a row for each case."""
    shown = Table(title="giving addresses", title_justify="left", box=SIMPLE)
    for heading in ("measured", "median", "fastest", "slowest", "a second"):
        shown.add_column(heading, justify="left" if heading == "measured" else "right")
    for case in cases:
        values = found[case.name]
        rate = f"{1e6 / median(values):,.0f}" if case.unit == "µs" else ""
        shown.add_row(
            case.name, *(f"{value:,.3g} {case.unit}" for value in (median(values), min(values), max(values))), rate
        )
    return shown


@pytest.fixture(scope="module")
def measured(reports: list[RenderableType]) -> dict[str, list[float]]:
    """Measure everything by turns, write the results file and leave the report for the end."""
    thresholds = gc.get_threshold()
    gc.set_threshold(GC_ALLOCATIONS)
    try:
        before, random, cases = machine_facts(), Random(_SEED), make_cases()
        gc.freeze()
        found: dict[str, list[float]] = {case.name: [] for case in cases}
        for number in range(1, ROUNDS + 1):
            print(f"\nround {number} of {ROUNDS}", end="", flush=True)
            for case in random.sample(cases, len(cases)):
                found[case.name].append(case.measure())
    finally:
        gc.unfreeze()
        gc.set_threshold(*thresholds)
    results = Results(
        name="ipam",
        machine=machine_facts_after(before),
        method=METHOD.splitlines(),
        numbers={"cases": [{"name": case.name, "unit": case.unit, "rounds": found[case.name]} for case in cases]},
        targets=targets(found),
    )
    path = results.write()
    reports += [results.report([table(cases, found)]), f"Every number: {path}"]
    return found


@pytest.mark.benchmark(timer=CLOCK.read, group="one allocation")
@pytest.mark.parametrize("held", [0, 1_000, 10_000, _MANY])
def test_allocation(benchmark: BenchmarkFixture, measured: dict[str, list[float]], held: int) -> None:
    """Each round of pytest-benchmark is the mean of one of ours."""
    values = measured[_name("netlb", "a /8", held, scattered=False)]
    replay(benchmark, [value / 1e6 for value in values], {"held": held})
