"""When to plan: at once while it is quiet, and for much that happens together once. Never most of the time."""

import asyncio
from collections.abc import Callable

__all__ = ["Coalescer"]


class Coalescer:
    """Has something done soon after it is asked for, however often that is.

    After it was done there is a pause as long as that took: so hundreds of endpoints heard one after another, as when a
    hub starts, are planned for together, and others have their turn meanwhile.
    """

    def __init__(self, act: Callable[[], None]) -> None:
        """`act` is called from the event loop."""
        self._act = act
        self._asked: asyncio.TimerHandle | None = None
        self._not_before = 0.0

    def ask(self) -> None:
        """Have it done."""
        if self._asked is None:
            loop = asyncio.get_running_loop()
            self._asked = loop.call_at(max(self._not_before, loop.time()), self._do)

    def _do(self) -> None:
        self._asked = None
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            self._act()
        finally:
            ended = loop.time()
            self._not_before = ended + (ended - began)
