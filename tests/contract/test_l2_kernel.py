"""What keeps addresses on interfaces promises, tried on a kernel in memory and, as root, on the real one."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from ipaddress import ip_address
from typing import Any

import pytest

from netlb.l2 import arp, ndp
from netlb.l2.adapter.kernel import KernelAddresses
from netlb.l2.ethernet import parse_mac
from netlb.l2.residents import ELSEWHERE
from netlb.net import Address
from netlb.testing.lab import requirements
from tests.support.needs import needs
from tests.support.waiting import becomes
from tests.unit.l2.kernel_rigs import FakeKernelRig, KernelRig, veth_kernel_rig

FOUR, SIX = ip_address("192.0.2.10"), ip_address("2001:db8::c0:ffee")
OURS = {str(FOUR): True, str(SIX): True}
NODES = {"192.0.2.1": False, "2001:db8::1": False}
BOTH: dict[Address, frozenset[str] | None] = {FOUR: None, SIX: None}


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.root)])
def rig(request: pytest.FixtureRequest) -> Iterator[KernelRig]:
    """A node that has 192.0.2.1/24 and 2001:db8::1/64 on n0."""
    if request.param == "fake":
        fake = FakeKernelRig()
        begin(fake)
        yield fake
    else:
        needs(requirements())
        with veth_kernel_rig() as real:
            begin(real)
            yield real


def begin(rig: KernelRig) -> None:
    rig.assign("n0", "192.0.2.1/24")
    rig.assign("n0", "2001:db8::1/64")


class Follower:
    """Does what the engine does: looks again when it is told to, and puts right what is not as it was asked for."""

    def __init__(self) -> None:
        self.told = asyncio.Event()
        self.wanted: dict[Address, frozenset[str] | None] = {}
        self.failures: dict[Address, Exception] = {}

    async def want(self, addresses: KernelAddresses, wanted: dict[Address, frozenset[str] | None]) -> None:
        self.wanted = wanted
        there = await addresses.observe()
        self.failures = dict(await addresses.apply({key: to for key, to in wanted.items() if there.get(key, 0) != to}))
        assert {} == await addresses.prune(there.keys() - wanted.keys())

    async def follow(self, addresses: KernelAddresses) -> None:
        while True:
            await self.told.wait()
            self.told.clear()
            await self.want(addresses, self.wanted)


@asynccontextmanager
async def followed(rig: KernelRig, **options: Any) -> AsyncIterator[tuple[KernelAddresses, Follower]]:
    follower = Follower()
    async with rig.addresses(on_change=follower.told.set, **options) as addresses, asyncio.TaskGroup() as group:
        task = group.create_task(follower.follow(addresses))
        yield addresses, follower
        task.cancel()


def gratuitous(rig: KernelRig, address: Address, interface: str = "n0") -> bytes:
    mac = parse_mac(rig.mac(interface))
    return arp.gratuitous(mac, address.packed)[0] if address.version == 4 else ndp.unsolicited(mac, address.packed)


async def answers(rig: KernelRig, address: Address, interface: str = "n0") -> None:
    async def only_us() -> bool:
        return [rig.mac(interface)] == await rig.ask(str(address), interface)

    await becomes(only_us)


@pytest.mark.parametrize("address", [FOUR, SIX])
def test_what_is_applied_is_on_the_interface_marked_answered_and_announced_and_what_is_pruned_is_gone(
    rig: KernelRig, address: Address
) -> None:
    async def scenario() -> None:
        async with rig.addresses() as addresses:
            assert {} == await addresses.observe()
            assert {} == await addresses.apply({address: None})
            assert {address: None} == await addresses.observe()
            assert {address: frozenset({"n0"})} == addresses.held()
            assert rig.has("n0") == NODES | {str(address): True}
            await answers(rig, address)
            assert await rig.announced(gratuitous(rig, address), 2) >= 2
            assert {} == await addresses.prune([address])
            assert ({}, NODES) == (addresses.held(), rig.has("n0"))
            assert [] == await rig.ask(str(address))

    rig.run(scenario)


def test_leaving_removes_everything_of_ours_and_nothing_else(rig: KernelRig) -> None:
    async def scenario() -> None:
        async with rig.addresses() as addresses:
            await addresses.apply(BOTH)
            assert rig.has("n0") == NODES | OURS
        assert rig.has("n0") == NODES

    rig.run(scenario)


def test_named_interfaces_have_it_and_one_that_is_not_there_is_no_error(rig: KernelRig) -> None:
    async def scenario() -> None:
        async with followed(rig) as (addresses, follower):
            await follower.want(addresses, {FOUR: frozenset({"n1"}), SIX: frozenset({"n0", "n1"})})
            assert {} == follower.failures
            assert {FOUR: frozenset(), SIX: frozenset({"n0"})} == addresses.held()
            rig.add_interface("n1")
            await becomes(lambda: rig.has("n1") == OURS)
            assert rig.has("n0") == NODES | {str(SIX): True}
            await answers(rig, SIX, "n1")
            await rig.announced(gratuitous(rig, SIX, "n1"), 1, "n1")

    rig.run(scenario)


def test_without_names_it_is_on_the_interface_whose_subnet_it_is_in_and_nowhere_without_such_a_subnet(
    rig: KernelRig,
) -> None:
    strange = ip_address("198.51.100.7")

    async def scenario() -> None:
        rig.add_interface("n1")
        async with followed(rig) as (addresses, follower):
            await follower.want(addresses, {FOUR: None, strange: None})
            assert {} == follower.failures
            assert {FOUR: frozenset({"n0"}), strange: frozenset()} == addresses.held()
            rig.assign("n1", "198.51.100.1/24")
            await becomes(lambda: addresses.held()[strange] == frozenset({"n1"}))
            rig.assign("n1", "192.0.2.2/28")  # the longer prefix
            await becomes(lambda: addresses.held()[FOUR] == frozenset({"n1"}))
            assert rig.has("n0") == NODES

    rig.run(scenario)


def test_an_address_of_somebody_else_is_refused_and_left_alone(rig: KernelRig) -> None:
    async def scenario() -> None:
        rig.assign("n0", f"{FOUR}/24")
        async with rig.addresses() as addresses:
            failures = await addresses.apply(BOTH)
            assert [FOUR] == list(failures)
            assert str(failures[FOUR]) == (
                "192.0.2.10 is on n0 of this node already, and netlb has not put it there; remove it there, or take "
                "it out of the pool"
            )
            assert {SIX: None} == await addresses.observe()
            assert {} == await addresses.prune([FOUR, SIX])
        assert rig.has("n0") == NODES | {str(FOUR): False}

    rig.run(scenario)


def test_what_no_single_station_can_have_is_refused(rig: KernelRig) -> None:
    async def scenario() -> None:
        async with rig.addresses() as addresses:
            failures = await addresses.apply({ip_address("224.0.0.1"): None})
            assert ["224.0.0.1 is not an address that a single station can have"] == list(map(str, failures.values()))

    rig.run(scenario)


@pytest.mark.parametrize("address", [FOUR, SIX])
def test_an_address_that_somebody_took_away_is_back_at_once(rig: KernelRig, address: Address) -> None:
    async def scenario() -> None:
        async with followed(rig, lifetime=3600) as (addresses, follower):
            await follower.want(addresses, BOTH)
            rig.withdraw("n0", f"{address}/{address.max_prefixlen}")
            await becomes(lambda: rig.has("n0") == NODES | OURS)

    rig.run(scenario)


def test_a_link_that_was_down_has_them_again_and_they_are_announced_once_more(rig: KernelRig) -> None:
    async def scenario() -> None:
        async with followed(rig, lifetime=3600) as (addresses, follower):
            await follower.want(addresses, {FOUR: None, SIX: frozenset({"n0"})})
            rig.set_link("n0", up=False)
            await becomes(lambda: addresses.held() == {FOUR: frozenset(), SIX: frozenset()})
            before = await rig.announced(gratuitous(rig, SIX), 0)
            rig.set_link("n0", up=True)
            await becomes(lambda: addresses.held() == {FOUR: frozenset({"n0"}), SIX: frozenset({"n0"})})
            await answers(rig, FOUR)
            await rig.announced(gratuitous(rig, SIX), before + 1)

    rig.run(scenario)


def test_ours_come_after_an_address_that_the_node_gets_later(rig: KernelRig) -> None:
    """The kernel sends from the first one."""

    async def scenario() -> None:
        async with followed(rig, lifetime=3600) as (addresses, follower):
            await follower.want(addresses, {FOUR: frozenset({"n0"})})
            rig.withdraw("n0", "192.0.2.1/24")
            rig.assign("n0", "192.0.2.1/24")
            await becomes(lambda: [a for a in rig.has("n0") if "." in a] == ["192.0.2.1", str(FOUR)])

    rig.run(scenario)


def test_what_a_process_left_is_seen_adopted_where_it_is_wanted_and_removed_where_not(rig: KernelRig) -> None:
    async def scenario() -> None:
        left = rig.addresses(lifetime=3600)
        await left.__aenter__()
        await left.apply(BOTH)
        async with rig.addresses(lifetime=3600) as addresses:  # the other one hears of it, and does nothing by itself
            assert {FOUR: ELSEWHERE, SIX: ELSEWHERE} == await addresses.observe()
            assert {} == addresses.held()
            assert {} == await addresses.apply({FOUR: None})
            assert {} == await addresses.prune([SIX])
            assert {FOUR: None} == await addresses.observe()
            assert rig.has("n0") == NODES | {str(FOUR): True}
        await left.__aexit__(None, None, None)

    rig.run(scenario)


def test_an_address_stays_for_longer_than_its_lifetime_while_it_is_renewed(rig: KernelRig) -> None:
    async def scenario() -> None:
        async with rig.addresses(lifetime=4) as addresses:
            await addresses.apply(BOTH)
            for _ in range(4):
                await rig.pass_lifetime(1.4)
                await asyncio.sleep(1.4)  # renewals go by the clock
                assert rig.has("n0") == NODES | OURS

    rig.run(scenario)


def test_what_changes_nothing_for_us_is_no_news(rig: KernelRig) -> None:
    news: list[None] = []

    async def scenario() -> None:
        async with rig.addresses(lifetime=4, on_change=lambda: news.append(None)) as addresses:
            await addresses.apply(BOTH)
            await asyncio.sleep(4.2)  # renewed three times
            await addresses.prune([FOUR])
            await addresses.apply({FOUR: None})
            await addresses.observe()

    rig.run(scenario)
    assert [] == news
