"""A speaker in a cluster of 10,000 Services: its first look at it, what it takes, and how soon it follows a change.

Everything is measured in one run; docs/benchmarks.md says how, and how to read the result.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from rich.console import RenderableType

from benchmarks.harness.machine import machine_facts, machine_facts_after
from benchmarks.harness.replay import CLOCK, replay
from benchmarks.harness.results import Results
from benchmarks.watch.measure import (
    KINDS,
    Changes,
    Speaker,
    Sync,
    followed,
    measure_creation,
    measure_speaker,
    read_once,
)
from benchmarks.watch.sync import PEERS
from benchmarks.watch.table import changes_table, speaker_table, sync_table, targets
from netlb.testing.lab import Lab

ROUNDS = int(os.environ.get("NETLB_BENCH_ROUNDS", "5"))
SERVICES = int(os.environ.get("NETLB_BENCH_SERVICES", "10000"))
_CHANGES = 40
"""Of each kind, for each round; so many Services are created in all."""
_SEED = 6455  # RFC 6455 is the WebSocket protocol's; the order of turns is the same in every run

METHOD = f"""\
The double of the API server runs in a process of its own on a host of the lab, with {SERVICES:,} Services, as many \
EndpointSlices of four endpoints each, and 100 nodes. A tenth of the Services are the measured node's alone; of the \
others it owns one in a hundred.
reading: by turns, each in a process of its own, in pages of 500 (kr8s: its default), from the first request until all \
objects are at hand; netlb is the source with its intake, as the speaker has them, and goes on following.
speaker: one process of netlb-speaker, with --state-dir and --liveness static; idle: once it has done all that it had \
to do; peak: to the end of the run.
event to frame: from when the segment with the event leaves the API server until the gratuitous ARP arrives there; \
both are stamped by one kernel on one interface. Changes are 0.15 to 0.25 s apart; what is measured follows one that \
made the address silent. created to answered: from before the POST of the Service until the first answer to ARP \
requests every millisecond; controller and speaker run.
Of fewer than 100 values, p99 is the slowest. x netlb is the median of the rounds' own ratios."""

pytestmark = pytest.mark.timeout(3600)


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that was measured."""

    syncs: Mapping[str, Sequence[Sync]]
    speaker: Speaker
    changes: Changes


@pytest.fixture(scope="module")
def found(reports: list[RenderableType]) -> Found:
    """Measure everything, write the results file and leave the report for the end."""
    before, random = machine_facts(), Random(_SEED)
    syncs: dict[str, list[Sync]] = {peer: [] for peer in PEERS}
    with (
        TemporaryDirectory(prefix="netlb-bench-") as temporary,
        Lab(nodes=1, clients=2, pods_per_node=0, name="bench") as lab,
        followed(lab.clients["client-1"], Path(temporary), SERVICES) as server,
    ):
        node, directory, rounds = lab.nodes["node-1"], Path(temporary), ROUNDS * _CHANGES
        read_once(node, server, "netlb")  # the double remembers the JSON of what it was asked for
        for _ in range(ROUNDS):
            for peer in random.sample(list(PEERS), len(PEERS)):
                syncs[peer].append(read_once(node, server, peer))
        speaker, changes = measure_speaker(node, directory, server, SERVICES, rounds=rounds, random=random)
        changes.created = measure_creation(lab, directory, server, SERVICES, rounds)
    results = Results(
        name="watch",
        machine=machine_facts_after(before),
        method=METHOD.splitlines(),
        numbers={
            "syncs": {peer: [asdict(each) for each in found] for peer, found in syncs.items()},
            "speaker": asdict(speaker),
            "changes": asdict(changes),
        },
        targets=targets(syncs, speaker, changes),
    )
    path = results.write()
    reports.append(results.report([sync_table(syncs), speaker_table(speaker), changes_table(changes)]))
    reports.append(f"Every number: {path}")
    return Found(syncs, speaker, changes)


@pytest.mark.benchmark(timer=CLOCK.read, group="reading the cluster once")
@pytest.mark.parametrize("peer", PEERS)
def test_sync(benchmark: BenchmarkFixture, found: Found, peer: str) -> None:
    """Each round of pytest-benchmark is one reading."""
    each = found.syncs[peer]
    if {one.objects for one in each} != {2 * SERVICES}:
        pytest.fail(f"{peer} did not read all objects: {[one.objects for one in each]}")
    replay(benchmark, [one.seconds for one in each], {"syncs": [asdict(one) for one in each]})


@pytest.mark.benchmark(timer=CLOCK.read, group="event to frame")
@pytest.mark.parametrize("kind", KINDS)
def test_change(benchmark: BenchmarkFixture, found: Found, kind: str) -> None:
    """Each round of pytest-benchmark is one change."""
    replay(benchmark, [each / 1e3 for each in found.changes.single[kind]], {})


@pytest.mark.benchmark(timer=CLOCK.read, group="created to answered")
def test_creation(benchmark: BenchmarkFixture, found: Found) -> None:
    """Each round of pytest-benchmark is one Service."""
    replay(benchmark, [each / 1e3 for each in found.changes.created], {})
