"""The speaker's metrics about protocols; their names end as MetalLB's do."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from prometheus_client import Metric

from netlb.bfd.adapter.bfd import Peer, SessionStatus
from netlb.bfd.packet import State
from netlb.l2.announces import AddressStats, Stats
from netlb.net import Address
from netlb.plan import NodePlan
from netlb.plan.bgp import BgpPlan
from netlb.plan.render import routes_told, service_name
from netlb.reasons import BfdVerdict
from netlb.runtime.metrics import Samples, counter, gauge
from netlb.source.status import Standing
from netlb_speaker.guard import Withheld
from netlb_speaker.report import silence
from netlb_speaker.report_bgp import Heard, sessions_of

if TYPE_CHECKING:
    from netlb.bgp.peers import Session
    from netlb.bgp.sessions import Watched

__all__ = ["announced_metric", "bfd_metrics", "bgp_metrics", "conflict_metrics", "l2_metrics"]


def announced_metric(
    node: str,
    plan: NodePlan | None,
    held: Mapping[Address, Collection[str]],
    bgp: BgpPlan,
    told: Mapping[Address, Standing],
) -> Metric:
    """Show which Services' addresses are announced: answered for on an interface, or told to routers."""
    owned = plan.l2 if plan else {}
    answered = [
        (ref, "layer2", address)
        for address, interfaces in held.items()
        if interfaces and address in owned
        for ref in owned[address].services
    ]
    routed = [
        (ref, "bgp", address)
        for ref, addresses in bgp.services.items()
        for address in addresses
        if told[address].silence is None
    ]
    samples: Samples = {
        (service_name(ref), protocol, node, str(address)): 1.0 for ref, protocol, address in (*answered, *routed)
    }
    return gauge(
        "netlb_speaker_announced",
        "Always 1: this node answers for the address of the Service, or tells routers of it.",
        ("service", "protocol", "node", "ip"),
        samples,
    )


def dispute_metrics(withheld: Mapping[Address, Withheld], claims: Samples) -> Iterable[Metric]:
    """Show what is not announced yet, and how often others claimed what is."""
    yield gauge(
        "netlb_speaker_withheld",
        "Always 1: this node owns the address and does not announce it yet.",
        ("ip", "reason"),
        {(str(address), str(silence(why))): 1.0 for address, why in withheld.items()},
    )
    yield counter(
        "netlb_layer2_conflicts_total",
        "Times that another station claimed an address held here.",
        ("ip", "interface"),
        claims,
    )


def l2_metrics(stats: Stats) -> Iterable[Metric]:
    """Show what the responder counts."""
    for metric, documentation, count in _LAYER2:
        samples: Samples = {(str(address),): float(count(counts)) for address, counts in stats.addresses.items()}
        yield counter(metric, documentation, ("ip",), samples)
    yield counter(
        "netlb_layer2_frames_total",
        "Frames that reached the responder (socket) or its fast path (tcx, clsact), by what became of them.",
        ("interface", "path", "verdict"),
        {
            (source.interface, source.path, str(verdict)): float(number)
            for source, counts in stats.frames.items()
            for verdict, number in counts.items()
        },
    )


def conflict_metrics(
    withheld: Mapping[Address, Withheld],
    claims: Mapping[tuple[str, ...], float],
    defences: Mapping[tuple[str, ...], float],
) -> Iterable[Metric]:
    """Show what is not announced because of other stations, what they claim, and what was defended."""
    yield gauge(
        "netlb_speaker_withheld",
        "Always 1: this node owns the address and does not announce it yet.",
        ("ip", "reason"),
        {(str(address), str(silence(each))): 1.0 for address, each in withheld.items()},
    )
    yield counter(
        "netlb_layer2_conflicts_total",
        "Times that another station claimed an address held here.",
        ("ip", "interface"),
        claims,
    )
    yield counter(
        "netlb_layer2_defences_total",
        "Times that the address was announced once more because another station claimed it.",
        ("ip",),
        defences,
    )


def bgp_metrics(plan: BgpPlan, heard: Heard) -> Iterable[Metric]:
    """Show the sessions with routers, by the address and the BGPPeer's name of each."""
    labels = ("peer", "name")
    found: dict[tuple[str, str], Watched | None] = {
        (watched.session.address if watched else key.name, name): watched
        for name, key, watched in sessions_of(plan, heard)
    }
    sessions = {labelled: watched for labelled, watched in found.items() if watched is not None}
    yield gauge(
        "netlb_bgp_session_up",
        "1: routes are exchanged with the router; 0: they are not.",
        labels,
        {labelled: float(watched is not None and watched.up) for labelled, watched in found.items()},
    )
    yield gauge(
        "netlb_bgp_announced_prefixes_total",
        "Prefixes that the router is told of.",
        labels,
        {labelled: float(watched.session.advertised if watched.up else 0) for labelled, watched in sessions.items()},
    )
    meant = _meant(plan)
    yield gauge(
        "netlb_bgp_pending_prefixes_total",
        "Prefixes that the router is to be told of and is not.",
        labels,
        {
            (peer, name): float(max(0, meant[name] - (watched.session.advertised if watched and watched.up else 0)))
            for (peer, name), watched in found.items()
        },
    )
    for metric, documentation, count in _MESSAGES:
        yield counter(metric, documentation, labels, {key: float(count(one.session)) for key, one in sessions.items()})


