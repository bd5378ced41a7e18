"""Two nodes that speak BGP and a router of each kind, on one segment: started once, and used by one scenario after another.

router-1 is FRR, router-2 BIRD, router-3 ExaBGP.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import Any

from netlb.net import Address, Family
from netlb.testing.lab import Host, Lab, requirements
from tests.support.bgp import without_gobgpd
from tests.support.bgp_node import NODES_ASN, BgpNode, bgp_node
from tests.support.bird import BirdRouter, bird_router, missing_bird
from tests.support.exabgp import ExabgpRouter, exabgp_router, missing_exabgp
from tests.support.frr import FrrRouter, frr_router, missing_frr
from tests.support.needs import needs
from tests.support.routers import Neighbor, Router, kernel_routes, next_hops
from tests.support.waiting import eventually, reaches

__all__ = ["BgpWorld", "bgp_world", "counts", "end", "neighbor", "reached_by"]


class BgpWorld:
    """The lab and what runs in it."""

    def __init__(self, lab: Lab, folder: Path, frr: FrrRouter, bird: BirdRouter, exabgp: ExabgpRouter) -> None:
        self.lab = lab
        self.frr = frr
        self.bird = bird
        self.exabgp = exabgp
        self._folder = folder

    @property
    def routers(self) -> tuple[Router, ...]:
        """All of them."""
        return self.frr, self.bird, self.exabgp

    @property
    def forwarders(self) -> tuple[Router, ...]:
        """Those that have what they learn in their kernel."""
        return self.frr, self.bird

    def play(self, scenario: Callable[[BgpNode, BgpNode], Coroutine[Any, Any, None]]) -> None:
        """Run a scenario with both nodes; routers forget everything afterwards."""

        async def run() -> None:
            first, second = self.lab.nodes.values()
            async with bgp_node(first, self._folder) as one, bgp_node(second, self._folder) as two:
                await scenario(one, two)

        try:
            asyncio.run(run())
        finally:
            for router in self.routers:
                router.peer_with()
            eventually(lambda: not any(map(self._known, self.forwarders)), "the routers have forgotten everything")

    def peer_with_nodes(self, router: Router, family: Family = Family.IPV4, **settings: Any) -> None:
        """Have both nodes, and nobody else, as neighbours of a router, in sessions of a family."""
        asn = {"asn": settings.pop("routers_asn")} if "routers_asn" in settings else {}
        hosts = self.lab.nodes.values()
        router.peer_with(*(neighbor(host, family, **settings) for host in hosts), **asn)

    @staticmethod
    def _known(router: Router) -> set[str]:
        return kernel_routes(router.host, Family.IPV4) | kernel_routes(router.host, Family.IPV6)


def neighbor(host: Host, family: Family = Family.IPV4, **settings: Any) -> Neighbor:
    """Return a node as a router's neighbour."""
    return Neighbor(**{"address": end(host, family), "asn": NODES_ASN, **settings})


def end(host: Host, family: Family) -> IPv4Address | IPv6Address:
    """Return a host's address of a family."""
    return host.ipv4 if family is Family.IPV4 else host.ipv6


async def reached_by(router: Router, prefix: str, *hops: Address) -> None:
    """Wait until a router's kernel sends a prefix to exactly these addresses."""
    await reaches({str(hop) for hop in hops}, partial(next_hops, router.host, prefix))


def counts(router: Router) -> tuple[int, int]:
    """Return how many prefixes a router has learned: IPv4, IPv6."""
    return router.count(Family.IPV4), router.count(Family.IPV6)


@contextmanager
def bgp_world(folder: Path, *, nodes: int = 2) -> Iterator[BgpWorld]:
    """Open one; what is missing for it skips the test."""
    needs([*requirements(), *without_gobgpd(), *missing_frr("bgpd"), *missing_bird(), *missing_exabgp()])
    with (
        Lab(nodes=nodes, routers=3, clients=0, pods_per_node=0, name="bgp") as lab,
        frr_router(lab.routers["router-1"]) as frr,
        bird_router(lab.routers["router-2"]) as bird,
        exabgp_router(lab.routers["router-3"]) as exabgp,
    ):
        yield BgpWorld(lab, folder, frr, bird, exabgp)
