"""An address is announced by the responder or by the kernel, and may change its way."""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

from netlb.l2 import arp
from netlb.l2.adapter.kernel import KernelAddresses
from netlb.l2.adapter.operations import EitherWay, Way
from netlb.l2.ethernet import parse_mac
from netlb.testing.kernel_addresses import FakeKernel
from netlb.testing.l2 import FakeAnnouncer
from netlb.testing.segment import FakeSegment
from tests.support.waiting import becomes

ONE, TWO = ip_address("192.0.2.10"), ip_address("192.0.2.11")
REPLY, ADDRESS = Way(None), Way(None, by_kernel=True)


class World:
    """A segment, on which the node is with an announcer and with its kernel."""

    def __init__(self) -> None:
        self.segment = FakeSegment()
        self.kernel = FakeKernel({"eth0": self.segment})
        self.kernel.assign("eth0", "192.0.2.1/24")
        self.announcer = FakeAnnouncer({"eth0": self.segment})

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[EitherWay]:
        async with self.announcer, KernelAddresses(kernel=self.kernel.opened) as addresses:
            yield EitherWay(self.announcer, addresses)

    async def who_has(self) -> dict[str, list[str]]:
        return {str(address): await self.segment.who_has(address) for address in (ONE, TWO)}

    @property
    def responder(self) -> str:
        return "02:00:" + next(iter(self.announcer.macs)).hex(":")[6:]


def test_both_ways_at_once_and_from_one_to_the_other() -> None:
    async def scenario() -> None:
        world = World()
        async with world.opened() as both:
            assert {} == await both.apply({ONE: REPLY, TWO: ADDRESS})
            kernel = world.kernel.mac("eth0")
            assert {str(ONE): [world.responder], str(TWO): [kernel]} == await world.who_has()
            assert {ONE: REPLY, TWO: ADDRESS} == await both.observe()
            assert {ONE: frozenset({"eth0"}), TWO: frozenset({"eth0"})} == both.held()
            assert {} == await both.apply({ONE: ADDRESS, TWO: REPLY})
            assert {str(ONE): [kernel], str(TWO): [world.responder]} == await world.who_has()
            assert {ONE: ADDRESS, TWO: REPLY} == await both.observe()
            assert {} == await both.prune([ONE, TWO])
            assert {str(ONE): [], str(TWO): []} == await world.who_has()
            assert {} == await both.observe()

    asyncio.run(scenario())


def test_the_old_way_stays_where_the_new_one_is_refused() -> None:
    async def scenario() -> None:
        world = World()
        async with world.opened() as both:
            await both.apply({ONE: REPLY, TWO: REPLY})
            world.kernel.refuses[str(ONE)] = errno.EPERM
            failures = await both.apply({ONE: ADDRESS, TWO: ADDRESS})
            expected = "put 192.0.2.10 on eth0 (CAP_NET_ADMIN): EPERM (Operation not permitted)"
            assert {ONE: expected} == {address: str(error) for address, error in failures.items()}
            assert {str(ONE): [world.responder], str(TWO): [world.kernel.mac("eth0")]} == await world.who_has()
            assert {ONE: frozenset({"eth0"}), TWO: frozenset({"eth0"})} == both.held()

    asyncio.run(scenario())


def test_what_is_there_both_ways_is_as_nobody_wants_it() -> None:
    async def scenario() -> None:
        world = World()
        async with KernelAddresses(kernel=world.kernel.opened, lifetime=3600) as left, world.opened() as both:
            await left.apply({ONE: None})
            await both.apply({TWO: REPLY})
            assert {ONE: Way(frozenset(), by_kernel=True), TWO: REPLY} == await both.observe()
            await both.apply({ONE: REPLY})
            assert {ONE: REPLY, TWO: REPLY} == await both.observe()
            assert {"192.0.2.1": False} == world.kernel.has("eth0")
            await left.apply({TWO: None})
            assert {ONE: REPLY, TWO: Way(frozenset(), by_kernel=None)} == await both.observe()

    asyncio.run(scenario())


def test_announcing_anew_begins_five_more_rounds_either_way() -> None:
    async def scenario() -> None:
        world = World()
        async with world.opened() as both:
            await both.apply({ONE: REPLY, TWO: ADDRESS})
            frames = [
                arp.gratuitous(parse_mac(mac), address.packed)[0]
                for mac, address in ((world.responder, ONE), (world.kernel.mac("eth0"), TWO))
            ]
            await becomes(lambda: set(frames) <= set(world.segment.announced))
            await both.announce([ONE, TWO])
            world.segment.advance(10)  # of the announcer
            assert world.segment.announced.count(frames[0]) >= 6
            await becomes(lambda: world.segment.announced.count(frames[1]) >= 6)
            await both.announce([ONE, TWO])
            await both.announce([ONE, TWO], rounds=0)
            before = list(world.segment.announced)
            world.segment.advance(10)
            assert before == world.segment.announced

    asyncio.run(scenario())
