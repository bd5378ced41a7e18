"""Hellos as octets, the search for a path's MTU, addresses inside the tunnels, and who watches whom."""

from ipaddress import IPv4Network

import pytest

from netlb.plan.raven import plan_raven
from netlb.raven.dataplane import Numbers
from netlb.raven.hello import LEAST, Claim, Hello, decode, encode
from netlb.raven.inner import inner_addresses
from netlb.raven.model import Endpoint, Node, Site
from netlb.raven.node import Local
from netlb.raven.path_mtu import PathMtu
from netlb.raven.watch import POOL_INTERVAL, TUNNEL_INTERVAL, watches
from tests.support.sites import documents, seen, snapshot

SITES = {
    "edge": {"nodes": ["e1", "e2", "e3"], "endpoints": [{"nodeName": n, "underNAT": True} for n in ("e1", "e2")]},
    "west": {"nodes": ["w1", "w2"], "endpoints": [{"nodeName": "w1", "underNAT": True}]},
    "cloud": {"nodes": ["c1", "c2"], "endpoints": [{"nodeName": "c1"}, {"nodeName": "c2"}]},
}


def test_a_hello_is_read_as_it_was_written_whatever_its_size() -> None:
    claim = Claim(active=("a1", "a2"), dead=("a3",), hears=3, reaches=2, leaving=True)
    hello = Hello.of("a1", "a", claim, sequence=7)
    assert hello == decode(encode(hello))
    assert 1392 == len(encode(hello, 1392))
    assert hello == decode(encode(hello, 1392))


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff\x00", b"{}", b'{"version": 2, "node": "a", "site": "a"}', b'{"version": 1, "node": 3, "site": "a"}'],
)
def test_what_is_no_hello_is_none(data: bytes) -> None:
    assert decode(data) is None


@pytest.mark.parametrize("passes", [1420, 1412, 1400, 1381, 1280])
def test_the_largest_packet_that_passes_is_found_by_eight_octets(passes: int) -> None:
    search, now = PathMtu(1420), 0.0
    for _ in range(200):
        if (size := search.next_size(now)) is not None and size <= passes:
            search.answered(size, now)
        now += 0.25
    assert search.found is not None
    assert passes - 8 < search.found <= passes


def test_what_passes_at_once_is_asked_for_once_in_a_while_and_a_lost_answer_is_no_verdict() -> None:
    search = PathMtu(1420)
    assert (1420, None, 1420) == (search.next_size(0.0), search.next_size(0.5), search.next_size(1.0))
    search.answered(1420, 1.1)
    assert 1420 == search.found
    assert (None, 1420) == (search.next_size(60.0), search.next_size(301.1))


def test_a_way_that_takes_less_than_ipv6_needs_is_said_to_take_nothing() -> None:
    search = PathMtu(1420)
    for second in range(30):
        search.next_size(float(second))
    assert (0, LEAST) == (search.found, 1280)


def endpoints(*names: str) -> list[Site]:
    return [
        Site(name="a", nodes={n: Node(n) for n in names}, endpoints=tuple(Endpoint(site="a", node=n) for n in names))
    ]


def test_each_endpoint_has_an_address_inside_that_others_do_not_change() -> None:
    network = IPv4Network("241.0.0.0/8")
    few, many = (inner_addresses(endpoints(*(f"n{n}" for n in range(count))), network) for count in (10, 2000))
    assert 2000 == len(set(many.values()))
    assert few.items() <= many.items()
    assert all(address in network for address in many.values())
    crowded = inner_addresses(endpoints(*(f"n{n}" for n in range(254))), IPv4Network("198.18.0.0/24"))
    assert 254 == len(set(crowded.values()))
    assert IPv4Network("198.18.0.0/24")[0] not in crowded.values()


def test_endpoints_watch_every_node_of_their_site_and_all_nodes_watch_them() -> None:
    declared = snapshot(documents(SITES))
    plan = plan_raven(declared, seen(declared))
    found = {node: watches(plan.mesh, plan.node(node, Local(), Numbers())) for node in declared.nodes}
    assert {
        "e1": {"e2", "e3"}, "e2": {"e1", "e3"}, "e3": {"e1", "e2"}, "w1": set(), "w2": set(), "c1": {"c2"}, "c2": {"c1"},
    } == {node: set(each.pool) for node, each in found.items()}  # fmt: skip
    # Through tunnels: one of the two is active, and what one end watches the other one does, too.
    assert {
        "e1": {"c1", "c2"}, "e2": {"c1"}, "e3": set(), "w1": {"c1", "c2"}, "w2": set(), "c1": {"e1", "e2", "w1"},
        "c2": {"e1", "w1"},
    } == {node: set(each.tunnels) for node, each in found.items()}  # fmt: skip
    for node, each in found.items():
        for other, watched in {**each.pool, **each.tunnels}.items():
            back = {**found[other].pool, **found[other].tunnels}[node]
            assert (watched.local, watched.address) == (back.address, back.local)
            assert (TUNNEL_INTERVAL if watched.tunnel else POOL_INTERVAL) == watched.interval


def test_who_watches_many_sends_each_of_them_fewer_packets() -> None:
    large = {"a": {"nodes": [f"a{n}" for n in range(1000)], "endpoints": [{"nodeName": "a0"}, {"nodeName": "a1"}]}}
    declared = snapshot(documents(large, {f"a{n}": {"addresses": [f"10.9.{n // 250}.{n % 250 + 1}"], "podCIDRs": [f"10.{n // 250}.{n % 250}.0/24"]} for n in range(1000)}))  # fmt: skip
    plan = plan_raven(declared, seen(declared))
    pool = watches(plan.mesh, plan.node("a0", Local(), Numbers())).pool
    assert {999 * 200} == {watched.interval for watched in pool.values()}
    member = watches(plan.mesh, plan.node("a500", Local(), Numbers())).pool
    assert {"a0", "a1"} == set(member)
