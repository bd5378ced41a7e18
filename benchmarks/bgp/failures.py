"""A node behind a router fails, or is taken out: netlb's speakers, and FRR on the nodes, as a client sees it."""

import contextlib
import signal
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final

from benchmarks.bgp.reading import Moved, read
from benchmarks.bgp.routers import Frr, frr_node, frr_router
from benchmarks.bgp.site import Site
from benchmarks.harness.watchers import ECHO, watching
from netlb.errors import NetlbError
from netlb.testing.lab import Host, Lab
from netlb.testing.lab.namespaces import write_sysctls
from tests.support.routers import next_hops
from tests.support.waiting import eventually

__all__ = ["ANNOUNCERS", "FAULTS", "FLOWS", "SENT_EVERY", "Failure", "Kind", "failure_rounds"]

ADDRESS: Final = "203.0.113.10"
PORT: Final = 9000
FLOWS: Final = 64
"""Ports that datagrams are sent from, by turns."""
SENT_EVERY: Final = 1_000
"""µs between two datagrams."""
FAULTS: Final = ("cut link", "speaker killed", "BGP daemon killed", "drained", "orderly stop")
PLANNED: Final = ("drained", "orderly stop")
_BEFORE: Final = 0.3
_SEEN_FOR: Final = 0.7
_DRAIN: Final = 6.0
"""Seconds for which a drain is watched: netlb withdraws 5 s after it has asked routers to prefer others."""
_LONGEST: Final = 15.0
_PATIENCE: Final = 60.0
_HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One fault, and what came of it."""

    round: int
    announcer: str
    fault: str
    moved: Moved


class Announcer(ABC):
    """A program on every node that tells the router of an address; `node` is the one that fails."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        self.node: Host = next(iter(lab.nodes.values()))
        self._lab = lab
        self._directory = directory
        self._router = lab.routers["router-1"]

    @abstractmethod
    def start(self) -> None:
        """Start everywhere."""

    @abstractmethod
    def faults(self) -> Mapping[str, tuple[Callable[[], object], Callable[[], object]]]:
        """Return what befalls the node, by its name, and what undoes it, but for a cut link."""

    def ready(self) -> bool:
        """Whether every node would notice that the router has failed."""
        return True

    @abstractmethod
    def close(self) -> None:
        """End it everywhere."""


