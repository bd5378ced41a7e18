"""A connection to a gobgpd that is kept: made again when it breaks, watched, and asked now and then for an answer."""

import asyncio
from collections.abc import Callable
from typing import Final, Never

from netlb.bgp.adapter.client import GobgpClient
from netlb.bgp.adapter.target import Target
from netlb.bgp.events import DaemonBack, DaemonLost, Drifted, Event
from netlb.bgp.messages import Message
from netlb.errors import NetlbError, TransientError

__all__ = ["GobgpLink"]

_FIRST_PAUSE: Final = 0.1
_LONGEST_PAUSE: Final = 1.0


class GobgpLink:
    """Keeps one client as long as `run` runs; `client` is whoever is connected now.

    A gobgpd that was killed is noticed at once, since its watch ends; one that hangs by the question after it, which is
    asked every `interval` seconds and must be answered within `patience`. (gRPC's own keepalive would be a nuisance to
    it.) `on_message` is given everything that the watch yields, in order.
    """

    def __init__(
        self,
        target: Target,
        *,
        on_event: Callable[[Event], None],
        on_message: Callable[[GobgpClient, Message], None],
        interval: float = 5.0,
        patience: float = 2.0,
    ) -> None:
        self._target = target
        self._emit = on_event
        self._on_message = on_message
        self._interval = interval
        self._patience = patience
        self._client: GobgpClient | None = None
        self._problem = "not connected yet"

    def client(self) -> GobgpClient:
        """Return the client; TransientError while there is none."""
        if self._client is None:
            raise TransientError(f"gobgpd at {self._target.address}: {self._problem}")
        return self._client

    async def run(self) -> Never:
        """Connect, and connect again, until cancelled."""
        pause, told = 0.0, ""
        while True:
            try:
                client = await GobgpClient.connect(self._target, deadline=self._patience)
            except NetlbError as error:
                self._problem = str(error)
                if not told:
                    self._emit(DaemonLost(self._problem))
                told = self._problem
            else:
                pause, told = 0.0, await self._keep(client)
                self._problem = told
                self._emit(DaemonLost(told))
            await asyncio.sleep(pause)
            pause = min(_LONGEST_PAUSE, pause * 2 or _FIRST_PAUSE)

    async def _keep(self, client: GobgpClient) -> str:
        """Use a connection until it breaks; return what broke it."""
        self._client = client
        problem = ""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch(client))
                tasks.create_task(self._ask(client))
                self._emit(DaemonBack(client.dialect.service))
        except* NetlbError as group:
            problem = str(group.exceptions[0])
        finally:
            self._client = None
            await client.close()
        return problem

    async def _watch(self, client: GobgpClient) -> None:
        async for event in client.watch():
            self._on_message(client, event)

    async def _ask(self, client: GobgpClient) -> None:
        """Ask for the speaker: whether gobgpd answers, and, since no event tells, whether it was stopped."""
        last: tuple[int, str] | None = None
        while True:
            running = await client.get_bgp(deadline=self._patience)
            speaker = None if running is None else (running.asn, running.router_id)
            if last not in (None, speaker):
                self._emit(Drifted("the BGP speaker was stopped or changed"))
            last = speaker
            await asyncio.sleep(self._interval)
