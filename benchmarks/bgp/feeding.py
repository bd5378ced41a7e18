"""What the programs that feed routers share: the routes, the speaker, its peers, and the two pipes of their orders."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from ipaddress import IPv4Address, IPv4Network, ip_address
from pathlib import Path
from typing import Final

from netlb.bgp.model import Global, Peer, Route

__all__ = ["FIRST", "MANY", "commands", "peers", "reply", "routes", "speaker"]

FIRST: Final = IPv4Address("10.64.0.1")
"""The first route is to this address, and each further one to the next."""
MANY: Final = 10_000
"""Routes that there are at most."""
_NODES_ASN, _ROUTERS_ASN = 65001, 65000


def routes(next_hop: IPv4Address) -> tuple[Route, ...]:
    """Return all routes."""
    return tuple(Route(prefix=IPv4Network(FIRST + number), next_hop=next_hop) for number in range(MANY))


def speaker(address: str) -> Global:
    """Return the speaker of a node."""
    return Global(asn=_NODES_ASN, router_id=IPv4Address(address))


def peers(routers: str) -> tuple[Peer, ...]:
    """Return the peers at these addresses, which have commas between them."""
    return tuple(
        Peer(address=ip_address(router), asn=_ROUTERS_ASN, hold_time=9, keepalive=3) for router in routers.split(",")
    )


async def commands(pipe: Path) -> AsyncIterator[tuple[str, int]]:
    """Yield the orders, `set N` (the first N routes are to be there) and `kill`, until `end`."""
    descriptor = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)  # written to by us too, it does not end when others close it
    orders: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, lambda: orders.put_nowait(os.read(descriptor, 4096).decode()))
    try:
        while (order := (await orders.get()).split()) != ["end"]:
            yield order[0], int(order[1]) if order[1:] else 0
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


def reply(pipe: Path, begun: int, handed: int, verified: int | None = None) -> None:
    """Say when an order was begun, carried out, and found to be (CLOCK_MONOTONIC, ns); see `feeders.Reply`."""
    with pipe.open("w") as answers:
        answers.write(json.dumps({"begun": begun, "handed": handed, "verified": verified}) + "\n")
