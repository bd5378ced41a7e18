"""The gateway's metrics: who is active, and how each tunnel is."""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from prometheus_client import Metric

from netlb.plan.raven import RavenPlan
from netlb.raven.backend import PeerState
from netlb.runtime.metrics import Samples, counter, gauge, reconciler_metrics

if TYPE_CHECKING:
    from netlb_gateway.gateway import Gateway

__all__ = ["Peers", "gateway_metrics"]

Peers = Mapping[str, PeerState]
"""By public key."""


def gateway_metrics(gateway: "Gateway") -> Iterable[Metric]:
    """Show how a node is connected."""
    carrier = gateway.carrier
    yield from reconciler_metrics([*carrier.halves, gateway.status])
    plane, plan = gateway.plane, gateway.plan
    if plane is None or plan is None:
        return
    yield gauge(
        "netlb_gateway_role",
        "Always 1: what the node is to its site.",
        ("site", "role"),
        {(plane.site, str(plane.role)): 1.0},
    )
    sites = _spoken_of(gateway, plan)
    yield gauge(
        "netlb_gateway_active_endpoint",
        "Always 1: the node is an active endpoint of the site, as this one sees it.",
        ("site", "endpoint"),
        {(name, node): 1.0 for name in sites for node in plan.mesh.elections[name].active},
    )
    yield gauge(
        "netlb_gateway_site_lost",
        "1: no endpoint of the site is alive, as far as this node can see; 0: there is one.",
        ("site",),
        {(name,): float(gateway.is_lost(name)) for name in sites},
    )
    yield counter(
        "netlb_gateway_elections_total",
        "How often others became active at the site, as this node saw it.",
        ("site",),
        {(name,): float(gateway.elections[name]) for name in sites},
    )
    alive, dead = gateway.liveness.alive, gateway.liveness.dead
    yield gauge(
        "netlb_gateway_node_alive",
        "1: the node is heard by BFD, in the site or through a tunnel; 0: it is not.",
        ("node",),
        {(node,): float(node in alive) for node in alive | dead},
    )
    peers = {(peer.site, peer.node): peer for peer in (plane.tunnel.peers if plane.tunnel else ())}
    states = {label: state for label, peer in peers.items() if (state := gateway.peers.get(peer.key)) is not None}
    labels = ("site", "peer")
    yield gauge(
        "netlb_gateway_peer_up",
        "1: the endpoint is heard through its tunnel; 0: it is not. Those that are not watched are left out.",
        labels,
        {label: float(peer.node in alive) for label, peer in peers.items() if peer.watched},
    )
    yield gauge(
        "netlb_gateway_peer_handshake_age_seconds",
        "Since the two ends last agreed on keys.",
        labels,
        {label: state.handshake for label, state in states.items() if state.handshake is not None},
    )
    received: Samples = {label: float(state.received) for label, state in states.items()}
    yield counter("netlb_gateway_peer_received_bytes_total", "Octets that came in, encrypted.", labels, received)
    sent: Samples = {label: float(state.sent) for label, state in states.items()}
    yield counter("netlb_gateway_peer_sent_bytes_total", "Octets that went out, encrypted.", labels, sent)
    ways = {label: gateway.hellos.ways[peer.node] for label, peer in peers.items() if peer.node in gateway.hellos.ways}
    yield gauge(
        "netlb_gateway_peer_rtt_seconds",
        "Of a packet through the tunnel and back, smoothed.",
        labels,
        {label: way.rtt for label, way in ways.items() if way.rtt is not None},
    )
    yield gauge(
        "netlb_gateway_peer_mtu_octets",
        "The largest packet that was seen to pass the tunnel.",
        labels,
        {label: float(way.mtu.found) for label, way in ways.items() if way.mtu.found is not None},
    )


def _spoken_of(gateway: "Gateway", plan: RavenPlan) -> Sequence[str]:
    """Return the sites of which this node tells: its own one; at the hub all, which may be cut off from whoever asks.

    So what is told altogether grows with nodes and sites, and not with their product.
    """
    assert gateway.plane is not None
    hubs = plan.mesh.hubs
    if hubs and hubs[0].node == gateway.plane.node:
        return sorted(plan.mesh.sites)
    return [gateway.plane.site] if gateway.plane.site in plan.mesh.sites else []
