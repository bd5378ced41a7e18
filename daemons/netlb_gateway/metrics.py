"""The gateway's metrics: who is active, and how each tunnel is."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from prometheus_client import Metric

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
    yield gauge(
        "netlb_gateway_active_endpoint",
        "Always 1: the node is an active endpoint of the site, as this one sees it.",
        ("site", "endpoint"),
        {(name, node): 1.0 for name, election in plan.mesh.elections.items() for node in election.active},
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
