"""How long a gobgpd of our own may be out of reach before it is taken for hung, and killed.

A connection that breaks, or a machine that is busy for a moment, must cost no route: gobgpd goes on announcing, and who
kills it takes the sessions with it.
"""

import asyncio
from collections.abc import Callable
from typing import Final

__all__ = ["PATIENCE", "Patience"]

PATIENCE: Final = 4.0
"""Seconds from the loss of a gobgpd, or the start of one that was not heard yet, to its end."""
_LATE: Final = 0.5
"""A timer that is so many seconds late says that we stood still ourselves, and have not been waiting."""


class Patience:
    """Counts while a gobgpd is out of reach; `kill` is called when that lasts too long, and again after as long."""

    def __init__(self, kill: Callable[[], None], seconds: float = PATIENCE) -> None:
        self._kill = kill
        self._seconds = seconds
        self._timer: asyncio.TimerHandle | None = None

    def lost(self) -> None:
        """It is out of reach from now on."""
        if self._timer is None:
            self._begin()

    def started(self) -> None:
        """Another one was started: if nobody has heard it yet, it has all of the time."""
        if self._timer is not None:
            self.found()
            self._begin()

    def found(self) -> None:
        """It answers, or is no longer of interest."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._seconds, self._over)

    def _over(self) -> None:
        loop = asyncio.get_running_loop()
        late = self._timer is not None and loop.time() - self._timer.when() > _LATE
        self._begin()
        if not late:
            self._kill()
