"""What the answers of a segment say about a change of owners. Pure; times in nanoseconds of one clock."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["HAND_OVER", "Answer", "Outcome", "longest_gap", "owner_changes", "read"]

Answer = tuple[int, str]
"""When an answer came, and whose it was."""

HAND_OVER = 100_000_000
"""In an orderly change, both may answer for so long: the new owner begins before the old one is silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One change of owners, as somebody saw it who asked all the time."""

    takeover_ms: float | None
    """From the fault until the first answer of the new owner; None if nobody took over."""
    silence_ms: float
    """The longest time without any answer, from the last one before the fault on."""
    second: int
    """Answers of the old owner after the first one of the new owner."""
    second_late: int
    """Those of them that came later than a hand-over lasts."""
    overlap_ms: float
    """From the first answer of the new owner to the last one of the old owner; 0 if there was none after it."""
    unserved_ms: float
    """The longest time without a completed request."""


def read(answers: Sequence[Answer], completed: Sequence[int], *, old: str, fault: int, end: int) -> Outcome:
    """Read what was seen until `end` of a fault of the owner `old`; answers in any order."""
    ordered = sorted(answers)
    first = next((at for at, who in ordered if at >= fault and who != old), None)
    second = [at for at, who in ordered if who == old and first is not None and at > first]
    return Outcome(
        takeover_ms=None if first is None else (first - fault) / 1e6,
        silence_ms=longest_gap([at for at, _ in ordered], fault, end),
        second=len(second),
        second_late=sum(1 for at in second if first is not None and at > first + HAND_OVER),
        overlap_ms=0.0 if first is None or not second else (max(second) - first) / 1e6,
        unserved_ms=longest_gap(completed, fault, end),
    )


def longest_gap(times: Sequence[int], begin: int, end: int) -> float:
    """Return the longest time in ms without an event: from the last one before `begin` on, and until `end` at most."""
    before = max((at for at in times if at < begin), default=begin)
    points = [before, *sorted(at for at in times if begin <= at <= end), end]
    return max(later - sooner for sooner, later in pairwise(points)) / 1e6


def owner_changes(answers: Sequence[Answer]) -> int:
    """Return how often an answer was another station's than the one before it."""
    owners = [who for _, who in sorted(answers)]
    return sum(1 for before, after in pairwise(owners) if before != after)
