"""Who hands routes to routers: each program in a node of its own, and how it is told.

It reads orders from one named pipe and answers each on another: `set N`, after which the first N routes are to be
announced and no others, `kill` (its gobgpd, which is to be as it was before), and `end`.
"""

import contextlib
import json
import os
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, NamedTuple

import netlb
from benchmarks.bgp.feeding import FIRST
from benchmarks.bgp.routers import NODES_ASN, ROUTERS_ASN
from benchmarks.harness.machine import debian_version
from benchmarks.harness.processes import ended
from benchmarks.harness.watchers import WatcherError
from netlb.testing.lab import Host

__all__ = ["EXABGP", "FEEDERS", "GOBGPD", "NETLB", "Feeder", "Kind", "Reply", "feeding"]

_ROOT: Final = Path(netlb.__file__).parents[1]
_HERE: Final = Path(__file__).parent
_PATIENCE: Final = 60.0  # seconds for an order


class Reply(NamedTuple):
    """What became of an order; CLOCK_MONOTONIC, ns."""

    begun: int
    handed: int | None
    """When gobgpd had acknowledged the last path; None where nothing is acknowledged."""
    verified: int | None
    """When all of it had been looked for, and found, in gobgpd's table; None where nobody looks."""


class Feeder:
    """A program that runs, and takes orders."""

    def __init__(self, process: subprocess.Popen[str], asked: int, answered: int, log: Path) -> None:
        self._process = process
        self._asked = asked
        self._answered = answered
        self._log = log

    def order(self, words: str) -> Reply:
        """Give an order, and wait for the answer; WatcherError if there is none."""
        os.write(self._asked, f"{words}\n".encode())
        deadline = time.monotonic() + _PATIENCE
        said = b""
        while not said.endswith(b"\n"):
            readable, _, _ = select.select([self._answered], [], [], 0.2)
            if readable:
                said += os.read(self._answered, 4096)
            elif self._process.poll() is not None or time.monotonic() > deadline:
                raise WatcherError(f"{words}: no answer; printed: {self._log.read_text().strip()[-800:]}")
        return Reply(**json.loads(said))


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A program that can feed routers."""

    name: str
    node: int
    """The number of its node in the lab."""
    command: Callable[[Path, Host, Sequence[Host]], list[str | Path]]
    """From a directory for its files, its node and the routers."""
    program: str = ""
    """A program without which it cannot run."""
    find_version: Callable[[], str]

    @property
    def missing(self) -> str | None:
        """Say what is not installed; None if nothing is missing."""
        found = not self.program or shutil.which(self.program) or _beside(self.program).exists()
        return None if found else f"{self.name} is not installed: {self.program} is not found"


def _beside(program: str) -> Path:
    """Return where a program is that pip installed beside our interpreter."""
    return Path(sys.executable).with_name(program)


def _python(module: str) -> Callable[[Path, Host, Sequence[Host]], list[str | Path]]:
    def command(directory: Path, node: Host, routers: Sequence[Host]) -> list[str | Path]:
        pipes = [directory / "commands", directory / "replies"]
        listed = ",".join(str(router.ipv4) for router in routers)
        return [sys.executable, "-m", module, *pipes, directory / "own", str(node.ipv4), listed]

    return command


def _exabgp(directory: Path, node: Host, routers: Sequence[Host]) -> list[str | Path]:
    program = f"{sys.executable} -I {_HERE / 'feed_exabgp.py'}"
    neighbors = "".join(
        f"neighbor {router.ipv4} {{\n  router-id {node.ipv4};\n  local-address {node.ipv4};\n"
        f"  local-as {NODES_ASN};\n  peer-as {ROUTERS_ASN};\n  hold-time 9;\n  family {{ ipv4 unicast; }}\n"
        "  api { processes [ feed ]; }\n}\n"
        for router in routers
    )
    (directory / "exabgp.conf").write_text(
        f"process feed {{\n  run {program} {directory / 'commands'} {directory / 'replies'} {node.ipv4} {FIRST};\n"
        f"  encoder text;\n}}\n{neighbors}"
    )
    beside = _beside("exabgp")
    settings = ["exabgp.api.ack=false", "exabgp.api.cli=false", "exabgp.daemon.drop=false"]
    return ["env", *settings, beside if beside.exists() else "exabgp", directory / "exabgp.conf"]


def _exabgp_version() -> str:
    try:
        return version("exabgp")
    except PackageNotFoundError:
        return "unknown"


NETLB: Final = Kind(
    name="netlb", node=2, command=_python("benchmarks.bgp.feed_netlb"), find_version=lambda: netlb.__version__
)
GOBGPD: Final = Kind(
    name="gobgpd alone",
    node=3,
    command=_python("benchmarks.bgp.feed_gobgpd"),
    find_version=lambda: debian_version("gobgpd"),
)
EXABGP: Final = Kind(name="exabgp", node=4, command=_exabgp, program="exabgp", find_version=_exabgp_version)
FEEDERS: Final = (NETLB, GOBGPD, EXABGP)


@contextlib.contextmanager
def feeding(kind: Kind, node: Host, routers: Sequence[Host], directory: Path) -> Iterator[Feeder]:
    """Run a program on its node until the end of the context."""
    directory.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        asked, answered = (_pipe(directory / name, stack) for name in ("commands", "replies"))
        log = directory / "log"
        before = os.environ.get("PYTHONPATH", "")
        with log.open("w") as printed:
            process = node.popen(
                kind.command(directory, node, routers),
                stdout=printed,
                stderr=printed,
                env={"PYTHONPATH": f"{_ROOT}{os.pathsep}{before}" if before else str(_ROOT)},
            )
        yield Feeder(stack.enter_context(ended(process)), asked, answered, log)


def _pipe(path: Path, stack: contextlib.ExitStack) -> int:
    os.mkfifo(path)
    descriptor = os.open(path, os.O_RDWR)  # in both directions: neither end waits for the other one, or ends with it
    stack.callback(os.close, descriptor)
    return descriptor
