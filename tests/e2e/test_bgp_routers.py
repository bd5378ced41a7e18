"""Two nodes announce the same addresses, and a router's kernel sends their traffic to both: FRR and BIRD."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from netlb.bgp.adapter.gobgpd import Gobgpd
from netlb.bgp.adapter.operations import Tenancy
from netlb.bgp.drain import disabled, shutting_down, withdrawn
from netlb.bgp.events import SessionChanged
from netlb.bgp.model import BgpState, Global, GracefulRestart, Peer, Route
from netlb.bgp.peers import SessionState
from netlb.errors import TransientError
from netlb.net import Family
from netlb.testing.lab import Host, Lab, requirements
from tests.support import routers
from tests.support.bgp import Kept, kept, without_gobgpd
from tests.support.needs import needs
from tests.support.waiting import becomes

pytestmark = [pytest.mark.root, pytest.mark.timeout(120)]

ASN = 65001
PASSWORD = "correct-horse"
FOUR, SIX = "203.0.113.10", "2001:db8:cafe::10"


@pytest.fixture
def lab() -> Iterator[Lab]:
    needs([*requirements(), *without_gobgpd()])
    with Lab(nodes=2, routers=1, clients=0, pods_per_node=0, name="bgp") as lab:
        yield lab


@dataclass(frozen=True)
class Node:
    """One node, its gobgpd, and what it announces."""

    host: Host
    gobgpd: Gobgpd
    kept: Kept
    state: BgpState

    async def settle(self, state: BgpState) -> None:
        await self.kept.settle(state)

    async def established(self, router: Host) -> bool:
        try:
            session = (await self.kept.speaker.sessions()).get(str(router.ipv4))
        except TransientError:
            return False
        return session is not None and session.state is SessionState.ESTABLISHED


def state_of(host: Host, router: Host, password: str = PASSWORD) -> BgpState:
    return BgpState(
        Global(asn=ASN, router_id=host.ipv4),
        peers=(
            Peer(
                address=router.ipv4,
                asn=routers.ASN,
                password=password,
                hold_time=9,
                keepalive=3,
                connect_retry=5,
                families=(Family.IPV4, Family.IPV6),
            ),
        ),
        routes=(
            Route(prefix=ip_network(f"{FOUR}/32"), next_hop=host.ipv4),
            Route(prefix=ip_network(f"{SIX}/128"), next_hop=host.ipv6),
        ),
    )


@asynccontextmanager
async def running(lab: Lab, host: Host, folder: Path) -> AsyncIterator[Node]:
    """Run a gobgpd inside a node; its API is on a unix socket, which is not inside of anything."""
    program = folder / f"gobgpd-{host.name}"
    program.write_text(f'#!/bin/sh\nexec /usr/sbin/ip netns exec {host.namespace} /usr/bin/gobgpd "$@"\n')
    program.chmod(0o755)
    async with (
        Gobgpd(directory=folder / host.name, program=str(program)) as gobgpd,
        kept(gobgpd.target, tenancy=Tenancy.OWN) as one,
    ):
        yield Node(host, gobgpd, one, state_of(host, lab.routers["router-1"]))


async def is_down(node: Node, router: Host) -> bool:
    return not await node.established(router)


async def reached_by(router: Host, nodes: set[str], lab: Lab) -> None:
    """Wait until the router's kernel sends both addresses to exactly these nodes."""
    hosts = [lab.nodes[name] for name in nodes]
    expected = [{str(host.ipv4) for host in hosts}, {str(host.ipv6) for host in hosts}]
    await becomes(lambda: expected == [routers.next_hops(router, prefix) for prefix in (FOUR, SIX)])


