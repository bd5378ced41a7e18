"""A node's gobgpd dies, a session ends, a router dies: what routers have afterwards, and meanwhile."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Network, ip_network

import pytest

from netlb.bgp.events import DaemonBack, DaemonLost, ProcessEnded, SessionChanged
from netlb.bgp.imports import IMPORT
from netlb.bgp.model import GracefulRestart, Peer, Route
from netlb.bgp.peers import SessionState
from netlb.net import Address
from tests.support.bgp import connected
from tests.support.bgp_node import NODES_ASN, BgpNode, peer, route
from tests.support.bgp_world import BgpWorld, bgp_world, counts, reached_by
from tests.support.route_watch import RouteWatch, Sent
from tests.support.waiting import becomes, reaches

pytestmark = pytest.mark.root

FOUR, LATE = "203.0.113.10/32", "203.0.113.11/32"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BgpWorld]:
    with bgp_world(tmp_path_factory.mktemp("world")) as world:
        yield world


def peers_of(world: BgpWorld, restart: GracefulRestart | None = None) -> list[Peer]:
    return [peer(router.host, graceful_restart=restart) for router in world.routers]


async def begin(world: BgpWorld, *nodes: BgpNode, restart: GracefulRestart | None = None) -> None:
    """Have every router send to all of these nodes."""
    for node in nodes:
        await node.announce(peers_of(world, restart), [route(node.host, FOUR)])
    for router in world.routers:
        world.peer_with_nodes(router)
    await everywhere(world, *nodes)


async def everywhere(world: BgpWorld, *nodes: BgpNode, prefix: str = FOUR) -> None:
    """Wait until every router sends to these nodes, and to no others."""
    hops = [node.host.ipv4 for node in nodes]
    for router in world.forwarders:
        await reached_by(router, prefix, *hops)
    await reaches(sorted(map(str, hops)), lambda: [path.next_hop for path in world.exabgp.learned(prefix)])


def test_a_gobgpd_that_is_killed_takes_its_routes_along_and_brings_them_back(world: BgpWorld) -> None:
    async def scenario(one: BgpNode, two: BgpNode) -> None:
        await begin(world, one, two)
        before, expected = falls(world, one), [(FOUR, ends(two)), (FOUR, ends(one, two))]
        with RouteWatch(world.frr.host, [FOUR]) as frr, RouteWatch(world.bird.host, [FOUR]) as bird:
            one.gobgpd.kill()
            for watch in (frr, bird):  # they may be through with it before anybody looks
                await reaches(expected, partial(changes, watch))
            await becomes(lambda: falls(world, one) > before)
            await everywhere(world, one, two)
            assert [expected, expected] == [changes(frr), changes(bird)]
        assert (1, 0) == (one.gobgpd.restarts, two.gobgpd.restarts)

    world.play(scenario)


def test_with_graceful_restart_a_gobgpd_that_is_killed_costs_no_route(world: BgpWorld) -> None:
    """Routers keep them, and are told the same ones again before End-of-RIB.

    GoBGP does not claim that its node went on forwarding. FRR does not mind; BIRD lets go of the old routes when the
    session is back (RFC 4724 section 4.2), and has the new ones a moment later.
    """

    async def scenario(one: BgpNode, two: BgpNode) -> None:
        restart = GracefulRestart(restart_time=60)
        await begin(world, one, restart=restart)
        addresses = [router.host.ipv4 for router in world.forwarders]
        with RouteWatch(world.frr.host, [FOUR, LATE]) as frr, RouteWatch(world.bird.host, [FOUR, LATE]) as bird:
            one.gobgpd.kill()
            await becomes(lambda: one.gobgpd.restarts == 1)
            await one.up(*addresses)
            # What a router learns after the restart passes through the same queues, in order.
            await one.announce(peers_of(world, restart), [route(one.host, FOUR), route(one.host, LATE)])
            for router in world.forwarders:
                await reached_by(router, LATE, one.host.ipv4)
            there = ends(one)
            assert [(LATE, there)] == changes(frr)
            assert changes(bird) in ([(LATE, there)], [(FOUR, ends()), (FOUR, there), (LATE, there)])

    world.play(scenario)


def falls(world: BgpWorld, node: BgpNode) -> int:
    """Return how often ExaBGP has lost its session with a node."""
    world.exabgp.established(node.host.ipv4)  # takes in what it has told
    told = [each["neighbor"] for each in world.exabgp.messages if each["type"] == "state"]
    return [(each["address"]["peer"], each["state"]) for each in told].count((str(node.host.ipv4), "down"))


def ends(*nodes: BgpNode) -> frozenset[str]:
    """Return the addresses of nodes as next hops."""
    return frozenset(str(node.host.ipv4) for node in nodes)


def changes(watch: RouteWatch) -> list[tuple[str, frozenset[str]]]:
    """Return where prefixes were sent since the watch began, in order."""
    return [(change.prefix, change.hops) for change in watch.since(0) if isinstance(change, Sent)]


def test_a_gobgpd_that_is_not_back_within_its_restart_time_has_no_routes(world: BgpWorld) -> None:
    async def scenario(one: BgpNode, two: BgpNode) -> None:
        await begin(world, one, restart=GracefulRestart(restart_time=15))  # in which all routers are looked at
        away = one.program.rename(one.program.with_suffix(".away"))
        one.gobgpd.kill()
        for router in world.forwarders:
            await reaches(False, partial(router.established, one.host.ipv4))
            await reached_by(router, FOUR, one.host.ipv4)
        await becomes(lambda: 1 < len([event for event in one.processes if isinstance(event, ProcessEnded)]))
        for router in world.forwarders:
            await reached_by(router, FOUR)
        away.rename(one.program)
        for router in world.forwarders:
            await reached_by(router, FOUR, one.host.ipv4)

    world.play(scenario)


def test_a_router_that_takes_no_more_is_told_again_when_its_operator_lets_it(world: BgpWorld) -> None:
    """Both end the session (RFC 4486), and the node's other sessions go on."""
    prefixes = [str(prefix) for prefix in IPv4Network("203.0.113.0/29").subnets(new_prefix=32)]
    unlimited = world.exabgp

    async def scenario(one: BgpNode, two: BgpNode) -> None:
        def routes(count: int) -> list[Route]:
            return [route(one.host, prefix) for prefix in prefixes[:count]]

        await one.announce(peers_of(world), routes(5))
        for router in world.forwarders:
            world.peer_with_nodes(router, limit=5)
        world.peer_with_nodes(unlimited)
        for router in world.routers:
            await reaches((5, 0), partial(counts, router))

        await one.announce(peers_of(world), routes(7))  # FRR looks before it counts, and bears one more than the limit
        await reaches((7, 0), partial(counts, unlimited))
        for router in world.forwarders:
            await reaches(False, partial(router.established, one.host.ipv4))
            await one.down(router.host.ipv4)
            await reaches((0, 0), partial(counts, router))
            assert SessionState.ESTABLISHED not in later(one, router.host.ipv4)

        await one.announce(peers_of(world), routes(5))
        world.frr.reset()
        world.bird.enable(one.host.ipv4)
        for router in world.routers:
            await reaches((5, 0), partial(counts, router))
        assert 0 == one.kept.count(DaemonLost)

    world.play(scenario)


