"""Routes as rtnetlink has them: pyroute2's codec, which knows nothing of ours, reads what is packed and packs what is
read."""

import struct
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from netlb.raven.dataplane import Route, RouteKind
from netlb.raven.objects import RouteKey, Strange
from netlb.raven.rtmsg import HEADER, Entry, Flag, Kind, decode, delete_route, dump_routes, messages, new_route

NAMES = {5: "raven0", 1: "lo"}
FLAGS = Flag.REQUEST | Flag.CREATE | Flag.EXCLUSIVE

ROUTES = {
    "tunnel": Route(
        prefix=ip_network("10.2.0.0/16"), table=9028, device="raven0", source=ip_address("10.1.1.1"), mtu=1420
    ),
    "overlay": Route(
        prefix=ip_network("10.2.3.0/24"), table=9027, device="raven0", via=ip_address("240.1.2.3"), mtu=1400
    ),
    "six": Route(
        prefix=ip_network("fd00:2::/32"),
        table=9027,
        device="raven0",
        via=ip_address("fe80::ffff"),
        source=ip_address("fd00:1::1"),
        mtu=1280,
    ),
    "unreachable": Route(prefix=ip_network("10.2.0.0/16"), table=9028, kind=RouteKind.UNREACHABLE, metric=1 << 20),
    "unreachable-six": Route(prefix=ip_network("::/0"), table=9028, kind=RouteKind.UNREACHABLE, metric=1 << 20),
    "throw": Route(prefix=ip_network("192.0.2.1/32"), table=9028, kind=RouteKind.THROW),
    "default": Route(prefix=ip_network("0.0.0.0/0"), table=4000000000, device="raven0"),
}


def by_pyroute2(data: bytes) -> dict[str, Any]:
    message = rtmsg(data)
    message.decode()
    metrics = message.get_attr("RTA_METRICS")
    return {
        "family": message["family"],
        "dst": f"{message.get_attr('RTA_DST')}/{message['dst_len']}",
        "table": message.get_attr("RTA_TABLE"),
        "proto": message["proto"],
        "type": message["type"],
        "scope": message["scope"],
        "flags": message["flags"],
        "oif": message.get_attr("RTA_OIF"),
        "gateway": message.get_attr("RTA_GATEWAY"),
        "prefsrc": message.get_attr("RTA_PREFSRC"),
        "priority": message.get_attr("RTA_PRIORITY"),
        "mtu": metrics.get_attr("RTAX_MTU") if metrics else None,
    }


@pytest.mark.parametrize("name", ROUTES)
def test_pyroute2_reads_what_is_packed(name: str) -> None:
    route = ROUTES[name]
    data = new_route(route, 107, 5 if route.device else 0, FLAGS, 77)
    assert (len(data), Kind.NEW_ROUTE, FLAGS, 77, 0) == HEADER.unpack_from(data)
    linked = route.device and route.via is None and route.prefix.version == 4
    assert {
        "family": 2 if route.prefix.version == 4 else 10,
        "dst": str(route.prefix),
        "table": route.table,
        "proto": 107,
        "type": {RouteKind.UNICAST: 1, RouteKind.UNREACHABLE: 7, RouteKind.THROW: 9}[route.kind],
        "scope": 253 if linked else 0,
        "flags": 4 if route.via else 0,
        "oif": 5 if route.device else None,
        "gateway": str(route.via) if route.via else None,
        "prefsrc": str(route.source) if route.source else None,
        "priority": route.metric or None,
        "mtu": route.mtu or None,
    } == by_pyroute2(data)


@pytest.mark.parametrize("name", ROUTES)
def test_what_is_packed_is_read_back(name: str) -> None:
    route = ROUTES[name]
    data = new_route(route, 107, 5 if route.device else 0, FLAGS, 77)
    ((kind, flags, sequence, body),) = messages(data)
    assert (Kind.NEW_ROUTE, FLAGS, 77) == (kind, flags, sequence)
    entry = decode(body, NAMES.__getitem__)
    assert (RouteKey(route.prefix, route.table, route.metric), 107, route) == (entry.key, entry.protocol, entry.route)


@st.composite
def routes(draw: st.DrawFn) -> Route:
    address = draw(st.ip_addresses(v=4) | st.ip_addresses(v=6))
    kind = draw(st.sampled_from(list(RouteKind)))
    unicast = kind is RouteKind.UNICAST
    return Route(
        prefix=ip_network(f"{address}/{draw(st.integers(0, 32))}", strict=False),
        table=draw(st.integers(256, 2**32 - 1)),
        kind=kind,
        device="raven0" if unicast else "",
        via=address if unicast and draw(st.booleans()) else None,
        source=address if unicast else None,
        mtu=draw(st.integers(0, 65535)) if unicast else 0,
        metric=draw(st.integers(0, 2**31).filter(lambda metric: metric != 1024)),
    )


