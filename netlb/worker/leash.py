"""For how long a worker goes on while nobody tells it anything. Pure: time is an argument.

A program that stands still and one that is dead are the same to everybody else: nobody there learns of changes. So one
time is for both, counted from when the program was last heard. All workers of a program count alike, hear it equally
often, and so end together: none answers for what another has given up.
"""

from typing import Final

__all__ = ["Leash"]

_STOOD_STILL: Final = 1.5
"""Seconds between two turns of a worker's loop after which the whole machine, or all of the node, has been asleep."""


class Leash:
    """Counts from when the program was last heard; every `now` is seconds of one clock that never goes back."""

    def __init__(self, patience: float, *, outlives: bool, now: float) -> None:
        """Go on for `patience` seconds without the program; unless it `outlives` it, not at all once that is dead."""
        self._patience = patience
        self._outlives = outlives
        self._heard_at = self._turned_at = now
        self._decided = True
        self.orphaned = False
        """The program is dead, and no other has taken its place."""

    def heard(self, now: float, *, decided: bool = False) -> None:
        """Take in that the program lives. One that took over counts as heard once it has `decided` what it wants."""
        self._decided = self._decided or decided
        if self._decided:
            self._heard_at = now

    def lost(self) -> None:
        """Take in that the program is dead."""
        self.orphaned = True

    def adopted(self, now: float) -> None:
        """Take in that another program has taken over; it has the full time to decide, if the one before ever did."""
        if self._decided:
            self._heard_at = now
        self._decided = self.orphaned = False

    @property
    def ends_at(self) -> float:
        """When it is time to end if nothing is heard; to be awake for."""
        return self._heard_at + self._patience

    def why_over(self, now: float) -> str | None:
        """Return why it is time to end, or None; to be asked at every turn of the loop.

        A program must not be found guilty because this process was not awake to hear it; a dead one gains nothing.
        """
        if now - self._turned_at > _STOOD_STILL and not self.orphaned:
            self._heard_at = now
        self._turned_at = now
        if self.orphaned and not self._outlives:
            return "the program is gone"
        if now - self._heard_at <= self._patience:
            return None
        if self.orphaned:
            return f"the program is gone, and no other took its place within {self._patience:g} s"
        if not self._decided:
            return f"the program did not know what it wants within {self._patience:g} s"
        return f"the program's event loop stood still for more than {self._patience:g} s"
