"""Laws of the responder, its filters, its bursts and the election, for all frames and all orders of events."""

from dataclasses import replace
from hashlib import sha256
from itertools import cycle, pairwise

from hypothesis import given
from hypothesis import strategies as st

from netlb.l2 import arp, ndp
from netlb.l2.burst import INTERVAL, ROUNDS, GratuitousBurst
from netlb.l2.control import decode as decode_message
from netlb.l2.election import order, owner
from netlb.l2.ethernet import BROADCAST
from netlb.l2.filters import LIMIT, arp_filter, nd_filter
from netlb.l2.groups import SolicitedNodeGroups
from netlb.l2.ndp import solicited_node
from netlb.l2.probe import ProbeTimings, Probing
from netlb.l2.responder import Responder
from netlb.reasons import FrameVerdict
from tests.unit.l2.bpf import passes
from tests.unit.l2.crafted import ASKER, CLAIM, CRAFTED, NODE, OTHER, REQUEST, SOLICITATION

few4 = st.sampled_from([b"\xc0\0\2" + bytes((last,)) for last in range(6)])
few6 = st.sampled_from([bytes((32, net)) + bytes(13) + bytes((last,)) for net in range(2) for last in range(4)])
held4 = st.frozensets(few4)
held6 = st.frozensets(few6)
macs = st.sampled_from([NODE, ASKER, OTHER, BROADCAST])
arp_frames = st.builds(
    lambda *fields: replace(
        REQUEST,
        **dict(
            zip(("destination", "operation", "sender_mac", "sender_address", "target_address"), fields, strict=True)
        ),
    ).encode(),
    macs,
    st.integers(0, 4),
    macs,
    few4,
    few4,
)
nd_frames = st.one_of(
    st.builds(
        lambda mac, source, target: replace(SOLICITATION, destination_mac=mac, source=source, target=target).encode(),
        macs,
        few6,
        few6,
    ),
    st.builds(
        lambda target, solicited: replace(CLAIM, target=target, solicited=solicited).encode(), few6, st.booleans()
    ),
)


@st.composite
def mangled(draw: st.DrawFn) -> bytes:
    """A frame of the table, with bytes changed, cut off or added."""
    frame = bytearray(draw(st.sampled_from(CRAFTED)).frame)
    for _ in range(draw(st.integers(0, 4))):
        frame[draw(st.integers(0, len(frame) - 1))] = draw(st.integers(0, 255))
    return bytes(frame[: draw(st.integers(0, len(frame)))]) + draw(st.binary(max_size=24))


frames = st.one_of(arp_frames, nd_frames, mangled(), st.binary(max_size=300))


def responder_for(*addresses: bytes) -> Responder:
    responder = Responder(NODE, {NODE})
    for address in addresses:
        responder.hold(address)
    return responder


@given(held4, held6, st.lists(frames, max_size=20))
def test_every_frame_is_judged_once_and_only_held_addresses_are_answered_for(
    fours: frozenset[bytes], sixes: frozenset[bytes], seen: list[bytes]
) -> None:
    responder = responder_for(*fours, *sixes)
    for frame in seen:
        verdict, answer = responder.receive_arp(frame)
        assert (verdict is FrameVerdict.ANSWERED) == (answer is not None)
        if answer is not None:
            reply = arp.ArpPacket.decode(answer)
            assert reply.sender_address in fours
            assert (NODE, NODE) == (reply.source, reply.sender_mac)
            assert not reply.destination[0] & 1
        verdict, answer = responder.receive_nd(frame)
        assert (verdict is FrameVerdict.ANSWERED) == (answer is not None)
        if answer is not None:
            advertisement = ndp.NeighborAdvertisement.decode(answer)
            assert advertisement.target in sixes
            assert advertisement.source == advertisement.target
            assert ((ndp.TARGET_LINK_ADDRESS, NODE),) == advertisement.options
            assert (NODE, True, False) == (advertisement.source_mac, advertisement.override, advertisement.router)
    assert {claim.address for claim in responder.claims()} <= fours | sixes
    assert 2 * len(seen) == sum(responder.counts.values())


@given(held4, held6, frames, st.sampled_from([0, LIMIT]))
def test_what_ends_a_probe_is_about_a_probed_address_and_passes_the_filter(
    fours: frozenset[bytes], sixes: frozenset[bytes], frame: bytes, limit: int
) -> None:
    probing = Probing(lambda: 0.0)
    probing.set_interface(1, NODE)
    probing.start(1, fours | sixes, ProbeTimings(), 0.0)
    probing.receive(1, frame)
    for verdict in probing.verdicts():
        assert verdict.address in fours | sixes
        assert verdict.mac not in {NODE, BROADCAST, b""}
        if len(verdict.address) == 4:
            assert passes(arp_filter(fours, limit), frame)
        else:
            assert passes(nd_filter(sixes, limit), frame)


numbers = st.integers(0, 5)
lengths = st.floats(0.0, 3.0)


