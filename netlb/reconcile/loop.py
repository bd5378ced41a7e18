"""The asyncio driver of the core: the only file of this room that awaits, and the only one that draws lots.

Time is the event loop's: a test that wants another time runs another loop.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine, Hashable, Iterable, Mapping
from typing import Any, Generic, TypeVar

from netlb.errors import NetlbError
from netlb.reconcile.core import REFRESH_INTERVAL, Core, Work
from netlb.reconcile.operations import Operations
from netlb.reconcile.status import Counts, Status

__all__ = ["Reconciler"]

K = TypeVar("K", bound=Hashable)
D = TypeVar("D")

LOTS = random.SystemRandom()


class Reconciler(Generic[K, D]):
    """Keep the objects of one adapter as they are wanted, for as long as `run` runs.

    `on_status` is called after every observation and every round with the statuses of all objects. `on_bug`
    is called with this reconciler's name and an exception that the adapter raised and that is not a
    `NetlbError`; the work is tried again all the same.
    An orderly stop is `want({})`, then `settled()` within a time limit, then cancelling `run`.
    """

    def __init__(
        self,
        name: str,
        operations: Operations[K, D],
        *,
        on_bug: Callable[[str, Exception], None],
        on_status: Callable[[Mapping[K, Status]], None] | None = None,
        jitter: Callable[[], float] = LOTS.random,
        refresh_interval: float = REFRESH_INTERVAL,
    ) -> None:
        self.name = name
        self._operations = operations
        self._on_status = on_status
        self._on_bug = on_bug
        self._core: Core[K, D] = Core(jitter=jitter, refresh_interval=refresh_interval)
        self._changed = asyncio.Event()
        self._settled = asyncio.Event()

    def want(self, desired: Mapping[K, D]) -> None:
        """Set the whole desired state; of several calls during one round only the last one counts."""
        self._core.want(desired)
        self._poke()

    def refresh(self) -> None:
        """Observe soon and repair what drifted."""
        self._core.refresh()
        self._poke()

    def lost(self) -> None:
        """Say that the adapter no longer knows what is there; it is observed before anything else."""
        self._core.lost()
        self._poke()

    def statuses(self) -> Mapping[K, Status]:
        """Return the status of every object that is wanted, or is there and should not be."""
        return self._core.statuses()

    def blind(self) -> str:
        """Return why what is there could not be observed, the last time; empty if it could."""
        return self._core.blind()

    def counts(self) -> Counts:
        """Return the numbers of pending and failed objects and of retries."""
        return self._core.counts()

    def is_settled(self) -> bool:
        """Whether what is wanted, and nothing else, is known to be there."""
        return self._core.settled()

    async def settled(self) -> None:
        """Wait until what is wanted, and nothing else, is there; `want` must have been called."""
        while not self._core.settled():
            self._settled.clear()
            await self._settled.wait()

    async def run(self) -> None:
        """Work until cancelled. It may be run again afterwards and then begins with an observation."""
        self.lost()
        while True:
            self._changed.clear()
            work = self._core.next_work(self._now())
            if work is None:
                await self._sleep()
            elif work.observe:
                await self._observe()
            else:
                await self._round(work)

    async def _observe(self) -> None:
        try:
            actual = await self._operations.observe()
        except Exception as error:
            self._report(error)
            self._core.observe_failed(error, self._now())
        else:
            self._core.observed(actual, self._now())
        self._publish()

    async def _round(self, work: Work[K, D]) -> None:
        results: dict[K, Exception | None] = {}
        if work.apply:
            results |= await self._attempt(work.apply, self._operations.apply(work.apply))
        if prune := self._core.unwanted(work.prune):
            results |= await self._attempt(prune, self._operations.prune(prune))
        self._core.done(results, self._now())
        self._publish()

    async def _attempt(
        self, keys: Iterable[K], batch: Coroutine[Any, Any, Mapping[K, Exception]]
    ) -> dict[K, Exception | None]:
        try:
            failures = await batch
        except Exception as error:
            self._report(error)
            return dict.fromkeys(keys, error)
        return {key: failures.get(key) for key in keys}

    def _report(self, error: Exception) -> None:
        """Say what is a bug. Whoever is cancelled ends: a TaskGroup may raise what its tasks raised instead."""
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError from error
        if not isinstance(error, NetlbError):
            self._on_bug(self.name, error)

    def _publish(self) -> None:
        if self._on_status is not None:
            self._on_status(self._core.statuses())
        self._poke()

    def _poke(self) -> None:
        self._changed.set()
        if self._core.settled():
            self._settled.set()
        else:
            self._settled.clear()

    async def _sleep(self) -> None:
        try:
            async with asyncio.timeout_at(self._core.next_wakeup()):
                await self._changed.wait()
        except TimeoutError:
            pass

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()
