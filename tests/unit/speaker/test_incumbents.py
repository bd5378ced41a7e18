"""Who holds what does not go back: followed while that is needed, and not waited for without end."""

import asyncio
from collections.abc import Callable, Coroutine
from ipaddress import ip_address
from typing import Any

import pytest

from netlb.api.meta import ObjectMeta
from netlb.api.snapshot import Snapshot
from netlb.api.v1alpha1 import L2Advertisement
from netlb.api.v1alpha1.l2 import L2AdvertisementSpec
from netlb.findings import ObjectRef
from netlb.plan import NodePlan
from netlb.plan.node import AnnouncedAddress
from netlb.source.tenancies import Tell
from netlb_speaker.incumbents import Incumbents
from tests.support.waiting import becomes

A, B = ip_address("192.0.2.1"), ip_address("192.0.2.2")


def snapshot(*, revertive: bool) -> Snapshot:
    spec = L2AdvertisementSpec(revertive=revertive)
    return Snapshot(l2_advertisements={"a": L2Advertisement(metadata=ObjectMeta(name="a"), spec=spec)})


STAYS, GOES = snapshot(revertive=False), snapshot(revertive=True)
WEB = (ObjectRef("Service", "default", "web"),)
PLAN = NodePlan("n1", {A: AnnouncedAddress(WEB, None, stays=True), B: AnnouncedAddress(WEB, None)}, {}, ())


class World:
    """What tells, and how often that was asked and what it changed."""

    def __init__(self) -> None:
        self.tell: Tell | None = None
        self.changes = 0

    async def __call__(self, tell: Tell) -> None:
        self.tell = tell
        try:
            await asyncio.Event().wait()
        finally:
            self.tell = None

    def changed(self) -> None:
        self.changes += 1


def run(scenario: Callable[[World, Incumbents], Coroutine[Any, Any, None]], patience: float = 60.0) -> None:
    async def main() -> None:
        world = World()
        incumbents = Incumbents("n1", world, world.changed, patience)
        task = asyncio.create_task(incumbents.run())
        try:
            await scenario(world, incumbents)
        finally:
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        assert world.tell is None

    asyncio.run(main())


def test_nothing_is_asked_where_everything_goes_back() -> None:
    async def scenario(world: World, incumbents: Incumbents) -> None:
        assert {} == dict(incumbents.holders(GOES, ()))
        incumbents.decided(PLAN)
        await asyncio.sleep(0)
        assert (True, None, []) == (incumbents.known, world.tell, incumbents.report())

    run(scenario)


def test_it_waits_until_the_others_are_heard_and_says_what_stays() -> None:
    async def scenario(world: World, incumbents: Incumbents) -> None:
        incumbents.holders(STAYS, ())
        assert not incumbents.known
        await becomes(lambda: world.tell is not None)
        assert world.tell
        world.tell({"n2": {B: 3}})
        assert (True, 1) == (incumbents.known, world.changes)
        assert {B: frozenset({"n2"})} == dict(incumbents.holders(STAYS, ()))
        incumbents.decided(PLAN)
        assert [{"term": 1, "addresses": [str(A)]}] == incumbents.report()
        world.tell({"n1": {A: 1}, "n2": {B: 3}})
        assert 1 == world.changes, "that is no news"
        assert {} == dict(incumbents.holders(GOES, ()))
        await becomes(lambda: world.tell is None)

    run(scenario)


def test_without_an_answer_it_does_not_wait_for_ever() -> None:
    async def scenario(world: World, incumbents: Incumbents) -> None:
        incumbents.holders(STAYS, ())
        await becomes(lambda: incumbents.known)
        assert 1 == world.changes

    run(scenario, patience=0.01)