@given(routes())
def test_any_route_is_read_back(route: Route) -> None:
    body = new_route(route, 200, 5 if route.device else 0, FLAGS, 1)[HEADER.size :]
    assert route == decode(body, NAMES.__getitem__).route


def packed(**fields: Any) -> bytes:
    """A route as pyroute2 packs it: 10.2.0.0/16 in table 9028 by protocol 107, but for what is said."""
    attributes = {"RTA_DST": "10.2.0.0", "RTA_TABLE": 9028, **fields.pop("attrs", {})}
    message = rtmsg()
    given: dict[str, Any] = {"family": 2, "dst_len": 16, "table": 252, "proto": 107, "type": 7, **fields}
    for name, value in given.items():
        message[name] = value
    message["attrs"] = list(attributes.items())
    message.encode()
    return bytes(message.data)[HEADER.size :]


def test_what_pyroute2_packs_is_read() -> None:
    route = Route(prefix=ip_network("10.2.0.0/16"), table=9028, kind=RouteKind.UNREACHABLE, metric=7)
    assert Entry(RouteKey(route.prefix, 9028, 7), 107, 7, route) == decode(
        packed(attrs={"RTA_PRIORITY": 7}), NAMES.__getitem__
    )


@pytest.mark.parametrize(
    "odd",
    [
        {"type": 6},
        {"tos": 16},
        {"src_len": 8},
        {"scope": 253},
        {"flags": 4},
        {"attrs": {"RTA_METRICS": {"attrs": [("RTAX_LOCK", 4)]}}},
        {"attrs": {"RTA_PREF": 1}},
        {"attrs": {"RTA_FLOW": 9}},
        {"type": 1, "attrs": {"RTA_OIF": 5, "RTA_GATEWAY": "240.0.0.1"}},
        {"type": 1, "attrs": {"RTA_OIF": 5}},
    ],
    ids=str,
)
def test_what_we_never_say_is_strange_and_keeps_its_place(odd: dict[str, Any]) -> None:
    entry = decode(packed(**odd), NAMES.__getitem__)
    assert RouteKey(ip_network("10.2.0.0/16"), 9028, 0) == entry.key
    assert isinstance(entry.route, Strange), entry


def test_what_the_kernel_adds_to_an_ipv6_route_is_left_out() -> None:
    said = Route(prefix=ip_network("fd00::/16"), table=9028, device="raven0")
    body = packed(
        family=10,
        type=1,
        attrs={"RTA_DST": "fd00::", "RTA_OIF": 5, "RTA_PRIORITY": 1024, "RTA_PREF": 0, "RTA_CACHEINFO": {}},
    )
    assert (RouteKey(said.prefix, 9028, 0), said) == (
        decode(body, NAMES.__getitem__).key,
        decode(body, NAMES.__getitem__).route,
    )


@pytest.mark.parametrize(
    ("prefix", "metric", "priority"), [("10.2.0.0/16", 0, None), ("fd00::/16", 0, 1024), ("fd00::/16", 9, 9)]
)
def test_a_route_is_removed_by_everything_that_tells_it_from_others(
    prefix: str, metric: int, priority: int | None
) -> None:
    data = delete_route(RouteKey(ip_network(prefix), 9027, metric), 107, 7, Flag.REQUEST, 3)
    assert (len(data), Kind.DEL_ROUTE, Flag.REQUEST, 3, 0) == HEADER.unpack_from(data)
    read = by_pyroute2(data)
    assert (prefix, 9027, 107, 7, 255, priority) == tuple(
        read[name] for name in ("dst", "table", "proto", "type", "scope", "priority")
    )


def test_a_dump_asks_for_one_table() -> None:
    data = dump_routes(6, 9028, 4)
    assert (len(data), Kind.GET_ROUTE, Flag.REQUEST | Flag.DUMP, 4, 0) == HEADER.unpack_from(data)
    assert (10, 9028, 0) == tuple(by_pyroute2(data)[name] for name in ("family", "table", "proto"))


def test_what_is_cut_off_is_an_error_at_every_octet() -> None:
    data = new_route(replace(ROUTES["tunnel"], metric=5), 107, 5, FLAGS, 1)
    for length in range(1, len(data)):
        with pytest.raises(ValueError, match="cut off"):
            list(messages(data[:length]))
    body = data[HEADER.size :]
    for length in range(len(body)):
        # Between two attributes a shorter message is one, too.
        with suppress(ValueError):
            decode(body[:length], NAMES.__getitem__)


def test_an_attribute_of_no_length_does_not_hang() -> None:
    body = packed()[:12] + struct.pack("=HH", 0, 1) * 4
    with pytest.raises(ValueError, match="cut off"):
        decode(body, NAMES.__getitem__)
