"""Free space of a pool, at any size."""

import pytest

from netlb.api.v1alpha1 import AddressPoolSpec
from netlb.ipam.space import Space
from netlb.net import Family, parse_address

V4, V6 = Family.IPV4, Family.IPV6


def space(*addresses: str, avoid: bool = False) -> Space:
    return Space(AddressPoolSpec(addresses=addresses, avoid_buggy_ips=avoid))


def drain(pool: Space, family: Family) -> list[str]:
    given = []
    while (address := pool.lowest(family)) is not None:
        pool.take(address)
        given.append(str(address))
    return given


def test_ranges_are_given_in_written_order_the_lowest_address_first() -> None:
    pool = space("192.0.2.8/31", "192.0.2.1-192.0.2.2", "fd00::1")
    assert ["192.0.2.8", "192.0.2.9", "192.0.2.1", "192.0.2.2"] == drain(pool, V4)
    assert ["fd00::1"] == drain(pool, V6)


def test_what_is_given_back_is_given_again() -> None:
    pool = space("192.0.2.1-192.0.2.5")
    drain(pool, V4)
    for text in ("192.0.2.4", "192.0.2.2", "192.0.2.3"):
        pool.give_back(parse_address(text))
    assert (5, 2) == (pool.size(V4), pool.held(V4))
    assert ["192.0.2.2", "192.0.2.3", "192.0.2.4"] == drain(pool, V4)


def test_space_that_is_given_back_does_not_stay_in_pieces() -> None:
    pool = space("192.0.2.1-192.0.2.5")
    drain(pool, V4)
    for last in (2, 4, 3, 1, 5):
        pool.give_back(parse_address(f"192.0.2.{last}"))
    assert 1 == len(pool._free[0]._starts) == len(pool._free[0]._ends)


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
    pool = space(text, avoid=True)
    assert size == pool.size(V4)
    if size < 1000:
        given = drain(pool, V4)
        assert size == len(given)
        assert not [address for address in given if address.endswith((".0", ".255"))]


@pytest.mark.parametrize(("text", "bits"), [("2000::/3", 125), ("2001:db8::/32", 96), ("fd00::/64", 64)])
def test_sizes_are_exact_however_large(text: str, bits: int) -> None:
    pool = space(text)
    assert 2**bits == pool.size(V6)
    first = pool.lowest(V6)
    assert first is not None
    pool.take(first)
    assert 1 == pool.held(V6)
    assert int(first) + 1 == int(pool.lowest(V6) or 0)


def test_what_no_station_can_have_is_neither_given_nor_counted() -> None:
    everything = space("0.0.0.0/0", "::/0")
    assert 2**128 - 2**120 - 2 == everything.size(V6)
    assert 2**32 - 2**28 - 2**24 - 2 == everything.size(V4)
    assert ("0.0.0.1", "::2") == (str(everything.lowest(V4)), str(everything.lowest(V6)))
