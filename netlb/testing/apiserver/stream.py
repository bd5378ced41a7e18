"""The answer to one watch, as long as it lasts."""

import asyncio

from netlb.testing.apiserver.faults import Effect
from netlb.testing.apiserver.http import Connection
from netlb.testing.apiserver.request import Watching
from netlb.testing.apiserver.status import Refused
from netlb.testing.apiserver.store import Store

__all__ = ["Stream"]


class Stream:
    """Sends what is written after a revision. Everything happens on one event loop."""

    def __init__(self, connection: Connection, watching: Watching, store: Store, interval: float | None) -> None:
        """With an interval in seconds, bookmarks are sent by themselves."""
        self._connection = connection
        self._watching = watching
        self._store = store
        self._interval = interval
        self._awake = asyncio.Event()
        self._marking = False
        self._expiring = False
        self._ending = False

    def wake(self) -> None:
        """Look whether something was written."""
        self._awake.set()

    def mark(self) -> None:
        """Send a bookmark."""
        self._marking = True
        self._awake.set()

    def expire(self) -> None:
        """Send an ERROR event, 410, and end."""
        self._expiring = True
        self._awake.set()

    def end(self) -> None:
        """End in order."""
        self._ending = True
        self._awake.set()

    async def run(self, effect: Effect | None) -> None:
        """Send until the end, or until the client goes."""
        leaving = asyncio.create_task(self._connection.gone())
        sending = asyncio.create_task(self._send(effect))
        try:
            await asyncio.wait({leaving, sending}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (leaving, sending):
                task.cancel()
            await asyncio.gather(leaving, sending, return_exceptions=True)

    async def _send(self, effect: Effect | None) -> None:
        watching, store, connection = self._watching, self._store, self._connection
        loop = asyncio.get_running_loop()
        deadline = None if watching.timeout is None else loop.time() + watching.timeout
        position = watching.revision
        await connection.begin_stream()
        for body in watching.initial:
            await connection.send_line({"type": "ADDED", "object": body})
        if effect in (Effect.GARBAGE, Effect.CUT):
            line = "<html>" if effect is Effect.GARBAGE else watching.bookmark(position)
            await connection.send_line(line, cut=effect is Effect.CUT)
        self._expiring |= effect is Effect.EXPIRED
        while not self._ending:
            self._awake.clear()
            revision = store.revision
            try:
                if self._expiring:
                    raise store.expired(position)
                events = list(store.since(watching.resource.name, position))
            except Refused as refused:
                await connection.send_line({"type": "ERROR", "object": refused.body})
                break
            for line in watching.lines(events):
                await connection.send_line(line)
            # A watch from the future, as after a restored backup, hears nothing until the server has come so far.
            if watching.bookmarks and self._marking and revision >= position:
                await connection.send_line(watching.bookmark(revision))
            self._marking = False
            position = max(position, revision)
            if deadline is not None and loop.time() >= deadline:
                break
            await self._sleep(None if deadline is None else deadline - loop.time())
        await connection.end_stream()

    async def _sleep(self, left: float | None) -> None:
        pauses = [pause for pause in (self._interval, left) if pause is not None]
        try:
            async with asyncio.timeout(min(pauses, default=None)):
                await self._awake.wait()
        except TimeoutError:
            self._marking = self._interval is not None
