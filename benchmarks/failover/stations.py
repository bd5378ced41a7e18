"""Who keeps an address on one of three nodes: netlb's speakers, and keepalived."""

import contextlib
import os
import shutil
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import netlb
from benchmarks.harness.machine import debian_version
from benchmarks.harness.processes import family
from netlb.testing.lab import Host, Lab
from tests.manifests import advertisement, node, pool, service
from tests.support.cluster import Cluster
from tests.support.waiting import eventually

__all__ = ["STATIONS", "Keepalived", "Kind", "Netlb", "QuickKeepalived", "Station", "running", "vrrp"]

_PATIENCE: Final = 60.0  # seconds until an address is where it belongs
_EXCLUDED: Final = "{node.kubernetes.io/exclude-from-external-load-balancers: ''}"
_LOWEST: Final = 1  # priority of VRRP
_ALONE: Final = 0.3  # seconds in which nobody but the owner answers


class Station(ABC):
    """A program on every node of a lab, by which one node at a time has an address."""

    def __init__(self, lab: Lab, directory: Path, address: str) -> None:
        self.address = address
        self.owner: Host = next(iter(lab.nodes.values()))
        """The node that has the address whenever all is well."""
        self._lab = lab
        self._directory = directory
        self._processes: dict[str, subprocess.Popen[str]] = {}

    @abstractmethod
    def start(self) -> None:
        """Start everywhere."""

    @abstractmethod
    def start_on(self, host: Host) -> None:
        """Start on one node, where it runs no more."""

    def settle(self) -> None:
        """Wait until the owner has the address alone, and everybody would notice if it failed."""
        eventually(lambda: [self.owner.mac] == self.answerers(), f"{self.owner.name} answers alone", _PATIENCE)

    def answerers(self) -> list[str]:
        """Return whoever answers for the address now, once for each answer."""
        referee = self._lab.clients["client-3"]
        return [answer.mac for answer in referee.who_has(self.address, _ALONE)]

    def crash(self) -> None:
        """Kill all its processes on the owner; children first, or some would hear of it and end in order."""
        for pid in reversed(family(self._processes[self.owner.name].pid)):
            os.kill(pid, signal.SIGKILL)

    def stop(self) -> None:
        """Tell it on the owner to end in order."""
        self._processes[self.owner.name].terminate()

    def freeze(self) -> None:
        """Stop the program on the owner without its knowing; whatever answers for it goes on answering."""
        os.kill(self._decider(), signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self._decider(), signal.SIGCONT)

    @abstractmethod
    def drain(self) -> None:
        """Declare that the owner is to have nothing, as an operator would who is about to work on it."""

    @abstractmethod
    def undrain(self) -> None:
        """Take that back."""

    def restart(self) -> None:
        """Start it on the owner again, after a crash or an end."""
        self._processes[self.owner.name].wait(_PATIENCE)
        self.start_on(self.owner)

    def close(self) -> None:
        """End it everywhere, however it is."""
        for process in self._processes.values():
            for pid in family(process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            process.wait(_PATIENCE)

    def deaths(self) -> int | None:
        """Return how often a node was taken for dead, as the program itself says; None if it does not."""
        return None

    def _decider(self) -> int:
        """Return the process on the owner that decides who has the address."""
        return self._processes[self.owner.name].pid


class Netlb(Station):
    """netlb-speaker on every node; the controller has given the address before."""

    def __init__(self, lab: Lab, directory: Path, address: str) -> None:
        super().__init__(lab, directory, address)
        self._cluster = Cluster(directory, lab)

    def start(self) -> None:
        self._cluster.write_nodes(watched=True)
        self._cluster.write("pool.yaml", pool("one", self.address), advertisement())
        self._cluster.write("web.yaml", service("web"))
        self._cluster.write_endpoints("web")
        self._allocate()
        for host in self._lab.nodes.values():
            self.start_on(host)
        self.owner = self._cluster.await_owner(self.address)

    def start_on(self, host: Host) -> None:
        (self._directory / f"{host.name}.sock").unlink(missing_ok=True)
        self._processes[host.name] = self._cluster.speaker(host.name).process

    def settle(self) -> None:
        nodes = self._lab.nodes
        eventually(lambda: all({"alive"} == self._others_of(name) for name in nodes), "all are heard", _PATIENCE)
        super().settle()

    def drain(self) -> None:
        self._declare(_EXCLUDED)

    def undrain(self) -> None:
        self._declare("{}")

    def _declare(self, labels: str) -> None:
        """Declare the owner's node with these labels."""
        self._cluster.write(
            f"node-{self.owner.name}.yaml", node(self.owner.name, labels, addresses=self.owner.addresses)
        )

    def deaths(self) -> int | None:
        return sum(len(daemon.lines("node dead")) for daemon in self._cluster.daemons)

    def _others_of(self, name: str) -> set[str]:
        """Return how the other nodes are, as a node's speaker says."""
        return set(self._cluster.status.node(name).get("nodes", {"": "not said"}).values())

    def _allocate(self) -> None:
        """Give the Service its address; who holds what stays in the status tree."""
        with self._cluster.log("controller") as log:
            command = self._cluster.command("controller")
            controller = self.owner.popen(command, stdout=log, stderr=log)
        eventually(lambda: self._cluster.status.held().get("web"), "an address is given", _PATIENCE)
        controller.terminate()
        controller.wait(_PATIENCE)


class Keepalived(Station):
    """keepalived (VRRP version 3, multicast) on every node, with the priorities 254, 253 and 252."""

    advertisement_interval = 1.0
    """Seconds; keepalived's default is 1."""
    router = 51

    def start(self) -> None:
        for number, host in enumerate(self._lab.nodes.values()):
            self._configure(host, 254 - number)
            self.start_on(host)

    def configuration(self, priority: int) -> str:
        """Return the configuration of a node with this priority."""
        return vrrp([f"{self.address}/32 dev eth0"], priority, self)

    def drain(self) -> None:
        self._prefer(_LOWEST)

    def undrain(self) -> None:
        self._prefer(254)

    def _prefer(self, priority: int) -> None:
        self._configure(self.owner, priority)
        os.kill(self._processes[self.owner.name].pid, signal.SIGHUP)

    def _configure(self, host: Host, priority: int) -> None:
        (self._directory / f"{host.name}.conf").write_text(self.configuration(priority))

    def start_on(self, host: Host) -> None:
        files = {option: self._directory / f"{host.name}{option}" for option in ("-p", "-r", "-c")}
        for file in files.values():
            file.unlink(missing_ok=True)
        command: list[str | Path] = ["keepalived", "-n", "-l", "-P", "-f", self._directory / f"{host.name}.conf"]
        for option, file in files.items():
            command += [option, file]
        with (self._directory / f"{host.name}.log").open("a") as log:
            self._processes[host.name] = host.popen(command, stdout=log, stderr=log)

    def close(self) -> None:
        super().close()
        for host in self._lab.nodes.values():  # killed, it leaves the address where it was
            host.run(["ip", "address", "del", f"{self.address}/32", "dev", "eth0"], check=False)

    def _decider(self) -> int:
        """Its child speaks VRRP."""
        return family(super()._decider())[-1]


class QuickKeepalived(Keepalived):
    """keepalived with advertisements ten times a second."""

    advertisement_interval = 0.1
    router = 52


def vrrp(addresses: Sequence[str], priority: int, station: Keepalived, unsaid: Sequence[str] = ()) -> str:
    """Return a configuration of keepalived; addresses that are `unsaid` are not in its packets."""
    return f"""\
global_defs {{
  vrrp_version 3
}}
vrrp_instance one {{
  state BACKUP
  interface eth0
  virtual_router_id {station.router}
  priority {priority}
  advert_int {station.advertisement_interval:g}
  virtual_ipaddress {{
    {_lines(addresses)}
  }}
  virtual_ipaddress_excluded {{
    {_lines(unsaid)}
  }}
}}
"""


def _lines(addresses: Sequence[str]) -> str:
    return "\n    ".join(addresses)


class Kind:
    """A station that can be measured: its name, how it is made, and in which rounds it takes part."""

    def __init__(
        self,
        name: str,
        make: Callable[[Lab, Path, str], Station],
        *,
        address: str,
        every: int = 1,
        program: str = "",
        version: Callable[[], str] = lambda: netlb.__version__,
    ) -> None:
        self.name = name
        self.make = make
        self.address = address
        self.every = every
        """It takes part in one round of so many."""
        self.version = version
        self._program = program

    @property
    def missing(self) -> str | None:
        """Say what is not installed; None if nothing is missing."""
        if not self._program or shutil.which(self._program):
            return None
        return f"{self.name} is not installed: {self._program} is in Debian's package of that name"


NETLB: Final = Kind("netlb", Netlb, address="192.168.122.90")
STATIONS: Final[Mapping[str, Kind]] = {
    kind.name: kind
    for kind in (
        NETLB,
        Kind(
            "keepalived, 0.1 s",
            QuickKeepalived,
            address="192.168.122.91",
            program="keepalived",
            version=lambda: debian_version("keepalived"),
        ),
        Kind(
            "keepalived, 1 s",
            Keepalived,
            address="192.168.122.92",
            every=4,
            program="keepalived",
            version=lambda: debian_version("keepalived"),
        ),
    )
}


@contextlib.contextmanager
def running(kind: Kind, lab: Lab, directory: Path) -> Iterator[Station]:
    """Run a station on all nodes, settled, and end it whatever happens."""
    directory.mkdir(parents=True)
    station = kind.make(lab, directory, kind.address)
    try:
        station.start()
        station.settle()
        yield station
    finally:
        station.close()
