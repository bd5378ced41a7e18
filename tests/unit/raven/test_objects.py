"""A data plane as single objects."""

from ipaddress import ip_address, ip_network

from netlb.net import Family
from netlb.raven.dataplane import DataPlane, Forwarding, Neighbour, Numbers, Overlay, Route, RouteKind, Rule
from netlb.raven.objects import (
    AddressKey,
    Assigned,
    Device,
    DeviceKey,
    ForwardingKey,
    NeighbourKey,
    RouteKey,
    RuleKey,
    TableKey,
    objects,
)
from netlb.raven.ruleset import Ruleset

HERE, THERE = ip_address("192.168.1.1"), ip_address("192.168.1.2")
LINK4, LINK6 = ip_address("240.168.1.1"), ip_address("fe80::1")
HOP = ip_address("240.255.255.254")
MAC = "aa:0f:f0:a8:01:02"
ROUTE = Route(prefix=ip_network("10.2.0.0/16"), table=9027, device="raven0", via=HOP)
UNREACHABLE = Route(prefix=ip_network("10.2.0.0/16"), table=9027, kind=RouteKind.UNREACHABLE, metric=7)
RULE = Rule(Family.IPV4, 100, 9027, "raven-wg0")
PLANE = DataPlane(
    node="e1",
    overlay=Overlay(
        device="raven0", vni=200, port=4472, local=HERE, mac="aa:0f:f0:a8:01:01", addresses=(LINK4, LINK6), mtu=1420
    ),
    forwarding=(Forwarding(MAC, THERE),),
    neighbours=(Neighbour(HOP, MAC),),
    routes=(ROUTE, UNREACHABLE),
    rules=(RULE,),
    nft="table inet raven {\n}\n",
)


def test_every_object_is_there_under_its_key() -> None:
    assert {
        TableKey("raven"): Ruleset.of(PLANE.nft),
        DeviceKey("raven0"): Device(vni=200, port=4472, local=HERE, mac="aa:0f:f0:a8:01:01", mtu=1420),
        AddressKey("raven0", LINK4): Assigned(32),
        AddressKey("raven0", LINK6): Assigned(64),
        ForwardingKey("raven0", MAC): THERE,
        NeighbourKey("raven0", HOP): MAC,
        RouteKey(ROUTE.prefix, 9027, 0): ROUTE,
        RouteKey(ROUTE.prefix, 9027, 7): UNREACHABLE,
        RuleKey(Family.IPV4, 100, 9027, "raven-wg0"): RULE,
    } == objects(PLANE, Numbers())


def test_a_node_without_a_site_has_none() -> None:
    assert {} == objects(DataPlane(node="e1"), Numbers())


def test_keys_read_as_what_people_look_for() -> None:
    assert [
        "nftables table inet raven",
        "device raven0",
        "address 240.168.1.1 on raven0",
        "address fe80::1 on raven0",
        "forwarding entry aa:0f:f0:a8:01:02 on raven0",
        "neighbour 240.255.255.254 on raven0",
        "route 10.2.0.0/16 in table 9027",
        "route 10.2.0.0/16 metric 7 in table 9027",
        "IPv4 rule 100 iif raven-wg0 to table 9027",
    ] == [str(key) for key in objects(PLANE, Numbers())]
