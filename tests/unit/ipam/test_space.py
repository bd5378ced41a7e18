"""Free space of a pool, at any size."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlb.api.v1alpha1 import AddressPoolSpec
from netlb.ipam.space import Space
from netlb.net import Family, parse_address, to_address

V4, V6 = Family.IPV4, Family.IPV6


def space(family: Family, *addresses: str, avoid: bool = False) -> Space:
    return Space(family, AddressPoolSpec(addresses=addresses).spans, avoid_buggy=avoid)


def drain(family: Family, pool: Space) -> list[str]:
    given = []
    while (value := pool.lowest()) is not None:
        pool.take(value)
        given.append(str(to_address(family, value)))
    return given


def number(text: str) -> int:
    return int(parse_address(text))


def test_ranges_are_given_in_written_order_the_lowest_address_first() -> None:
    written = ("192.0.2.8/31", "192.0.2.1-192.0.2.2", "fd00::1")
    assert ["192.0.2.8", "192.0.2.9", "192.0.2.1", "192.0.2.2"] == drain(V4, space(V4, *written))
    assert ["fd00::1"] == drain(V6, space(V6, *written))


def test_what_is_given_back_is_given_again() -> None:
    pool = space(V4, "192.0.2.1-192.0.2.5")
    drain(V4, pool)
    for text in ("192.0.2.4", "192.0.2.2", "192.0.2.3"):
        pool.give_back(number(text))
    assert (5, 2) == (pool.size, pool.held)
    assert ["192.0.2.2", "192.0.2.3", "192.0.2.4"] == drain(V4, pool)


@pytest.mark.parametrize("order", list(permutations(range(1, 5))), ids=str)
def test_space_that_is_given_back_does_not_stay_in_pieces(order: tuple[int, ...]) -> None:
    pool = space(V4, "192.0.2.1-192.0.2.4")
    drain(V4, pool)
    for last in order:
        pool.give_back(number(f"192.0.2.{last}"))
    assert 1 == len(pool._starts) == len(pool._ends)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 29)), max_size=80))
def test_a_space_is_a_set_of_free_numbers(steps: list[tuple[bool, int]]) -> None:
    pool, base = space(V4, "192.0.2.20-192.0.2.29", "192.0.2.0-192.0.2.9"), number("192.0.2.0")
    free = {*range(20, 30), *range(10)}
    everything = set(free)
    for taking, last in steps:
        if taking and last in free:
            pool.take(base + last)
            free.discard(last)
        elif not taking and last in everything - free:
            pool.give_back(base + last)
            free.add(last)
        first = min(free, key=lambda each: (each < 20, each), default=None)
        assert (first is None) == (pool.lowest() is None)
        assert pool.lowest() == (None if first is None else base + first)
        assert {each for each in range(30) if pool.is_free(base + each)} == free
        assert len(everything - free) == pool.held


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("10.0.0.0/8", 2**24 - 2 * 2**16),
        ("192.0.2.0/24", 254),
        ("192.0.2.255-192.0.3.0", 0),
        ("192.0.2.1-192.0.2.254", 254),
        ("192.0.2.255", 0),
        ("0.0.0.1-0.0.1.0", 254),
    ],
)
def test_buggy_addresses_are_neither_given_nor_counted(text: str, size: int) -> None:
    pool = space(V4, text, avoid=True)
    assert size == pool.size
    if size < 1000:
        given = drain(V4, pool)
        assert size == len(given)
        assert not [address for address in given if address.endswith((".0", ".255"))]


@pytest.mark.parametrize(("text", "bits"), [("2000::/3", 125), ("2001:db8::/32", 96), ("fd00::/64", 64)])
def test_sizes_are_exact_however_large(text: str, bits: int) -> None:
    pool = space(V6, text)
    assert 2**bits == pool.size
    first = pool.lowest()
    assert first is not None
    pool.take(first)
    assert (1, first + 1) == (pool.held, pool.lowest())


def test_what_no_station_can_have_is_neither_given_nor_counted() -> None:
    four, six = space(V4, "0.0.0.0/0", "::/0"), space(V6, "0.0.0.0/0", "::/0")
    assert 2**128 - 2**120 - 2 == six.size
    assert 2**32 - 2**28 - 2**24 - 2 == four.size
    assert (1, 2) == (four.lowest(), six.lowest())
