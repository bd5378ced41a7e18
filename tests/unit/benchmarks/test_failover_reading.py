"""What answers and requests say about a change of owners, from answers that were never given."""

import pytest

from benchmarks.failover.reading import HAND_OVER, Answer, longest_gap, owner_changes, read

OLD, NEW, THIRD = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"
MS = 1_000_000


def answers(who: str, *milliseconds: float) -> list[Answer]:
    return [(round(each * MS), who) for each in milliseconds]


def test_a_crash_is_silence_until_another_node_answers() -> None:
    seen = [*answers(OLD, 6, 8), *answers(NEW, 310, 312, 314)]
    outcome = read(seen, [5 * MS, 330 * MS], old=OLD, fault=10 * MS, end=340 * MS)
    assert (300.0, 302.0, 0, 0, 0.0) == (
        outcome.takeover_ms,
        outcome.silence_ms,
        outcome.second,
        outcome.second_late,
        outcome.overlap_ms,
    )
    assert 325.0 == outcome.unserved_ms


def test_the_order_in_which_answers_were_noted_does_not_matter() -> None:
    seen = [*answers(NEW, 312, 310), *answers(OLD, 8, 6)]
    assert 300.0 == read(seen, [], old=OLD, fault=10 * MS, end=320 * MS).takeover_ms


def test_answers_of_the_old_owner_after_the_new_one_began_are_second() -> None:
    late = 20 + HAND_OVER / MS
    seen = [*answers(OLD, 8, 12, 20, 30, late, late + 1), *answers(NEW, 20, 31)]
    outcome = read(seen, [], old=OLD, fault=10 * MS, end=200 * MS)
    assert (3, 1, HAND_OVER / MS + 1) == (outcome.second, outcome.second_late, outcome.overlap_ms)


def test_a_third_node_takes_over_as_well_as_a_second() -> None:
    assert 5.0 == read(answers(THIRD, 15), [], old=OLD, fault=10 * MS, end=20 * MS).takeover_ms


def test_a_node_that_answered_before_the_fault_did_not_take_over_then() -> None:
    seen = [*answers(NEW, 5, 40), *answers(OLD, 6)]
    assert 30.0 == read(seen, [], old=OLD, fault=10 * MS, end=50 * MS).takeover_ms


def test_where_nobody_takes_over_the_silence_lasts_to_the_end() -> None:
    outcome = read(answers(OLD, 8), [], old=OLD, fault=10 * MS, end=500 * MS)
    assert (None, 492.0, 0, 490.0) == (
        outcome.takeover_ms,
        outcome.silence_ms,
        outcome.second,
        outcome.unserved_ms,
    )


@pytest.mark.parametrize(
    ("times", "gap"),
    [([], 90.0), ([10], 90.0), ([5, 50], 50.0), ([5, 12, 99], 87.0), ([10, 40, 100], 60.0), ([5, 20, 200], 80.0)],
)
def test_a_gap_begins_with_the_last_event_before_and_ends_with_the_end(times: list[int], gap: float) -> None:
    assert gap == longest_gap([each * MS for each in times], 10 * MS, 100 * MS)


def test_changes_of_owners_are_counted_in_the_order_of_answers() -> None:
    assert 0 == owner_changes([])
    assert 0 == owner_changes(answers(OLD, 1, 2, 3))
    assert 2 == owner_changes([*answers(OLD, 1, 4), *answers(NEW, 2, 3)])
