"""What netlink says has happened: what concerns us, and what does not."""

import struct

import pytest
from pyroute2.netlink.rtnl.ifaddrmsg import ifaddrmsg
from pyroute2.netlink.rtnl.ifinfmsg import ifinfmsg
from pyroute2.netlink.rtnl.ndmsg import ndmsg
from pyroute2.netlink.rtnl.rtmsg import rtmsg

from netlb.raven.dataplane import Numbers
from netlb.raven.events import Change, Ears
from netlb.raven.rtmsg import HEADER, Kind

OVERLAY = 7


def packed(message: object, kind: Kind, **fields: object) -> bytes:
    """A message as pyroute2 packs it."""
    assert isinstance(message, rtmsg | ndmsg | ifaddrmsg | ifinfmsg)
    for name, value in fields.items():
        message[name] = value
    message.encode()
    body = bytes(message.data)[HEADER.size :]
    return HEADER.pack(HEADER.size + len(body), kind, 0, 0, 0) + body


def heard(data: bytes) -> set[Change]:
    return Ears(Numbers(), OVERLAY).route(data)


@pytest.mark.parametrize("kind", [Kind.NEW_ROUTE, Kind.DEL_ROUTE])
@pytest.mark.parametrize(
    ("table", "change"), [(9027, {Change.OBJECTS}), (9028, {Change.OBJECTS}), (254, set()), (9029, set())]
)
def test_routes_of_our_tables_concern_us(kind: Kind, table: int, change: set[Change]) -> None:
    attributes = [("RTA_DST", "10.2.0.0"), ("RTA_TABLE", table)]
    assert change == heard(packed(rtmsg(), kind, family=2, dst_len=16, table=252, attrs=attributes))


def test_every_rule_concerns_us_as_it_may_stand_before_ours() -> None:
    assert {Change.OBJECTS} == heard(HEADER.pack(28, Kind.NEW_RULE, 0, 0, 0) + bytes(12))
    assert {Change.OBJECTS} == heard(HEADER.pack(28, Kind.DEL_RULE, 0, 0, 0) + bytes(12))


@pytest.mark.parametrize(("index", "change"), [(OVERLAY, {Change.OBJECTS}), (8, set())])
def test_neighbours_on_the_overlay_concern_us(index: int, change: set[Change]) -> None:
    assert change == heard(packed(ndmsg(), Kind.DEL_NEIGHBOUR, family=2, ifindex=index, attrs=[]))


@pytest.mark.parametrize(("index", "change"), [(OVERLAY, {Change.OBJECTS}), (8, {Change.LOCAL})])
def test_addresses_on_the_overlay_are_ours_and_others_the_nodes(index: int, change: set[Change]) -> None:
    assert change == heard(packed(ifaddrmsg(), Kind.NEW_ADDRESS, family=2, index=index, attrs=[]))


@pytest.mark.parametrize(
    ("name", "change"), [("raven0", {Change.OBJECTS}), ("raven-wg0", {Change.OBJECTS}), ("eth0", {Change.LOCAL})]
)
def test_our_devices_concern_us_and_others_the_node(name: str, change: set[Change]) -> None:
    assert change == heard(packed(ifinfmsg(), Kind.DEL_LINK, index=3, attrs=[("IFLA_IFNAME", name)]))


def test_while_there_is_no_overlay_no_neighbour_concerns_us() -> None:
    data = packed(ndmsg(), Kind.NEW_NEIGHBOUR, family=2, ifindex=0, attrs=[])
    assert set() == Ears(Numbers()).route(data)


def test_what_happens_together_is_heard_together() -> None:
    one = packed(ifinfmsg(), Kind.NEW_LINK, index=3, attrs=[("IFLA_IFNAME", "eth0")])
    other = packed(ifinfmsg(), Kind.NEW_LINK, index=4, attrs=[("IFLA_IFNAME", "raven0")])
    assert {Change.LOCAL, Change.OBJECTS} == heard(one + other)


def nftables(kind: int, table: str) -> bytes:
    name = table.encode() + b"\0"
    attribute = struct.pack("=HH", 4 + len(name), 1) + name
    body = bytes(4) + attribute + bytes(-len(attribute) % 4)
    return HEADER.pack(HEADER.size + len(body), kind, 0, 0, 0) + body


@pytest.mark.parametrize(
    ("table", "change"), [("raven", {Change.OBJECTS}), ("raven-decoy", set()), ("kube-proxy", set())]
)
def test_our_nftables_table_concerns_us(table: str, change: set[Change]) -> None:
    assert change == Ears(Numbers()).netfilter(nftables(0x0A06, table))


def test_a_new_generation_of_rules_says_nothing_of_whose_they_are() -> None:
    assert set() == Ears(Numbers()).netfilter(nftables(0x0A0F, "raven"))
