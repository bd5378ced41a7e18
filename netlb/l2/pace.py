"""How fast frames go out that nobody asked for: a bucket of credit, so that a thousand addresses make no storm.

They are paced for a switch that must flood them, and for the requests that come in meanwhile.
"""

from typing import Final

__all__ = ["BATCH", "RATE", "Pace"]

RATE: Final = 200_000.0
"""Frames a second over all interfaces: a thousand in 5 ms."""
BATCH: Final = 32
"""Frames given out at a time, so that making and sending them delays an answer by 0.2 ms."""
_CREDIT: Final = 1000.0
"""Frames that may go at once after a pause."""


class Pace:
    """The frames that may go out now."""

    def __init__(self) -> None:
        self._credit = _CREDIT
        self._credited_at = 0.0

    def advance(self, now: float) -> None:
        """Gain what has been earned since the last call."""
        self._credit = min(_CREDIT, self._credit + max(0.0, now - self._credited_at) * RATE)
        self._credited_at = now

    def allows(self) -> bool:
        """Say whether a frame may go out now."""
        return self._credit >= 1

    def spend(self, frames: int) -> None:
        """Pay for frames that go out; more than there is credit for delays what follows."""
        self._credit -= frames

    def next_wakeup(self) -> float:
        """Return from when on a batch may go out."""
        return self._credited_at + (0.0 if self._credit >= 1 else (BATCH - self._credit) / RATE)
