"""Sites: gateways that fail, many sites planned and made, ten thousand routes, and packets through a tunnel.

Everything is measured in one run; docs/benchmarks.md says how, and how to read the result.
"""

import gc
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from rich.console import RenderableType

from benchmarks.harness.machine import machine_facts, machine_facts_after
from benchmarks.harness.replay import CLOCK, replay
from benchmarks.harness.results import Results
from benchmarks.raven.failover import ASKED_EVERY, CALM, FAULTS, FLOWS, KILLED_EVERY, failover_rounds
from benchmarks.raven.plans import BY_HAND, COUNTS, NETLB, plan_rounds
from benchmarks.raven.routes import PEERS, route_rounds
from benchmarks.raven.table import Found, failover_table, plan_table, route_table, targets, tunnel_table
from benchmarks.raven.tunnels import BY_HAND as TUNNEL_BY_HAND
from benchmarks.raven.tunnels import tunnel_rounds
from netlb.runtime.app import GC_ALLOCATIONS
from netlb.testing.lab import Lab

ROUNDS = int(os.environ.get("NETLB_BENCH_ROUNDS", "20"))
_PLANS = min(3, ROUNDS)
_ROUTES = min(8, ROUNDS)
_SEED = 7348  # RFC 7348 is VXLAN's; the order of turns is the same in every run
_PAUSE = f"{ASKED_EVERY / 1000:g} ms"

METHOD = f"""\
failover: a cloud, an edge of three nodes with two endpoints, and a shop, the last two behind NATs, the shop's a \
symmetric one; whole daemons, wireguard-go. A pod on the edge's third node sends a datagram every {_PAUSE} to the \
cloud's pod, and to the shop's by the hub. The gateway that is active loses its frames, both ways (it dies), has \
them again (it is back), is told to stop while it lives (planned switch), or its agent and its wireguard-go get \
SIGKILL, in every {KILLED_EVERY}th round. Each time everybody has heard everybody for {CALM:g} s before.
restored: from before the fault is made until the first answer to a datagram that was sent after the last one that \
was lost; 0 where none was. silent: the longest time without an answer, {_PAUSE} of which are the pause.
plans: sites of three nodes and two endpoints, IPv4 and IPv6, all but one behind NATs; the one that is not is their \
hub, and its first node is made from nothing. planned: from the snapshot to the node's data plane. made: tunnels \
with wireguard-go's start, overlay, routes, rules and nftables, by netlb's adapters, or by hand: the same plan as \
text for wg setconf, nft -f, ip -batch and bridge -batch. looked at: all of it observed again and compared, median \
of five.
routes: to an empty table, and all of them read back; iproute2 is started for each. pyroute2 takes part in every \
fourth round.
tunnel: from a pod of one gateway to that of another, one of them behind a NAT; netlb's gateways with all that they \
do, or the same wireguard-go set up with wg, and a route. One stream of iperf3, 1.5 s; a datagram every {_PAUSE}, 0.8 s.
Of fewer than 100 values, p99 is the slowest. x netlb is the median of the rounds' own ratios."""

pytestmark = pytest.mark.timeout(1200)


@pytest.fixture(scope="module")
def found(reports: list[RenderableType]) -> Found:
    """Measure everything, write the results file and leave the report for the end."""
    before = machine_facts()
    thresholds = gc.get_threshold()
    gc.set_threshold(GC_ALLOCATIONS)  # as in the daemons
    measured = Found()
    try:
        with TemporaryDirectory(prefix="netlb-bench-") as temporary:
            for coming in _measure(measured, Path(temporary), Random(_SEED)):
                print(f"\n{coming}", end="", flush=True)
    finally:
        gc.set_threshold(*thresholds)
    results = Results(
        name="raven",
        machine=machine_facts_after(before),
        method=METHOD.splitlines(),
        numbers=measured.as_json(),
        targets=targets(measured),
    )
    path = results.write()
    tables = [failover_table(measured), plan_table(measured), route_table(measured), tunnel_table(measured)]
    reports.append(results.report(tables))
    reports.append(f"Every number: {path}")
    return measured


def _measure(measured: Found, directory: Path, random: Random) -> Iterator[str]:
    """Fill what is found, and say what comes."""
    with Lab(nodes=2, clients=0, pods_per_node=0, name="bench") as lab:
        yield "routes"
        for number, name, programmed in route_rounds(lab.nodes["node-1"], _ROUTES, random):
            measured.routes.setdefault(name, {})[number] = programmed
        yield "plans"
        for number, count, name, made in plan_rounds(lab.nodes["node-2"], f"bench{os.getpid()}", _PLANS, random):
            measured.plans.setdefault((count, name), {})[number] = made
    yield "tunnels"
    (directory / "tunnels").mkdir()
    for number, name, carried in tunnel_rounds(directory / "tunnels", ROUNDS, random):
        measured.tunnels.setdefault(name, {})[number] = carried
    (directory / "failover").mkdir()
    yield from failover_rounds(directory / "failover", ROUNDS, measured.cases)


@pytest.mark.benchmark(timer=CLOCK.read)
@pytest.mark.parametrize("flow", FLOWS)
@pytest.mark.parametrize("fault", FAULTS)
def test_failover(benchmark: BenchmarkFixture, found: Found, fault: str, flow: str) -> None:
    """Each round of pytest-benchmark is the longest silence of one of ours."""
    seen = found.cases[fault, flow]
    if any(each.restored_ms is None for each in seen):
        pytest.fail(f"{fault}, {flow}: traffic was not restored")
    benchmark.group = f"{fault}: without an answer"
    replay(benchmark, [each.silent_ms / 1e3 for each in seen], {})


@pytest.mark.benchmark(timer=CLOCK.read)
@pytest.mark.parametrize("name", [NETLB, BY_HAND])
@pytest.mark.parametrize("count", COUNTS)
def test_plan(benchmark: BenchmarkFixture, found: Found, count: int, name: str) -> None:
    """Each round of pytest-benchmark is one hub made."""
    benchmark.group = f"a hub of {count:,} sites"
    replay(benchmark, [each.apply for each in found.plans[count, name].values()], {})


@pytest.mark.benchmark(timer=CLOCK.read, group="ten thousand routes programmed")
@pytest.mark.parametrize("name", PEERS)
def test_routes(benchmark: BenchmarkFixture, found: Found, name: str) -> None:
    """Each round of pytest-benchmark is one of ours."""
    replay(benchmark, [each.program for each in found.routes[name].values()], {})


@pytest.mark.benchmark(timer=CLOCK.read, group="round trip through a tunnel")
@pytest.mark.parametrize("name", [NETLB, TUNNEL_BY_HAND])
def test_tunnel(benchmark: BenchmarkFixture, found: Found, name: str) -> None:
    """Each round of pytest-benchmark is the median round trip of one of ours."""
    rounds = found.tunnels[name]
    replay(
        benchmark, [each.rtt_us / 1e6 for each in rounds.values()], {"mbit": [each.mbit for each in rounds.values()]}
    )
