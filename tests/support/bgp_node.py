"""A node of a lab that speaks BGP: a gobgpd of its own inside it, kept by netlb.bgp from the test's process."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from netlb.bgp.adapter.gobgpd import Gobgpd
from netlb.bgp.adapter.operations import Tenancy
from netlb.bgp.events import Event
from netlb.bgp.model import BgpState, Global, Peer, Route
from netlb.bgp.peers import Session, SessionState
from netlb.errors import TransientError
from netlb.net import Address, Family
from netlb.testing.lab import Host
from tests.support.bgp import Kept, Relay, kept
from tests.support.routers import ASN
from tests.support.waiting import becomes

__all__ = ["NODES_ASN", "BgpNode", "bgp_node", "peer", "route"]

NODES_ASN = 65001
"""The nodes' autonomous system, where a test needs no other."""


@dataclass(frozen=True)
class BgpNode:
    """One node, its gobgpd, and what keeps it."""

    host: Host
    gobgpd: Gobgpd
    kept: Kept
    program: Path
    """What starts the gobgpd. Without it there is no other one when it ends."""
    relay: Relay
    """The way to the gobgpd's API."""
    processes: list[Event]
    """What became of gobgpd's processes."""
    logged: list[str]
    """What they logged."""

    async def announce(self, peers: Sequence[Peer], routes: Sequence[Route], asn: int = NODES_ASN) -> BgpState:
        """Have these peers and routes, and no others; return that state once gobgpd has it."""
        state = BgpState(Global(asn=asn, router_id=self.host.ipv4), tuple(peers), tuple(routes))
        await self.kept.settle(state)
        return state

    async def session(self, address: Address) -> Session | None:
        """Return the session with a router; None if there is none, or nobody to ask."""
        try:
            return (await self.kept.speaker.sessions()).get(str(address))
        except TransientError:
            return None

    async def established(self, address: Address) -> bool:
        """Whether there is a session with a router."""
        session = await self.session(address)
        return session is not None and session.state is SessionState.ESTABLISHED

    async def up(self, *addresses: Address) -> None:
        """Wait for sessions with routers."""
        for address in addresses:
            await becomes(lambda address=address: self.established(address))  # type: ignore[misc]

    async def down(self, *addresses: Address) -> None:
        """Wait until there are no sessions with routers."""

        async def is_down(address: Address) -> bool:
            return not await self.established(address)

        for address in addresses:
            await becomes(lambda address=address: is_down(address))  # type: ignore[misc]


@asynccontextmanager
async def bgp_node(host: Host, folder: Path) -> AsyncIterator[BgpNode]:
    """Run a gobgpd inside a node; its API is on a unix socket, which is not inside of anything."""
    program = folder / f"gobgpd-{host.name}"
    program.write_text(f'#!/bin/sh\nexec /usr/sbin/ip netns exec {host.namespace} /usr/bin/gobgpd "$@"\n')
    program.chmod(0o755)
    processes: list[Event] = []
    logged: list[str] = []
    async with Gobgpd(
        directory=folder / host.name, program=str(program), on_event=processes.append, on_log=logged.append
    ) as gobgpd:
        relay = Relay(gobgpd.target, folder / f"{host.name}.sock")
        await relay.mend()
        try:
            async with kept(relay.target, tenancy=Tenancy.OWN) as one:
                yield BgpNode(host, gobgpd, one, program, relay, processes, logged)
        finally:
            await relay.cut()


def peer(router: Host, family: Family = Family.IPV4, **settings: Any) -> Peer:
    """Return a router as a node's peer, in a session of a family and for prefixes of both."""
    common = Peer(
        address=router.ipv4 if family is Family.IPV4 else router.ipv6,
        asn=ASN,
        hold_time=9,
        keepalive=3,
        connect_retry=5,
        families=(Family.IPV4, Family.IPV6),
    )
    return replace(common, **settings)


def route(host: Host, prefix: str, **attributes: Any) -> Route:
    """Return a route by way of a node."""
    network = ip_network(prefix)
    next_hop = host.ipv4 if network.version == 4 else host.ipv6
    return Route(**{"prefix": network, "next_hop": next_hop, **attributes})
