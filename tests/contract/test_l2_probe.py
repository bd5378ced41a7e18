"""What every announcer promises about probes, tried on the fake and, as root, on the real one with real strangers."""

import asyncio
from ipaddress import ip_address

import pytest

from netlb.errors import TransientError
from netlb.l2 import arp, ndp
from netlb.l2.announces import Stranger
from netlb.l2.ethernet import format_mac, parse_mac
from netlb.l2.probe import ProbeTimings
from tests.contract.test_l2_announcer import BOTH, FOUR, SIX, answers, gratuitous, ready
from tests.support.waiting import becomes
from tests.unit.l2.crafted import ASKER, OTHER
from tests.unit.l2.rigs import Found, Rig, Worked, ends

QUICK = ProbeTimings(
    probe_wait=0.01, probe_min=0.01, probe_max=0.03, announce_wait=0.1, dup_addr_detect_transmits=2, retrans_timer=0.1
)
LONG = ProbeTimings(probe_wait=0.0, announce_wait=3600.0, retrans_timer=3600.0)
"""A probe that ends only if something ends it."""
A_STRANGER = Stranger(format_mac(ASKER), "n0")


def begin(announcer: Worked, *addresses: str, timings: ProbeTimings = QUICK) -> "asyncio.Future[Found]":
    return asyncio.ensure_future(announcer.probe(dict.fromkeys(addresses), timings))


def probe_frame(rig: Rig, address: str, interface: str = "n0") -> bytes:
    mac, packed = parse_mac(rig.mac(interface)), ip_address(address).packed
    return arp.probe(mac, packed) if len(packed) == 4 else ndp.probe(mac, packed)


async def asked(rig: Rig, address: str) -> None:
    """Wait until a probe of the address was seen."""

    def seen() -> bool:
        rig.pass_time()
        return rig.probed(probe_frame(rig, address)) > 0

    await becomes(seen)


@pytest.mark.parametrize("address", BOTH)
def test_nobody_has_it_and_nobody_is_answered_meanwhile(rig: Rig, address: str) -> None:
    async def scenario() -> None:
        async with ready(rig) as announcer:
            probe = begin(announcer, address)
            assert [] == await rig.ask(address)
            assert {ip_address(address): None} == await ends(rig, probe)
            assert (3 if address == FOUR else 2) == rig.probed(probe_frame(rig, address))
            assert {} == announcer.held()
            assert [] == await rig.ask(address)
            await announcer.hold(address)
            await answers(rig, address)
            await rig.announced(gratuitous(rig, address), 1)

    rig.run(scenario)


@pytest.mark.parametrize("address", BOTH)
def test_a_stranger_that_has_it_is_found_until_it_gives_it_up(rig: Rig, address: str) -> None:
    async def scenario() -> None:
        rig.occupy(address)
        async with ready(rig) as announcer:
            assert {ip_address(address): A_STRANGER} == await ends(rig, begin(announcer, address, timings=LONG))
            rig.vacate(address)
            assert {ip_address(address): None} == await ends(rig, begin(announcer, address))

    rig.run(scenario)


@pytest.mark.parametrize("address", BOTH)
def test_another_station_that_probes_for_it_is_found(rig: Rig, address: str) -> None:
    async def scenario() -> None:
        packed = ip_address(address).packed
        async with ready(rig) as announcer:
            probe = begin(announcer, address, timings=LONG)
            await asked(rig, address)
            rig.send(arp.probe(OTHER, packed) if len(packed) == 4 else ndp.probe(OTHER, packed))
            assert {ip_address(address): Stranger(format_mac(OTHER), "n0")} == await ends(rig, probe)

    rig.run(scenario)


@pytest.mark.parametrize("address", BOTH)
def test_one_that_announces_it_is_found(rig: Rig, address: str) -> None:
    async def scenario() -> None:
        packed = ip_address(address).packed
        async with ready(rig) as announcer:
            probe = begin(announcer, address, timings=LONG)
            await asked(rig, address)
            rig.send(arp.gratuitous(OTHER, packed)[0] if len(packed) == 4 else ndp.unsolicited(OTHER, packed))
            assert {ip_address(address): Stranger(format_mac(OTHER), "n0")} == await ends(rig, probe)

    rig.run(scenario)


def test_each_address_is_told_of_for_itself(rig: Rig) -> None:
    async def scenario() -> None:
        rig.occupy(FOUR)
        async with ready(rig) as announcer:
            found = await ends(rig, begin(announcer, FOUR, SIX, "192.0.2.11"))
            assert {ip_address(FOUR): A_STRANGER, ip_address(SIX): None, ip_address("192.0.2.11"): None} == found

    rig.run(scenario)


