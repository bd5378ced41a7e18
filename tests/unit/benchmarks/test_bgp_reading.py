"""What datagrams say about a node that fails, and a kernel about its routes; from what was never sent."""

import struct
from ipaddress import IPv4Address

import pytest

from benchmarks.bgp.feeding import FIRST, MANY, routes
from benchmarks.bgp.monitor import Table
from benchmarks.bgp.reading import Datagram, read

MS = 1_000_000
NEWROUTE, DELROUTE = 24, 25


def sent(*answers: str | None, begin: int = 0, every: int = 10) -> list[Datagram]:
    return [((begin + number * every) * MS, who) for number, who in enumerate(answers)]


def test_traffic_has_moved_when_nothing_is_lost_and_the_node_answers_no_more() -> None:
    before = sent("one", "two", "one", "two")
    after = sent("two", None, None, "two", "two", begin=100)
    moved = read([*after, *before], node="one", fault=95 * MS)
    assert (0.5, 25.0, 2, 10.0) == (moved.share, moved.moved_ms, moved.lost, moved.interrupted_ms)


def test_a_node_that_goes_on_answering_has_not_been_left_yet() -> None:
    moved = read(sent("one", "two", "one", "two", "one", "two"), node="one", fault=25 * MS)
    assert (15.0, 0, 0.0) == (moved.moved_ms, moved.lost, moved.interrupted_ms)


def test_traffic_that_moves_at_once_takes_no_time() -> None:
    assert 0.0 == read([*sent("one", "two"), *sent("two", "two", begin=50)], node="one", fault=40 * MS).moved_ms


def test_what_is_under_way_at_the_fault_may_be_lost_and_is_counted() -> None:
    moved = read([*sent("one", "two", "one"), *sent(None, "two", begin=45)], node="one", fault=50 * MS)
    assert (1, 0.0) == (moved.lost, moved.moved_ms)


@pytest.mark.parametrize("before", [[], ["two", "two"], ["one", None]])
def test_an_address_that_did_not_work_before_is_no_measurement(before: list[str | None]) -> None:
    with pytest.raises(ValueError, match="one did not take its part"):
        read([*sent(*before), *sent("two", begin=100)], node="one", fault=100 * MS)


def message(kind: int, destination: str, *, length: int = 32, table_first: bool = True) -> bytes:
    attributes = [struct.pack("=HH4s", 8, 1, IPv4Address(destination).packed)]
    table = struct.pack("=HHI", 8, 15, 254)
    attributes = [table, *attributes] if table_first else [*attributes, table]
    body = struct.pack("=BBBBBBBBI", 2, length, 0, 0, 254, 186, 0, 1, 0) + b"".join(attributes)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def test_routes_come_and_go_in_the_order_of_the_kernels_messages() -> None:
    table = Table(b"\x0a\x40")
    table.hear(message(NEWROUTE, "10.64.0.1") + message(NEWROUTE, "10.64.0.2", table_first=False), 7)
    assert (2, 2, 7) == (len(table.routes), table.changes, table.last)
    table.hear(message(DELROUTE, "10.64.0.1"), 9)
    assert ({IPv4Address("10.64.0.2").packed}, 3, 9) == (table.routes, table.changes, table.last)


def test_a_route_that_is_replaced_is_one_route() -> None:
    table = Table(b"\x0a\x40")
    table.hear(message(NEWROUTE, "10.64.0.1") * 2, 7)
    assert (1, 2) == (len(table.routes), table.changes)


def test_other_routes_are_passed_over() -> None:
    table = Table(b"\x0a\x40")
    table.hear(message(NEWROUTE, "10.65.0.1") + message(NEWROUTE, "10.64.0.0", length=24) + message(20, "10.64.0.1"), 7)
    assert (set(), 0) == (table.routes, table.changes)


def test_the_routes_are_distinct_and_under_the_prefix_that_is_followed() -> None:
    prefixes = [route.prefix for route in routes(IPv4Address("192.0.2.1"))]
    assert MANY == len(set(prefixes))
    assert {FIRST.packed[:2]} == {prefix.network_address.packed[:2] for prefix in prefixes}