class Netlb(Announcer):
    """netlb-speaker on every node, each with a gobgpd of its own; routers are watched by BFD."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        super().__init__(lab, directory)
        self._site = Site(directory, lab, list(lab.nodes.values()))

    def start(self) -> None:
        self._site.declare(ADDRESS, [self._router], watched=True)
        self._site.endpoints(list(self._lab.nodes))
        self._site.start()

    def faults(self) -> Mapping[str, tuple[Callable[[], object], Callable[[], object]]]:
        site, node = self._site, self.node
        return {
            "speaker killed": (lambda: site.kill(node), lambda: site.start_on(node)),
            "BGP daemon killed": (lambda: site.kill_gobgpd(node), lambda: None),
            "drained": (lambda: site.label(node, excluded=True), lambda: site.label(node)),
            "orderly stop": (lambda: site.stop(node), lambda: site.start_on(node)),
        }

    def ready(self) -> bool:
        return all(
            [("ESTABLISHED", "up")]
            == [(peer["state"], peer.get("bfd")) for peer in self._site.told(node).get("peers", [])]
            for node in self._lab.nodes.values()
        )

    def close(self) -> None:
        self._site.close()


class FrrNodes(Announcer):
    """FRR on every node: zebra, bgpd and bfdd, which is what MetalLB drives in its FRR modes."""

    def __init__(self, lab: Lab, directory: Path) -> None:
        super().__init__(lab, directory)
        self._stack = contextlib.ExitStack()
        self._frr: dict[str, Frr] = {}

    def start(self) -> None:
        for name, node in self._lab.nodes.items():
            self._frr[name] = self._stack.enter_context(frr_node(node, self._router, f"{ADDRESS}/32"))

    def faults(self) -> Mapping[str, tuple[Callable[[], object], Callable[[], object]]]:
        frr = self._frr[self.node.name]
        everything = ("bgpd", "bfdd", "zebra")
        return {
            "speaker killed": (lambda: self._signal(signal.SIGKILL, *everything), lambda: self._again(*everything)),
            "BGP daemon killed": (lambda: self._signal(signal.SIGKILL, "bgpd"), lambda: self._again("bgpd")),
            "drained": (frr.drain, lambda: frr.drain(over=True)),
            "orderly stop": (lambda: self._signal(signal.SIGTERM, "bgpd"), lambda: self._again("bgpd")),
        }

    def ready(self) -> bool:
        router = {str(self._router.ipv4)}
        return all(router == frr.watched() for frr in self._frr.values())

    def close(self) -> None:
        self._stack.close()

    def _signal(self, number: signal.Signals, *daemons: str) -> None:
        for daemon in daemons:
            self._frr[self.node.name].processes[daemon].send_signal(number)

    def _again(self, *daemons: str) -> None:
        frr = self._frr[self.node.name]
        for daemon in reversed(daemons):  # zebra first: the others connect to it
            frr.processes[daemon].wait(_PATIENCE)
            frr.start(daemon)


@dataclass(frozen=True, slots=True)
class Kind:
    """An announcer that can be measured, and in which rounds it takes part."""

    name: str
    make: Callable[[Lab, Path], Announcer]
    every: int = 1


ANNOUNCERS: Final = (Kind("netlb", Netlb), Kind("FRR on the nodes", FrrNodes, every=2))


def failure_rounds(
    rounds: int, random: Random, directory: Path, tell: Callable[[str], None]
) -> tuple[list[Failure], dict[str, str]]:
    """Let a node fail in every way, by turns; return what came of it, and by announcer why it was left out."""
    found: list[Failure] = []
    problems: dict[str, str] = {}
    with Lab(nodes=3, routers=1, clients=1, pods_per_node=0, name="bench") as lab:
        router = lab.routers["router-1"]
        write_sysctls(router.namespace, {"net/ipv4/fib_multipath_hash_policy": "1"})  # by ports too
        with contextlib.ExitStack() as stack:
            frr = stack.enter_context(frr_router(router, list(lab.nodes.values()), watched=True))
            for node in lab.nodes.values():
                node.run(["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"])
                stack.enter_context(watching(node, ECHO, ADDRESS, PORT, node.name))
            for number in range(rounds):
                turns = [kind for kind in ANNOUNCERS if number % kind.every == 0 and kind.name not in problems]
                for kind in random.sample(turns, len(turns)):
                    tell(f"round {number + 1} of {rounds}: {kind.name} behind a router")
                    try:
                        for fault, moved in _turn(kind, lab, frr, directory / f"{number}-{kind.name}", random):
                            found.append(Failure(round=number, announcer=kind.name, fault=fault, moved=moved))
                    except (AssertionError, NetlbError, OSError, ValueError) as error:
                        problems[kind.name] = f"{type(error).__name__}: {error}"
    return found, problems


def _turn(kind: Kind, lab: Lab, frr: Frr, directory: Path, random: Random) -> Iterator[tuple[str, Moved]]:
    directory.mkdir(parents=True)
    announcer = kind.make(lab, directory / "site")
    node = announcer.node
    try:
        announcer.start()
        _settle(announcer, lab, frr)
        faults = {**announcer.faults(), "cut link": (lambda: lab.cut(node, carrier=True), lambda: lab.mend(node))}
        for fault in random.sample(FAULTS, len(FAULTS)):
            fail, undo = faults[fault]
            try:
                moved = _seen(lab, node, fail, _DRAIN if fault == "drained" else _SEEN_FOR)
            finally:
                undo()
            yield fault, moved
            _settle(announcer, lab, frr)
    finally:
        announcer.close()


def _seen(lab: Lab, node: Host, fail: Callable[[], object], seconds: float) -> Moved:
    """Send datagrams from before a fault until the router has had no route by the node for a while."""
    router, client = lab.routers["router-1"], lab.clients["client-1"]
    with watching(client, _HERE / "traffic.py", ADDRESS, PORT, FLOWS, SENT_EVERY) as watcher:
        time.sleep(_BEFORE)
        fault = time.monotonic_ns()
        fail()
        while str(node.ipv4) in next_hops(router, ADDRESS) and time.monotonic_ns() < fault + _LONGEST * 1e9:
            time.sleep(0.02)
        time.sleep(seconds)
        return read([(at, who) for at, who in watcher.finish()], node=node.name, fault=fault)


def _settle(announcer: Announcer, lab: Lab, frr: Frr) -> None:
    """Wait until the router uses all nodes, and everybody watches everybody."""
    router = lab.routers["router-1"]
    nodes = {str(node.ipv4) for node in lab.nodes.values()}
    eventually(lambda: nodes == next_hops(router, ADDRESS), "the router uses all nodes", _PATIENCE)
    eventually(lambda: nodes == frr.watched() and announcer.ready(), "everybody is watched by BFD", _PATIENCE)
