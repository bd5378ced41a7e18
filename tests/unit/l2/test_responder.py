"""What the responder makes of each crafted frame, and what its answers say."""

from dataclasses import replace

import pytest

from netlb.l2 import arp, ndp
from netlb.l2.responder import Claim, Responder
from netlb.reasons import FrameVerdict
from tests.unit.l2.crafted import (
    ASKER,
    ASKER4,
    ASKER6,
    CRAFTED,
    FREE4,
    HELD4,
    HELD6,
    NODE,
    OTHER,
    PROBE,
    REACHABILITY,
    REQUEST,
    SOLICITATION,
    Crafted,
)


@pytest.fixture
def responder() -> Responder:
    responder = Responder(NODE, {NODE})
    responder.hold(HELD4)
    responder.hold(HELD6)
    return responder


@pytest.mark.parametrize("crafted", CRAFTED, ids=lambda crafted: crafted.name)
def test_each_crafted_frame_gets_its_verdict(responder: Responder, crafted: Crafted) -> None:
    judge = responder.receive_arp if crafted.is_arp else responder.receive_nd
    verdict, answer = judge(crafted.frame)
    assert crafted.verdict is verdict
    assert crafted.answered == (answer is not None)
    assert {crafted.verdict: 1} == {name: count for name, count in responder.counts.items() if count}
    assert (crafted.verdict is FrameVerdict.CONFLICT) == bool(responder.claims())


def test_an_arp_answer_goes_straight_to_the_asker(responder: Responder) -> None:
    _, answer = responder.receive_arp(REQUEST.encode())
    assert answer is not None
    expected = arp.ArpPacket(
        destination=ASKER,
        source=NODE,
        operation=arp.REPLY,
        sender_mac=NODE,
        sender_address=HELD4,
        target_mac=ASKER,
        target_address=ASKER4,
    )
    assert expected == arp.ArpPacket.decode(answer)
    assert len(answer) == 60


def test_an_arp_answer_believes_the_packet_and_not_the_ethernet_header(responder: Responder) -> None:
    _, answer = responder.receive_arp(replace(REQUEST, sender_mac=OTHER).encode())
    assert answer is not None
    assert OTHER == arp.ArpPacket.decode(answer).destination


ADVERTISEMENT = ndp.NeighborAdvertisement(
    destination_mac=ASKER,
    source_mac=NODE,
    source=HELD6,
    destination=ASKER6,
    target=HELD6,
    solicited=True,
    override=True,
    options=((ndp.TARGET_LINK_ADDRESS, NODE),),
)


@pytest.mark.parametrize("question", [SOLICITATION, REACHABILITY, replace(REACHABILITY, options=())])
def test_a_solicitation_is_answered_solicited_and_overriding(
    responder: Responder, question: ndp.NeighborSolicitation
) -> None:
    _, answer = responder.receive_nd(question.encode())
    assert ADVERTISEMENT.encode() == answer


def test_a_duplicate_address_probe_is_answered_to_all_nodes_unsolicited(responder: Responder) -> None:
    _, answer = responder.receive_nd(PROBE.encode())
    assert ndp.unsolicited(NODE, HELD6) == answer


def test_the_first_source_option_counts(responder: Responder) -> None:
    _, answer = responder.receive_nd(replace(SOLICITATION, options=((14, bytes(6)), (1, OTHER), (1, ASKER))).encode())
    assert answer is not None
    assert OTHER == ndp.NeighborAdvertisement.decode(answer).destination_mac


def test_what_is_released_is_answered_no_more_and_forgotten(responder: Responder) -> None:
    assert not responder.hold(HELD4)
    assert responder.release(HELD4)
    assert not responder.release(HELD4)
    assert responder.receive_arp(REQUEST.encode()) == (FrameVerdict.NOT_HELD, None)
    assert responder.counters(HELD4) is None
    assert responder.hold(HELD4)


def test_counters_follow_each_address(responder: Responder) -> None:
    responder.hold(FREE4)
    for _ in range(3):
        responder.receive_arp(REQUEST.encode())
    responder.receive_nd(SOLICITATION.encode())
    responder.receive_nd(replace(SOLICITATION, options=((1, b"\1" * 6),)).encode())
    counted = {address: responder.counters(address) for address in (HELD4, HELD6, FREE4)}
    assert {HELD4: (3, 3), HELD6: (2, 1), FREE4: (0, 0)} == {
        address: (counters.requests, counters.responses) for address, counters in counted.items() if counters
    }


def test_another_interface_of_this_node_is_no_conflict() -> None:
    macs: set[bytes] = set()
    responder = Responder(NODE, macs)
    responder.hold(HELD4)
    gratuitous = arp.gratuitous(OTHER, HELD4)[0]
    assert responder.receive_arp(arp.gratuitous(NODE, HELD4)[0])[0] is FrameVerdict.NOT_A_QUESTION
    assert responder.receive_arp(gratuitous)[0] is FrameVerdict.CONFLICT
    macs.add(OTHER)
    assert responder.receive_arp(gratuitous)[0] is FrameVerdict.NOT_A_QUESTION


def test_claims_are_told_once_and_kept_in_bounds(responder: Responder) -> None:
    for number in range(200):
        mac = b"\2\0\0\0" + number.to_bytes(2, "big")
        for _ in range(2):
            responder.receive_arp(arp.gratuitous(mac, HELD4)[0])
    claims = responder.claims()
    assert Claim(HELD4, b"\2\0\0\0\0\0") in claims
    assert len(claims) == 64
    assert responder.claims() == set()
