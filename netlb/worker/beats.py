"""The beats by which a program and its workers, or workers without one, know of each other that they live. Pure."""

from typing import Final

__all__ = ["BEAT", "MOST_UNANSWERED", "next_beat"]

BEAT: Final = 0.2
"""Seconds."""
MOST_UNANSWERED: Final = 2
"""Beats in a row that a worker may leave unanswered: its peers have given it up by then, and its successor is there in
a fraction of a second. They are counted, and not seconds, so that a machine that was asleep finds nobody guilty."""


def next_beat(now: float) -> float:
    """Return when to beat next, on the same clock.

    It is the same moment for all workers: they wake their program once, and end together when it falls silent.
    """
    return (now // BEAT + 1) * BEAT
