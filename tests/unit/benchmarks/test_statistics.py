"""Percentiles, summaries and ratios."""

import pytest

from benchmarks.harness.statistics import Summary, median_of_ratios, percentile


@pytest.mark.parametrize(
    ("rank", "expected"),
    [(0, 15), (5, 15), (30, 20), (40, 20), (50, 35), (99, 50), (100, 50)],
)
def test_a_percentile_is_the_value_of_nearest_rank(rank: float, expected: float) -> None:
    assert expected == percentile([40, 15, 50, 35, 20], rank)


def test_p99_of_a_hundred_leaves_one_out_and_of_ninety_nine_none() -> None:
    assert 99 == percentile(range(1, 101), 99)
    assert 99 == percentile(range(1, 100), 99)


@pytest.mark.parametrize(("values", "rank"), [([], 50), ([1.0], -1), ([1.0], 101)])
def test_no_percentile_of_nothing_or_beyond_the_ends(values: list[float], rank: float) -> None:
    with pytest.raises(ValueError, match="no percentile"):
        percentile(values, rank)


def test_a_summary_does_not_depend_on_the_order() -> None:
    values = [float(value) for value in range(200, 0, -1)]
    expected = Summary(count=200, minimum=1, p50=100, p90=180, p99=198, maximum=200)
    assert expected == Summary.of(values) == Summary.of(values[::-1])


def test_ratios_are_taken_pair_by_pair() -> None:
    """The machine was ten times slower in the last round, for both."""
    assert 2.0 == median_of_ratios([2.0, 4.4, 20.0], [1.0, 2.0, 10.0])


def test_ratios_of_unpaired_values_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        median_of_ratios([1.0, 2.0], [1.0])
