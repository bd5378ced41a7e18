"""One of several controllers works: the one that leads. Each term of it begins anew, as a process does.

A term reads everything from the API server before it plans anything, so that it knows all that was written by whoever
led before. It ends at once when this process does not lead any more, with the requests that are under way.
"""

import asyncio
import contextlib
import socket
import uuid
from collections.abc import Callable
from random import SystemRandom

from netlb.runtime.log import get_logger
from netlb.source.kube import KubeClient
from netlb.source.kube_election import Election
from netlb.source.kube_rights import LEASE
from netlb.source.kube_status import Told
from netlb.source.lease import DEFAULT_LEASE_PACE, Elector, LeasePace
from netlb_controller.controller import NAME, Controller

__all__ = ["Terms"]

_LOTS = SystemRandom()
_FINISH = 2.0
"""Seconds, when told to stop, for what is still to be written; the next leader writes the rest."""
_RESIGN = 4.0
"""Seconds for giving the Lease back; without it, the others wait until it runs out."""


class Terms:
    """Runs a controller whenever this process leads; always, without an election."""

    def __init__(
        self,
        client: KubeClient,
        begin: Callable[[], Controller[Told]],
        *,
        namespace: Callable[[], str],
        elects: bool,
        pace: LeasePace = DEFAULT_LEASE_PACE,
    ) -> None:
        """`begin` makes the controller of a term, `namespace` returns where the Lease is."""
        self._log = get_logger(NAME)
        self._client = client
        self._begin = begin
        self._namespace = namespace
        self._elects = elects
        self._pace = pace
        self._identity = f"{socket.gethostname()}_{uuid.uuid4()}"
        self._election: Election | None = None
        self._overtaken = False
        self._leading = asyncio.Event()
        self._lost = asyncio.Event()
        self._stopped = asyncio.Event()
        self._ended = asyncio.Event()
        self.controller: Controller[Told] | None = None
        """That of the present term; None: another process leads, or none."""

    @property
    def leads(self) -> bool:
        """Whether this process may write at this moment."""
        if not self._elects:
            return not self._stopped.is_set()
        return self._election is not None and self._election.leads()

    def why_not(self) -> str:
        """Return why this process may not write now; empty if it may."""
        return "" if self.leads else "another controller leads, or none"

    def standby(self) -> str | None:
        """Return who leads instead of this process; None if it leads itself, or that is not known."""
        if self._election is None or self.leads or self._election.trouble:
            return None
        return self._election.holder if self._election.holder not in ("", self._identity) else None

    def trouble(self) -> str:
        """Return why nobody is known to lead, as far as that is known."""
        if self._election is None or self._election.holder != self._identity:
            return self._election.trouble if self._election else ""
        return self._election.trouble or "the Lease is held here, and cannot be renewed"

    async def elect(self) -> None:
        """Take part in the election until `stop`."""
        if not self._elects:
            self._leading.set()
            await asyncio.Event().wait()
        elector = Elector(self._identity, jitter=_LOTS.random, pace=self._pace)
        self._election = Election(self._client, elector, namespace=self._namespace(), name=LEASE, changed=self._changed)
        await self._election.run()
        await asyncio.Event().wait()

    async def work(self) -> None:
        """Work through terms until cancelled."""
        while True:
            await self._leading.wait()
            self._lost.clear()
            self.controller = self._begin()
            try:
                await self._serve(self.controller)
            finally:
                self.controller = None
                self._ended.set()
            if self._overtaken:
                self._overtaken = False
                await asyncio.sleep(_LOTS.random())  # the other one does the same

    def restart(self, why: str) -> None:
        """End the term and begin another one, which knows what is known now."""
        self._log.warning("beginning anew", why=why)
        self._overtaken = True
        self._lost.set()

    async def stop(self) -> None:
        """Write what can be written soon, end the term, and let the next leader begin."""
        if self.controller is not None and self.controller.plan is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FINISH):
                    await self.controller.status.settled()
        self._stopped.set()
        if self.controller is not None:
            self._ended.clear()
            self._leading.clear()
            self._lost.set()
            await self._ended.wait()
        if self._election is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_RESIGN):
                    await self._election.resign()

    def _changed(self, leads: bool) -> None:
        if leads and not self._stopped.is_set():
            self._log.info("leading")
            self._leading.set()
        elif not leads:
            self._log.warning("not leading any more")
            self._leading.clear()
            self._lost.set()

    async def _serve(self, controller: Controller[Told]) -> None:
        """Run a term to its end; raise what ended it before its time."""
        working = asyncio.create_task(controller.run())
        losing = asyncio.create_task(self._lost.wait())
        try:
            await asyncio.wait({working, losing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (working, losing):
                task.cancel()
            await asyncio.gather(working, losing, return_exceptions=True)
        if not working.cancelled():
            working.result()
