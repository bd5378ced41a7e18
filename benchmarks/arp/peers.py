"""Who is asked: each peer's address, program, how many questions it is worth, and its life in the node's namespace."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final, Literal

import netlb
from benchmarks.arp.probe import ProbeError
from benchmarks.harness.machine import debian_version
from benchmarks.harness.processes import ended, pinned
from netlb.testing.lab import Host

__all__ = ["FARPD", "KERNEL", "NDPPD", "NETLB", "PEERS", "SCAPY", "Effort", "Family", "Peer", "await_answer", "running"]

Family = Literal["ARP", "NDP"]

_EXAMPLE: Final = Path(netlb.__file__).parents[1] / "examples" / "answer_arp.py"
_SCAPY_PROGRAM: Final = Path(__file__).with_name("answer_scapy.py")
_START: Final = 15.0  # seconds until a peer must answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """What a peer is asked in each round; times in µs."""

    questions: int
    """Isolated ones that are timed."""
    warmup: int
    jitter: int
    """The pause before an isolated question is the gap and up to this."""
    timeout: int
    duration: int
    """How long a window of questions is kept outstanding."""
    every: int = 1
    """It takes part in one round of so many."""


_FAST = Effort(questions=2000, warmup=200, jitter=50, timeout=200_000, duration=500_000)
_SLOW = Effort(questions=30, warmup=2, jitter=50, timeout=1_000_000, duration=1_000_000, every=4)
# Its packet capture hands frames over in blocks, twice a second. Questions at a fixed time after an answer would meet
# the same moment of a block each time; spread over a block's time they meet all of them.
_BLOCKS = Effort(questions=5, warmup=1, jitter=500_000, timeout=2_500_000, duration=2_000_000, every=4)


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """Something that answers for an address which is its alone."""

    name: str
    number: int
    """The last part of its address in each family."""
    families: tuple[Family, ...] = ("ARP", "NDP")
    effort: Effort = _FAST
    program: str = ""
    """A file without which it is not installed; empty for what is always there."""
    package: str = ""
    """The Debian package of the program."""
    broadcasts: bool = False
    """Whether it sends its ARP replies to everybody."""
    command: Callable[[str, Path], list[str]] | None = None
    """From its address and a directory for its files; None is the kernel."""
    find_version: Callable[[], str] = lambda: netlb.__version__

    def address(self, family: Family) -> str:
        """Return its address in the lab's segment."""
        return f"192.168.122.{self.number}" if family == "ARP" else f"fd00:122::{self.number}"

    @property
    def missing(self) -> str | None:
        """Say what is not installed; None if nothing is missing."""
        if not self.program or Path(self.program).exists():
            return None
        return f"{self.name} is not installed: {self.program} is in Debian's package {self.package}"


def _ndppd(address: str, directory: Path) -> list[str]:
    configuration = directory / "ndppd.conf"
    configuration.write_text(f"proxy eth0 {{\n  router no\n  rule {address} {{\n    static\n  }}\n}}\n")
    return ["/usr/sbin/ndppd", "-c", str(configuration)]


KERNEL = Peer(name="kernel", number=90, find_version=lambda: Path("/proc/sys/kernel/osrelease").read_text().strip())
NETLB = Peer(name="netlb", number=91, command=lambda address, _: [sys.executable, str(_EXAMPLE), "eth0", address])
SCAPY = Peer(
    name="scapy",
    number=92,
    effort=_SLOW,
    command=lambda address, _: [sys.executable, str(_SCAPY_PROGRAM), "eth0", address],
    find_version=lambda: version("scapy"),
)
FARPD = Peer(
    name="farpd",
    number=93,
    families=("ARP",),
    effort=_BLOCKS,
    program="/usr/sbin/farpd",
    package="farpd",
    broadcasts=True,
    command=lambda address, _: ["/usr/sbin/farpd", "-d", "-i", "eth0", address],
    find_version=lambda: debian_version("farpd"),
)
NDPPD = Peer(
    name="ndppd",
    number=94,
    families=("NDP",),
    program="/usr/sbin/ndppd",
    package="ndppd",
    command=_ndppd,
    find_version=lambda: debian_version("ndppd"),
)
PEERS: Final = (KERNEL, NETLB, SCAPY, FARPD, NDPPD)


@contextlib.contextmanager
def running(peer: Peer, family: Family, node: Host, directory: Path, cpu: int | None) -> Iterator[int | None]:
    """Let a peer answer on the node's interface meanwhile; yield its process, None for the kernel."""
    address = peer.address(family)
    if peer.command is None:
        where = [f"{address}/{32 if family == 'ARP' else 128}", "dev", "eth0"]
        node.run(["ip", "address", "add", *where, *(["nodad"] if family == "NDP" else [])])
        try:
            yield None
        finally:
            node.run(["ip", "address", "del", *where])
        return
    command = pinned(peer.command(address, directory), cpu)
    with (
        (directory / f"{peer.name}.log").open("w") as log,
        ended(node.popen(command, stdout=log, stderr=log)) as process,
    ):
        yield process.pid


def await_answer(client: Host, address: str, log: Path) -> None:
    """Wait until somebody answers for the address; ProbeError, with what the peer printed last, if nobody does."""
    deadline = time.monotonic() + _START
    while not client.who_has(address, timeout=0.2, stop_after=1):
        if time.monotonic() > deadline:
            printed = log.read_text().strip()[-500:] if log.exists() else ""
            raise ProbeError(f"nobody answers for {address} after {_START:.0f} s; printed: {printed or 'nothing'}")
