"""Percentiles and ratios. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from statistics import median
from typing import Self

__all__ = ["Summary", "median_of_ratios", "percentile"]


def percentile(values: Sequence[float], rank: float) -> float:
    """Return the smallest value that at least `rank` percent of all values do not exceed (nearest rank).

    The result is always one of the values: the 99th percentile of fewer than 100 values is the largest.
    ValueError where there are no values, or `rank` is not in 0..100.
    """
    if not values or not 0 <= rank <= 100:
        raise ValueError(f"no percentile {rank} of {len(values)} values")
    return sorted(values)[max(0, ceil(len(values) * rank / 100) - 1)]


def median_of_ratios(values: Sequence[float], references: Sequence[float]) -> float:
    """Return the median of value over reference, pair by pair; ValueError where they do not pair.

    The two of a pair were measured within seconds of each other, so that a machine that grows slower from round to
    round moves both, and not the ratio.
    """
    return median(value / reference for value, reference in zip(values, references, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What is kept of many measured values; in their unit."""

    count: int
    minimum: float
    p50: float
    p90: float
    p99: float
    maximum: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Summarise; ValueError where there are no values."""
        ordered = sorted(values)
        return cls(
            count=len(ordered),
            minimum=percentile(ordered, 0),
            p50=percentile(ordered, 50),
            p90=percentile(ordered, 90),
            p99=percentile(ordered, 99),
            maximum=percentile(ordered, 100),
        )