def bfd_metrics(sessions: Mapping[Peer, SessionStatus], counts: Mapping[BfdVerdict, int]) -> Iterable[Metric]:
    """Show the BFD sessions, with other speakers and with routers, by the other end's address.

    `counts` are of all packets that came in, those that are for no session too.
    """
    statuses = {str(peer): status for peer, status in sessions.items()}
    yield gauge(
        "netlb_bfd_session_up",
        "1: the session is up; 0: it is not.",
        ("peer",),
        {(peer,): float(status.state is State.UP) for peer, status in statuses.items()},
    )
    for metric, documentation, count in _BFD:
        yield counter(metric, documentation, ("peer",), {(peer,): float(count(one)) for peer, one in statuses.items()})
    yield counter(
        "netlb_bfd_control_packet_dropped_total",
        "Control packets for the session that changed nothing, by why.",
        ("peer", "verdict"),
        {
            (peer, str(verdict)): float(number)
            for peer, status in statuses.items()
            for verdict, number in status.dropped.items()
        },
    )
    yield counter(
        "netlb_bfd_packets_total",
        "Packets that came in, those for no session too, by what became of them.",
        ("verdict",),
        {(str(verdict),): float(number) for verdict, number in counts.items()},
    )


_LAYER2: Final[Sequence[tuple[str, str, Callable[[AddressStats], int]]]] = (
    ("netlb_layer2_requests_received_total", "Questions for the address.", lambda one: one.requests_received),
    ("netlb_layer2_responses_sent_total", "Answers given.", lambda one: one.responses_sent),
    ("netlb_layer2_gratuitous_sent_total", "Announcements sent unasked.", lambda one: one.gratuitous_sent),
)
_MESSAGES: Final[Sequence[tuple[str, str, Callable[["Session"], int]]]] = (
    ("netlb_bgp_updates_total", "UPDATE messages sent.", lambda one: one.sent.updates),
    ("netlb_bgp_updates_received_total", "UPDATE messages received.", lambda one: one.received.updates),
    ("netlb_bgp_opens_sent_total", "OPEN messages sent.", lambda one: one.sent.opens),
    ("netlb_bgp_opens_received_total", "OPEN messages received.", lambda one: one.received.opens),
    ("netlb_bgp_keepalives_sent_total", "KEEPALIVE messages sent.", lambda one: one.sent.keepalives),
    ("netlb_bgp_keepalives_received_total", "KEEPALIVE messages received.", lambda one: one.received.keepalives),
    ("netlb_bgp_notifications_sent_total", "NOTIFICATION messages sent.", lambda one: one.sent.notifications),
    (
        "netlb_bgp_notifications_received_total",
        "NOTIFICATION messages received.",
        lambda one: one.received.notifications,
    ),
    ("netlb_bgp_route_refresh_sent_total", "ROUTE-REFRESH messages sent.", lambda one: one.sent.route_refreshes),
    (
        "netlb_bgp_route_refresh_received_total",
        "ROUTE-REFRESH messages received.",
        lambda one: one.received.route_refreshes,
    ),
    ("netlb_bgp_messages_sent_total", "Messages of all kinds sent.", lambda one: one.sent.total),
    ("netlb_bgp_messages_received_total", "Messages of all kinds received.", lambda one: one.received.total),
)
_BFD: Final[Sequence[tuple[str, str, Callable[[SessionStatus], int]]]] = (
    ("netlb_bfd_control_packet_input_total", "Control packets received.", lambda one: one.received),
    ("netlb_bfd_control_packet_output_total", "Control packets sent.", lambda one: one.sent),
    ("netlb_bfd_session_up_events_total", "Times that the session came up.", lambda one: one.ups),
    ("netlb_bfd_session_down_events_total", "Times that the session failed.", lambda one: one.downs),
)


def _meant(plan: BgpPlan) -> Counter[str]:
    """Return how many prefixes each BGPPeer is to be told of."""
    meant = {
        (peer, told.route.prefix) for listed in routes_told(plan).values() for told in listed for peer in told.peers
    }
    return Counter(peer for peer, _ in meant)
