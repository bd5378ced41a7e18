"""Socket filters, run by the interpreter of these tests and judged by the crafted frames."""

import pytest

from netlb.l2 import arp, filters
from netlb.reasons import FrameVerdict
from tests.unit.l2.bpf import OTHER_HOST, passes
from tests.unit.l2.crafted import CRAFTED, HELD4, HELD6, REQUEST, SOLICITATION, TWIN6, Crafted

# The kernel takes a tag off before the filter runs.
UNTAGGED = [
    crafted
    for crafted in CRAFTED
    if crafted.verdict in {FrameVerdict.ANSWERED, FrameVerdict.CONFLICT} and "tagged" not in crafted.name
]


def addresses(count: int, length: int) -> list[bytes]:
    return [bytes(length - 4) + (0x0A000000 + number).to_bytes(4, "big") for number in range(count)]


@pytest.mark.parametrize("crafted", UNTAGGED, ids=lambda crafted: crafted.name)
@pytest.mark.parametrize("limit", [0, filters.LIMIT])
def test_what_the_responder_acts_on_passes(crafted: Crafted, limit: int) -> None:
    program = filters.arp_filter([HELD4], limit) if crafted.is_arp else filters.nd_filter([HELD6], limit)
    assert passes(program, crafted.frame)


def test_what_is_for_another_host_or_another_vlan_does_not_pass() -> None:
    assert not passes(filters.arp_filter([HELD4]), REQUEST.encode(), OTHER_HOST)
    assert not passes(filters.nd_filter([HELD6]), SOLICITATION.encode(), OTHER_HOST)


def test_what_is_for_free_addresses_does_not_pass() -> None:
    held = addresses(300, 4)
    assert not passes(filters.arp_filter(held), REQUEST.encode())
    assert passes(filters.arp_filter([*held, HELD4]), REQUEST.encode())
    assert not passes(filters.nd_filter(addresses(300, 16)), SOLICITATION.encode())
    assert passes(filters.nd_filter([TWIN6]), SOLICITATION.encode())


@pytest.mark.parametrize("verdict", [FrameVerdict.NOT_HELD, FrameVerdict.NOT_A_QUESTION])
def test_the_list_keeps_off_what_the_responder_would_drop(verdict: FrameVerdict) -> None:
    program = filters.arp_filter([HELD4])
    dropped = [crafted for crafted in CRAFTED if crafted.is_arp and crafted.verdict is verdict]
    stopped = [crafted.name for crafted in dropped if not passes(program, crafted.frame)]
    expected = [crafted.name for crafted in dropped if "of our own" not in crafted.name]
    assert expected == stopped


def test_nothing_held_passes_nothing() -> None:
    for program in (filters.nothing(), filters.arp_filter([]), filters.nd_filter([])):
        assert not passes(program, REQUEST.encode())
        assert not passes(program, SOLICITATION.encode())


@pytest.mark.parametrize("position", [0, 1, 248, 249, 250, 251, 499, 500, 999, 1999])
def test_every_place_in_a_long_list_is_found(position: int) -> None:
    held = addresses(2000, 4)
    frames = arp.gratuitous(b"\2\0\0\0\0\1", held[position])
    assert all(passes(filters.arp_filter(held), frame) for frame in frames)
    assert not passes(filters.arp_filter(held[:position] + held[position + 1 :]), frames[0])


@pytest.mark.parametrize(("count", "listed"), [(1000, True), (2000, True), (2100, False), (100_000, False)])
def test_a_list_that_is_too_long_is_left_out(count: int, listed: bool) -> None:
    program = filters.arp_filter(addresses(count, 4))
    assert len(program) <= filters.LIMIT
    assert (len(program) > 1000) == listed
    assert passes(program, REQUEST.encode()) != listed


def test_one_instruction_an_address_and_field() -> None:
    growth = len(filters.arp_filter(addresses(1000, 4))) - len(filters.arp_filter(addresses(500, 4)))
    assert 1000 <= growth <= 1010
