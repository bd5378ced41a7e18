"""Rounds: everybody once, in an order drawn anew for each, so that no peer always has the worst moment."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from random import Random
from statistics import median
from time import sleep

from benchmarks.arp.peers import Asked, Peer, await_answer, running
from benchmarks.arp.places import Family, Place, Way
from benchmarks.arp.probe import Flooded, ProbeError
from benchmarks.harness.machine import Cpus
from benchmarks.harness.processes import cpu_nanoseconds, family, resident_bytes
from benchmarks.harness.statistics import Summary, median_of_ratios
from netlb.testing.lab import LabError

__all__ = ["FLOOD", "GAP", "WINDOW", "Case", "Round", "measure_all", "measure_round"]

GAP = 200
"""µs of silence before an isolated question: the peer has gone to sleep."""
WINDOW = 64
"""Questions outstanding while answers a second are counted."""
FLOOD = 300_000
"""µs for which 100,000 questions a second are asked."""
_FLOOD_TIMEOUT = 200_000
_SETTLE = 0.2
_MANY_EVERY = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one peer did in one round."""

    round_trip_us: Summary
    lost: int
    cpu_us: float | None
    """CPU time of the peer's processes for each isolated answer; None where no process answers."""
    per_second: float
    window_lost: int
    window_cpu_us: float | None
    flood_sent: int = 0
    flood_lost: int = 0
    resident_bytes: tuple[int, ...]
    """Of each of its processes before the first timed question, the one that was started first."""


@dataclass(slots=True, kw_only=True)
class Case:
    """A peer asked by one protocol, for one address or any of many, and its rounds."""

    peer: Peer
    family: Family
    way: Way = "bridge"
    addresses: int = 1
    rounds: list[Round] = field(default_factory=list)
    failure: str | None = None
    """Why there are fewer rounds than wanted."""

    @property
    def title(self) -> str:
        """Its name in a line."""
        many = f", {self.addresses} addresses" if self.addresses > 1 else ""
        return f"{self.family} over {self.way}, {self.peer.name}{many}"

    def median(self, value: Callable[[Round], float]) -> float:
        """Return the median of a value over the rounds."""
        return median(map(value, self.rounds))

    def ratio(self, value: Callable[[Round], float], reference: "Case") -> float | None:
        """Return the median of the rounds' own ratios to another peer; None where either was not measured."""
        if self.failure or reference.failure or not self.rounds or not reference.rounds:
            return None
        mine, theirs = self.by_number(), reference.by_number()
        both = sorted(mine.keys() & theirs.keys())
        return median_of_ratios([value(mine[number]) for number in both], [value(theirs[number]) for number in both])

    def by_number(self) -> dict[int, Round]:
        """Return the rounds by their numbers, from 0; the slow take part in few of them."""
        return {index * self.every: each for index, each in enumerate(self.rounds)}

    @property
    def every(self) -> int:
        """It takes part in one round of so many: where many addresses must be announced first, that takes its time."""
        return self.peer.effort.every if self.addresses == 1 else _MANY_EVERY

    def as_json(self) -> dict[str, object]:
        """Return everything about the case in the form of the results file."""
        return {
            "peer": self.peer.name,
            "protocol": self.family,
            "way": self.way,
            "addresses": self.addresses,
            "version": None if self.peer.missing else self.peer.find_version(),
            "status": self.peer.missing or self.failure or "measured",
            "effort_us": asdict(self.peer.effort),
            "rounds": [asdict(each) for each in self.rounds],
        }


def measure_all(
    cases: Sequence[Case], rounds: int, random: Random, measure: Callable[[Case], Round], tell: Callable[[str], None]
) -> None:
    """Fill the cases with rounds. A case that fails once is left out from then on, and says why."""
    for number in range(rounds):
        turns = [
            case for case in cases if case.failure is None and case.peer.missing is None and number % case.every == 0
        ]
        random.shuffle(turns)
        tell(f"round {number + 1} of {rounds}: {len(turns)} measurements")
        for case in turns:
            try:
                case.rounds.append(measure(case))
            except (ProbeError, LabError, OSError) as error:
                case.failure = f"{type(error).__name__}: {error}"


def measure_round(case: Case, places: Mapping[Way, Place], directory: Path, cpus: Cpus) -> Round:
    """Start the peer, measure it, end it."""
    peer, effort, place = case.peer, case.peer.effort, places[case.way]
    address = place.address(case.family, peer.number)
    probe = replace(place.probe, addresses=case.addresses, broadcast=peer.broadcasts)
    asked = Asked(place.interface, address, case.addresses, cpus.measured, directory)
    with running(peer, place.node, asked) as pid:
        if pid is not None:
            word = "quiet" if case.addresses > 1 else ""
            await_answer(probe.client, probe.interface, address, directory / f"{peer.name}.log", word)
        sleep(_SETTLE)
        processes = family(pid) if pid is not None else []
        resident = tuple(map(resident_bytes, processes))
        at = [cpu_nanoseconds(processes)]
        isolated = probe.ask_isolated(
            address,
            count=effort.questions,
            warmup=effort.warmup,
            gap=GAP,
            jitter=effort.jitter,
            timeout=effort.timeout,
        )
        at.append(cpu_nanoseconds(processes))
        windowed = probe.ask_window(address, window=WINDOW, duration=effort.duration, timeout=effort.timeout)
        at.append(cpu_nanoseconds(processes))
        flooded = (
            probe.ask_steadily(address, rate=effort.rate, duration=FLOOD, timeout=_FLOOD_TIMEOUT)
            if effort.rate
            else Flooded(sent=0, answered=0)
        )
        if pid is not None and family(pid) != processes:
            raise ProbeError("its processes changed while they were measured")
    return Round(
        round_trip_us=Summary.of(isolated.microseconds),
        lost=isolated.lost,
        cpu_us=(at[1] - at[0]) / 1e3 / isolated.answered if processes else None,
        per_second=windowed.per_second,
        window_lost=windowed.lost,
        window_cpu_us=(at[2] - at[1]) / 1e3 / windowed.answered if processes else None,
        flood_sent=flooded.sent,
        flood_lost=flooded.sent - flooded.answered,
        resident_bytes=resident,
    )
