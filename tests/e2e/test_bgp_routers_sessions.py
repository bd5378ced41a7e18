"""Which sessions there are with routers, and which not: passwords, distance, and neighbours that nobody named."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import partial
from ipaddress import IPv4Network, ip_address
from pathlib import Path

import pytest

from netlb.net import Address
from netlb.testing.lab import Host
from tests.support.bgp_node import BgpNode, peer, route
from tests.support.bgp_world import BgpWorld, bgp_world, neighbor, reached_by
from tests.support.routers import Router, counter
from tests.support.waiting import becomes, reaches

pytestmark = pytest.mark.root

FOUR = "203.0.113.10/32"
RIGHT, WRONG = "correct-horse", "wrong-battery"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BgpWorld]:
    with bgp_world(tmp_path_factory.mktemp("world")) as world:
        yield world


async def refused(host: Host, name: str) -> None:
    """Wait until a host has refused something, by the kernel's counter for it."""
    before = counter(host, name)
    await becomes(lambda: counter(host, name) > before)


def test_a_wrong_password_keeps_a_session_down_and_disturbs_no_other(world: BgpWorld) -> None:
    addresses = [router.host.ipv4 for router in world.routers]

    async def scenario(one: BgpNode, two: BgpNode) -> None:
        for node, password in ((one, RIGHT), (two, WRONG)):
            peers = [peer(router.host, password=password) for router in world.routers]
            await node.announce(peers, [route(node.host, FOUR)])
        for router in world.routers:
            world.peer_with_nodes(router, password=RIGHT)
        await one.up(*addresses)
        await refused(two.host, "TCPMD5Failure")
        for router in world.forwarders:
            await reached_by(router, FOUR, one.host.ipv4)
        for router in world.routers:
            await reaches(True, partial(router.established, one.host.ipv4))
            assert not router.established(two.host.ipv4)
            assert not await two.established(router.host.ipv4)

        await two.announce([peer(router.host, password=RIGHT) for router in world.routers], [route(two.host, FOUR)])
        world.exabgp.reset()  # by now it dials seldom
        await two.up(*addresses)
        for router in world.forwarders:
            await reached_by(router, FOUR, one.host.ipv4, two.host.ipv4)
        assert "" == showing_passwords([one, two])

    world.play(scenario)


def showing_passwords(nodes: Sequence[BgpNode]) -> str:
    """Return whatever shows a password: events, problems, gobgpd's log, its arguments and its environment."""
    found = []
    for node in nodes:
        process = Path(f"/proc/{node.gobgpd.pid}")
        told = [*map(repr, node.kept.events), *node.kept.problems(), *node.logged]
        told += [(process / name).read_bytes().decode() for name in ("cmdline", "environ")]
        found += [text for text in told if RIGHT in text or WRONG in text]
    return "\n".join(found)


@contextmanager
def two_hops(node: Host, far: Host, address: Address, between: Host) -> Iterator[None]:
    """Put a router behind another one: an address of it is reached through that one, and it answers through it."""
    far.run(["ip", "address", "add", f"{address}/32", "dev", "lo"])
    far.run(["ip", "route", "add", str(node.ipv4), "via", str(between.ipv4)])
    node.run(["ip", "route", "add", str(address), "via", str(between.ipv4)])
    between.run(["ip", "route", "add", str(address), "via", str(far.ipv4)])
    try:
        yield
    finally:
        far.run(["ip", "address", "del", f"{address}/32", "dev", "lo"])
        far.run(["ip", "route", "del", str(node.ipv4)])
        node.run(["ip", "route", "del", str(address)])
        between.run(["ip", "route", "del", str(address)])


def test_routers_that_are_two_hops_away_are_reached_where_that_is_declared(world: BgpWorld) -> None:
    between = world.exabgp.host
    far = {ip_address(f"198.51.100.{number}"): router for number, router in enumerate(world.forwarders, 1)}

    async def scenario(one: BgpNode, two: BgpNode) -> None:
        with ExitStack() as stack:
            for address, router in far.items():
                stack.enter_context(two_hops(one.host, router.host, address, between))
                router.peer_with(neighbor(one.host, source=address, hops=2))
            near = [peer(each.host, address=address, source=one.host.ipv4) for address, each in far.items()]
            await one.announce(near, [route(one.host, FOUR)])
            await refused(between, "OutTimeExcds")
            assert not any([await one.established(address) for address in far])
            await one.announce([replace(each, multihop_ttl=2) for each in near], [route(one.host, FOUR)])
            await one.up(*far)
            for router in far.values():
                await reaches([str(one.host.ipv4)], partial(hops, router))

    def hops(router: Router) -> list[str]:
        return [path.next_hop for path in router.learned(FOUR)]

    world.play(scenario)


def test_with_ttl_security_only_who_is_near_has_a_session(world: BgpWorld) -> None:
    addresses = [router.host.ipv4 for router in world.routers]

    async def scenario(one: BgpNode, two: BgpNode) -> None:
        """The routers take node-1 for near, and are near to it; to node-2 they do not show that they are."""
        for node in (one, two):
            peers = [peer(router.host, ttl_security_hops=1) for router in world.routers]
            await node.announce(peers, [route(node.host, FOUR)])
        for router in world.routers:
            router.peer_with(neighbor(one.host, ttl_security=True), neighbor(two.host))
        await one.up(*addresses)
        await refused(two.host, "TCPMinTTLDrop")
        for router in world.forwarders:
            await reached_by(router, FOUR, one.host.ipv4)
        assert not any([await two.established(address) for address in addresses])

    world.play(scenario)


def test_routers_take_whoever_connects_from_the_segment(world: BgpWorld) -> None:
    segment = IPv4Network("192.168.122.0/24")

    async def scenario(one: BgpNode, two: BgpNode) -> None:
        for router in world.forwarders:
            router.peer_with(neighbor(one.host, address=segment))
        for node in (one, two):
            await node.announce([peer(router.host) for router in world.forwarders], [route(node.host, FOUR)])
        for router in world.forwarders:
            await reached_by(router, FOUR, one.host.ipv4, two.host.ipv4)

    world.play(scenario)


def test_nodes_take_whoever_connects_from_the_segment(world: BgpWorld) -> None:
    segment = IPv4Network("192.168.122.0/24")

    async def scenario(one: BgpNode, two: BgpNode) -> None:
        anybody = peer(world.frr.host, address=None, prefix=segment)
        for node in (one, two):
            await node.announce([anybody], [route(node.host, FOUR)])
        for router in world.routers:
            world.peer_with_nodes(router)
        for router in world.forwarders:
            await reached_by(router, FOUR, one.host.ipv4, two.host.ipv4)
        await reaches(2, lambda: len(world.exabgp.learned(FOUR)))
        session = await one.session(world.exabgp.host.ipv4)
        assert session is not None
        assert anybody.key == session.key

    world.play(scenario)
