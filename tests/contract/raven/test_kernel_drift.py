"""Whatever somebody breaks of a data plane is mended within a moment, in memory and in the kernel."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

import pytest

from netlb.raven.adapter import Change
from netlb.raven.objects import Key, Value
from netlb.reconcile import Reconciler
from tests.support.kernel_plans import add_tunnel, in_kernel, rig_fixture, wanted
from tests.support.kernel_rigs import NUMBERS, Kernel, Rig
from tests.support.waiting import becomes

rig = rig_fixture()

DRIFTS: Mapping[str, Callable[[Rig], None]] = {
    "routes-flushed": lambda rig: rig.lose_routes(NUMBERS.tunnel_table),
    "routes-to-members-flushed": lambda rig: rig.lose_routes(NUMBERS.overlay_table),
    "overlay-removed": lambda rig: rig.remove_device(NUMBERS.overlay_device),
    "overlay-changed": lambda rig: rig.change_mtu(1300),
    "table-removed": lambda rig: rig.lose_table(),
    "table-changed": lambda rig: rig.change_table(),
}


class Spied:
    """A kernel, and what was made in it."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self.observe, self.prune = kernel.observe, kernel.prune
        self.made: set[Key] = set()

    async def apply(self, changes: Mapping[Key, Value]) -> Mapping[Key, Exception]:
        self.made |= set(changes)
        return await self._kernel.apply(changes)


@asynccontextmanager
async def kept(kernel: Kernel, spied: Spied) -> AsyncIterator[Reconciler[Key, Value]]:
    """Keep the kernel as it is wanted, as a daemon does."""
    bugs: list[Exception] = []
    reconciler: Reconciler[Key, Value] = Reconciler(
        "kernel", spied, on_bug=lambda _, error: bugs.append(error), jitter=lambda: 0.0
    )

    async def listen() -> None:
        async for changes in kernel.changes():
            if Change.OBJECTS in changes:
                reconciler.refresh()

    tasks = [asyncio.create_task(reconciler.run()), asyncio.create_task(listen())]
    try:
        yield reconciler
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
    assert [] == bugs


@pytest.mark.parametrize("drift", DRIFTS)
def test_what_somebody_breaks_is_mended_at_once(rig: Rig, drift: str) -> None:
    add_tunnel(rig)

    async def play(kernel: Kernel) -> None:
        spied, want = Spied(kernel), wanted("e1")
        async with rig.kernel() as looking, kept(kernel, spied) as reconciler:
            reconciler.want(want)
            await reconciler.settled()
            spied.made.clear()
            DRIFTS[drift](rig)

            async def mended() -> bool:
                return bool(spied.made) and want == await looking.observe()

            await becomes(mended)

    in_kernel(rig, play)
