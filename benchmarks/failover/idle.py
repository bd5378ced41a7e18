"""What a speaker costs that has 31 others to watch and nothing to do: CPU time, and the memory of its processes."""

import sys
import time
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from benchmarks.harness.processes import cpu_nanoseconds, ended, family, resident_bytes
from netlb.testing.lab import Lab
from tests.manifests import advertisement, node, pool, service, slice_of
from tests.support.cluster import Cluster
from tests.support.waiting import eventually
from tests.support.wired import allocate

__all__ = ["NEIGHBOURS", "Idle", "idle"]

NEIGHBOURS: Final = 31
_FIRST: Final = IPv4Address("192.168.122.101")
_ADDRESS: Final = "192.168.122.90"
_PATIENCE: Final = 60.0
_SETTLED: Final = 10.0
"""Seconds until all that a beginning takes is over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Idle:
    """A speaker and its processes, over some seconds."""

    neighbours: int
    seconds: float
    cores: dict[str, float]
    """By process, the share of a core that it took."""
    resident: dict[str, int]
    """By process, bytes."""

    @property
    def core(self) -> float:
        """The share of a core that all of it took."""
        return sum(self.cores.values())

    @property
    def worker(self) -> int:
        """The memory of the largest process but the speaker itself, in bytes."""
        return max((size for name, size in self.resident.items() if name != "speaker"), default=0)


def idle(directory: Path, seconds: float) -> Idle:
    """Have one node's speaker hear 31 others, for which one process stands in; BFD at netlb's own pace."""
    directory.mkdir()
    with Lab(nodes=2, name="benchidle") as lab:
        ours, theirs = lab.nodes.values()
        others = {f"other-{number:02d}": _FIRST + number for number in range(NEIGHBOURS)}
        for address in others.values():
            theirs.run(["ip", "address", "add", f"{address}/24", "dev", "eth0"])
        cluster = Cluster(directory, lab)
        nodes = {ours.name: ours.ipv4, **others}
        cluster.write("nodes.yaml", *(node(name, addresses=[address]) for name, address in nodes.items()))
        cluster.write("pool.yaml", pool("one", _ADDRESS), advertisement())
        cluster.write("web.yaml", service("web"), slice_of("web", *nodes))
        allocate(directory)
        command = [sys.executable, "-m", "benchmarks.failover.others", str(ours.ipv4), *map(str, others.values())]
        with ended(theirs.popen(command)), ended(cluster.speaker(ours.name).process) as speaker:
            eventually(lambda: _heard(cluster, ours.name) == NEIGHBOURS, "all others are heard", _PATIENCE)
            time.sleep(_SETTLED)  # a beginning shows in nothing that could be waited for
            return _measured(speaker.pid, seconds)


def _heard(cluster: Cluster, name: str) -> int:
    return list(cluster.status.node(name).get("nodes", {}).values()).count("alive")


def _measured(pid: int, seconds: float) -> Idle:
    names = {each: _name(each) if each != pid else "speaker" for each in family(pid)}
    before, begin = {each: cpu_nanoseconds([each]) for each in names}, time.monotonic()
    time.sleep(seconds)  # what is measured: doing nothing
    took = time.monotonic() - begin
    return Idle(
        neighbours=NEIGHBOURS,
        seconds=took,
        cores={name: (cpu_nanoseconds([each]) - before[each]) / 1e9 / took for each, name in names.items()},
        resident={name: resident_bytes(each) for each, name in names.items()},
    )


def _name(pid: int) -> str:
    """Return what a child is: its module stands on its command line."""
    words = Path(f"/proc/{pid}/cmdline").read_text()
    return "bfd" if "netlb.bfd." in words else "responder"
