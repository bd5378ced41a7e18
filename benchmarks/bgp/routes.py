"""How long routes take from whoever announces them to a router's kernel: one at a time, ten thousand, and again."""

import contextlib
import json
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Final, Protocol

from benchmarks.bgp.feeders import FEEDERS, GOBGPD, NETLB, Feeder, Kind, Reply, feeding
from benchmarks.bgp.feeding import FIRST, MANY
from benchmarks.bgp.routers import Frr, bird, frr_router
from benchmarks.bgp.site import Site
from benchmarks.harness.processes import ended
from benchmarks.harness.watchers import WatcherError
from netlb.testing.lab import Host, Lab
from tests.support.waiting import eventually

__all__ = ["BULK", "DAEMON", "SINGLE", "Change", "Monitor", "bulk_rounds", "single_rounds"]

SINGLE: Final = ("add", "withdraw")
BULK: Final = ("add 10,000", "withdraw 10,000", "gobgpd killed")
DAEMON: Final = "netlb-speaker"
CHANGES: Final = 5
"""How often each feeder adds and withdraws one route in a round."""
_PAUSE: Final = (0.05, 0.15)  # seconds; at random, or it would meet the same moment of FRR's timers each time
_PATIENCE: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One order, and what came of it; in ms from its beginning."""

    round: int
    feeder: str
    what: str
    handed_ms: float | None
    """Until gobgpd had acknowledged the last path; None where nothing is acknowledged."""
    verified_ms: float | None
    """Until all of it was found in gobgpd's table; None where nobody looks."""
    kernel_ms: Mapping[str, float]
    """Until the last route of it was in, or out of, each router's kernel."""


class Takes(Protocol):
    """What takes orders: a feeder, or a whole speaker."""

    def order(self, words: str) -> Reply:
        """Give an order, and wait for the answer."""
        ...


