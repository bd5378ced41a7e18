"""One session: RFC 5880's state table, timers, polls, authentication, and leaving in good order."""

from dataclasses import replace

import pytest

from netlb.bfd.events import AdminDown, Down, ParametersChanged, Up
from netlb.bfd.packet import ControlPacket, Diagnostic, Key, State, decode, encode
from netlb.bfd.session import Session
from netlb.errors import SettingError
from netlb.reasons import BfdVerdict
from tests.unit.bfd.link import FAST, MINE, PEER, Link, deliver, last, open_session, said, session_in

KEY = Key(3, b"secret")
ADMIN, DOWN, INIT, UP = State
EXPIRED = Diagnostic.CONTROL_DETECTION_TIME_EXPIRED
SIGNALED = Diagnostic.NEIGHBOR_SIGNALED_SESSION_DOWN
NONE = Diagnostic.NONE


@pytest.mark.parametrize("remote_diagnostic", [*Diagnostic, 31])
@pytest.mark.parametrize(
    ("own", "received", "then", "diagnostic", "told"),
    [
        (DOWN, ADMIN, DOWN, NONE, AdminDown),
        (DOWN, DOWN, INIT, NONE, None),
        (DOWN, INIT, UP, NONE, Up),
        (DOWN, UP, DOWN, NONE, None),
        (INIT, ADMIN, DOWN, SIGNALED, AdminDown),
        (INIT, DOWN, INIT, NONE, None),
        (INIT, INIT, UP, NONE, Up),
        (INIT, UP, UP, NONE, Up),
        (UP, ADMIN, DOWN, SIGNALED, AdminDown),
        (UP, DOWN, DOWN, SIGNALED, Down),
        (UP, INIT, UP, NONE, None),
        (UP, UP, UP, NONE, None),
    ],
)
def test_the_state_table(  # noqa: PLR0917 - as many as there are dimensions
    own: State, received: State, then: State, diagnostic: Diagnostic, told: type | None, remote_diagnostic: int
) -> None:
    session = session_in(own)
    verdict = deliver(session, encode(said(received, diagnostic=remote_diagnostic)), 13.1)
    assert (BfdVerdict.ACCEPTED, then, diagnostic) == (verdict, session.state, session.diagnostic)
    if told is None and own is then is UP and remote_diagnostic == Diagnostic.CONCATENATED_PATH_DOWN:
        told = ParametersChanged
    assert ([] if told is None else [told]) == [type(event) for event in session.take_events()]
    assert (received, remote_diagnostic) == (session.remote_state, session.remote_diagnostic)
    assert (1 if told is Down else 0) == session.downs


@pytest.mark.parametrize("received", State)
def test_a_session_that_was_stopped_is_led_nowhere(received: State) -> None:
    session = session_in(ADMIN)
    assert BfdVerdict.STOPPED == deliver(session, encode(said(received)), 13.1)
    assert (ADMIN, Diagnostic.ADMINISTRATIVELY_DOWN) == (session.state, session.diagnostic)
    assert ([], []) == (session.take_events(), session.take_packets())


@pytest.mark.parametrize(
    ("own", "then", "diagnostic"), [(DOWN, DOWN, NONE), (INIT, DOWN, EXPIRED), (UP, DOWN, EXPIRED)]
)
def test_silence_of_a_detection_time(own: State, then: State, diagnostic: Diagnostic) -> None:
    session = session_in(own)
    deliver(session, encode(said({DOWN: UP, INIT: DOWN, UP: UP}[own], diagnostic=4)), 20.0)
    session.take_packets()
    assert 300_000 == session.detection_time
    session.due(20.299)
    assert own is session.state
    assert PEER == session.remote_discriminator
    session.due(20.3)
    assert (then, diagnostic, 0) == (session.state, session.diagnostic, session.remote_discriminator)
    assert ([Down(EXPIRED, 4)] if own is UP else []) == session.take_events()
    packet = last(session)
    assert (then, diagnostic, 0, 1_000_000) == (
        packet.state, packet.diagnostic, packet.your_discriminator, packet.desired_min_tx,
    )  # fmt: skip


