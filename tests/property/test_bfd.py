"""Laws of two sessions on a link that loses, delays and reorders packets, for all settings and all changes of them."""

from collections.abc import Callable
from dataclasses import replace
from itertools import cycle

from hypothesis import given, settings
from hypothesis import strategies as st

from netlb.bfd.events import AdminDown, Down
from netlb.bfd.packet import Diagnostic, Key, State
from netlb.bfd.settings import Settings
from tests.unit.bfd.link import Link, Sent

Lots = tuple[float, ...]
MILLISECOND = 1_000
intervals = st.sampled_from([20, 100, 300, 1_000, 2_500]).map(lambda ms: ms * MILLISECOND)
multipliers = st.integers(1, 10)
keys = st.sampled_from([None, Key(1, b"both ends know", meticulous=True), Key(1, b"both ends know", meticulous=False)])
lots = st.lists(st.floats(0.0, 1.0, exclude_max=True), min_size=1, max_size=20).map(tuple)
one_end = st.builds(Settings, intervals, intervals, multipliers)


def both(first: Settings, second: Settings, key: Key | None) -> tuple[Settings, Settings]:
    return replace(first, key=key), replace(second, key=key)


def delays(values: list[float]) -> Callable[[int, float], float]:
    drawn = cycle(values)
    return lambda _sender, _now: next(drawn)


COME_UP = 15.0
"""Seconds in which two ends that hear each other are up: a few packets of 2.5 s."""


@settings(max_examples=40)
@given(one_end, one_end, keys, lots, st.lists(st.floats(0.0, 0.001), min_size=1, max_size=9))
def test_they_come_up_and_never_flap_where_nothing_is_lost(
    first: Settings, second: Settings, key: Key | None, drawn: Lots, ways: list[float]
) -> None:
    link = Link(both(first, second, key), lots=drawn)
    link.run(COME_UP)
    # Now packets may overtake each other, but for numbered ones, which count as lost then. With a multiplier of 1 the
    # RFC leaves a tenth of the interval for delays to differ.
    link.carry = delays(ways if key is None else ways[:1])
    link.run(10.0)
    for end, other in ((0, 1), (1, 0)):
        session, peer = link.ends[end], link.ends[other]
        assert (State.UP, 1, 0, False) == (session.state, session.ups, session.downs, session.polling)
        mine, theirs = session.settings, peer.settings
        assert max(mine.transmit_interval, theirs.receive_interval) == session.transmit_interval
        agreed = max(mine.receive_interval, theirs.transmit_interval)
        assert theirs.detect_multiplier * agreed == session.detection_time
        assert {} == session.dropped


@settings(max_examples=40)
@given(one_end, one_end, keys, lots, st.booleans())
def test_they_do_not_come_up_where_one_direction_is_cut(
    first: Settings, second: Settings, key: Key | None, drawn: Lots, cut: bool
) -> None:
    link = Link(both(first, second, key), lambda sender, _: None if sender == cut else 0.001, drawn)
    link.run(30.0)
    assert [0, 0] == [end.ups for end in link.ends]
    assert [] == link.events


@settings(max_examples=40)
@given(one_end, one_end, keys, lots, st.integers(0, 1), st.booleans())
def test_a_cut_is_found_in_the_detection_time_and_by_the_other_end_soon_after(  # noqa: PLR0917 - as many as there are dimensions
    first: Settings, second: Settings, key: Key | None, drawn: Lots, cut: int, wholly: bool
) -> None:
    link = Link(both(first, second, key), lots=drawn)
    link.run(COME_UP)
    at = link.now
    link.carry = lambda sender, _now: None if wholly or sender == cut else 0.001
    blind, deaf = link.ends[cut], link.ends[1 - cut]
    bound, other_bound = deaf.detection_time / 1e6, blind.detection_time / 1e6
    link.run(0.0011 + bound + 0.001 + 1e-6)
    assert State.DOWN is deaf.state
    (fell,) = link.happened(1 - cut, Down)
    assert Diagnostic.CONTROL_DETECTION_TIME_EXPIRED == fell.diagnostic
    found_at = next(when for when, end, event in link.events if end == 1 - cut and event is fell)
    assert at < found_at <= at + 0.001 + bound + 1e-6
    link.run(max(0.002, other_bound) + 1e-6)
    (told,) = link.happened(cut, Down)
    signalled = Diagnostic.NEIGHBOR_SIGNALED_SESSION_DOWN
    assert told.diagnostic in (
        {Diagnostic.CONTROL_DETECTION_TIME_EXPIRED}
        if wholly
        else {signalled, Diagnostic.CONTROL_DETECTION_TIME_EXPIRED}
    )
    link.carry = lambda _sender, _now: 0.001
    # With a key, what was sent into the cut may have left the window: it is believed anew after twice the time.
    link.run(COME_UP + 2 * 10 * 2.5)
    assert [State.UP, State.UP] == [end.state for end in link.ends]
    assert [(2, 1), (2, 1)] == [(end.ups, end.downs) for end in link.ends]


