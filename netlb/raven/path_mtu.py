"""Finds out by probes how large a packet passes a tunnel: what an interface allows says nothing of the way behind it.

Pure; takes time as an argument, in seconds of a clock that runs on.
"""

from typing import Final

from netlb.raven.hello import LEAST

__all__ = ["PathMtu"]

_PATIENCE: Final = 1.0
"""Seconds for an answer to a probe."""
_TRIES: Final = 3
"""Probes that may be lost before a size counts as too large."""
_EXACT: Final = 8
"""Octets by which what is found may be less than what would pass."""
_AGAIN: Final = 300.0
"""Seconds until it is asked again."""


class PathMtu:
    """Asks for the largest size first, and halves what is in question where that does not pass.

    It is used only while small packets are answered: silence would say nothing.
    """

    def __init__(self, largest: int) -> None:
        """Look for a size up to `largest`, in octets of the packet inside the tunnel."""
        self.largest = largest
        self.found: int | None = None
        """The largest size that passed; None: not known yet. 0: not even the smallest did."""
        self._low, self._high = 0, largest
        self._asked = 0
        self._tries = 0
        self._due = 0.0

    def next_size(self, now: float) -> int | None:
        """Return the size of the probe that is to be sent now, if any."""
        if now < self._due:
            return None
        if self._asked and self._tries >= _TRIES:
            self._high, self._asked = self._asked - 1, 0
            if self._settled(now):
                return None
        if not self._asked:
            self._asked, self._tries = self._choose(), 0
        self._tries += 1
        self._due = now + _PATIENCE
        return self._asked

    def answered(self, size: int, now: float) -> None:
        """Take note that a probe of this size has passed."""
        if size != self._asked:
            return
        self._low, self._asked, self._due = size, 0, now
        self._settled(now)

    def _choose(self) -> int:
        if self._high == self.largest:
            return self.largest
        return LEAST if self._low < LEAST <= self._high else (self._low + self._high + 1) // 2

    def _settled(self, now: float) -> bool:
        """End the search if there is nothing left to find out, and say whether that is so."""
        if self._low + _EXACT <= self._high and self._high >= LEAST:
            return False
        self.found = self._low
        self._low, self._high, self._asked = 0, self.largest, 0
        self._due = now + _AGAIN
        return True
