"""For how long a worker goes on without its program."""

import pytest

from netlb.worker.beats import BEAT, next_beat
from netlb.worker.leash import Leash
from netlb.worker.terms import Terms


def awake(leash: Leash, begin: float, end: float) -> str | None:
    """Let a worker turn until then, as its loop does; return why it would have ended."""
    now = begin
    while now < end:
        now = min(end, now + 0.5)
        if (why := leash.why_over(now)) is not None:
            return f"{now:g} s: {why}"
    return None


def test_a_program_that_is_heard_is_served() -> None:
    leash = Leash(3.0, outlives=False, now=0.0)
    for second in range(60):
        assert awake(leash, second, second + 1) is None
        leash.heard(second + 1)


@pytest.mark.parametrize("outlives", [False, True])
def test_one_that_stands_still_is_waited_for(outlives: bool) -> None:
    leash = Leash(3.0, outlives=outlives, now=0.0)
    leash.heard(1.0)
    assert "4.5 s: the program's event loop stood still for more than 3 s" == awake(leash, 0.0, 10.0)


def test_one_that_dies_ends_a_worker_that_does_not_outlive_it() -> None:
    leash = Leash(3.0, outlives=False, now=0.0)
    leash.lost()
    assert "the program is gone" == leash.why_over(0.1)


def test_one_that_dies_is_as_one_that_stands_still() -> None:
    leash = Leash(3.0, outlives=True, now=0.0)
    leash.heard(1.0)
    assert awake(leash, 0.0, 3.0) is None
    leash.lost()
    assert "4.5 s: the program is gone, and no other took its place within 3 s" == awake(leash, 3.0, 10.0)


def test_another_program_is_served_as_long_as_it_is_heard() -> None:
    leash = Leash(3.0, outlives=True, now=0.0)
    leash.lost()
    assert awake(leash, 0.0, 2.0) is None
    leash.adopted(2.0)
    assert awake(leash, 2.0, 4.0) is None
    leash.heard(4.0, decided=True)
    assert awake(leash, 4.0, 7.0) is None
    leash.heard(7.0)
    assert awake(leash, 7.0, 10.0) is None


def test_another_program_must_come_to_know_what_it_wants() -> None:
    leash = Leash(3.0, outlives=True, now=0.0)
    leash.lost()
    assert awake(leash, 0.0, 2.0) is None
    leash.adopted(2.0)
    for at in (3.0, 4.0, 5.0):
        assert awake(leash, at - 1.0, at) is None
        leash.heard(at)
    assert "5.5 s: the program did not know what it wants within 3 s" == awake(leash, 5.0, 10.0)


def test_programs_that_know_nothing_do_not_keep_it_alive_one_after_the_other() -> None:
    leash = Leash(3.0, outlives=True, now=0.0)
    for now in (1.0, 2.0, 3.0):
        leash.lost()
        assert awake(leash, now - 1.0, now) is None
        leash.adopted(now)
        leash.heard(now)
    assert awake(leash, 3.0, 4.0) is None  # 3 s since the first took over
    assert leash.why_over(4.5) is not None


def test_who_was_asleep_finds_nobody_guilty() -> None:
    leash = Leash(3.0, outlives=True, now=0.0)
    assert leash.why_over(100.0) is None
    assert awake(leash, 100.0, 103.0) is None
    assert awake(leash, 103.0, 104.0) is not None


def test_an_orphan_that_was_asleep_gains_nothing() -> None:
    leash = Leash(3.0, outlives=True, now=0.0)
    leash.lost()
    assert leash.why_over(100.0) is not None


@pytest.mark.parametrize("terms", [Terms(10.0), Terms(5.5, "/run/netlb/workers-a b", "bfd", "0.1.0 node auto net:[1]")])
def test_terms_are_read_as_they_are_written(terms: Terms) -> None:
    assert terms == Terms.parse(terms.arguments())


def test_a_worker_is_awake_when_it_is_time_to_end() -> None:
    leash = Leash(10.0, outlives=True, now=1.0)
    assert 11.0 == leash.ends_at
    leash.heard(5.0)
    leash.lost()
    assert 15.0 == leash.ends_at


@pytest.mark.parametrize("now", [0.0, 0.3, 12_345.678, 1e9 + 0.1])
def test_beats_are_at_the_same_moments_for_all(now: float) -> None:
    then = next_beat(now)
    assert now < then <= now + BEAT
    assert then == pytest.approx(round(then / BEAT) * BEAT)
    assert then == next_beat((now + then) / 2)
