"""Who is asked: each peer's address, program, how many questions it is worth, and its life in the node's namespace."""

import contextlib
import os
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import netlb
from benchmarks.arp.places import Family
from benchmarks.arp.probe import ProbeError
from benchmarks.harness.machine import debian_version
from benchmarks.harness.processes import ended, pinned
from netlb.testing.lab import Host

__all__ = [
    "FARPD",
    "KERNEL",
    "NDPPD",
    "NETLB",
    "OTHER",
    "PEERS",
    "SCAPY",
    "SOCKETS",
    "Asked",
    "Effort",
    "Peer",
    "await_answer",
    "running",
]

_NETLB_PROGRAM: Final = Path(__file__).with_name("answer_netlb.py")
_SCAPY_PROGRAM: Final = Path(__file__).with_name("answer_scapy.py")
_START: Final = 30.0  # seconds until a peer must answer


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
    rate: int = 100_000
    """Questions a second that it is asked for a while, whatever comes back; 0 where that is beyond it."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a peer is started for."""

    interface: str
    address: str
    count: int
    """Addresses; see probe.c."""
    cpu: int | None
    directory: Path
    """For its files."""


_FAST = Effort(questions=2000, warmup=200, jitter=50, timeout=1_000_000, duration=500_000)
_SLOW = Effort(questions=30, warmup=2, jitter=50, timeout=1_000_000, duration=1_000_000, every=3, rate=0)
# Its packet capture hands frames over in blocks, twice a second. Questions at a fixed time after an answer would meet
# the same moment of a block each time; spread over a block's time they meet all of them.
_BLOCKS = Effort(questions=5, warmup=1, jitter=500_000, timeout=2_500_000, duration=2_000_000, every=3, rate=0)


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
    command: Callable[[Asked], list[str]] | None = None
    """None is the kernel."""
    find_version: Callable[[], str] = lambda: netlb.__version__

    @property
    def missing(self) -> str | None:
        """Say what is not installed; None if nothing is missing."""
        if not self.program or Path(self.program).exists():
            return None
        return f"{self.name} is not installed: {self.program} is in Debian's package {self.package}"


def _ndppd(asked: Asked) -> list[str]:
    configuration = asked.directory / "ndppd.conf"
    rule = f"rule {asked.address} {{\n    static\n  }}"
    configuration.write_text(f"proxy {asked.interface} {{\n  router no\n  {rule}\n}}\n")
    return ["/usr/sbin/ndppd", "-c", str(configuration)]


def _netlb(asked: Asked, fastpath: str) -> list[str]:
    program = [sys.executable, str(_NETLB_PROGRAM), asked.interface, asked.address]
    return [*program, str(asked.count), fastpath]


KERNEL = Peer(name="kernel", number=90, find_version=lambda: Path("/proc/sys/kernel/osrelease").read_text().strip())
NETLB = Peer(name="netlb BPF", number=91, command=lambda asked: _netlb(asked, "require"))
SOCKETS = Peer(name="netlb AF_PACKET", number=95, command=lambda asked: _netlb(asked, "off"))
SCAPY = Peer(
    name="scapy",
    number=92,
    effort=_SLOW,
    command=lambda asked: [sys.executable, str(_SCAPY_PROGRAM), asked.interface, asked.address],
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
    command=lambda asked: ["/usr/sbin/farpd", "-d", "-i", asked.interface, asked.address],
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
_OTHER_COMMAND: Final = shlex.split(os.environ.get("NETLB_BENCH_PEER", ""))
OTHER = Peer(
    name=Path(_OTHER_COMMAND[0]).name if _OTHER_COMMAND else "NETLB_BENCH_PEER",
    number=96,
    command=lambda asked: [*_OTHER_COMMAND, asked.interface, asked.address],
    find_version=lambda: "unknown",
)
"""The program that NETLB_BENCH_PEER names: it is given an interface and an address, and answers until SIGTERM."""
PEERS: Final = (KERNEL, NETLB, SOCKETS, SCAPY, FARPD, NDPPD, *([OTHER] if _OTHER_COMMAND else []))


@contextlib.contextmanager
def running(peer: Peer, node: Host, asked: Asked) -> Iterator[int | None]:
    """Let a peer answer on the node meanwhile; yield its process, None for the kernel."""
    if peer.command is None:
        ipv6 = ":" in asked.address
        where = [f"{asked.address}/{128 if ipv6 else 32}", "dev", asked.interface]
        node.run(["ip", "address", "add", *where, *(["nodad"] if ipv6 else [])])
        try:
            yield None
        finally:
            node.run(["ip", "address", "del", *where])
        return
    command = pinned(peer.command(asked), asked.cpu)
    with (
        (asked.directory / f"{peer.name}.log").open("w") as log,
        ended(node.popen(command, stdout=log, stderr=log)) as process,
    ):
        yield process.pid


def await_answer(client: Host, interface: str, address: str, log: Path, word: str = "") -> None:
    """Wait until somebody answers for the address, and has said the word.

    ProbeError, with what the peer printed last, if that does not happen.
    """
    deadline = time.monotonic() + _START
    while True:
        printed = log.read_text() if log.exists() else ""
        if word in printed and client.who_has(address, timeout=0.2, stop_after=1, interface=interface):
            return
        if time.monotonic() > deadline:
            said = printed.strip()[-500:] or "nothing"
            raise ProbeError(f"nobody answers for {address} after {_START:.0f} s; printed: {said}")
        time.sleep(0.05)  # how often it is asked; nothing is measured yet
