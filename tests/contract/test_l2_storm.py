"""A hundred thousand frames of all sorts, as fast as they can be sent: each is counted, and the responder goes on."""

import asyncio
from collections.abc import Iterator
from ipaddress import ip_address

import pytest

from netlb.l2.announces import Announces, FastPath
from netlb.testing.lab import requirements
from tests.support.bpf import fastpath_requirements
from tests.support.needs import needs
from tests.support.waiting import becomes
from tests.unit.l2.crafted import CRAFTED, HELD4, HELD6
from tests.unit.l2.rigs import MOMENT, VethRig, veth_rig

pytestmark = pytest.mark.root

FRAMES = 100_000
ROUNDS = FRAMES // len(CRAFTED)
HELD = [str(ip_address(packed)) for packed in (HELD4, HELD6)]


@pytest.fixture(params=[FastPath.OFF, FastPath.REQUIRE])
def rig(request: pytest.FixtureRequest) -> Iterator[VethRig]:
    needs([*requirements(), *(fastpath_requirements() if request.param is FastPath.REQUIRE else [])])
    with veth_rig(request.param) as rig:
        yield rig


async def counted(announcer: Announces) -> int:
    """Return how many frames the responder and its fast path have judged, or know to be lost."""
    stats = await announcer.stats()
    return sum(stats.verdicts.values()) + stats.overrun


async def all_counted(announcer: Announces) -> int:
    """Return the same, as soon as it has not changed for a moment: the fast path overtakes what sockets hold."""
    last, now = -1, await counted(announcer)
    while last != now:
        await asyncio.sleep(MOMENT)
        last, now = now, await counted(announcer)
    return now


async def asked_until_answered(rig: VethRig, address: str) -> int:
    """Return how often it was asked for until the node, and nobody else, answered within a moment."""
    asked = 0

    async def answered() -> bool:
        nonlocal asked
        asked += 1
        return [rig.mac("n0")] == await rig.ask(address)

    await becomes(answered)
    return asked


def test_each_frame_of_a_storm_is_counted_and_none_stops_the_responder(rig: VethRig) -> None:
    async def scenario() -> None:
        async with rig.announcer() as announcer:
            await announcer.hold_many(dict.fromkeys(HELD))
            pid = announcer.worker_pid
            before = await all_counted(announcer)
            for crafted in CRAFTED:
                rig.send(crafted.frame)
            asked = sum([await asked_until_answered(rig, address) for address in HELD])  # what came before is judged
            after = await all_counted(announcer)
            concern_us = after - before - asked
            for _ in range(ROUNDS):
                await asyncio.sleep(0)  # the responder hears that this program lives
                for crafted in CRAFTED:
                    rig.send(crafted.frame)

            async def each_counted() -> bool:
                return await counted(announcer) - after == ROUNDS * concern_us

            await becomes(each_counted)
            assert (pid, 0) == (announcer.worker_pid, announcer.restarts)
            for address in HELD:
                await asked_until_answered(rig, address)

    rig.run(scenario)
