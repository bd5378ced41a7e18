"""What every announcer promises, tried on the fake and, as root, on the real one between two namespaces."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_address

import pytest

from netlb.errors import TransientError
from netlb.l2 import arp, ndp
from netlb.l2.announces import Conflict, InterfaceAppeared, InterfaceVanished, WorkerDied, WorkerRestarted
from netlb.l2.ethernet import format_mac, parse_mac
from netlb.reasons import FrameVerdict
from tests.support.waiting import becomes
from tests.unit.l2.crafted import OTHER
from tests.unit.l2.rigs import Rig, Worked

FOUR, SIX = "192.0.2.10", "2001:db8::c0:ffee"
BOTH = [FOUR, SIX]


@asynccontextmanager
async def ready(rig: Rig) -> AsyncIterator[Worked]:
    async with rig.announcer() as announcer:
        await becomes(lambda: "n0" in {interface.name for interface in announcer.interfaces()})
        yield announcer


async def answers(rig: Rig, address: str, interface: str = "n0") -> None:
    """Wait until the node's interface, and nobody else, answers for the address."""

    async def only_us() -> bool:
        return [rig.mac(interface)] == await rig.ask(address, interface)

    await becomes(only_us)


def gratuitous(rig: Rig, address: str, interface: str = "n0") -> bytes:
    mac, packed = parse_mac(rig.mac(interface)), ip_address(address).packed
    return arp.gratuitous(mac, packed)[0] if len(packed) == 4 else ndp.unsolicited(mac, packed)


def vanished(rig: Rig) -> list[str]:
    return [event.interface.name for event in rig.events if isinstance(event, InterfaceVanished)]


def names(announcer: Worked, address: str) -> frozenset[str] | None:
    return announcer.held().get(ip_address(address))


@pytest.mark.parametrize("address", BOTH)
def test_held_is_answered_and_released_is_silent(rig: Rig, address: str) -> None:
    async def scenario() -> None:
        async with ready(rig) as announcer:
            assert [] == await rig.ask(address)
            await announcer.hold(address)
            assert {ip_address(address): frozenset({"n0"})} == announcer.held()
            await answers(rig, address)
            await announcer.release(address)
            assert [] == await rig.ask(address)
            assert {} == announcer.held()

    rig.run(scenario)


@pytest.mark.parametrize("address", BOTH)
def test_leaving_makes_silent(rig: Rig, address: str) -> None:
    async def scenario() -> None:
        async with ready(rig) as announcer:
            await announcer.hold(address)
            await answers(rig, address)
        assert [] == await rig.ask(address)
        assert announcer.worker_pid is None
        assert frozenset() == announcer.interfaces()

    rig.run(scenario)


@pytest.mark.parametrize("address", BOTH)
def test_an_address_newly_held_is_announced_in_five_rounds_and_holding_again_adds_none(rig: Rig, address: str) -> None:
    async def scenario() -> None:
        async with ready(rig) as announcer:
            for _ in range(3):
                await announcer.hold(address)
            frame = gratuitous(rig, address)
            assert 5 == await rig.announced(frame, 5)
            expected = 10 if address == FOUR else 5  # a round is two frames for ARP
            stats = (await announcer.stats()).addresses[ip_address(address)]
            assert expected == stats.gratuitous_sent
            await announcer.hold(address)
            await announcer.announce([address], rounds=1)
            assert 6 == await rig.announced(frame, 6)
            await announcer.announce([address])
            assert await rig.announced(frame, 7) >= 7

    rig.run(scenario)


@pytest.mark.parametrize(("address", "other"), [(FOUR, SIX), (SIX, FOUR)])
def test_an_address_may_be_announced_no_more_while_it_is_held(rig: Rig, address: str, other: str) -> None:
    async def scenario() -> None:
        async with ready(rig) as announcer:
            await announcer.hold(address)
            await rig.announced(gratuitous(rig, address), 1)
            await announcer.announce([address], rounds=0)
            seen = await rig.announced(gratuitous(rig, address), 1)
            sent = (await announcer.stats()).addresses[ip_address(address)].gratuitous_sent
            await announcer.hold(other)
            assert 5 == await rig.announced(gratuitous(rig, other), 5)
            assert sent == (await announcer.stats()).addresses[ip_address(address)].gratuitous_sent
            await answers(rig, address)
            await announcer.announce([address], rounds=1)
            assert seen + 1 == await rig.announced(gratuitous(rig, address), seen + 1)

    rig.run(scenario)