def test_two_ends_come_up_and_tell_it_once_each() -> None:
    link = Link((FAST, replace(FAST, transmit_interval=50_000, receive_interval=200_000, detect_multiplier=5)))
    link.run(5.0)
    assert [UP, UP] == [end.state for end in link.ends]
    assert [1, 1] == [end.ups for end in link.ends]
    assert (200_000, 5 * 100_000) == (link.ends[0].transmit_interval, link.ends[0].detection_time)
    assert (100_000, 3 * 200_000) == (link.ends[1].transmit_interval, link.ends[1].detection_time)
    assert link.ends[1].local_discriminator == link.ends[0].remote_discriminator
    for end in (0, 1):
        kinds = [type(event) for _, number, event in link.events if number == end]
        assert Up is kinds[0]
        assert {ParametersChanged} >= set(kinds[1:])
        assert link.ends[end].detection_time == link.happened(end, ParametersChanged)[-1].detection_time


def test_whoever_has_no_way_on_says_so_from_the_first_packet_by_which_the_peer_can_come_up() -> None:
    no_way = replace(FAST, path_down=True)
    link = Link((no_way, FAST))
    link.run(4)
    assert [False] == [event.usable for _, end, event in link.events if end == 1 and isinstance(event, Up)]
    assert [True] == [event.usable for _, end, event in link.events if end == 0 and isinstance(event, Up)]
    link.events.clear()
    before = link.now
    link.change(0, FAST)
    link.run(0.002)
    assert [(before + 0.001, 1, ParametersChanged(100_000, 300_000, usable=True))] == link.events
    link.events.clear()
    link.change(0, no_way)
    link.run(1)
    assert [ParametersChanged(100_000, 300_000, usable=False)] == [event for _, _, event in link.events]
    assert [UP, UP] == [end.state for end in link.ends]


def test_nobody_sends_faster_than_each_second_until_the_session_is_up() -> None:
    session = open_session(MINE, FAST, 10.0)
    session.due(10.0)
    packet = last(session)
    assert (1_000_000, 100_000, 3, 0, 0) == (
        packet.desired_min_tx, packet.required_min_rx, packet.detect_mult, packet.your_discriminator,
        packet.required_min_echo_rx,
    )  # fmt: skip
    assert 10.75 == session.next_wakeup()
    session.due(10.75)
    assert 11.5 == session.next_wakeup()


@pytest.mark.parametrize(
    ("multiplier", "lot", "gap"), [(3, 0.0, 0.75), (3, 0.999999, 1.0), (1, 0.0, 0.75), (1, 0.999999, 0.9)]
)
def test_jitter_takes_up_to_a_quarter_off(multiplier: int, lot: float, gap: float) -> None:
    session = open_session(MINE, replace(FAST, detect_multiplier=multiplier), 0.0, lot)
    session.due(0.0)
    assert pytest.approx(gap, abs=1e-6) == session.next_wakeup()


def test_what_changes_is_said_at_once() -> None:
    session = session_in(DOWN)
    deliver(session, encode(said(DOWN)), 10.1)
    packet = last(session)
    assert (INIT, PEER) == (packet.state, packet.your_discriminator)
    deliver(session, encode(said(DOWN)), 10.2)
    assert [] == session.take_packets()


def test_a_poll_is_answered_at_once_and_with_final_alone() -> None:
    session = session_in(UP)
    at = session.next_wakeup()
    session.change(replace(FAST, transmit_interval=200_000), 13.01)
    session.take_packets()
    deliver(session, encode(said(UP, poll=True)), 13.02)
    packet = last(session)
    assert (True, False) == (packet.final, packet.poll)
    assert at != session.next_wakeup()


def test_an_answer_to_a_poll_is_besides_the_periodic_packets() -> None:
    session = session_in(UP)
    at = session.next_wakeup()
    deliver(session, encode(said(UP, poll=True)), 13.02)
    assert last(session).final
    assert at == session.next_wakeup()


def test_a_longer_transmit_interval_waits_for_the_peers_confirmation() -> None:
    session = session_in(UP)
    session.change(replace(FAST, transmit_interval=500_000), 13.05)
    packet = last(session)
    assert (True, 500_000) == (packet.poll, packet.desired_min_tx)
    assert (100_000, True) == (session.transmit_interval, session.polling)
    deliver(session, encode(said(UP)), 13.06)
    assert 100_000 == session.transmit_interval
    deliver(session, encode(said(UP, final=True)), 13.07)
    assert (500_000, False) == (session.transmit_interval, session.polling)
    assert [ParametersChanged(500_000, 300_000)] == session.take_events()


