"""Addresses of endpoints inside the tunnels: by them an endpoint is reached through its own tunnel, active or not."""

from collections.abc import Iterable
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network

from netlb.raven.model import Site

__all__ = ["inner_addresses"]


def inner_addresses(sites: Iterable[Site], network: IPv4Network) -> dict[str, IPv4Address]:
    """Return the addresses of all endpoints that are nodes of their sites, by node.

    An address follows from the node's name alone (SHA-256), so that nobody has to give it out and it stays when
    others come and go. Of two names for which it is the same, the later one in their order takes the next address that
    is free. The first and the last address of the network are nobody's.
    """
    names = sorted({endpoint.node for site in sites for endpoint in site.endpoints if endpoint.node in site.nodes})
    room = network.num_addresses - 2
    taken: set[int] = set()
    found: dict[str, IPv4Address] = {}
    for name in names:
        host = int.from_bytes(sha256(name.encode()).digest()[:8], "big") % room
        while host in taken:
            host = (host + 1) % room
        taken.add(host)
        found[name] = network.network_address + 1 + host
    return found