def test_releasing_twice_and_releasing_what_was_never_held_is_no_error(rig: Rig) -> None:
    async def scenario() -> None:
        async with ready(rig) as announcer:
            await announcer.hold(FOUR)
            for _ in range(2):
                await announcer.release_many([FOUR, SIX])
            assert {} == announcer.held()

    rig.run(scenario)


def test_an_interface_that_appears_later_answers_and_is_announced_on(rig: Rig) -> None:
    async def scenario() -> None:
        async with ready(rig) as announcer:
            await announcer.hold_many({FOUR: None, SIX: ["n1", "n2"]})
            assert (frozenset({"n0"}), frozenset()) == (names(announcer, FOUR), names(announcer, SIX))
            rig.add_interface("n1")
            for address in BOTH:
                await answers(rig, address, "n1")
                await rig.announced(gratuitous(rig, address, "n1"), 1, "n1")
            assert (frozenset({"n0", "n1"}), frozenset({"n1"})) == (names(announcer, FOUR), names(announcer, SIX))
            assert [] == await rig.ask(SIX)
            assert ["n0", "n1"] == [e.interface.name for e in rig.events if isinstance(e, InterfaceAppeared)]

    rig.run(scenario)


def test_an_interface_that_vanishes_is_held_on_no_more_and_may_come_back(rig: Rig) -> None:
    async def scenario() -> None:
        async with ready(rig) as announcer:
            rig.add_interface("n1")
            await announcer.hold_many({FOUR: None, SIX: None})
            await becomes(lambda: names(announcer, SIX) == frozenset({"n0", "n1"}))
            rig.remove_interface("n1")
            await becomes(lambda: ["n1"] == vanished(rig))
            assert ["n0"] == [interface.name for interface in announcer.interfaces()]
            assert frozenset({"n0"}) == names(announcer, FOUR) == names(announcer, SIX)
            await answers(rig, SIX)
            rig.add_interface("n1")
            for address in BOTH:
                await answers(rig, address, "n1")

    rig.run(scenario)


def test_the_last_calls_interfaces_count(rig: Rig) -> None:
    async def scenario() -> None:
        async with ready(rig) as announcer:
            rig.add_interface("n1")
            await becomes(lambda: len(announcer.interfaces()) == 2)
            await announcer.hold(FOUR, ["n0"])
            await answers(rig, FOUR, "n0")
            await announcer.hold(FOUR, ["n1"])
            await answers(rig, FOUR, "n1")
            assert [] == await rig.ask(FOUR, "n0")
            await announcer.hold(FOUR)
            assert frozenset({"n0", "n1"}) == names(announcer, FOUR)
            await announcer.hold(FOUR, [])
            assert frozenset() == names(announcer, FOUR)
            assert [] == await rig.ask(FOUR, "n1")

    rig.run(scenario)


def test_an_interface_that_does_not_exist_is_no_error_and_held_shows_it(rig: Rig) -> None:
    async def scenario() -> None:
        async with ready(rig) as announcer:
            await announcer.hold(FOUR, ["nowhere"])
            assert {ip_address(FOUR): frozenset()} == announcer.held()
            assert [] == await rig.ask(FOUR)

    rig.run(scenario)


@pytest.mark.parametrize("wrong", ["", "192.0.2.300", "224.0.0.1", "::", "fe80::1%n0"])
def test_a_malformed_address_is_refused_and_nothing_is_done(rig: Rig, wrong: str) -> None:
    async def scenario() -> None:
        async with ready(rig) as announcer:
            with pytest.raises(ValueError, match=r"\w"):
                await announcer.hold_many({FOUR: None, wrong: None})
            with pytest.raises(ValueError, match=r"\w"):
                await announcer.release(wrong)
            assert {} == announcer.held()

    rig.run(scenario)