class Monitor:
    """Follows the routing table of one router."""

    def __init__(self, process: subprocess.Popen[str], name: str) -> None:
        self._process = process
        self._name = name

    def expect(self, words: str) -> None:
        """Say what is waited for from now on: `until N` or `again N` routes."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{words}\n")
        self._process.stdin.flush()

    def await_change(self) -> int:
        """Wait for it; return when the last of the routes came or went (CLOCK_MONOTONIC, ns)."""
        assert self._process.stdout is not None
        if not select.select([self._process.stdout], [], [], _PATIENCE)[0]:
            raise WatcherError(f"the routes did not reach {self._name} within {_PATIENCE:.0f} s")
        at: int = json.loads(self._process.stdout.readline())["at"]
        return at


@contextlib.contextmanager
def following(router: Host, name: str) -> Iterator[Monitor]:
    """Follow a router's table during the context."""
    program = Path(__file__).with_name("monitor.py")
    prefix = ".".join(str(FIRST).split(".")[:2])
    command: list[str | Path] = ["nice", "-n", "-20", sys.executable, "-I", "-S", program, prefix]
    with ended(router.popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise WatcherError(f"nobody follows the table of {name}")
        yield Monitor(process, name)


def single_rounds(rounds: int, random: Random, directory: Path, tell: Callable[[str], None]) -> list[Change]:
    """Add and withdraw one route, by turns, with FRR and BIRD as routers at once."""
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(Lab(nodes=4, routers=2, clients=0, pods_per_node=0, name="bench"))
        nodes, routers = list(lab.nodes.values()), list(lab.routers.values())
        frr = stack.enter_context(frr_router(routers[0], nodes))
        stack.enter_context(bird(routers[1], nodes))
        site = Site(directory / "site", lab, [nodes[0]])
        stack.callback(site.close)
        feeders: dict[str, Takes] = {DAEMON: OneService(site, nodes[0], routers)}
        feeders |= _start(stack, lab, [kind for kind in FEEDERS if not kind.missing], routers, directory)
        monitors = {
            name: stack.enter_context(following(router, name))
            for name, router in zip(("FRR", "BIRD"), routers, strict=True)
        }
        _settle(frr, feeders, monitors)
        found: list[Change] = []
        for number in range(rounds):
            tell(f"round {number + 1} of {rounds}: one route")
            for name in random.sample(list(feeders), len(feeders)):
                for what, count in list(zip(SINGLE, (1, 0), strict=True)) * CHANGES:
                    time.sleep(random.uniform(*_PAUSE))
                    order, expected = f"set {count}", f"until {count}"
                    found.append(_change((number, name, what), feeders[name], order, monitors, expected))
        return found


def bulk_rounds(rounds: int, random: Random, directory: Path, tell: Callable[[str], None]) -> list[Change]:
    """Add and withdraw ten thousand routes, and let gobgpd be killed while it has them, with FRR alone."""
    with contextlib.ExitStack() as stack:
        lab = stack.enter_context(Lab(nodes=4, routers=1, clients=0, pods_per_node=0, name="bench"))
        router = lab.routers["router-1"]
        kinds = [kind for kind in FEEDERS if not kind.missing]
        frr = stack.enter_context(frr_router(router, [_node(lab, kind) for kind in kinds]))
        feeders: dict[str, Takes] = {**_start(stack, lab, kinds, [router], directory)}
        monitors = {"FRR": stack.enter_context(following(router, "FRR"))}
        _settle(frr, feeders, monitors)
        found: list[Change] = []
        for number in range(rounds):
            for name in random.sample(list(feeders), len(feeders)):
                tell(f"round {number + 1} of {rounds}: {MANY:,} routes, {name}")
                steps = [(BULK[0], f"set {MANY}", f"until {MANY}"), (BULK[1], "set 0", "until 0")]
                if name in (NETLB.name, GOBGPD.name):
                    steps.insert(1, (BULK[2], "kill", f"again {MANY}"))
                for what, order, expected in steps:
                    time.sleep(1.0)
                    found.append(_change((number, name, what), feeders[name], order, monitors, expected))
                _established(frr, len(feeders))
        return found


def _change(
    label: tuple[int, str, str], feeder: Takes, order: str, monitors: Mapping[str, Monitor], expected: str
) -> Change:
    for monitor in monitors.values():
        monitor.expect(expected)
    reply = feeder.order(order)
    kernels = {router: (monitor.await_change() - reply.begun) / 1e6 for router, monitor in monitors.items()}
    return Change(
        round=label[0],
        feeder=label[1],
        what=label[2],
        handed_ms=None if reply.handed is None else (reply.handed - reply.begun) / 1e6,
        verified_ms=None if reply.verified is None else (reply.verified - reply.begun) / 1e6,
        kernel_ms=kernels,
    )


def _node(lab: Lab, kind: Kind) -> Host:
    return lab.nodes[f"node-{kind.node}"]


def _start(
    stack: contextlib.ExitStack, lab: Lab, kinds: Sequence[Kind], routers: Sequence[Host], directory: Path
) -> dict[str, Feeder]:
    return {
        kind.name: stack.enter_context(feeding(kind, _node(lab, kind), routers, directory / f"feeder-{kind.node}"))
        for kind in kinds
    }


def _settle(frr: Frr, feeders: Mapping[str, Takes], monitors: Mapping[str, Monitor]) -> None:
    """Have sessions with everybody, and a route of each feeder in every kernel once."""
    for feeder in feeders.values():
        feeder.order("set 0")
    _established(frr, len(feeders))
    for name, feeder in feeders.items():
        for count in (1, 0):
            _change((0, name, ""), feeder, f"set {count}", monitors, f"until {count}")


def _established(frr: Frr, number: int) -> None:
    eventually(lambda: len(frr.established()) == number, f"FRR has {number} sessions", _PATIENCE)


class OneService:
    """A whole speaker and one Service of its node, whose endpoint is ready or is not."""

    def __init__(self, site: Site, node: Host, routers: Sequence[Host]) -> None:
        self._site = site
        self._node = node
        site.declare(str(FIRST), routers)
        site.start()

    def order(self, words: str) -> Reply:
        """Have `set 1` or `set 0` ready endpoints; the beginning is when the manifest is put in place."""
        ready = words == "set 1"
        begun = self._site.endpoints([self._node.name], ready=ready)
        return Reply(begun, None, None)