@settings(max_examples=40)
@given(
    one_end,
    one_end,
    lots,
    st.lists(st.tuples(st.integers(0, 1), one_end, st.floats(0.0, 3.0)), max_size=8),
)
def test_changes_never_make_a_session_flap_and_every_poll_ends(
    first: Settings, second: Settings, drawn: Lots, changes: list[tuple[int, Settings, float]]
) -> None:
    link = Link((first, second), lots=drawn)
    link.run(COME_UP)
    wanted = [first, second]
    for end, change, pause in changes:
        wanted[end] = change
        link.change(end, change)
        link.run(pause)
    link.run(COME_UP)
    for end, other in ((0, 1), (1, 0)):
        session = link.ends[end]
        assert (State.UP, 1, 0, False) == (session.state, session.ups, session.downs, session.polling)
        assert max(wanted[end].transmit_interval, wanted[other].receive_interval) == session.transmit_interval
        agreed = max(wanted[end].receive_interval, wanted[other].transmit_interval)
        assert wanted[other].detect_multiplier * agreed == session.detection_time
    assert not [sent for sent in link.sent if sent.packet.poll and sent.packet.final]


def same(one: Sent, other: Sent) -> bool:
    plain = {"poll": False, "final": False, "authentication": None}
    return one.packet._replace(**plain) == other.packet._replace(**plain)  # type: ignore[arg-type]


@settings(max_examples=40)
@given(one_end, one_end, keys, lots, st.lists(st.sampled_from([None, 0.0, 0.001, 0.05, 0.4]), min_size=1, max_size=30))
def test_nobody_sends_faster_than_negotiated_whatever_is_lost(
    first: Settings,
    second: Settings,
    key: Key | None,
    drawn: Lots,
    ways: list[float | None],
) -> None:
    route = cycle(ways)
    link = Link(both(first, second, key), lambda _sender, _now: next(route), drawn)
    link.run(30.0)
    for end in (0, 1):
        mine = [sent for sent in link.sent if sent.sender == end]
        assert all(sent.packet.desired_min_tx >= 1_000_000 for sent in mine if sent.packet.state is not State.UP)
        assert not any(sent.packet.demand or sent.packet.required_min_echo_rx for sent in mine)
        periodic = [sent for sent in mine if not sent.packet.final]
        said = mine[0]
        last_periodic = periodic[0]
        for sent in mine[1:]:
            # What differs from the last packet may be said at once, and a Final is owed at once.
            if not sent.packet.final:
                if same(said, sent):
                    least = 0.75 * min(sent.interval, last_periodic.interval) / 1e6
                    assert sent.at - last_periodic.at >= least - 1e-6
                last_periodic = sent
            said = sent


@settings(max_examples=40)
@given(one_end, one_end, keys, lots, st.integers(0, 1), st.floats(0.0, 30.0))
def test_leaving_on_purpose_is_never_a_failure(  # noqa: PLR0917 - as many as there are dimensions
    first: Settings, second: Settings, key: Key | None, drawn: Lots, end: int, when: float
) -> None:
    link = Link(both(first, second, key), lots=drawn)
    link.run(when)
    link.stop(end)
    link.run(60.0)
    assert link.ends[end].over
    assert State.DOWN is link.ends[1 - end].state
    assert [0, 0] == [session.downs for session in link.ends]
    assert [] == [event for _, _, event in link.events if isinstance(event, Down)]
    assert len(link.happened(1 - end, AdminDown)) <= 1
