"""Who announces the addresses that do not go back to a better node: asked of the other speakers where there are any.

Nothing is followed, and nothing said, as long as every L2Advertisement is revertive.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from typing import Any

from netlb.api.snapshot import Snapshot
from netlb.net import Address
from netlb.plan import NodePlan
from netlb.plan.owners import NOBODY
from netlb.plan.tenure import Tenure, Terms, tenancies
from netlb.source.tenancies import TenancySource

__all__ = ["Incumbents"]


class Incumbents:
    """Follows who holds what. `on_change` is called when that is another, and when it is known for the first time."""

    def __init__(self, node: str, source: TenancySource, on_change: Callable[[], None], patience: float) -> None:
        """Without an answer of the source for `patience` seconds, what is known counts."""
        self._tenure = Tenure(node)
        self._source = source
        self._on_change = on_change
        self._patience = patience
        self._needed, self._needless = asyncio.Event(), asyncio.Event()
        self._waits = True
        self._own: Terms = {}

    @property
    def known(self) -> bool:
        """Whether it is known who holds what, or nobody has to know, or nobody answers."""
        return not self._needed.is_set() or not self._waits

    def holders(self, snapshot: Snapshot, dead: Collection[str]) -> Mapping[Address, frozenset[str]]:
        """Return who of the living holds what, to plan by."""
        needed = not all(each.spec.revertive for each in snapshot.l2_advertisements.values())
        for event, now in ((self._needed, needed), (self._needless, not needed)):
            (event.set if now else event.clear)()
        return self._tenure.holders(dead) if needed else NOBODY

    def decided(self, plan: NodePlan) -> None:
        """Take in what this node announces from now on."""
        if self._needed.is_set():
            self._own = self._tenure.decided(address for address, each in plan.l2.items() if each.stays)

    def report(self) -> list[dict[str, Any]]:
        """Return what is to be said to the other speakers."""
        return tenancies(self._own) if self._needed.is_set() else []

    async def run(self) -> None:
        """Follow the others while that is needed, until cancelled."""
        while True:
            await self._needed.wait()
            following = asyncio.ensure_future(self._source(self._hear))
            needless = asyncio.ensure_future(self._needless.wait())
            giving_up = asyncio.get_running_loop().call_later(self._patience, self._wait_no_more)
            try:
                await asyncio.wait({following, needless}, return_when=asyncio.FIRST_COMPLETED)
                if following.done():
                    following.result()
            finally:
                giving_up.cancel()
                for task in (following, needless):
                    task.cancel()
                with suppress(asyncio.CancelledError):
                    await following

    def _hear(self, said: Mapping[str, Terms]) -> None:
        if self._tenure.heard(said) or self._waits:
            self._waits = False
            self._on_change()

    def _wait_no_more(self) -> None:
        if self._waits:
            self._waits = False
            self._on_change()
