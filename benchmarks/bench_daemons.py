"""How long the daemons take from their start until they are ready, and the memory that they take when idle."""

import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from random import Random
from shutil import copytree
from statistics import median
from subprocess import DEVNULL
from tempfile import TemporaryDirectory
from typing import Final

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from rich.box import SIMPLE
from rich.console import RenderableType
from rich.table import Table

import netlb
from benchmarks.harness.machine import machine_facts, machine_facts_after
from benchmarks.harness.processes import ended, family, resident_bytes
from benchmarks.harness.replay import CLOCK, replay
from benchmarks.harness.results import Results
from benchmarks.harness.statistics import median_of_ratios
from benchmarks.harness.targets import Target
from netlb.testing.lab import Host, Lab

ROUNDS = int(os.environ.get("NETLB_BENCH_ROUNDS", "7"))
_SEED = 2131  # RFC 2131 is DHCP's; the order of turns is the same in every run
_LIMIT = 0.6  # seconds
_EXAMPLE = Path(netlb.__file__).parents[1] / "examples" / "edgeapp"
_NODE = "apiVersion: v1\nkind: Node\nmetadata: {name: node-1}\n"
_PATIENCE = 20.0
_IDLE = 1.0

METHOD: Final = """\
Each program is started on a node of the lab, over the example's manifests, and ended, in every round, in an order \
drawn anew. start: from before the process is made until /readyz answers 200, asked every 2 ms; for the bare \
interpreter, until it has ended. RSS: one second later, pages that processes share counted in each. Nothing is \
pinned to a CPU.
All numbers are medians over the rounds; x is the median of the rounds' own ratios."""

pytestmark = pytest.mark.timeout(600)


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One start of one program."""

    seconds: float
    resident_bytes: tuple[int, ...]
    """Of each of its processes, the one that was started first; empty for a program that has ended."""


Measure = Callable[[Host, Path], Start]


def start_interpreter(node: Host, _: Path) -> Start:
    """Measure what no Python program can undercut."""
    begin = time.monotonic()
    with ended(node.popen([sys.executable, "-c", "pass"])) as process:
        process.wait(_PATIENCE)
        return Start(seconds=time.monotonic() - begin, resident_bytes=())


def start_daemon(node: Host, directory: Path, name: str, *options: str) -> Start:
    """Measure a daemon, with manifests, status and HTTP socket of its own in the directory."""
    manifests, http = directory / "manifests", directory / "http"
    copytree(_EXAMPLE, manifests)
    (manifests / "node.yaml").write_text(_NODE)
    command = [str(Path(sys.executable).with_name(name)), "--source", f"dir:{manifests}", "--http", f"unix:{http}"]
    begin = time.monotonic()
    with ended(node.popen([*command, "--log-level", "warning", *options], stdout=DEVNULL)) as process:
        while not is_ready(http):
            if process.poll() is not None or time.monotonic() > begin + _PATIENCE:
                raise RuntimeError(f"{name} is not ready after {time.monotonic() - begin:.1f} s: {process.poll()}")
            time.sleep(0.002)  # how often it is asked: the error of what is measured, and stated in the method
        seconds = time.monotonic() - begin
        time.sleep(_IDLE)  # memory is that of a daemon that has nothing more to do
        return Start(seconds=seconds, resident_bytes=tuple(map(resident_bytes, family(process.pid))))


def is_ready(path: Path) -> bool:
    """Ask a daemon whether it is ready; one that does not listen yet is not."""
    exchange = HTTPConnection("localhost", timeout=5.0)
    exchange.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        exchange.sock.connect(str(path))
        exchange.request("GET", "/readyz")
        return exchange.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        exchange.close()


INTERPRETER: Final = "python -c pass"
PROGRAMS: Final[dict[str, Measure]] = {
    INTERPRETER: start_interpreter,
    "netlb-controller": lambda node, directory: start_daemon(node, directory, "netlb-controller"),
    "netlb-speaker": lambda node, directory: start_daemon(
        node, directory, "netlb-speaker", "--node-name", "node-1", "--interface", "eth0"
    ),
}


def table(starts: dict[str, list[Start]]) -> Table:
    """Return a row for each program."""
    shown = Table(title="starting and being idle", title_justify="left", box=SIMPLE)
    for heading in ("program", "start ms", "slowest", "x", "RSS MiB", "by process"):
        shown.add_column(heading, justify="left" if heading == "program" else "right")
    reference = [start.seconds for start in starts[INTERPRETER]]
    for name, each in starts.items():
        seconds = [start.seconds for start in each]
        memory = [median(pages) / 2**20 for pages in zip(*(start.resident_bytes for start in each), strict=True)]
        shown.add_row(
            name,
            f"{median(seconds) * 1e3:.0f}",
            f"{max(seconds) * 1e3:.0f}",
            f"{median_of_ratios(seconds, reference):.3g}",
            f"{sum(memory):.1f}" if memory else "-",
            " + ".join(f"{part:.1f}" for part in memory),
        )
    return shown


@pytest.fixture(scope="module")
def starts(reports: list[RenderableType]) -> dict[str, list[Start]]:
    """Start everything by turns, write the results file and leave the report for the end."""
    before, random = machine_facts(), Random(_SEED)
    found: dict[str, list[Start]] = {name: [] for name in PROGRAMS}
    with (
        TemporaryDirectory(prefix="netlb-bench-") as temporary,
        Lab(nodes=1, clients=0, pods_per_node=0, name="bench") as lab,
    ):
        for number in range(1, ROUNDS + 1):
            for name in random.sample(list(PROGRAMS), len(PROGRAMS)):
                directory = Path(temporary, f"{number}-{name.partition(' ')[0]}")
                directory.mkdir()
                found[name].append(PROGRAMS[name](lab.nodes["node-1"], directory))
    results = Results(
        name="daemons",
        machine=machine_facts_after(before),
        method=METHOD.splitlines(),
        numbers={name: [asdict(start) for start in each] for name, each in found.items()},
        targets=[
            Target(name=f"{name} starts", value=median(start.seconds for start in each), limit=_LIMIT, unit="s")
            for name, each in found.items()
            if name != INTERPRETER
        ],
    )
    path = results.write()
    reports += [results.report([table(found)]), f"Every number: {path}"]
    return found


@pytest.mark.benchmark(timer=CLOCK.read, group="from start to ready")
@pytest.mark.parametrize("name", PROGRAMS)
def test_start(benchmark: BenchmarkFixture, starts: dict[str, list[Start]], name: str) -> None:
    """Each round of pytest-benchmark is one start of the program."""
    each = starts[name]
    replay(benchmark, [start.seconds for start in each], {"starts": [asdict(start) for start in each]})