def test_what_a_conflicting_station_says_is_reported_once_and_not_answered(rig: Rig) -> None:
    async def scenario() -> None:
        async with ready(rig) as announcer:
            await announcer.hold_many({FOUR: None, SIX: None})
            claims = [arp.gratuitous(OTHER, ip_address(FOUR).packed)[1], ndp.unsolicited(OTHER, ip_address(SIX).packed)]
            for times in (1, 2, 3):
                for claim in claims:
                    rig.send(claim)

                async def all_judged(times: int = times) -> bool:
                    return (await announcer.stats()).verdicts[FrameVerdict.CONFLICT] == 2 * times

                await becomes(all_judged)
            expected = {Conflict(ip_address(address), format_mac(OTHER), "n0") for address in BOTH}
            conflicts = [event for event in rig.events if isinstance(event, Conflict)]
            assert expected == set(conflicts)
            assert 2 == len(conflicts)
            await answers(rig, FOUR)

    rig.run(scenario)


@pytest.mark.parametrize("address", BOTH)
def test_a_dead_responder_is_replaced_by_one_that_answers_and_announces(rig: Rig, address: str) -> None:
    async def scenario() -> None:
        async with ready(rig) as announcer:
            await announcer.hold(address)
            await answers(rig, address)
            first = announcer.worker_pid
            frame = gratuitous(rig, address)
            assert 5 == await rig.announced(frame, 5)
            rig.kill_worker(announcer)
            await becomes(lambda: announcer.restarts == 1)
            await answers(rig, address)
            await rig.announced(frame, 6)
            assert announcer.worker_pid not in {None, first}
            assert frozenset({"n0"}) == names(announcer, address)
            kinds = [type(event) for event in rig.events if isinstance(event, WorkerDied | WorkerRestarted)]
            assert [WorkerDied, WorkerRestarted] == kinds
            await announcer.release(address)
            assert [] == await rig.ask(address)

    rig.run(scenario)


def test_an_error_of_the_caller_leaves_as_it_is(rig: Rig) -> None:
    async def scenario() -> None:
        async with ready(rig):
            raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        rig.run(scenario)


def test_after_leaving_nothing_can_be_held(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.announcer() as announcer:
            pass
        with pytest.raises(TransientError):
            await announcer.hold(FOUR)
        assert {} == announcer.held()

    rig.run(scenario)


def test_a_thousand_addresses_of_each_family(rig: Rig) -> None:
    async def scenario() -> None:
        fours = [str(ip_address("10.9.0.0") + number) for number in range(1000)]
        sixes = [str(ip_address("2001:db8::") + number * 259) for number in range(1, 1001)]
        async with ready(rig) as announcer:
            await announcer.hold_many(dict.fromkeys([*fours, *sixes]))
            assert {frozenset({"n0"})} == set(announcer.held().values())
            assert 2000 == len(announcer.held())
            for address in (fours[0], fours[999], sixes[0], sixes[999]):
                await answers(rig, address)
            assert 2000 == len((await announcer.stats()).addresses)
            await announcer.release_many([*fours[1:], *sixes[1:]])
            assert 2 == len(announcer.held())
            assert [] == await rig.ask(fours[999])
            assert [] == await rig.ask(sixes[999])
            await answers(rig, fours[0])
            await answers(rig, sixes[0])

    rig.run(scenario)


def test_calls_at_the_same_time_do_not_lose_each_other(rig: Rig) -> None:
    async def scenario() -> None:
        addresses = [str(ip_address("10.9.0.0") + number) for number in range(50)]
        async with ready(rig) as announcer:
            await asyncio.gather(*(announcer.hold(address) for address in addresses))
            await asyncio.gather(*(announcer.release(address) for address in addresses[::2]))
            assert {ip_address(address) for address in addresses[1::2]} == set(announcer.held())

    rig.run(scenario)


def test_counters_tell_questions_and_answers(rig: Rig) -> None:
    async def scenario() -> None:
        async with ready(rig) as announcer:
            await announcer.hold(FOUR)
            await answers(rig, FOUR)
            stats = await announcer.stats()
            counted = stats.addresses[ip_address(FOUR)]
            assert counted.requests_received == counted.responses_sent == stats.verdicts[FrameVerdict.ANSWERED] > 0
            assert (0, 0) == (stats.overrun, stats.unsent)

    rig.run(scenario)
