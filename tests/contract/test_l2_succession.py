"""What an announcer takes over of one before it goes on as if nothing had been: on the fake and, as root, on the real one."""

from ipaddress import ip_address

import pytest

from netlb.l2.adapter.operations import L2Operations, Where
from netlb.l2.announces import InterfaceAppeared
from tests.contract.test_l2_announcer import BOTH, FOUR, SIX, answers, gratuitous
from tests.support.waiting import becomes
from tests.unit.l2.rigs import Rig, Worked

OTHER = "192.0.2.11"
HERE = frozenset({"n0"})


async def opened(announcer: Worked) -> None:
    await becomes(lambda: HERE == {interface.name for interface in announcer.interfaces()})


@pytest.mark.parametrize("address", BOTH)
def test_what_is_left_is_held_by_the_same_process_and_never_announced_anew(rig: Rig, address: str) -> None:
    async def scenario() -> None:
        async with rig.heir() as first:
            await opened(first)
            await first.hold(address)
            frame = gratuitous(rig, address)
            assert 5 == await rig.announced(frame, 5)
            pid = first.worker_pid
        await answers(rig, address)
        rig.events.clear()
        async with rig.heir() as second:
            assert {ip_address(address): HERE} == second.held()
            assert [InterfaceAppeared] == list(map(type, rig.events))
            await second.hold(address)
            await answers(rig, address)
            assert (pid, 0) == (second.worker_pid, second.restarts)
        async with rig.heir(leaves=False) as third:
            assert (pid, 0) == (third.worker_pid, third.restarts)
            assert {ip_address(address): HERE} == third.held()
            await third.hold(OTHER)
            assert 5 == await rig.announced(gratuitous(rig, OTHER), 5)
            assert 5 == await rig.announced(frame, 0)

    rig.run(scenario)


def test_what_is_not_wanted_any_more_is_silent_when_it_is_released(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.heir() as first:
            await opened(first)
            await first.hold_many({FOUR: None, SIX: None})
        async with rig.heir(leaves=False) as second:
            await second.release(FOUR)
            assert [] == await rig.ask(FOUR)
            assert {ip_address(SIX): HERE} == second.held()
            await answers(rig, SIX)

    rig.run(scenario)


def test_an_interface_that_appears_has_what_was_asked_for_since(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.heir() as first:
            await opened(first)
            await first.hold_many({FOUR: None, SIX: None})
        async with rig.heir(leaves=False) as second:
            await second.hold(FOUR)
            rig.add_interface("n1")
            await answers(rig, FOUR, "n1")
            assert {ip_address(FOUR): frozenset({"n0", "n1"}), ip_address(SIX): HERE} == second.held()

    rig.run(scenario)


def test_who_stops_in_order_leaves_nothing(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.heir(leaves=False) as first:
            await opened(first)
            await first.hold(FOUR)
            pid = first.worker_pid
        assert [] == await rig.ask(FOUR)
        async with rig.heir(leaves=False) as second:
            await opened(second)
            assert {} == second.held()
            assert pid != second.worker_pid

    rig.run(scenario)


def test_counters_go_on(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.heir() as first:
            await opened(first)
            await first.hold(FOUR)
            await answers(rig, FOUR)
            before = (await first.stats()).addresses[ip_address(FOUR)]
        async with rig.heir(leaves=False) as second:
            await answers(rig, FOUR)
            after = (await second.stats()).addresses[ip_address(FOUR)]
            assert 0 < before.responses_sent < after.responses_sent

    rig.run(scenario)


def test_what_is_left_is_asked_for_anew_by_whoever_keeps_addresses(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.heir() as first:
            await opened(first)
            await first.hold_many({FOUR: None, SIX: ["n0"]})
        four, six = ip_address(FOUR), ip_address(SIX)
        async with rig.heir(leaves=False) as second:
            operations = L2Operations(second)
            nowhere: Where = frozenset()
            assert {four: nowhere, six: nowhere} == await operations.observe()
            await operations.apply({four: None})
            assert {four: None, six: nowhere} == await operations.observe()
            await operations.prune([six])
            assert {four: None} == await operations.observe()
            assert {four: HERE} == second.held()

    rig.run(scenario)
