"""Two ends that began at once: what is left of their IKE_SAs when each has ended what seems of no use to it."""

from collections.abc import Sequence
from itertools import permutations, product

import pytest

from netlb.raven.backend import Remote
from netlb.raven.ipsec import ChildSa, Sa, child_name, to_do
from tests.support.tunnels import prefixes

SECONDS = 15
REMOTE = Remote(allowed=prefixes("10.1.0.0/24"))
CHILD = child_name(REMOTE) or ""


class End:
    """One of them: its SAs by SPI, when each was made and was of use last, and which it sends by first."""

    def __init__(self, numbers: Sequence[int], made: Sequence[int], order: Sequence[int]) -> None:
        """SPIs count from 0, as do the numbers by which each end knows them."""
        self._numbers = numbers
        self.made = dict(enumerate(made))
        self.used = dict(self.made)
        self._order = order

    @property
    def sends_by(self) -> int:
        return next(spi for spi in self._order if spi in self.made)

    def look(self, now: int) -> tuple[int, ...]:
        """Return what it ends."""
        sas = [
            Sa("peer", self._numbers[spi], str(spi), "ESTABLISHED", None, now - at, (self._child(spi, now),))
            for spi, at in self.made.items()
        ]
        return tuple(self._numbers.index(number) for number in to_do({"peer": REMOTE}, tuple(sas)).stale)

    def _child(self, spi: int, now: int) -> ChildSa:
        return ChildSa(CHILD, str(spi), "INSTALLED", 0, 0, now - self.made[spi], now - self.used[spi])


@pytest.mark.parametrize("heard", [True, False])
@pytest.mark.parametrize("missing", [None, (0, 0), (0, 1), (1, 0), (1, 1)])
def test_two_ends_that_began_at_once_keep_one_that_both_have(missing: tuple[int, int] | None, heard: bool) -> None:
    """In all orders. `missing`: an end, and the SA that it has not; `heard`: whether the other end hears of what is
    ended."""
    ages, orders = list(product((0, 1), repeat=2)), list(permutations((0, 1)))
    for made, order, first in product(product(ages, repeat=2), product(orders, repeat=2), (0, 1)):
        come_to_rest(made, order, missing, first, heard=heard)


def come_to_rest(
    made: Sequence[Sequence[int]],
    orders: Sequence[Sequence[int]],
    missing: tuple[int, int] | None,
    first: int,
    *,
    heard: bool,
) -> None:
    """`first`: who looks first in each second."""
    ends = [End(*each) for each in zip(((0, 1), (1, 0)), made, orders, strict=True)]
    if missing is not None:
        del ends[missing[0]].made[missing[1]]
    for now in range(SECONDS):
        for at in (first, 1 - first):
            end, other = ends[at], ends[1 - at]
            for spi in end.look(now):
                del end.made[spi]
                if heard:
                    other.made.pop(spi, None)
            assert ends[0].made.keys() & ends[1].made.keys()
        for end, other in (ends, reversed(ends)):
            if end.sends_by in other.made:
                other.used[end.sends_by] = now
    for end, other in (ends, reversed(ends)):
        assert end.sends_by in other.made
