"""What is due is done together: how often a node with many peers is woken, and that nothing is late for it."""

from collections.abc import Iterator
from itertools import cycle, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netlb.bfd.events import Down
from netlb.bfd.pace import Pace
from netlb.bfd.packet import ControlPacket, State, encode
from netlb.bfd.sessions import Arrival, SessionPath, Sessions
from netlb.bfd.settings import Settings

PEERS = 31
HERE = bytes(4)
lots = st.lists(st.floats(0.0, 1.0, exclude_max=True), min_size=1, max_size=40)


def path(number: int) -> SessionPath:
    return SessionPath(number.to_bytes(4, "big"), HERE, 1, multihop=False)


def node(drawn: list[float], interval: int, multiplier: int = 3) -> Sessions:
    """A node that is up with 31 peers at time 0, all at the same moment."""
    rest = cycle(drawn)
    sessions = Sessions(lambda: next(rest))
    for number in range(1, PEERS + 1):
        sessions.add(number, path(number), Settings(interval, interval, multiplier), 1, 0.0)
        for state in (State.DOWN, State.UP):
            hear(sessions, number, 0.0, interval, state)
        hear(sessions, number, 0.0, interval, final=True)
        hear(sessions, number, 0.0, interval)
    sessions.take_packets()
    sessions.take_events()
    assert {State.UP} == {sessions[number].state for number in sessions}
    return sessions


def hear(
    sessions: Sessions, number: int, now: float, interval: int, state: State = State.UP, *, final: bool = False
) -> None:
    packet = ControlPacket(1000 + number, number, state, 3, interval, interval, final=final)
    sessions.receive(encode(packet), Arrival(path(number).peer, HERE, 1, 255, multihop=False), now)


def wakeups(sessions: Sessions, interval: int, seconds: float) -> Iterator[tuple[float, list[int]]]:
    """Wake it when it asks for it, with peers that are never silent for long; yield when, and to whom it sent."""
    now = 0.0
    while (wakeup := sessions.next_wakeup()) is not None and wakeup < seconds:
        assert wakeup > now - 1e-9
        now = max(now, wakeup)
        for number in sessions:
            hear(sessions, number, now, interval)
        sessions.due(now)
        yield now, [number for number, _ in sessions.take_packets()]


@settings(max_examples=30, deadline=None)
@given(lots, st.sampled_from([10_000, 100_000, 300_000]), st.sampled_from([1, 3]))
def test_intervals_are_those_of_the_rfc_however_many_are_sent_together(
    drawn: list[float], interval: int, multiplier: int
) -> None:
    sessions = node(drawn, interval, multiplier)
    sent: dict[int, list[float]] = {number: [] for number in sessions}
    for now, numbers in wakeups(sessions, interval, 30 * interval / 1e6):
        for number in numbers:
            sent[number].append(now)
    least, most = 0.75 * interval / 1e6, (0.9 if multiplier == 1 else 1.0) * interval / 1e6
    for times in sent.values():
        assert len(times) > 20
        assert [] == [(one, two) for one, two in pairwise(times) if not least - 1e-9 <= two - one <= most + 1e-9]


def test_one_wakeup_does_all_that_is_due_within_the_slack() -> None:
    sessions = node([number / PEERS for number in range(PEERS)], 100_000)
    seconds, woken, sent = 10.0, 0, 0
    for now, numbers in wakeups(sessions, 100_000, seconds):
        woken += 1
        sent += len(numbers)
        wakeup = sessions.next_wakeup()
        assert wakeup is not None
        assert wakeup >= now + sessions.slack / 2
    assert sent >= PEERS * seconds / 0.1
    assert woken <= seconds / sessions.slack


@pytest.mark.parametrize(("interval", "slack"), [(10_000, 0.001), (50_000, 0.005), (100_000, 0.01), (1_000_000, 0.01)])
def test_the_slack_is_a_tenth_of_the_shortest_interval_and_ten_milliseconds_at_most(
    interval: int, slack: float
) -> None:
    sessions = node([0.5], interval)
    assert slack == pytest.approx(sessions.slack)
    sessions.add(99, path(99), Settings(), 1, 0.0)
    assert slack == pytest.approx(sessions.slack)
    for number in range(1, PEERS + 1):
        sessions.remove(number)
    assert pytest.approx(0.01) == sessions.slack


def test_a_silent_peer_is_given_up_when_its_time_is_over_and_not_when_the_next_packet_is_due() -> None:
    sessions = node([0.5], 100_000)
    fallen: dict[int, float] = {}
    while len(fallen) < PEERS:
        now = sessions.next_wakeup()
        assert now is not None
        sessions.due(now)
        fallen |= {number: now for number, event in sessions.take_events() if isinstance(event, Down)}
    assert [] == [at for at in fallen.values() if abs(at - 0.3) > 1e-9]


def test_the_first_packet_waits_for_nothing() -> None:
    pace = Pace(lambda: 0.5, 1_000_000, 5.0)
    assert pace.ready(5.0, 0.01)
    assert 5.0 == pace.deadline(0.01)


@pytest.mark.parametrize(("multiplier", "latest"), [(3, 1.0), (1, 0.9)])
@given(lot=st.floats(0.0, 1.0, exclude_max=True), slack=st.floats(0.0, 0.1))
def test_between_the_first_moment_and_the_last_there_is_all_of_the_slack(
    multiplier: int, latest: float, lot: float, slack: float
) -> None:
    pace = Pace(lambda: lot, 1_000_000, 5.0)
    pace.sent(6.0, 1_000_000, multiplier)
    last = pace.deadline(slack)
    assert not pace.ready(6.75 - 1e-9, slack)
    assert pace.ready(last - slack + 1e-9, slack)
    assert pace.ready(last, slack)
    assert last <= 6.0 + latest + 1e-9


def test_polling_is_for_those_to_whom_a_packet_comes_within_every_slack() -> None:
    sessions = node([0.5], 100_000)
    assert sessions.crowded
    for number in range(10, PEERS + 1):
        sessions.remove(number)
    assert not sessions.crowded
    assert node([0.5], 300_000).crowded
    assert not node([0.5], 1_000_000).crowded
