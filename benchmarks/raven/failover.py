"""A gateway dies, comes back, hands over, is killed: what two pods see that speak with other sites meanwhile."""

import contextlib
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.harness.watchers import ECHO, Watcher, watching
from benchmarks.raven.reading import Interruption, read
from netlb.testing.sites import SitesLab
from tests.support.mesh.world import World
from tests.support.waiting import eventually

__all__ = [
    "ASKED_EVERY",
    "BACK",
    "CALM",
    "DIES",
    "FAULTS",
    "FLOWS",
    "KILLED",
    "KILLED_EVERY",
    "PLANNED",
    "Cases",
    "failover_rounds",
]

_SITES: Final = {"c": 1, "a": 3, "b": 1}
"""A cloud, an edge whose first two nodes can be its gateway, and a shop behind a symmetric NAT."""
ASKED_EVERY: Final = 2_000
"""µs between two datagrams."""
DIES, BACK, PLANNED, KILLED = "the gateway dies", "it is back", "planned switch", "agent and tunnel killed"
FAULTS: Final = (DIES, BACK, PLANNED, KILLED)
FLOWS: Final = {"direct": "c1", "by the hub": "b1"}
"""From the pod of the edge's third node to these nodes' pods."""
_EDGE: Final = ("a1", "a2", "a3")
_PORT: Final = 7
_BEFORE: Final = 0.2
"""Seconds for which pods are asked before a fault."""
_SEEN_FOR: Final = 0.5
"""Seconds for which they are asked after it is over."""
KILLED_EVERY: Final = 5
_PATIENCE: Final = 60.0
CALM: Final = 2.5
"""Seconds for which everybody has been heard before a fault."""
_ALIVE: Final = re.compile(r'^netlb_gateway_node_alive\{node="([^"]+)"\} 1\.0$', re.MULTILINE)
_HEARD: Final = {"a1": {"a2", "a3", "c1"}, "a2": {"a1", "a3", "c1"}, "a3": {"a1", "a2"}, "c1": {"a1", "a2", "b1"}}
"""Whom each node has to hear until something may fail again."""

Cases = dict[tuple[str, str], list[Interruption]]
"""By fault and flow, one for each time."""


def failover_rounds(directory: Path, rounds: int, cases: Cases) -> Iterator[str]:
    """Run the sites' daemons, let gateways fail, and add what was seen; say before each round that it comes."""
    cases.update({(fault, flow): [] for fault in FAULTS for flow in FLOWS})
    with SitesLab(_SITES, name="bench") as lab, contextlib.ExitStack() as stack:
        world = World(directory, lab)
        stack.callback(world.site.kill)
        world.declare()
        world.start(*lab.nodes)
        for node in FLOWS.values():
            pod = lab.pods[node]
            stack.enter_context(watching(pod, ECHO, pod.ipv4, _PORT, node))
        for number in range(rounds):
            yield f"round {number + 1} of {rounds}: gateways fail"
            _die_and_return(world, cases)
            _hand_over(world, cases)
            if number % KILLED_EVERY == 0:
                _be_killed(world, cases)


def _die_and_return(world: World, cases: Cases) -> None:
    """Cut a gateway off, as if its machine had died, and let it come back with all that it had."""
    gateway, successor = _settled(world)
    with _asking(world) as asked:
        died = time.monotonic_ns()
        world.lab.cut(gateway)
        world.await_active("a", successor, ["a3", successor])
        time.sleep(_SEEN_FOR)  # answers must go on, or what was silent had no end
        back = time.monotonic_ns()
        world.lab.mend(gateway)
        eventually(lambda: gateway in _alive(world, successor), f"{gateway} is heard again", _PATIENCE)
        world.await_active("a", successor)
        time.sleep(_SEEN_FOR)  # answers must go on, or what was silent had no end
        _file(cases, asked, {DIES: died, BACK: back})


def _hand_over(world: World, cases: Cases) -> None:
    """Tell a gateway to stop, and start it again afterwards."""
    gateway, successor = _settled(world)
    with _asking(world) as asked:
        told = time.monotonic_ns()
        world.daemons[gateway].process.terminate()
        world.await_active("a", successor, ["a3", successor])
        time.sleep(_SEEN_FOR)  # answers must go on, or what was silent had no end
        _file(cases, asked, {PLANNED: told})
    world.daemons[gateway].wait()
    world.begin(gateway)


def _be_killed(world: World, cases: Cases) -> None:
    """Kill a gateway's agent and what carries its tunnels; its machine lives."""
    gateway, successor = _settled(world)
    carriers = world.carriers(gateway)
    daemon = world.daemons[gateway]
    with _asking(world) as asked:
        killed = time.monotonic_ns()
        daemon.process.kill()
        for pid in carriers:
            os.kill(pid, signal.SIGKILL)
        world.await_active("a", successor, ["a3", successor])
        time.sleep(_SEEN_FOR)  # answers must go on, or what was silent had no end
        _file(cases, asked, {KILLED: killed})
    daemon.wait()
    daemon.http.unlink()
    world.begin(gateway)


@contextlib.contextmanager
def _asking(world: World) -> Iterator[Watcher]:
    """Have the member's pod ask both others all the time, from a while before."""
    addresses = [world.lab.pods[node].ipv4 for node in FLOWS.values()]
    program = Path(__file__).with_name("ask.py")
    with watching(world.lab.pods["a3"], program, _PORT, ASKED_EVERY, *addresses) as watcher:
        time.sleep(_BEFORE)  # there must be answers from before
        yield watcher


def _file(cases: Cases, asked: Watcher, faults: dict[str, int]) -> None:
    """Read what was seen of faults that came one after the other."""
    said = asked.finish()
    ends = [*list(faults.values())[1:], None]
    for flow, datagrams in zip(FLOWS, said.values(), strict=True):
        for (fault, at), end in zip(faults.items(), ends, strict=True):
            seen = [(sent, answered) for sent, answered in datagrams if end is None or sent < end]
            cases[fault, flow].append(read(seen, fault=at))


def _settled(world: World) -> tuple[str, str]:
    """Wait until everybody has heard everybody for a while; return who is active, and who could be."""

    def settled() -> str | None:
        everybody = all(heard <= _alive(world, node) for node, heard in _HEARD.items())
        said = {tuple(active) for active in world.active("a", _EDGE)}
        if everybody and len(said) == 1 and all(world.is_ready(node) for node in world.lab.nodes):
            return ",".join(said.pop())
        return None

    gateway = eventually(settled, "everybody is heard", _PATIENCE)
    time.sleep(CALM)  # until then an endpoint that has come back says less than others
    return gateway, {"a1": "a2", "a2": "a1"}[gateway]


def _alive(world: World, node: str) -> set[str]:
    """Return whom a node hears, as it says itself."""
    page = world.daemons[node].get("/metrics")
    return set(_ALIVE.findall(page.text)) if page else set()