def test_what_is_held_is_not_probed_and_stays_answered_for(rig: Rig) -> None:
    async def scenario() -> None:
        async with ready(rig) as announcer:
            await announcer.hold_many({FOUR: None, SIX: ["n9"]})
            twin = "2001:db8:1::c0:ffee"  # of the same solicited-node group
            await announcer.hold(twin)
            assert {} == await ends(rig, begin(announcer, FOUR, SIX, twin))
            await announcer.release(SIX)
            assert {ip_address(SIX): None} == await ends(rig, begin(announcer, FOUR, SIX))
            for address in (FOUR, twin):
                assert 0 == rig.probed(probe_frame(rig, address))
                await answers(rig, address)

    rig.run(scenario)


def test_an_address_may_be_held_while_it_is_probed(rig: Rig) -> None:
    async def scenario() -> None:
        async with ready(rig) as announcer:
            probe = begin(announcer, FOUR, SIX)
            await asked(rig, SIX)
            await announcer.hold_many({FOUR: None, SIX: None})
            assert {ip_address(FOUR): None, ip_address(SIX): None} == await ends(rig, probe)
            for address in BOTH:
                await answers(rig, address)

    rig.run(scenario)


def test_an_address_is_probed_on_the_interfaces_it_is_wanted_on(rig: Rig) -> None:
    async def scenario() -> None:
        async with ready(rig) as announcer:
            rig.add_interface("n1")
            await becomes(lambda: len(announcer.interfaces()) == 2)
            rig.occupy(SIX)  # a Linux kernel answers ARP on every interface, whichever has the address
            for names, expected in (["n1"], None), (["n0", "n1", "n2"], A_STRANGER), (None, A_STRANGER):
                probe = asyncio.ensure_future(announcer.probe({SIX: names}, QUICK))
                assert {ip_address(SIX): expected} == await ends(rig, probe)
            assert {} == await announcer.probe({FOUR: ["n2"], SIX: []}, QUICK)
            assert {} == await announcer.probe({}, QUICK)

    rig.run(scenario)


def test_on_an_interface_that_vanishes_nothing_is_found(rig: Rig) -> None:
    async def scenario() -> None:
        async with ready(rig) as announcer:
            probe = begin(announcer, FOUR, SIX, timings=LONG)
            await asked(rig, SIX)
            rig.remove_interface("n0")
            assert {} == await ends(rig, probe)
            assert {} == await announcer.probe({FOUR: None}, QUICK)

    rig.run(scenario)


def test_a_responder_that_dies_is_an_error_and_its_successor_probes(rig: Rig) -> None:
    async def scenario() -> None:
        async with ready(rig) as announcer:
            probe = begin(announcer, FOUR, SIX, timings=LONG)
            await asked(rig, SIX)
            rig.kill_worker(announcer)
            with pytest.raises(TransientError, match="gone"):
                await ends(rig, probe)
            await becomes(lambda: announcer.restarts == 1)
            assert {ip_address(FOUR): None} == await ends(rig, begin(announcer, FOUR))

    rig.run(scenario)


def test_leaving_ends_a_probe(rig: Rig) -> None:
    async def scenario() -> None:
        async with ready(rig) as announcer:
            probe = begin(announcer, FOUR, timings=LONG)
            await asked(rig, FOUR)
        with pytest.raises(TransientError, match="gone"):
            await probe
        with pytest.raises(TransientError):
            await announcer.probe({FOUR: None})

    rig.run(scenario)


def test_a_caller_that_goes_leaves_the_others_alone(rig: Rig) -> None:
    async def scenario() -> None:
        async with ready(rig) as announcer:
            first, second = begin(announcer, FOUR), begin(announcer, FOUR, SIX)
            await asyncio.sleep(0)
            first.cancel()
            assert {ip_address(FOUR): None, ip_address(SIX): None} == await ends(rig, second)
            with pytest.raises(asyncio.CancelledError):
                await first

    rig.run(scenario)


def test_what_no_station_can_have_is_refused(rig: Rig) -> None:
    async def scenario() -> None:
        async with ready(rig) as announcer:
            with pytest.raises(ValueError, match=r"224\.0\.0\.1"):
                await announcer.probe({FOUR: None, "224.0.0.1": None}, QUICK)
            assert 0 == rig.probed(probe_frame(rig, FOUR))

    rig.run(scenario)


def test_hundreds_of_addresses_at_once(rig: Rig) -> None:
    async def scenario() -> None:
        fours = [str(ip_address("10.9.0.0") + number) for number in range(300)]
        sixes = [str(ip_address("2001:db8::") + number * 259) for number in range(1, 301)]
        rig.occupy("10.9.0.7")
        async with ready(rig) as announcer:
            found = await ends(rig, begin(announcer, *fours, *sixes))
            assert {*map(ip_address, [*fours, *sixes])} == found.keys()
            assert {ip_address("10.9.0.7"): A_STRANGER} == {who: what for who, what in found.items() if what}
            for address in (fours[0], fours[299], sixes[299]):
                assert rig.probed(probe_frame(rig, address)) > 1

    rig.run(scenario)