def test_a_shorter_detection_time_waits_for_the_peers_confirmation() -> None:
    session = session_in(UP)
    deliver(session, encode(said(UP, desired_min_tx=10_000)), 13.05)
    session.change(replace(FAST, receive_interval=50_000), 13.06)
    assert 50_000 == last(session).required_min_rx
    assert 300_000 == session.detection_time
    deliver(session, encode(said(UP, final=True, desired_min_tx=10_000)), 13.07)
    assert 150_000 == session.detection_time


def test_a_shorter_transmit_interval_and_a_longer_detection_time_do_not_wait() -> None:
    session = session_in(UP)
    session.change(replace(FAST, transmit_interval=50_000, receive_interval=400_000), 13.05)
    assert 1_200_000 == session.detection_time
    assert 100_000 == session.transmit_interval  # the peer wants no more
    deliver(session, encode(said(UP, required_min_rx=20_000)), 13.06)
    assert 50_000 == session.transmit_interval
    assert 13.05 + 0.75 * 0.05 == pytest.approx(session.next_wakeup() or 0.0)


def test_a_second_change_waits_until_no_answer_to_the_first_can_be_under_way() -> None:
    session = session_in(UP)
    session.change(replace(FAST, transmit_interval=500_000), 13.00)
    session.change(replace(FAST, transmit_interval=900_000), 13.01)
    assert [500_000] == [decode(octets).desired_min_tx for octets in session.take_packets()]  # type: ignore[union-attr]
    deliver(session, encode(said(UP, final=True)), 13.04)
    deliver(session, encode(said(UP)), 13.05)
    assert not session.polling
    deliver(session, encode(said(UP, final=True)), 13.06)
    assert not session.polling
    deliver(session, encode(said(UP)), 13.09)
    assert session.polling
    assert 900_000 == last(session).desired_min_tx


def test_final_without_a_poll_means_nothing() -> None:
    session = session_in(UP)
    deliver(session, encode(said(UP, final=True)), 13.05)
    assert [] == session.take_packets()
    assert not session.polling


def test_a_changed_multiplier_goes_with_the_next_packet() -> None:
    session = session_in(UP)
    session.change(replace(FAST, detect_multiplier=7), 13.05)
    assert not session.polling
    assert 7 == last(session).detect_mult


def test_the_peer_decides_how_often_we_may_send() -> None:
    session = session_in(UP)
    deliver(session, encode(said(UP, required_min_rx=2_000_000)), 13.05)
    assert 2_000_000 == session.transmit_interval
    deliver(session, encode(said(UP, required_min_rx=0, desired_min_tx=60_000_000)), 13.06)
    assert 13.06 + 180 == pytest.approx(session.next_wakeup() or 0.0)


def test_what_a_peer_asked_for_is_forgotten_with_it() -> None:
    session = session_in(UP)
    deliver(session, encode(said(UP, required_min_rx=30_000_000, demand=True)), 13.05)
    session.due(13.4)
    assert (DOWN, 1_000_000) == (session.state, session.transmit_interval)
    assert 13.4 + 0.75 == pytest.approx(session.next_wakeup() or 0.0)


def test_a_peer_in_demand_mode_is_spared_periodic_packets_and_polled_all_the_same() -> None:
    session = session_in(UP)
    deliver(session, encode(said(UP, demand=True)), 13.05)
    assert pytest.approx(13.35) == session.next_wakeup()
    assert not last_sent_demand(session)
    session.change(replace(FAST, transmit_interval=200_000), 13.06)
    assert last(session).poll
    assert (session.next_wakeup() or 0.0) < 13.2
    deliver(session, encode(said(UP, demand=True, final=True)), 13.10)
    assert pytest.approx(13.40) == session.next_wakeup()
    session.due(13.40)
    assert (DOWN, EXPIRED) == (session.state, session.diagnostic)


def last_sent_demand(session: Session) -> bool:
    return any(octets[1] & 2 for octets in session.take_packets())


def test_a_passive_session_says_nothing_until_the_peer_does() -> None:
    session = open_session(MINE, replace(FAST, passive=True), 10.0)
    assert None is session.next_wakeup()
    session.change(replace(FAST, passive=True, detect_multiplier=9), 10.5)
    session.due(11.0)
    assert [] == session.take_packets()
    deliver(session, encode(said(DOWN)), 12.0)
    assert INIT is last(session).state
    session.due(15.0)
    assert [] == [octets for octets in session.take_packets() if octets[8:12] == bytes(4)]
    assert None is session.next_wakeup()