def later(node: BgpNode, address: Address) -> list[SessionState]:
    """Return the states of a session after the first time that it was heard to be established."""
    sessions = [event.session for event in node.kept.events if isinstance(event, SessionChanged)]
    states = [session.state for session in sessions if session.address == str(address)]
    return states[states.index(SessionState.ESTABLISHED) + 1 :] if SessionState.ESTABLISHED in states else []


def test_sessions_that_routers_reset_come_back(world: BgpWorld) -> None:
    async def scenario(one: BgpNode, two: BgpNode) -> None:
        await begin(world, one, two)
        for router in world.routers:
            router.reset()
        for router in world.routers:
            await becomes(lambda router=router: bool(later(one, router.host.ipv4)))  # type: ignore[misc]
        await everywhere(world, one, two)
        assert (0, 0) == (one.gobgpd.restarts, one.kept.count(DaemonLost))

    world.play(scenario)


def test_routers_that_were_rebooted_are_told_everything_again(world: BgpWorld) -> None:
    async def scenario(one: BgpNode, two: BgpNode) -> None:
        await begin(world, one, two)
        for router in world.routers:
            await asyncio.to_thread(router.reboot)
        await everywhere(world, one, two)
        assert [2, 2, 2] == [len(router.learned(FOUR)) for router in world.routers]

    world.play(scenario)


