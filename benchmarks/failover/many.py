"""A node that has a thousand addresses, or ten thousand, dies: when the last client has heard of its successor."""

import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from benchmarks.failover.stations import Netlb, QuickKeepalived, Station, vrrp
from benchmarks.harness.watchers import WatcherError, watching
from netlb.errors import NetlbError
from netlb.testing.lab import Host, Lab
from tests.manifests import advertisement, pool, service, slice_of
from tests.support.waiting import eventually
from tests.support.wired import allocate

__all__ = ["SIZES", "ManyKeepalived", "ManyNetlb", "Mass", "masses", "read_mass", "take_over"]

SIZES: Final = (1_000, 10_000)
_FIRST: Final = IPv4Address("10.64.0.1")
_IN_ADVERTISEMENTS: Final = 20
"""keepalived's packets have room for no more; the others go with them unsaid."""
_PATIENCE: Final = 180.0  # seconds until everything is declared, planned and reported
_SEEN_FOR: Final = {1_000: 6.0, 10_000: 20.0}
"""Seconds for which announcements are heard after the fault."""
_BEFORE: Final = 0.5
"""Seconds for which they are heard before it."""
_HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Mass:
    """One change of owners of many addresses, as a client hears it; ms after the fault."""

    station: str
    addresses: int
    announced: int
    """How many of them the new owner has announced."""
    first_ms: float | None
    last_ms: float | None
    """When the last of them was announced for the first time: from then on no client is at the old owner."""
    frames: int
    """Announcements of the new owner, repeats included."""
    failure: str = ""

    @property
    def span_ms(self) -> float | None:
        """From the first address's announcement to that of the last one; None where some were not announced."""
        if self.first_ms is None or self.last_ms is None or self.announced < self.addresses:
            return None
        return self.last_ms - self.first_ms


def addresses(count: int) -> list[IPv4Address]:
    return [_FIRST + number for number in range(count)]


class ManyNetlb(Netlb):
    """netlb, with a Service for each address, all of them on one node."""

    def __init__(self, lab: Lab, directory: Path, count: int) -> None:
        super().__init__(lab, directory, str(_FIRST))
        self._count = count

    def start(self) -> None:
        names = [f"s{number:05d}" for number in range(self._count)]
        self._cluster.write_nodes(watched=True)
        self._cluster.write("pool.yaml", pool("many", f"{_FIRST}-{_FIRST + self._count - 1}"))
        self._cluster.write("advertisement.yaml", advertisement(spec="{group: all}"))
        self._cluster.write("services.yaml", *(service(name) for name in names))
        self._cluster.write("slices.yaml", *(slice_of(name, *self._lab.nodes) for name in names))
        allocate(self._directory)
        for host in self._lab.nodes.values():
            self.start_on(host)

    def settle(self) -> None:
        nodes = self._lab.nodes

        def owner() -> Host | None:
            done = [host for host in nodes.values() if self._reported(host) == self._count]
            return done[0] if len(done) == 1 else None

        self.owner = eventually(owner, "one node says that it announces all", _PATIENCE)
        super().settle()

    def _reported(self, host: Host) -> int:
        folder = self._cluster.status.root / "servicel2statuses" / host.name
        return sum(1 for path in folder.iterdir() if path.suffix == ".yaml") if folder.exists() else 0


class ManyKeepalived(QuickKeepalived):
    """keepalived with as many addresses in one instance."""

    def __init__(self, lab: Lab, directory: Path, count: int) -> None:
        super().__init__(lab, directory, str(_FIRST))
        self._count = count

    def configuration(self, priority: int) -> str:
        lines = [f"{address}/32 dev eth0" for address in addresses(self._count)]
        return vrrp(lines[:_IN_ADVERTISEMENTS], priority, self, lines[_IN_ADVERTISEMENTS:])

    def settle(self) -> None:
        eventually(lambda: self._has(self.owner) == self._count, "the owner has them all", _PATIENCE)
        super().settle()
        time.sleep(_SEEN_FOR[self._count])  # its announcements have come to an end

    def close(self) -> None:
        super().close()
        flush = ["ip", "address", "flush", "dev", "eth0", "to", f"{_FIRST}/10"]
        for flushing in [host.popen(flush) for host in self._lab.nodes.values()]:
            flushing.wait(_PATIENCE)  # the kernel takes milliseconds for each

    def _has(self, host: Host) -> int:
        listed = host.popen(
            ["ip", "-o", "-4", "address", "show", "dev", "eth0", "to", f"{_FIRST}/10"], stdout=subprocess.PIPE
        )
        return listed.communicate(timeout=_PATIENCE)[0].count("\n")


def take_over(lab: Lab, name: str, station: Station, count: int) -> Mass:
    """Kill the owner's processes and hear who announces what."""
    with watching(lab.clients["client-1"], _HERE / "hear.py", "eth0") as heard:
        time.sleep(_BEFORE)  # what still comes in from before the fault is heard and told apart
        fault = time.monotonic_ns()
        station.crash()
        time.sleep(_SEEN_FOR[count])  # nothing says which announcement is the last
        said = heard.finish()
    if said["lost"]:
        raise WatcherError(f"{said['lost']} frames came faster than they could be heard")
    others = {mac: each for mac, each in said["first"].items() if mac != station.owner.mac}
    mac, first = max(others.items(), key=lambda one: len(one[1]), default=("", {}))
    return read_mass(name, count, sorted(first.values()), fault, said["frames"].get(mac, 0))


def read_mass(name: str, count: int, times: list[int], fault: int, frames: int) -> Mass:
    """Read when addresses were announced for the first time; those from before the fault are no takeover."""
    after = [(at - fault) / 1e6 for at in times if at >= fault]
    return Mass(
        station=name,
        addresses=count,
        announced=len(after),
        first_ms=after[0] if after else None,
        last_ms=after[-1] if after else None,
        frames=frames,
    )


def masses(
    lab: Lab, directory: Path, makers: Iterable[tuple[str, Callable[[Lab, Path, int], Station]]], sizes: Iterable[int]
) -> Iterator[Mass]:
    """Measure every station with every number of addresses; one that fails says why."""
    kinds = list(makers)
    for count in sizes:
        for number, (name, make) in enumerate(kinds):
            place = directory / f"{count}-{number}"
            place.mkdir(parents=True)
            station = make(lab, place, count)
            try:
                station.start()
                station.settle()
                yield take_over(lab, name, station, count)
            except (AssertionError, NetlbError, OSError, subprocess.SubprocessError) as error:
                yield Mass(
                    station=name,
                    addresses=count,
                    announced=0,
                    first_ms=None,
                    last_ms=None,
                    frames=0,
                    failure=f"{type(error).__name__}: {str(error)[:200]}",
                )
            finally:
                station.close()