def test_frr_sends_traffic_to_both_nodes_and_to_none_that_drains(lab: Lab, tmp_path: Path) -> None:
    needs(routers.missing_frr())
    router = lab.routers["router-1"]

    async def scenario(frr: routers.Frr) -> None:
        async with (
            running(lab, lab.nodes["node-1"], tmp_path) as one,
            running(lab, lab.nodes["node-2"], tmp_path) as two,
        ):
            for node in (one, two):
                await node.settle(node.state)
            await reached_by(router, {"node-1", "node-2"}, lab)
            assert any(
                isinstance(event, SessionChanged) and event.session.state is SessionState.ESTABLISHED
                for event in one.kept.events
            )
            [session] = (await one.kept.speaker.sessions()).values()
            assert 2 == session.advertised

            await one.settle(shutting_down(one.state))
            await reached_by(router, {"node-2"}, lab)
            assert 2 == frr.paths(FOUR)  # still there, for whoever has no other
            await one.settle(withdrawn(one.state))
            await becomes(lambda: frr.paths(FOUR) == 1)
            assert await one.established(router)
            await one.settle(disabled(one.state))
            await becomes(lambda: is_down(one, router))

            await one.settle(one.state)
            await reached_by(router, {"node-1", "node-2"}, lab)
            two.gobgpd.kill()
            await reached_by(router, {"node-1"}, lab)
            await reached_by(router, {"node-1", "node-2"}, lab)

    with routers.frr(router, list(lab.nodes.values()), ASN, PASSWORD) as frr:
        asyncio.run(scenario(frr))


def test_with_graceful_restart_a_gobgpd_that_is_killed_costs_no_route(lab: Lab, tmp_path: Path) -> None:
    """The router keeps them, and is told the same ones again before End-of-RIB."""
    needs(routers.missing_frr())
    router = lab.routers["router-1"]
    seen = tmp_path / "monitor"

    async def scenario() -> None:
        async with running(lab, lab.nodes["node-1"], tmp_path) as one:
            peers = [replace(peer, graceful_restart=GracefulRestart(restart_time=60)) for peer in one.state.peers]
            await one.settle(replace(one.state, peers=tuple(peers)))
            await reached_by(router, {"node-1"}, lab)
            with seen.open("w") as file:
                router.popen(["ip", "monitor", "route"], stdout=file)
            one.gobgpd.kill()
            await becomes(lambda: one.gobgpd.restarts == 1)
            await becomes(lambda: one.established(router))
            # What the router learns after the restart passes through the same queues, in order.
            late = Route(prefix=ip_network("203.0.113.11/32"), next_hop=one.host.ipv4)
            await one.settle(replace(one.state, peers=tuple(peers), routes=(*one.state.routes, late)))
            await becomes(lambda: "203.0.113.11" in seen.read_text())
            await reached_by(router, {"node-1"}, lab)
        assert [] == [line for line in seen.read_text().splitlines() if "Deleted" in line and FOUR in line]

    with routers.frr(router, list(lab.nodes.values()), ASN, PASSWORD):
        asyncio.run(scenario())


def test_bird_sends_traffic_to_both_nodes(lab: Lab, tmp_path: Path) -> None:
    needs(routers.missing_bird())
    router = lab.routers["router-1"]

    async def scenario() -> None:
        async with (
            running(lab, lab.nodes["node-1"], tmp_path) as one,
            running(lab, lab.nodes["node-2"], tmp_path) as two,
        ):
            for node in (one, two):
                await node.settle(node.state)
            await reached_by(router, {"node-1", "node-2"}, lab)
            await two.settle(withdrawn(two.state))
            await reached_by(router, {"node-1"}, lab)
            await one.settle(withdrawn(one.state))
            await reached_by(router, set(), lab)

    with routers.bird(router, list(lab.nodes.values()), ASN, PASSWORD):
        asyncio.run(scenario())


def test_a_wrong_password_keeps_the_session_down_until_it_is_mended(lab: Lab, tmp_path: Path) -> None:
    needs(routers.missing_bird())
    router = lab.routers["router-1"]

    async def scenario() -> None:
        async with (
            running(lab, lab.nodes["node-1"], tmp_path) as one,
            running(lab, lab.nodes["node-2"], tmp_path) as two,
        ):
            await two.settle(state_of(two.host, router, "wrong"))
            await one.settle(one.state)
            await reached_by(router, {"node-1"}, lab)
            assert not await two.established(router)
            assert not [event for event in two.kept.events if "wrong" in repr(event)]
            await two.settle(replace(two.state, peers=state_of(two.host, router).peers))
            await reached_by(router, {"node-1", "node-2"}, lab)

    with routers.bird(router, list(lab.nodes.values()), ASN, PASSWORD):
        asyncio.run(scenario())
