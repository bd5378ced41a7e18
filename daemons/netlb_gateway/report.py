"""What a node says of its tunnels, and the first of its site's endpoints of the site. Pure."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from netlb.api.keys import READY
from netlb.plan.raven import RavenPlan
from netlb.plan.render import findings_data
from netlb.raven.dataplane import DataPlane, Role
from netlb.raven.mesh import Peer
from netlb.raven.model import Site
from netlb.reasons import EventReason
from netlb_gateway.hellos import Way

__all__ = [
    "elected",
    "narrow",
    "node_status",
    "notes",
    "peer_state",
    "site_status",
    "spokesman",
    "why_not_connected",
]


def peer_state(peer: Peer, alive: Collection[str]) -> str:
    """Return how a tunnel is: up, down, or warm, which is known beforehand and not watched."""
    if not peer.watched:
        return "warm"
    return "up" if peer.node in alive else "down"


def node_status(
    plan: RavenPlan,
    plane: DataPlane,
    *,
    key: str,
    backend: str,
    alive: Collection[str],
    mtus: Mapping[str, int],
    notes: Iterable[str],
) -> dict[str, Any]:
    """Return how a node is connected. Nothing in it changes as long as nothing happens.

    `mtus` gives the peers through whose tunnels less passes than they should take, and how much.
    """
    election = plan.mesh.elections.get(plane.site)
    hubs = plan.mesh.hubs
    peers = plane.tunnel.peers if plane.tunnel else ()
    return {
        "node": plane.node,
        "site": plane.site,
        "role": str(plane.role),
        "gateway": plane.gateway,
        "publicKey": key if plane.tunnel else "",
        "backend": backend if plane.tunnel else "",
        "active": list(election.active) if election else [],
        "standby": list(election.standby) if election else [],
        "idle": {node: str(why) for node, why in election.idle.items()} if election else {},
        "hub": hubs[0].site if hubs else "",
        "ways": [{"site": way.site, "endpoint": way.endpoint, "link": str(way.link)} for way in plane.ways],
        "peers": [
            {"site": peer.site, "node": peer.node, "state": peer_state(peer, alive)}
            | ({"mtu": mtus[peer.node]} if peer.node in mtus else {})
            for peer in peers
        ],
        "notes": list(notes),
        "findings": findings_data(plan.findings),
    }


def spokesman(plan: RavenPlan, site: Site, *, lost: bool) -> str:
    """Return the node that says how a site is: its first active endpoint; where none is, or they are lost, the first of
    its other nodes that is ready. Where there is none, nobody says it but the hub's metrics."""
    active = plan.mesh.elections[site.name].active
    endpoints = {endpoint.node for endpoint in site.endpoints}
    others = [name for name, node in site.nodes.items() if node.ready and name not in endpoints]
    first = (*others, *active) if lost else active
    return next(iter((*first, *site.nodes)), "")


def site_status(plan: RavenPlan, site: Site, *, lost: bool) -> dict[str, Any]:
    """Return a Gateway's status: its active endpoints, and whether other sites reach it. `lost`: by none that lives."""
    election = plan.mesh.elections[site.name]
    endpoints = [site.endpoint(node) for node in election.active]
    if lost or not election.active:
        reason = EventReason.ACTIVE_ENDPOINT_LOST
        message = "no endpoint is alive" if election.active else "no endpoint is active"
        if election.idle:
            message += ": " + ", ".join(f"{node} {why}" for node, why in election.idle.items())
    else:
        reason = EventReason.ACTIVE_ENDPOINT_ELECTED
        message = ""
    return {
        "activeEndpoints": [
            {
                "nodeName": endpoint.node,
                "underNAT": endpoint.nat is not None,
                "publicIPs": [str(address) for address in endpoint.addresses],
                "port": endpoint.public_port or endpoint.port,
                "publicKey": endpoint.key,
            }
            for endpoint in endpoints
            if endpoint is not None
        ],
        "standby": list(election.standby),
        "hub": any(hub.site == site.name for hub in plan.mesh.hubs[:1]),
        "conditions": [
            {
                "type": READY,
                "status": "False" if reason is EventReason.ACTIVE_ENDPOINT_LOST else "True",
                "reason": str(reason),
                "message": message,
            }
        ],
    }


def why_not_connected(plane: DataPlane, alive: Collection[str], dead: Collection[str]) -> str | None:
    """Return why other sites are not reached, or None; one site of many that is away is no reason."""
    if plane.site and not plane.gateway and plane.ways:
        return "the site has no active endpoint"
    if plane.role is Role.GATEWAY and plane.tunnel is not None:
        hubs = {way.link.hub for way in plane.ways if way.link.hub}
        active = {way.endpoint for way in plane.ways}
        expected = [peer for peer in plane.tunnel.peers if peer.node in active | hubs]
        down = [peer.node for peer in expected if peer_state(peer, alive) == "down"]
        if down and (len(down) == len(expected) or hubs & set(down)):
            return f"no tunnel to {', '.join(down[:5])}" + (f" and {len(down) - 5} more" if len(down) > 5 else "")
    elif plane.gateway and plane.gateway in dead:
        return f"the gateway {plane.gateway} is not heard"
    return None


def narrow(ways: Mapping[str, Way]) -> dict[str, int]:
    """Return the peers through whose tunnels less passes than they should take, and how much."""
    found = {node: way.mtu.found for node, way in ways.items()}
    return {node: mtu for node, mtu in found.items() if mtu and mtu + 8 < ways[node].mtu.largest}


def notes(
    plane: DataPlane | None, alive: Collection[str], dead: Collection[str], ways: Mapping[str, Way]
) -> Iterator[str]:
    """Yield what is not as it should be with the ways to other sites."""
    if plane is not None and (why := why_not_connected(plane, alive, dead)) is not None:
        yield why
    for node, mtu in narrow(ways).items():
        yield (
            f"of packets of {ways[node].mtu.largest} octets to {node} none arrives, of {mtu} octets they do; "
            "set spec.mtu of the Gateway to that"
        )


def elected(before: RavenPlan | None, plan: RavenPlan) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the sites at which others are active than before, and who."""
    for site, election in plan.mesh.elections.items():
        known = before.mesh.elections.get(site) if before is not None else None
        if known is None or known.active != election.active:
            yield site, election.active