@pytest.mark.parametrize(("state", "told"), [(DOWN, 1), (INIT, 1), (UP, 0)])
def test_whoever_has_a_link_again_says_so_at_once_unless_it_is_up(state: State, told: int) -> None:
    session = session_in(state)
    session.take_packets()
    session.link_up(11.0)
    assert [state] * told == [decode(octets).state for octets in session.take_packets()]  # type: ignore[union-attr]


def test_a_link_that_comes_up_makes_no_passive_end_begin() -> None:
    session = open_session(MINE, replace(FAST, passive=True), 10.0)
    session.link_up(11.0)
    assert [] == session.take_packets()


def test_two_passive_ends_never_meet_and_one_is_enough() -> None:
    passive = replace(FAST, passive=True)
    link = Link((passive, passive))
    link.run(60.0)
    assert [] == link.sent
    link = Link((passive, FAST))
    link.run(5.0)
    assert [UP, UP] == [end.state for end in link.ends]


# Leaving


def test_a_stop_is_no_failure_and_is_over_when_the_peer_knows() -> None:
    link = Link((FAST, FAST))
    link.run(5.0)
    link.stop(0)
    link.run(0.01)
    assert link.ends[0].over
    assert [AdminDown()] == link.happened(1, AdminDown)
    assert ([], []) == (link.happened(0, Down), link.happened(1, Down))
    assert (DOWN, SIGNALED) == (link.ends[1].state, link.ends[1].diagnostic)
    packet = link.sent[-2].packet
    assert (ADMIN, Diagnostic.ADMINISTRATIVELY_DOWN) == (packet.state, packet.diagnostic)


def test_a_stop_is_repeated_until_the_peer_knows_or_would_have_noticed() -> None:
    link = Link((FAST, FAST))
    link.run(5.0)
    link.carry = lambda _sender, _now: None
    before = len(link.sent)
    link.stop(0)
    link.run(2.9)
    assert not link.ends[0].over
    assert 3 <= len([sent for sent in link.sent[before:] if not sent.sender]) <= 5
    link.run(0.2)
    assert link.ends[0].over
    assert None is link.ends[0].next_wakeup()


def test_a_peer_cannot_draw_a_stop_out() -> None:
    session = session_in(UP)
    deliver(session, encode(said(UP, required_min_rx=0xFFFF_FFFF)), 13.1)
    session.stop(13.2)
    session.due(18.2)
    assert session.over


def test_where_nobody_listens_a_stop_is_over_at_once() -> None:
    session = session_in(DOWN)
    session.stop(10.1)
    assert session.over
    assert ADMIN is last(session).state


@pytest.mark.parametrize(("state", "told"), [(State.UP, 1), (State.INIT, 1), (State.DOWN, 0), (State.ADMIN_DOWN, 0)])
def test_whoever_is_gone_has_failed_and_says_so_once(state: State, told: int) -> None:
    session = session_in(state)
    session.abandon(20.0)
    assert session.over
    packets = [decode(data) for data in session.take_packets()]
    assert told == len(packets)
    for packet in packets:
        assert isinstance(packet, ControlPacket)
        assert (State.DOWN, Diagnostic.FORWARDING_PLANE_RESET) == (packet.state, packet.diagnostic)


def test_the_peer_comes_back_from_a_stop_of_its_own() -> None:
    session = session_in(UP)
    deliver(session, encode(said(ADMIN, diagnostic=7)), 13.1)
    assert ([AdminDown()], 0) == (session.take_events(), session.downs)
    deliver(session, encode(said(ADMIN, diagnostic=7)), 14.1)
    session.due(20.0)
    assert [] == session.take_events()
    deliver(session, encode(said(DOWN, your_discriminator=0)), 21.0)
    deliver(session, encode(said(INIT)), 21.1)
    assert [Up] == [type(event) for event in session.take_events()]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("transmit_interval", 9_999), ("transmit_interval", 60_000_001), ("receive_interval", 0),
        ("detect_multiplier", 0), ("detect_multiplier", 256), ("minimum_ttl", 0), ("minimum_ttl", 256),
    ],
)  # fmt: skip
def test_settings_that_cannot_be(field: str, value: int) -> None:
    with pytest.raises(SettingError, match="give a value from") as refused:
        replace(FAST, **{field: value})  # type: ignore[arg-type]
    assert field == refused.value.setting
    assert str(value) in str(refused.value)


def test_a_key_is_in_no_text_of_the_settings() -> None:
    assert "secret=" not in repr(replace(FAST, key=KEY))
