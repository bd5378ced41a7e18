"""What datagrams say about a gateway that fails."""

import pytest

from benchmarks.raven.reading import Datagram, Interruption, read

MS = 1_000_000


def sent(times: range, *, lost: range = range(0), late: int = 1) -> list[Datagram]:
    """Datagrams sent at these milliseconds, of which some were lost, each answered after a millisecond."""
    return [(at * MS, None if at in lost else (at + late) * MS) for at in times]


def test_what_is_lost_counts_until_the_first_answer_after_the_last_of_it() -> None:
    found = read(sent(range(0, 1000, 10), lost=range(300, 500)), fault=295 * MS)
    assert Interruption(restored_ms=206.0, silent_ms=210.0, lost=20) == found


def test_where_nothing_is_lost_all_is_well_at_once_whatever_the_silence() -> None:
    asked = sent(range(0, 300, 10)) + [(at * MS, (400 + at // 100) * MS) for at in range(300, 400, 10)]
    assert Interruption(restored_ms=0.0, silent_ms=112.0, lost=0) == read(asked, fault=300 * MS)


def test_a_single_answer_amid_losses_restores_nothing() -> None:
    asked = sent(range(0, 300, 10)) + sent(range(300, 400, 10), lost=range(310, 400)) + sent(range(400, 500, 10))
    assert Interruption(restored_ms=101.0, silent_ms=100.0, lost=9) == read(asked, fault=300 * MS)


def test_what_is_never_answered_again_is_not_restored() -> None:
    found = read(sent(range(0, 1000, 10), lost=range(300, 1000)), fault=300 * MS)
    assert Interruption(restored_ms=None, silent_ms=699.0, lost=70) == found


def test_what_was_under_way_counts_and_what_was_lost_long_before_does_not() -> None:
    asked = sent(range(0, 1000, 10), lost=range(100, 200)) + sent(range(1000, 1100, 10), lost=range(1000, 1030))
    assert Interruption(restored_ms=21.0, silent_ms=40.0, lost=3) == read(asked, fault=1010 * MS)


def test_without_an_answer_from_before_there_is_nothing_to_compare() -> None:
    with pytest.raises(ValueError, match="before anything happened"):
        read(sent(range(0, 100, 10), lost=range(100)), fault=50 * MS)
