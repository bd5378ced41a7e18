"""Ten thousand routes reach every router completely, and leave it completely."""

from collections.abc import Iterator
from functools import partial
from ipaddress import IPv4Network, IPv6Network

import pytest

from netlb.net import Family
from netlb.testing.lab import Host
from tests.support.bgp_node import BgpNode, peer, route
from tests.support.bgp_world import BgpWorld, bgp_world, counts
from tests.support.routers import kernel_routes
from tests.support.waiting import reaches

pytestmark = pytest.mark.root

FOUR = [str(prefix) for prefix in IPv4Network("198.18.0.0/15").subnets(new_prefix=32)][:8_000]
SIX = [str(prefix) for prefix in IPv6Network("2001:db8:cafe::/115").subnets(new_prefix=128)][:2_000]
PATIENCE = 120.0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BgpWorld]:
    with bgp_world(tmp_path_factory.mktemp("world")) as world:
        yield world


async def all_have(world: BgpWorld, four: int, six: int) -> None:
    """Wait until every router knows so many prefixes, and every kernel that learns from one has as many routes."""
    for router in world.routers:
        await reaches((four, six), partial(counts, router), PATIENCE)
    for router in world.forwarders:
        for family, count in ((Family.IPV4, four), (Family.IPV6, six)):
            await reaches(count, partial(installed, router.host, family), PATIENCE)


def installed(host: Host, family: Family) -> int:
    """Return how many routes a kernel has by BGP."""
    return len(kernel_routes(host, family))


def test_ten_thousand_routes_come_and_go(world: BgpWorld) -> None:
    async def scenario(one: BgpNode, two: BgpNode) -> None:
        peers = [peer(router.host) for router in world.routers]
        routes = [route(one.host, prefix) for prefix in (*FOUR, *SIX)]
        await one.announce(peers, routes)
        for router in world.routers:
            world.peer_with_nodes(router)
        await all_have(world, 8_000, 2_000)
        await one.announce(peers, routes[::2])
        await all_have(world, 4_000, 1_000)
        await one.announce(peers, [])
        await all_have(world, 0, 0)

    world.play(scenario)
