"""What nodes announce is what routers have: FRR 8.4, BIRD 2 and ExaBGP 4, each with two nodes as neighbours.

| what | FRR | BIRD | ExaBGP | where |
|---|---|---|---|---|
| both families, each in an IPv4 and in an IPv6 session (RFC 8950) | table, kernel | table, kernel | messages | here |
| eBGP, iBGP; MED, LOCAL_PREF, path, communities, large communities, aggregates | table | table | messages | here |
| equal paths by both nodes | kernel | kernel | | here |
| MD5: right, wrong, mended | yes | yes | yes | `test_bgp_routers_sessions` |
| over several hops; TTL security | yes | yes | TTL security | `test_bgp_routers_sessions` |
| dynamic neighbours | at either end | at either end | at the node | `test_bgp_routers_sessions` |
| drain (RFC 8326) | kernel | | | here |
| gobgpd killed, with and without graceful restart | kernel | kernel | messages | `test_bgp_routers_faults` |
| sessions reset, limits exceeded, routers rebooted | yes | yes | reset, rebooted | `test_bgp_routers_faults` |
| the way to gobgpd's API cut | kernel | kernel | messages | `test_bgp_routers_faults` |
| 10,000 routes | table, kernel | table, kernel | messages | `test_bgp_routers_many` |
| whole speakers and manifests | table | | | `test_bgp_routers_declared` |
| whole speakers killed, links cut | kernel | | | `test_kills` |
"""

from collections.abc import Iterator
from functools import partial

import pytest

from netlb.bgp.drain import disabled, shutting_down, withdrawn
from netlb.bgp.model import LargeCommunity, Route
from netlb.net import Family
from tests.support.bgp_node import NODES_ASN, BgpNode, peer, route
from tests.support.bgp_world import BgpWorld, bgp_world, counts, end, reached_by
from tests.support.routers import ASN, Learned
from tests.support.waiting import reaches

pytestmark = pytest.mark.root

FOUR, SIX = "203.0.113.10/32", "2001:db8:cafe::10/128"
MARK = f"{NODES_ASN}:1279412048:1"
"""What every route of ours carries."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BgpWorld]:
    with bgp_world(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.mark.parametrize("family", [Family.IPV4, Family.IPV6], ids=["over IPv4", "over IPv6"])
@pytest.mark.parametrize("asn", [ASN, NODES_ASN], ids=["eBGP", "iBGP"])
def test_every_router_has_what_is_announced(world: BgpWorld, asn: int, family: Family) -> None:
    """In an IPv6 session, IPv4 prefixes have IPv6 next hops."""
    internal = asn == NODES_ASN
    attributes = {
        "med": 5,
        "local_pref": 200 if internal else None,
        "as_path": () if internal else (NODES_ASN, NODES_ASN),
        "communities": frozenset({NODES_ASN << 16 | 100, 64512 << 16 | 65535}),
        "large_communities": frozenset({LargeCommunity(NODES_ASN, 1, 4294967295)}),
    }

    def routes(node: BgpNode) -> list[Route]:
        hop = {"next_hop": end(node.host, family)}
        return [
            route(node.host, FOUR, **hop, **attributes),
            route(node.host, SIX, **attributes),
            route(node.host, "198.51.100.0/24", **hop),
            route(node.host, "2001:db8:beef::/48"),
        ]

    def told(node: BgpNode, family: Family) -> Learned:
        return Learned(
            next_hop=str(end(node.host, family)),
            as_path=() if internal else (NODES_ASN,) * 3,
            med=5,
            local_pref=200 if internal else None,
            communities=frozenset({f"{NODES_ASN}:100", "64512:65535"}),
            large_communities=frozenset({f"{NODES_ASN}:1:4294967295", MARK}),
        )

    async def scenario(one: BgpNode, two: BgpNode) -> None:
        peers = [peer(router.host, family, asn=asn) for router in world.routers]
        for node in (one, two):
            await node.announce(peers, routes(node))
        for router in world.routers:
            world.peer_with_nodes(router, family, routers_asn=asn)
        for router in world.routers:
            await reaches([told(one, family), told(two, family)], partial(router.learned, FOUR))
            await reaches([told(one, Family.IPV6), told(two, Family.IPV6)], partial(router.learned, SIX))
            await reaches((2, 2), partial(counts, router))
        for router in world.forwarders:
            for prefix, hops in {FOUR: family, SIX: Family.IPV6, "198.51.100.0/24": family}.items():
                await reached_by(router, prefix, end(one.host, hops), end(two.host, hops))
        await two.announce(peers, [])
        for router in world.forwarders:
            await reached_by(router, FOUR, end(one.host, family))
        await one.announce(peers, [])
        for router in world.routers:
            await reaches((0, 0), partial(counts, router))
            assert router.established(end(one.host, family))

    world.play(scenario)


def test_a_node_that_drains_is_left_before_it_withdraws(world: BgpWorld) -> None:
    """RFC 8326, which FRR honours by itself."""
    router = world.frr

    async def scenario(one: BgpNode, two: BgpNode) -> None:
        states = [await each.announce([peer(router.host)], [route(each.host, FOUR)]) for each in (one, two)]
        world.peer_with_nodes(router)
        await reached_by(router, FOUR, one.host.ipv4, two.host.ipv4)
        await one.kept.settle(shutting_down(states[0]))
        await reached_by(router, FOUR, two.host.ipv4)
        assert 2 == len(router.learned(FOUR))  # still there, for whoever has no other
        await one.kept.settle(withdrawn(states[0]))
        await reaches(1, lambda: len(router.learned(FOUR)))
        assert await one.established(router.host.ipv4)
        await one.kept.settle(disabled(states[0]))
        await one.down(router.host.ipv4)
        await one.kept.settle(states[0])
        await reached_by(router, FOUR, one.host.ipv4, two.host.ipv4)

    world.play(scenario)
