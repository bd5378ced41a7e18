"""What the fake has beyond the contract: time that is told, interfaces without IPv6, several nodes on one segment."""

import asyncio
from ipaddress import ip_address

import pytest

from netlb.errors import TransientError
from netlb.l2.announces import Announces, Conflict, WorkerDied, WorkerRestarted
from netlb.testing.l2 import FakeAnnouncer, FakeSegment

FOUR, SIX = "192.0.2.10", "2001:db8::1"


def test_two_nodes_that_hold_one_address_both_answer_and_see_each_other() -> None:
    async def scenario() -> None:
        segment = FakeSegment()
        events: dict[str, list[object]] = {"a": [], "b": []}
        async with (
            FakeAnnouncer({"eth0": segment}, on_event=events["a"].append) as a,
            FakeAnnouncer({"eth0": segment}, on_event=events["b"].append) as b,
        ):
            await a.hold(FOUR)
            assert 1 == len(await segment.who_has(FOUR))
            await b.hold(FOUR)
            macs = await segment.who_has(FOUR)
            assert 2 == len(set(macs))
            assert [Conflict(ip_address(FOUR), macs[1], "eth0")] == [e for e in events["a"] if isinstance(e, Conflict)]
            await a.release(FOUR)
            assert macs[1:] == await segment.who_has(FOUR)

    asyncio.run(scenario())


def test_time_stands_still_until_it_is_told_to_go_on() -> None:
    async def scenario() -> None:
        segment = FakeSegment()
        async with FakeAnnouncer({"eth0": segment}) as announcer:
            await announcer.hold_many({FOUR: None, SIX: None})
            assert 3 == len(segment.announced)
            segment.advance(1.0)
            assert 3 == len(segment.announced)
            segment.advance(0.2)
            assert 6 == len(segment.announced)
            segment.advance(60)
            assert 15 == len(segment.announced)

    asyncio.run(scenario())


def test_an_interface_without_ipv6_holds_ipv4_alone() -> None:
    async def scenario() -> None:
        segment = FakeSegment()
        async with FakeAnnouncer() as announcer:
            announcer.add_interface("eth0", segment, ipv6=False)
            await announcer.hold_many({FOUR: None, SIX: None})
            assert {ip_address(FOUR): frozenset({"eth0"}), ip_address(SIX): frozenset()} == announcer.held()
            assert [] == await segment.who_has(SIX)

    asyncio.run(scenario())


def test_excluded_interfaces_take_no_part() -> None:
    async def scenario() -> None:
        async with FakeAnnouncer({"veth0": FakeSegment(), "eth0": FakeSegment()}) as announcer:
            assert ["eth0"] == [interface.name for interface in announcer.interfaces()]

    asyncio.run(scenario())


def test_while_the_responder_is_dead_nothing_is_held_and_nothing_can_be() -> None:
    async def scenario() -> None:
        segment, events = FakeSegment(), list[object]()
        async with FakeAnnouncer({"eth0": segment}, on_event=events.append) as announcer:
            await announcer.hold(FOUR)
            announcer.kill_worker()
            assert {ip_address(FOUR): frozenset()} == announcer.held()
            assert [] == await segment.who_has(FOUR)
            with pytest.raises(TransientError):
                await announcer.hold(SIX)
            with pytest.raises(TransientError):
                await announcer.stats()
            announcer.restart_worker()
            assert {ip_address(FOUR): frozenset({"eth0"})} == announcer.held()
            assert [WorkerDied, WorkerRestarted] == [type(event) for event in events[-2:]]

    asyncio.run(scenario())


def test_the_fake_is_what_it_stands_for() -> None:
    fake: Announces = FakeAnnouncer()
    assert {} == fake.held()
