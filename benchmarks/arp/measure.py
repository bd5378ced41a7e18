"""Rounds: everybody once, in an order drawn anew for each, so that no peer always has the worst moment."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from statistics import median
from time import sleep

from benchmarks.arp.peers import Family, Peer, await_answer, running
from benchmarks.arp.probe import Probe, ProbeError
from benchmarks.harness.machine import Cpus
from benchmarks.harness.processes import cpu_nanoseconds, family, resident_bytes
from benchmarks.harness.statistics import Summary, median_of_ratios
from netlb.testing.lab import Host, LabError

__all__ = ["GAP", "WINDOW", "Case", "Round", "measure_all", "measure_round"]

GAP = 200
"""µs of silence before an isolated question: the peer has gone to sleep."""
WINDOW = 64
"""Questions outstanding while answers a second are counted."""
_SETTLE = 0.2


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
    resident_bytes: tuple[int, ...]
    """Of each of its processes before the first timed question, the one that was started first."""


@dataclass(slots=True, kw_only=True)
class Case:
    """A peer asked by one protocol, and its rounds."""

    peer: Peer
    family: Family
    rounds: list[Round] = field(default_factory=list)
    failure: str | None = None
    """Why there are fewer rounds than wanted."""

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
        return {index * self.peer.effort.every: each for index, each in enumerate(self.rounds)}

    def as_json(self) -> dict[str, object]:
        """Return everything about the case in the form of the results file."""
        return {
            "peer": self.peer.name,
            "protocol": self.family,
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
            case
            for case in cases
            if case.failure is None and case.peer.missing is None and number % case.peer.effort.every == 0
        ]
        random.shuffle(turns)
        tell(f"round {number + 1} of {rounds}: " + ", ".join(f"{case.peer.name} {case.family}" for case in turns))
        for case in turns:
            try:
                case.rounds.append(measure(case))
            except (ProbeError, LabError, OSError) as error:
                case.failure = f"{type(error).__name__}: {error}"


def measure_round(case: Case, probe: Probe, node: Host, directory: Path, cpus: Cpus) -> Round:
    """Start the peer, measure it, end it."""
    peer, effort, address = case.peer, case.peer.effort, case.peer.address(case.family)
    with running(peer, case.family, node, directory, cpus.measured) as pid:
        await_answer(probe.client, address, directory / f"{peer.name}.log")
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
            broadcast=peer.broadcasts,
        )
        at.append(cpu_nanoseconds(processes))
        windowed = probe.ask_window(
            address, window=WINDOW, duration=effort.duration, timeout=effort.timeout, broadcast=peer.broadcasts
        )
        at.append(cpu_nanoseconds(processes))
        if pid is not None and family(pid) != processes:
            raise ProbeError("its processes changed while they were measured")
    return Round(
        round_trip_us=Summary.of(isolated.microseconds),
        lost=isolated.lost,
        cpu_us=(at[1] - at[0]) / 1e3 / isolated.answered if processes else None,
        per_second=windowed.per_second,
        window_lost=windowed.lost,
        window_cpu_us=(at[2] - at[1]) / 1e3 / windowed.answered if processes else None,
        resident_bytes=resident,
    )
