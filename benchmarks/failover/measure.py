"""Rounds: every station once in each, and within its turn every fault once, in orders drawn anew."""

import contextlib
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from ipaddress import ip_address
from pathlib import Path
from random import Random
from typing import Final

from benchmarks.failover.reading import Answer, Outcome, longest_gap, owner_changes, read
from benchmarks.failover.stations import Kind, Station, running
from benchmarks.harness.statistics import Summary
from benchmarks.harness.watchers import Watcher, WatcherError, watching
from netlb.errors import NetlbError
from netlb.testing.lab import Host, Lab, ServiceRule

__all__ = ["ASKED_EVERY", "FAULTS", "REQUESTED_EVERY", "SEEN_FOR", "Calm", "Case", "fill", "keep_busy", "serve", "turn"]

ASKED_EVERY: Final = 2_000
"""µs between two questions."""
REQUESTED_EVERY: Final = 10_000
"""µs between the beginnings of two requests."""
SEEN_FOR: Final = 1.2
"""Seconds for which a change of owners is watched after somebody else answers."""
_LONGEST: Final = 15.0  # seconds until somebody must have taken over
_BEFORE: Final = 0.1
_BUSY: Final = "while True: pass"
_ASKED_UNDER_LOAD: Final = 10_000  # µs
_HERE: Final = Path(__file__).parent

FAULTS: Final = ("crash", "cut link", "link back", "one-way link", "frozen", "drain", "orderly stop")
"""What happens to the owner; after a cut the link comes back, which is a change of owners too."""