def test_while_gobgpds_api_is_out_of_reach_routers_keep_what_they_know(world: BgpWorld) -> None:
    async def scenario(one: BgpNode, two: BgpNode) -> None:
        await begin(world, one, two)
        await one.relay.cut()
        await becomes(lambda: one.kept.count(DaemonLost) == 1)
        wanted = one.announce(peers_of(world), [route(one.host, LATE)])
        task = asyncio.create_task(wanted)
        await two.announce(peers_of(world), [route(two.host, FOUR), route(two.host, LATE)])
        await everywhere(world, two, prefix=LATE)
        await everywhere(world, one, two)
        assert not task.done()
        await one.relay.mend()
        await task
        await everywhere(world, one, two, prefix=LATE)
        await everywhere(world, two)
        assert (0, 2) == (one.gobgpd.restarts, one.kept.count(DaemonBack))

    world.play(scenario)


@pytest.mark.parametrize("dynamic", [False, True], ids=["named", "dynamic"])
def test_what_a_router_says_of_a_nodes_prefix_takes_it_from_no_other_router(world: BgpWorld, dynamic: bool) -> None:
    """Over iBGP, by a LOCAL_PREF that no node reaches; a node that listened to it would have nothing to tell."""
    boasts, listens = world.frr, world.bird
    boast = [
        "route-map BOAST permit 1",
        "set local-preference 500",
        "exit",
        f"router bgp {NODES_ASN}",
        "no bgp network import-check",
        "address-family ipv4 unicast",
        f"network {FOUR} route-map BOAST",
    ]

    async def scenario(one: BgpNode, two: BgpNode) -> None:
        peers = [peer(router.host, asn=NODES_ASN) for router in (boasts, listens)]
        if dynamic:
            around = ip_network(f"{boasts.host.ipv4}/24", strict=False)
            peers = [replace(peers[0], address=None, prefix=around)]
        await one.announce(peers, [route(one.host, FOUR)])
        for router in (boasts, listens):
            world.peer_with_nodes(router, routers_asn=NODES_ASN)
        boasts.frr.configure(*boast)
        await becomes(partial(has_heard, one, boasts.host.ipv4))
        await one.announce(peers, [route(one.host, FOUR), route(one.host, LATE)])
        await reached_by(listens, LATE, one.host.ipv4)
        await reached_by(listens, FOUR, one.host.ipv4)

        async with connected(one.gobgpd.target) as stranger:
            await stranger.set_assignment(IMPORT, [], 1)
            await stranger.import_anew()
            await reached_by(listens, FOUR)  # what it is about
        one.kept.reconciler.refresh()
        await one.kept.settled()
        await reached_by(listens, FOUR, one.host.ipv4)
        assert 0 == len([state for state in later(one, listens.host.ipv4) if state is SessionState.IDLE])

    try:
        world.play(scenario)
    finally:
        boasts.frr.configure("no route-map BOAST")


async def has_heard(node: BgpNode, address: Address) -> bool:
    """Whether a router has told a node of any prefix."""
    session = await node.session(address)
    return session is not None and session.accepted > 0