@given(
    st.builds(ProbeTimings, lengths, numbers, st.just(1.0), st.floats(1.0, 3.0), lengths, numbers, lengths),
    st.lists(st.one_of(few4, few6), unique=True),
    st.lists(st.floats(0.0, 1.0, exclude_max=True), min_size=1),
)
def test_every_probe_ends_once_with_as_many_frames_and_as_late_as_the_rfcs_say(
    timings: ProbeTimings, addresses: list[bytes], lots: list[float]
) -> None:
    drawn = cycle(lots)
    probing = Probing(lambda: next(drawn))
    probing.set_interface(1, NODE)
    probing.start(1, addresses, timings, 0.0)
    sent: dict[bytes, list[float]] = {address: [] for address in addresses}
    ended: dict[bytes, float] = {}
    while (now := probing.next_wakeup()) is not None:
        for _, address, _ in probing.frames_to_send(now):
            sent[address].append(now)
        for verdict in probing.verdicts():
            assert verdict.address not in ended
            assert b"" == verdict.mac
            ended[verdict.address] = now
    assert set(addresses) == ended.keys()
    late = 1e-6
    for address, times in sent.items():
        assert (timings.probe_num if len(address) == 4 else timings.dup_addr_detect_transmits) == len(times)
        if len(address) == 16:
            assert all(
                at >= number * timings.retrans_timer - late for number, at in enumerate([*times, ended[address]])
            )
        elif times:
            assert times[0] <= timings.probe_wait + late
            gaps = [after - before for before, after in pairwise(times)]
            assert all(timings.probe_min - late <= gap <= timings.probe_max + late for gap in gaps)
            assert ended[address] - times[-1] >= timings.announce_wait - late


@given(held6, st.one_of(nd_frames, mangled()))
def test_what_is_answered_is_a_valid_solicitation(sixes: frozenset[bytes], frame: bytes) -> None:
    if frame[12:14] == b"\x86\xdd" and responder_for(*sixes).receive_nd(frame)[1] is not None:
        assert ndp.NeighborSolicitation.decode(frame).target in sixes


@given(held4, held6, st.one_of(arp_frames, nd_frames, mangled()), st.sampled_from([0, LIMIT]))
def test_what_is_answered_or_a_conflict_passes_the_filter(
    fours: frozenset[bytes], sixes: frozenset[bytes], frame: bytes, limit: int
) -> None:
    responder = responder_for(*fours, *sixes)
    matters = {FrameVerdict.ANSWERED, FrameVerdict.CONFLICT}
    # The kernel takes tags off before the filter runs.
    if frame[12:14] == b"\x08\x06" and responder.receive_arp(frame)[0] in matters:
        assert passes(arp_filter(fours, limit), frame)
    if frame[12:14] == b"\x86\xdd" and responder.receive_nd(frame)[0] in matters:
        assert passes(nd_filter(sixes, limit), frame)


@given(st.binary(max_size=200))
def test_reading_a_message_raises_value_error_or_nothing(data: bytes) -> None:
    try:
        decode_message(data)
    except ValueError:
        return


steps = st.one_of(
    st.tuples(st.just("start"), st.sampled_from([1, 2]), few4),
    st.tuples(st.just("stop"), st.sampled_from([1, 2]), few4),
    st.tuples(st.just("wait"), st.integers(0, 30), st.just(b"")),
)


@given(st.lists(steps, max_size=30))
def test_no_address_is_announced_faster_than_its_interval_or_after_it_was_stopped(
    script: list[tuple[str, int, bytes]],
) -> None:
    burst = GratuitousBurst()
    burst.set_interface(1, NODE)
    burst.set_interface(2, NODE)
    running: dict[tuple[int, bytes], int] = {}
    last: dict[tuple[int, bytes], float] = {}
    now = 0.0

    def play(until: float) -> None:
        while (wakeup := burst.next_wakeup()) is not None and wakeup <= until:
            for index, address, frame in burst.frames_to_send(wakeup):
                if frame[21] == arp.REPLY:
                    continue  # the second frame of a round
                key = index, address
                assert running[key] > 0
                running[key] -= 1
                assert wakeup >= last.get(key, -INTERVAL) + INTERVAL - 1e-9
                last[key] = wakeup

    for verb, number, address in script:
        key = number, address
        if verb == "start":
            burst.start(number, [address], now)
            running[key] = ROUNDS
        elif verb == "stop":
            burst.stop(number, address)
            running.pop(key, None)
            last.pop(key, None)
        else:
            play(now + number / 10)
            now += number / 10
    play(now + 100)
    assert {0} >= set(running.values())
    assert burst.next_wakeup() is None


@given(st.lists(st.tuples(st.booleans(), few6), max_size=40))
def test_groups_are_joined_exactly_while_an_address_needs_them(script: list[tuple[bool, bytes]]) -> None:
    groups = SolicitedNodeGroups()
    held: set[bytes] = set()
    joined: set[bytes] = set()
    for add, address in script:
        if add:
            held.add(address)
            joined |= {group} if (group := groups.add(address)) else set()
        else:
            held.discard(address)
            joined -= {group} if (group := groups.discard(address)) else set()
        assert {solicited_node(address) for address in held} == joined == groups.joined


@given(
    st.sets(st.text(max_size=8).filter(lambda name: name.isascii()), max_size=8),
    st.sampled_from(["192.0.2.1", "2001:db8::1"]),
)
def test_the_owner_is_the_first_in_order_and_nobodys_leaving_moves_more_than_its_own(
    nodes: set[str], address: str
) -> None:
    ranked = order(address, nodes)
    assert sorted(nodes, key=lambda node: sha256(f"{node}#{address}".encode()).digest()) == ranked
    assert (ranked[0] if ranked else None) == owner(address, nodes)
    for node in nodes:
        assert [other for other in ranked if other != node] == order(address, nodes - {node})