@dataclass(slots=True, kw_only=True)
class Case:
    """A station and a fault, and what was seen of it in each round."""

    kind: Kind
    fault: str
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    """By the number of the round, from 0."""
    failure: str | None = None
    """Why there are fewer rounds than wanted."""

    def values(self, value: Callable[[Outcome], float | None]) -> list[float]:
        """Return a value of every round that has it."""
        return [found for outcome in self.outcomes.values() if (found := value(outcome)) is not None]

    def summary(self, value: Callable[[Outcome], float | None]) -> Summary | None:
        """Summarise a value; None where it was not measured, or nobody took over in some round."""
        values = self.values(value)
        return Summary.of(values) if values and len(values) == len(self.outcomes) and not self.failure else None

    def as_json(self) -> dict[str, object]:
        """Return everything about the case in the form of the results file."""
        return {
            "station": self.kind.name,
            "fault": self.fault,
            "version": None if self.kind.missing else self.kind.version(),
            "status": self.kind.missing or self.failure or "measured",
            "rounds": {str(number): asdict(outcome) for number, outcome in self.outcomes.items()},
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Calm:
    """What happened to an address while nothing failed, and every CPU was busy."""

    station: str
    seconds: float
    answers: int
    owner_changes: int
    silence_ms: float
    deaths: int | None
    """How often a node was taken for dead, as the station says; None if it says nothing."""


def fill(
    cases: Sequence[Case], rounds: int, random: Random, measure: Callable[[Kind], Mapping[str, Outcome]]
) -> Iterator[str]:
    """Fill the cases with rounds, and say before each turn what comes. A station that fails once is left out."""
    kinds = list({case.kind.name: case.kind for case in cases}.values())
    for number in range(rounds):
        turns = [
            kind
            for kind in kinds
            if kind.missing is None
            and number % kind.every == 0
            and not any(case.failure for case in cases if case.kind is kind)
        ]
        for kind in random.sample(turns, len(turns)):
            yield f"round {number + 1} of {rounds}: {kind.name}"
            mine = [case for case in cases if case.kind is kind]
            try:
                outcomes = measure(kind)
            except (AssertionError, NetlbError, OSError) as error:
                for case in mine:
                    case.failure = f"{type(error).__name__}: {error}"
            else:
                for case in mine:
                    case.outcomes[number] = outcomes[case.fault]


def serve(lab: Lab, addresses: Iterable[str]) -> None:
    """Have every node forward the addresses to its own pod, whoever has them."""
    rule = ServiceRule(
        name="web",
        addresses=tuple(map(ip_address, addresses)),
        port=80,
        backends=tuple(backend for backend in lab.backends if backend.address.version == 4),
        external_traffic_policy="Local",
    )
    lab.serve([rule])


def turn(kind: Kind, lab: Lab, directory: Path, random: Random) -> dict[str, Outcome]:
    """Run a station, and let its owner fail in every way."""
    faults = {
        "crash": lambda station: {"crash": _crash(lab, station)},
        "cut link": lambda station: _cut(lab, station),
        "one-way link": lambda station: {"one-way link": _mute(lab, station)},
        "frozen": lambda station: {"frozen": _freeze(lab, station)},
        "drain": lambda station: {"drain": _drain(lab, station)},
        "orderly stop": lambda station: {"orderly stop": _stop(lab, station)},
    }
    outcomes: dict[str, Outcome] = {}
    with running(kind, lab, directory) as station:
        for name in random.sample(list(faults), len(faults)):
            outcomes |= faults[name](station)
            station.settle()
    return outcomes


def _crash(lab: Lab, station: Station) -> Outcome:
    outcome = _seen(lab, station, station.owner, station.crash)
    station.restart()
    return outcome


def _stop(lab: Lab, station: Station) -> Outcome:
    outcome = _seen(lab, station, station.owner, station.stop)
    station.restart()
    return outcome


def _freeze(lab: Lab, station: Station) -> Outcome:
    try:
        return _seen(lab, station, station.owner, station.freeze)
    finally:
        station.thaw()


def _mute(lab: Lab, station: Station) -> Outcome:
    try:
        return _seen(lab, station, station.owner, lambda: lab.mute(station.owner))
    finally:
        lab.mend(station.owner)


def _drain(lab: Lab, station: Station) -> Outcome:
    try:
        return _seen(lab, station, station.owner, station.drain)
    finally:
        station.undrain()


def _cut(lab: Lab, station: Station) -> dict[str, Outcome]:
    try:
        cut = _seen(lab, station, station.owner, lambda: lab.cut(station.owner, carrier=True))
        [meanwhile] = set(station.answerers())
        between = next(host for host in lab.nodes.values() if host.mac == meanwhile)
    except BaseException:
        lab.mend(station.owner)
        raise
    return {"cut link": cut, "link back": _seen(lab, station, between, lambda: lab.mend(station.owner))}


def _seen(lab: Lab, station: Station, old: Host, fail: Callable[[], None]) -> Outcome:
    """Watch a fault from before it until somebody else has answered for a while."""
    asker, user, referee = (lab.clients[f"client-{number}"] for number in (1, 2, 3))
    with (
        _asking(asker, station, ASKED_EVERY) as asked,
        watching(user, _HERE / "request.py", station.address, 80, REQUESTED_EVERY) as requested,
    ):
        time.sleep(_BEFORE)  # there must be answers from before
        fault = time.monotonic_ns()
        fail()
        while not any(answer.mac != old.mac for answer in referee.who_has(station.address, 0.05)):
            if time.monotonic_ns() > fault + _LONGEST * 1e9:
                break
        time.sleep(SEEN_FOR)
        end = time.monotonic_ns()
        answers: list[Answer] = [(at, who) for at, who in asked.finish()]
        completed: list[int] = requested.finish()
    if not any(at < fault for at, _ in answers) or not any(at < fault for at in completed):
        raise WatcherError(f"{station.address} was not answered for, or not served, before anything failed")
    return read(answers, completed, old=old.mac, fault=fault, end=end)


def _asking(client: Host, station: Station, every: int) -> AbstractContextManager[Watcher]:
    return watching(client, _HERE / "ask.py", "eth0", client.mac, client.ipv4, station.address, every)


def keep_busy(lab: Lab, stations: Mapping[str, Station], seconds: float, cpus: int) -> list[Calm]:
    """Keep every CPU busy with programs of the same right to it, while nothing fails; see who answers."""
    client = lab.clients["client-1"]
    deaths = {name: station.deaths() for name, station in stations.items()}
    with contextlib.ExitStack() as stack:
        watchers = {
            name: stack.enter_context(_asking(client, station, _ASKED_UNDER_LOAD)) for name, station in stations.items()
        }
        hogs = [lab.clients["client-3"].popen([sys.executable, "-I", "-S", "-c", _BUSY]) for _ in range(cpus)]
        begin = time.monotonic_ns()
        try:
            time.sleep(seconds)
        finally:
            end = time.monotonic_ns()
            for hog in hogs:
                hog.kill()
                hog.wait(5.0)
        seen: dict[str, list[Answer]] = {name: watcher.finish() for name, watcher in watchers.items()}
    found = []
    for name, station in stations.items():
        answers = [(at, who) for at, who in seen[name] if begin <= at <= end]
        before, after = deaths[name], station.deaths()
        found.append(
            Calm(
                station=name,
                seconds=(end - begin) / 1e9,
                answers=len(answers),
                owner_changes=owner_changes(answers),
                silence_ms=longest_gap([at for at, _ in answers], begin, end),
                deaths=None if before is None or after is None else after - before,
            )
        )
    return found
