"""Routes on their way to a router's kernel, and traffic away from a node that fails: netlb, and what else there is.

Everything is measured in one run, by turns; docs/benchmarks.md says how, and how to read the result.
"""

import os
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from rich.console import RenderableType

from benchmarks.bgp.failures import ANNOUNCERS, FAULTS, FLOWS, SENT_EVERY, Failure, failure_rounds
from benchmarks.bgp.feeders import FEEDERS, GOBGPD, NETLB
from benchmarks.bgp.feeding import MANY
from benchmarks.bgp.routers import INTERVAL, MULTIPLIER, missing
from benchmarks.bgp.routes import BULK, CHANGES, DAEMON, SINGLE, Change, bulk_rounds, single_rounds
from benchmarks.bgp.table import bulk_table, failure_table, single_table, targets
from benchmarks.harness.machine import debian_version, machine_facts, machine_facts_after
from benchmarks.harness.replay import CLOCK, replay
from benchmarks.harness.results import Results
from netlb.errors import NetlbError

ROUNDS = int(os.environ.get("NETLB_BENCH_ROUNDS", "20"))
BULK_ROUNDS = max(1, ROUNDS // 4)
FAILURE_ROUNDS = max(1, ROUNDS // 2)
_SEED = 4271  # RFC 4271 is BGP's; the order of turns is the same in every run
_SINGLE = [(what, name) for what in SINGLE for name in (DAEMON, *(kind.name for kind in FEEDERS))]
_BULK = [(what, kind.name) for what in BULK for kind in FEEDERS if what != BULK[2] or kind in (NETLB, GOBGPD)]
_FAILURES = [(fault, kind.name) for fault in FAULTS for kind in ANNOUNCERS]

METHOD = f"""\
Nodes and routers on a bridge, each in a namespace; BGP with hold time 9 s, routers connect again after 1 s. A program \
in the router follows its kernel's table by netlink.
One route: {DAEMON} (a whole speaker with its own gobgpd; from when a manifest says that an endpoint is ready, or is \
not), netlb (the speaker's library: a gobgpd supervised, reconciled; from wanting a route), gobgpd alone (the same \
gobgpd, given a path by AddPathStream that was encoded before), exabgp (a line of its text API), each on a node of its \
own, with sessions to FRR and BIRD at once; {CHANGES} times each way in a round, at random moments. handed over: until \
AddPathStream is answered. verified: until netlb has looked for it in gobgpd's table, or finished withdrawing it. \
{DAEMON} and exabgp do not say when that is.
{MANY:,} routes: the same three with FRR alone, from sessions that are up and empty tables; until the last route is \
in, or out of, FRR's kernel. gobgpd killed: with all routes there, by SIGKILL, until all are there again; both are \
supervised by netlb's library, and gobgpd alone is given everything again at once.
A node fails: three nodes announce an address, FRR spreads over them by ports. A client behind it sends a datagram \
every {SENT_EVERY / 1000:g} ms from {FLOWS} ports by turns. Speakers are real, with BFD of {INTERVAL} ms times \
{MULTIPLIER} towards FRR. FRR on the nodes (zebra, bgpd, bfdd with the same timers), which MetalLB drives in its FRR \
modes, takes part in every second round. cut link: frames are lost though links are up. drained: the node is labelled \
as excluded, of FRR `bgp graceful-shutdown`. moved: until the last datagram was sent that was lost, or that the failed \
node answered. interrupted: from the first lost one to the last.
Of fewer than 100 values p99 is the slowest. x is the median of the rounds' own ratios."""

pytestmark = [
    pytest.mark.timeout(7200),
    pytest.mark.skipif(bool(missing()), reason="; ".join(missing())),
]


@dataclass(slots=True)
class Found:
    """What was measured, and by part what went wrong."""

    single: list[Change] = field(default_factory=list)
    bulk: list[Change] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    problems: dict[str, str] = field(default_factory=dict)

    def guard(self, part: str, measure: Callable[[], None]) -> None:
        """Measure a part; if it fails, keep why, and let the others go on."""
        try:
            measure()
        except (AssertionError, NetlbError, OSError) as error:
            self.problems[part] = f"{type(error).__name__}: {error}"

    def as_json(self) -> dict[str, object]:
        """Return everything in the form of the results file."""
        return {
            "versions": {
                **{kind.name: kind.missing or kind.find_version() for kind in FEEDERS},
                **{package: debian_version(package) for package in ("frr", "bird2")},
            },
            "one_route": [asdict(each) for each in self.single],
            "many_routes": [asdict(each) for each in self.bulk],
            "failures": [asdict(each) for each in self.failures],
            "problems": self.problems,
        }


@pytest.fixture(scope="module")
def found(reports: list[RenderableType]) -> Found:
    """Measure everything, write the results file and leave the report for the end."""
    before, random, found = machine_facts(), Random(_SEED), Found()

    def tell(text: str) -> None:
        print(f"\n{text}", end="", flush=True)

    with TemporaryDirectory(prefix="netlb-bench-") as temporary:
        single, bulk, failing = (Path(temporary, part) for part in ("one", "many", "failing"))
        found.guard("one route", lambda: found.single.extend(single_rounds(ROUNDS, random, single, tell)))
        found.guard("many routes", lambda: found.bulk.extend(bulk_rounds(BULK_ROUNDS, random, bulk, tell)))

        def fail() -> None:
            failures, problems = failure_rounds(FAILURE_ROUNDS, random, failing, tell)
            found.failures += failures
            found.problems |= problems

        found.guard("failures", fail)
    results = Results(
        name="bgp",
        machine=machine_facts_after(before),
        method=METHOD.splitlines(),
        numbers=found.as_json(),
        targets=targets(found.single, found.bulk, found.failures),
    )
    path = results.write()
    tables = [single_table(found.single), bulk_table(found.bulk), failure_table(found.failures)]
    reports += [results.report(tables), f"Every number: {path}"]
    return found


def show(benchmark: BenchmarkFixture, found: Found, part: str, milliseconds: Sequence[float], group: str) -> None:
    """Hand measurements to pytest-benchmark; fail where there are none."""
    if not milliseconds:
        pytest.fail(f"{part}: {found.problems.get(part, 'nothing was measured')}")
    benchmark.group = group
    replay(benchmark, [each / 1e3 for each in milliseconds], {})


def without_peer(name: str) -> None:
    """Skip what an absent peer would have shown: `make bench` installs all of them."""
    for kind in FEEDERS:
        if kind.name == name and kind.missing:
            pytest.skip(kind.missing)


@pytest.mark.benchmark(timer=CLOCK.read)
@pytest.mark.parametrize(("what", "name"), _SINGLE)
def test_one_route(benchmark: BenchmarkFixture, found: Found, what: str, name: str) -> None:
    """Each round of pytest-benchmark is one change, until it is in FRR's kernel."""
    without_peer(name)
    values = [each.kernel_ms["FRR"] for each in found.single if (each.what, each.feeder) == (what, name)]
    show(benchmark, found, "one route", values, f"{what} one route: FRR's kernel")


@pytest.mark.benchmark(timer=CLOCK.read)
@pytest.mark.parametrize(("what", "name"), _BULK)
def test_many_routes(benchmark: BenchmarkFixture, found: Found, what: str, name: str) -> None:
    """Each round of pytest-benchmark is one of ours, until all routes are in FRR's kernel."""
    without_peer(name)
    values = [each.kernel_ms["FRR"] for each in found.bulk if (each.what, each.feeder) == (what, name)]
    show(benchmark, found, "many routes", values, f"{what}: FRR's kernel")


@pytest.mark.benchmark(timer=CLOCK.read)
@pytest.mark.parametrize(("fault", "name"), _FAILURES)
def test_a_node_fails(benchmark: BenchmarkFixture, found: Found, fault: str, name: str) -> None:
    """Each round of pytest-benchmark is one of ours, until the traffic has moved."""
    values = [each.moved.moved_ms for each in found.failures if (each.fault, each.announcer) == (fault, name)]
    part = name if name in found.problems else "failures"
    show(benchmark, found, part, values, f"{fault}: until the traffic has moved")
