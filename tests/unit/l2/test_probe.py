"""When probes go out, what ends them, and whose frames count."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from netlb.l2 import arp, ndp
from netlb.l2.ethernet import BROADCAST
from netlb.l2.pace import BATCH
from netlb.l2.probe import RFC_TIMINGS, ProbeTimings, Probing, Verdict
from tests.unit.l2.crafted import (
    ASKER,
    ASKER4,
    ASKER6,
    CLAIM,
    CRAFTED,
    FREE4,
    FREE6,
    HELD4,
    HELD6,
    MULTICAST,
    NODE,
    OTHER,
    PROBE,
    REQUEST,
    SOLICITATION,
    TWIN6,
)

OUR_OTHER = bytes.fromhex("02005e005399")
"""The MAC address of a second interface of ours."""


def probing_on(*interfaces: int, lots: Callable[[], float] = lambda: 0.5) -> Probing:
    probing = Probing(lots)
    for index in interfaces:
        probing.set_interface(index, {1: NODE, 2: OUR_OTHER}[index])
    return probing


def play(probing: Probing, until: float = 60.0) -> list[tuple[float, int, bytes]]:
    """Call it whenever it asks for it; return time, interface and frame."""
    sent: list[tuple[float, int, bytes]] = []
    for _ in range(1_000_000):
        now = probing.next_wakeup()
        if now is None or now > until:
            return sent
        sent += [(round(now, 6), index, frame) for index, _, frame in probing.frames_to_send(now)]
    raise AssertionError("it never sleeps")


def verdict_on(frame: bytes, *addresses: bytes) -> list[Verdict]:
    """Return what a frame makes of probes of these addresses."""
    probing = probing_on(1, 2)
    probing.start(1, addresses, RFC_TIMINGS, 0.0)
    probing.receive(1, frame)
    return probing.verdicts()


def test_the_defaults_are_the_constants_of_the_rfcs() -> None:
    assert (1.0, 3, 1.0, 2.0, 2.0, 60.0) == (
        RFC_TIMINGS.probe_wait,
        RFC_TIMINGS.probe_num,
        RFC_TIMINGS.probe_min,
        RFC_TIMINGS.probe_max,
        RFC_TIMINGS.announce_wait,
        RFC_TIMINGS.rate_limit_interval,
    )
    assert (1, 1.0) == (RFC_TIMINGS.dup_addr_detect_transmits, RFC_TIMINGS.retrans_timer)


@pytest.mark.parametrize(
    ("lot", "sent", "end"),
    [(0.0, [0.0, 1.0, 2.0], 4.0), (0.5, [0.5, 2.0, 3.5], 5.5), (0.999999, [0.999999, 2.999998, 4.999997], 6.999997)],
)
def test_ipv4_is_asked_for_three_times_and_listened_for_two_seconds_more(
    lot: float, sent: list[float], end: float
) -> None:
    probing = probing_on(1, lots=lambda: lot)
    probing.start(1, [HELD4], RFC_TIMINGS, 0.0)
    assert [(at, 1, arp.probe(NODE, HELD4)) for at in sent] == play(probing, until=end - 0.00001)
    assert [] == probing.verdicts()
    assert [] == play(probing)
    assert [Verdict(1, HELD4, b"")] == probing.verdicts()
    assert [] == probing.verdicts()


def test_ipv6_is_asked_for_once_at_once_and_listened_for_a_second() -> None:
    probing = probing_on(1)
    probing.start(1, [HELD6], RFC_TIMINGS, 7.0)
    assert [(7.0, 1, ndp.probe(NODE, HELD6))] == play(probing, until=7.99)
    assert [] == probing.verdicts()
    play(probing, until=8.0)
    assert [Verdict(1, HELD6, b"")] == probing.verdicts()
    assert probing.next_wakeup() is None


def test_timings_are_what_they_are_set_to() -> None:
    probing = probing_on(1)
    quick = ProbeTimings(probe_num=2, probe_wait=0.0, announce_wait=0.1, dup_addr_detect_transmits=3, retrans_timer=0.2)
    probing.start(1, [HELD4, HELD6], quick, 0.0)
    sent = play(probing)
    assert [0.0, 1.5] == [at for at, _, frame in sent if frame == arp.probe(NODE, HELD4)]
    assert [0.0, 0.2, 0.4] == [at for at, _, frame in sent if frame == ndp.probe(NODE, HELD6)]
    none = ProbeTimings(probe_num=0, dup_addr_detect_transmits=0)
    probing.start(1, [HELD4, HELD6], none, 10.0)
    assert [] == play(probing)
    assert {b""} == {verdict.mac for verdict in probing.verdicts()}


REPLY = replace(REQUEST, operation=arp.REPLY, sender_mac=OTHER, sender_address=HELD4, target_address=bytes(4))
CONFLICTS = {
    "arp reply": (REPLY.encode(), HELD4, OTHER),
    "arp request sent from the address": (
        replace(REQUEST, sender_address=HELD4, target_address=ASKER4).encode(),
        HELD4,
        ASKER,
    ),
    "gratuitous arp": (arp.gratuitous(OTHER, HELD4)[0], HELD4, OTHER),
    "another arp probe": (arp.probe(OTHER, HELD4), HELD4, OTHER),
    "na": (CLAIM.encode(), HELD6, OTHER),
    "na without option": (replace(CLAIM, options=()).encode(), HELD6, OTHER),
    "na with another address in its option": (replace(CLAIM, options=((2, ASKER),)).encode(), HELD6, ASKER),
    "another duplicate address probe": (PROBE.encode(), HELD6, ASKER),
}


@pytest.mark.parametrize(("frame", "address", "mac"), CONFLICTS.values(), ids=CONFLICTS)
def test_another_station_ends_the_probe(frame: bytes, address: bytes, mac: bytes) -> None:
    assert [Verdict(1, address, mac)] == verdict_on(frame, HELD4, HELD6)


HARMLESS = {
    "a question for the address": REQUEST.encode(),
    "a probe of our own": arp.probe(NODE, HELD4),
    "a probe from another interface of ours": arp.probe(OUR_OTHER, HELD4),
    "an arp reply of our own": replace(REPLY, sender_mac=OUR_OTHER).encode(),
    "an arp reply from another address": replace(REPLY, sender_address=ASKER4, target_address=HELD4).encode(),
    "a probe for another address": arp.probe(OTHER, FREE4),
    "reverse arp": replace(REPLY, operation=4).encode(),
    "arp from a multicast address": replace(REPLY, sender_mac=MULTICAST).encode(),
    "arp from a broadcast address": replace(REPLY, sender_mac=BROADCAST).encode(),
    "a solicitation from an address": SOLICITATION.encode(),
    "a duplicate address probe of our own": ndp.probe(NODE, HELD6),
    "one from another interface of ours": ndp.probe(OUR_OTHER, HELD6),
    "one for another address": ndp.probe(OTHER, FREE6),
    "one for an address with our low 32 bits": ndp.probe(OTHER, TWIN6),
    "an advertisement of our own": ndp.unsolicited(OUR_OTHER, HELD6),
    "one of another address": ndp.unsolicited(OTHER, ASKER6),
    "one that crossed a router": replace(CLAIM, hop_limit=254).encode(),
    "one with a wrong checksum": CLAIM.encode()[:-1] + b"\x00",
    "nothing": b"",
    "a header alone": REQUEST.encode()[:14],
}


@pytest.mark.parametrize("frame", HARMLESS.values(), ids=HARMLESS)
def test_all_else_ends_no_probe(frame: bytes) -> None:
    assert [] == verdict_on(frame, HELD4, HELD6)


def test_who_has_a_link_local_address_asks_as_a_neighbour_too() -> None:
    ours = bytes.fromhex("fe80000000000000000000fffe000001")
    probing = probing_on(1)
    probing.start(1, [HELD6], RFC_TIMINGS, 0.0, ours)
    sent = [frame for _, _, frame in play(probing)]
    assert [ndp.probe(NODE, HELD6), ndp.question(NODE, ours, HELD6)] == sent
    asked = ndp.NeighborSolicitation.decode(sent[1])
    assert (ours, HELD6, ((ndp.SOURCE_LINK_ADDRESS, NODE),)) == (asked.source, asked.target, asked.options)


def test_whatever_is_crafted_is_survived() -> None:
    for crafted in CRAFTED:
        verdict_on(crafted.frame, HELD4, HELD6)


def test_a_conflict_ends_the_probe_at_once_and_on_its_interface_alone() -> None:
    probing = probing_on(1, 2)
    probing.start(1, [HELD4], RFC_TIMINGS, 0.0)
    probing.start(2, [HELD4], RFC_TIMINGS, 0.0)
    play(probing, until=1.0)
    probing.receive(2, REPLY.encode())
    assert [Verdict(2, HELD4, OTHER)] == probing.verdicts()
    probing.receive(2, REPLY.encode())
    assert [] == probing.verdicts()
    assert [(2.0, 1), (3.5, 1)] == [(at, index) for at, index, _ in play(probing)]
    assert [Verdict(1, HELD4, b"")] == probing.verdicts()


def test_the_last_moment_counts() -> None:
    probing = probing_on(1)
    probing.start(1, [HELD4], RFC_TIMINGS, 0.0)
    play(probing, until=5.49)
    probing.receive(1, REPLY.encode())
    assert [Verdict(1, HELD4, OTHER)] == probing.verdicts()


def test_starting_or_beginning_anew_doubles_nothing() -> None:
    probing = probing_on(1)
    probing.start(1, [HELD6], RFC_TIMINGS, 0.0)
    play(probing, until=0.5)
    probing.start(1, [HELD6], RFC_TIMINGS, 0.5)
    assert [0.5] == [at for at, _, _ in play(probing, until=1.0)]
    probing.begin_anew(1, HELD6, 3.0)
    assert [3.0] == [at for at, _, _ in play(probing)]
    assert [Verdict(1, HELD6, b"")] == probing.verdicts()
    probing.begin_anew(1, HELD6, 5.0)
    assert probing.next_wakeup() is None


def test_an_interface_that_vanishes_takes_its_probes_and_verdicts_along() -> None:
    probing = probing_on(1, 2)
    for index in (1, 2):
        probing.start(index, [HELD4, HELD6], RFC_TIMINGS, 0.0)
        probing.receive(index, CLAIM.encode())
    probing.remove_interface(1)
    assert [Verdict(2, HELD6, OTHER)] == probing.verdicts()
    assert {2} == {index for _, index, _ in play(probing)}
    assert [Verdict(2, HELD4, b"")] == probing.verdicts()


def test_many_addresses_are_paced_and_given_out_in_small_batches() -> None:
    probing = probing_on(1)
    many = [number.to_bytes(16, "big") for number in range(1, 10_001)]
    probing.start(1, many, RFC_TIMINGS, 0.0)
    assert BATCH == len(probing.frames_to_send(0.0))
    assert 1000 - BATCH == sum(len(probing.frames_to_send(0.0)) for _ in range(100))  # as much as a pause gives credit
    sent = play(probing, until=0.5)
    assert 9000 == len(sent)
    assert 0.045 <= sent[-1][0] <= 0.051
    assert [] == play(probing)
    assert many == sorted(verdict.address for verdict in probing.verdicts())
