"""Who watches whom, and how often. Pure.

Within a site every node watches the endpoints, and they watch every node: what is sent grows with the number of
nodes, and each learns of a dead gateway by itself. Where there is one endpoint only there is nothing to decide, and it
is not watched. Through the tunnels an active endpoint watches all that it has a tunnel to, and those that could take
over watch the active ones of other sites.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from netlb.net import Address
from netlb.raven.dataplane import DataPlane
from netlb.raven.mesh import Mesh

__all__ = ["POOL_INTERVAL", "TUNNEL_INTERVAL", "Watched", "Watches", "watches"]

POOL_INTERVAL: Final = 100_000
"""Microseconds between two packets within a site; three that are missing are a death."""
TUNNEL_INTERVAL: Final = 300_000
"""And through a tunnel, which is long, and may be paid for by the octet. Who takes over says so at once."""
_EACH: Final = 200
"""Microseconds for a packet: who watches more than 500 sends each of them fewer."""


@dataclass(frozen=True, slots=True)
class Watched:
    """Another node, as it is watched."""

    local: Address
    """This node's own address."""
    address: Address
    interval: int
    """Microseconds between two packets."""
    tunnel: bool = False
    """Whether through a tunnel."""


@dataclass(frozen=True, slots=True)
class Watches:
    """All that one node watches, by node."""

    pool: Mapping[str, Watched]
    tunnels: Mapping[str, Watched]


def watches(mesh: Mesh, plane: DataPlane) -> Watches:
    """Return whom the node of a data plane watches."""
    site = mesh.sites.get(plane.site)
    pool: dict[str, Address] = {}
    own = site.nodes[plane.node].underlay if site is not None else None
    if site is not None and own is not None and site.replicas:
        endpoints = {endpoint.node for endpoint in site.endpoints if endpoint.node in site.nodes}
        seen = {name: node.underlay for name, node in site.nodes.items() if name != plane.node}
        pool = {
            name: address
            for name, address in seen.items()
            if address is not None
            and address.version == own.version
            and len(endpoints) > 1
            and (plane.node in endpoints or name in endpoints)
        }
    peers = [peer for peer in plane.tunnel.peers if peer.watched and peer.address] if plane.tunnel else []
    inner = plane.tunnel.address if plane.tunnel else None
    return Watches(
        {name: Watched(own, address, max(POOL_INTERVAL, _EACH * len(pool))) for name, address in pool.items() if own},
        {
            peer.node: Watched(inner, peer.address, max(TUNNEL_INTERVAL, _EACH * len(peers)), tunnel=True)
            for peer in peers
            if inner and peer.address
        },
    )
