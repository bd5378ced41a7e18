"""When the periodic packets of one session are sent (RFC 5880 section 6.8.7).

Each interval is shortened at random, to 75 to 100 % of what was negotiated; to 75 to 90 % where no packet may be lost.
Whoever keeps many sessions would be woken for each packet by itself. So the time that was drawn may be missed by some
slack, either way, as long as the interval stays within the same bounds: what is due within the slack is sent together.
"""

from collections.abc import Callable
from typing import Final

__all__ = ["Pace"]

_SECOND: Final = 1e6
_LEAST: Final = 0.75
_MOST: Final = 1.0
_MOST_OF_ONE: Final = 0.9
"""With a detect multiplier of 1."""


class Pace:
    """The time of the next packet; slack is in seconds, and at most a tenth of the interval."""

    __slots__ = ("_drawn", "_earliest", "_lots", "_sent_at", "interval")

    def __init__(self, lots: Callable[[], float], interval: int, now: float) -> None:
        """Have the first packet due at once; `lots` draws a number in [0, 1) for each."""
        self.interval = interval
        """Microseconds, before jitter."""
        self._lots = lots
        self._sent_at = now
        self._drawn = now
        self._earliest = float("-inf")

    def sent(self, now: float, interval: int, multiplier: int) -> None:
        """Take in that a packet goes out now, and draw the time of the next."""
        self._sent_at = now
        self.change(interval, multiplier)

    def change(self, interval: int, multiplier: int) -> None:
        """Count from the last packet on by another interval."""
        self.interval = interval
        seconds = interval / _SECOND
        most = _MOST_OF_ONE if multiplier == 1 else _MOST
        self._earliest = self._sent_at + seconds * _LEAST
        self._drawn = self._sent_at + seconds * (_LEAST + self._lots() * (most - _LEAST))

    def ready(self, now: float, slack: float) -> bool:
        """Say whether the next packet may be sent now."""
        return now >= self._drawn - slack and now >= self._earliest

    def deadline(self, slack: float) -> float:
        """Return when the next packet must be sent at the latest: there is all of the slack to send it before."""
        return max(self._drawn, self._earliest + slack)
