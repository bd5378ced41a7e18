"""The speaker and its peers as messages of GoBGP's API.

gobgpd tells back what it was told with its own defaults filled in, and less of it for groups than for peers. Whether a
peer is as wanted is therefore asked of both messages (`agree`), and no record is made of what came back.
"""

from dataclasses import dataclass, field
from enum import IntEnum
from ipaddress import ip_address, ip_network
from typing import Any, Final, NamedTuple

from netlb.bgp.dialect import Dialect
from netlb.bgp.messages import Message, message
from netlb.bgp.model import AsKind, Global, GracefulRestart, Key, Kind, Peer, PrivateAsns
from netlb.bgp.owner import Owner
from netlb.bgp.paths import family_message

__all__ = [
    "MessageCounts",
    "Session",
    "SessionState",
    "agree",
    "encode_global",
    "encode_group",
    "encode_peer",
    "group_key",
    "group_name",
    "peer_key",
    "router_address",
    "session",
    "speaks_as",
]

_NO_ADDRESS: Final = frozenset({"", "<nil>", "invalid IP"})
"""How GoBGP 3 and 4 spell that there is none."""
_PRIVATE: Final = {PrivateAsns.KEEP: 0, PrivateAsns.REMOVE: 1, PrivateAsns.REPLACE: 2}


class SessionState(IntEnum):
    """The state machine's states (RFC 4271 section 8.2.2), by GoBGP's numbers."""

    UNKNOWN = 0
    IDLE = 1
    CONNECT = 2
    ACTIVE = 3
    OPEN_SENT = 4
    OPEN_CONFIRM = 5
    ESTABLISHED = 6


class MessageCounts(NamedTuple):
    """How many messages of each kind went one way, since gobgpd has the peer (RFC 4271 section 4, RFC 2918)."""

    opens: int = 0
    updates: int = 0
    keepalives: int = 0
    notifications: int = 0
    route_refreshes: int = 0
    total: int = 0


@dataclass(frozen=True, slots=True)
class Session:
    """How far a session is. Two that differ in their messages alone are equal."""

    key: Key | None
    """The peer of ours that it belongs to, of a dynamic neighbour its prefix; None: it is somebody else's."""
    address: str
    """The router's."""
    state: SessionState
    admin_down: bool = False
    reason: str = ""
    """Why it was last ended; GoBGP 3 does not tell."""
    accepted: int = 0
    """Prefixes accepted from the router; this and what follows is told in lists, and not in events."""
    advertised: int = 0
    """Prefixes that the router is told of; counted only where it is asked for."""
    sent: MessageCounts = field(default=MessageCounts(), compare=False)
    received: MessageCounts = field(default=MessageCounts(), compare=False)


def encode_global(speaker: Global) -> Message:
    """Return what StartBgp is told."""
    return message("Global")(
        asn=speaker.asn,
        router_id=str(speaker.router_id),
        listen_port=speaker.listen_port,
        listen_addresses=[str(address) for address in speaker.listen_addresses],
        use_multiple_paths=speaker.use_multiple_paths,
    )


def speaks_as(speaker: Global, running: Message) -> bool:
    """Whether a running speaker is the one that is wanted, as far as it tells back."""
    wanted = encode_global(speaker)
    addresses = list(wanted.listen_addresses) or list(running.listen_addresses)  # all of them, in its own words
    return (
        (wanted.asn, wanted.router_id, wanted.listen_port) == (running.asn, running.router_id, running.listen_port)
        and addresses == list(running.listen_addresses)
        and wanted.use_multiple_paths == running.use_multiple_paths
    )


def encode_peer(owner: Owner, speaker: Global, peer: Peer) -> Message:
    """Return the peer that AddPeer is told of, with the owner's mark in its description."""
    conf = message("PeerConf")(
        **_common_conf(owner, speaker, peer),
        neighbor_address=_neighbor_address(peer),
        neighbor_interface=peer.interface,
        allow_own_asn=peer.allow_own_asn,
        remove_private=_PRIVATE[peer.private_asns],
        replace_peer_asn=peer.replace_peer_asn,
        admin_down=peer.admin_down,
    )
    return message("Peer")(conf=conf, **_common(peer))


def encode_group(owner: Owner, speaker: Global, peer: Peer) -> Message:
    """Return the group from which gobgpd makes the dynamic neighbours of a peer with a prefix."""
    conf = message("PeerGroupConf")(
        **_common_conf(owner, speaker, peer), peer_group_name=group_name(owner, str(peer.prefix))
    )
    return message("PeerGroup")(conf=conf, **_common(peer))


def agree(wanted: Message, found: Message) -> bool:
    """Whether a peer or group that was found is as wanted; our end of the session counts where it is wanted."""
    ours, theirs = wanted.transport.local_address, found.transport.local_address
    return (not ours or ours == theirs) and _essence(wanted) == _essence(found)


def peer_key(owner: Owner, peer: Message) -> Key:
    """Return the key of a peer that was found; that of a dynamic neighbour is its prefix, if that is ours."""
    group = peer.conf.peer_group
    if group.startswith(owner.group_prefix):
        return group_key(owner, group)
    return Key(Kind.PEER, peer.conf.neighbor_interface or router_address(peer))


def router_address(peer: Message) -> str:
    """Return the router's address, with its zone if it is link-local; empty if gobgpd knows none."""
    told = (peer.conf.neighbor_address, peer.state.neighbor_address)
    return next((address for address in told if address not in _NO_ADDRESS), "")


def group_name(owner: Owner, prefix: str) -> str:
    """Return the name of our group for a prefix."""
    return f"{owner.group_prefix}{prefix}"


def group_key(owner: Owner, name: str) -> Key:
    """Return the key of the peer whose group it is: the other way round than `group_name`."""
    return Key(Kind.PEER, str(ip_network(name.removeprefix(owner.group_prefix))))


def session(dialect: Dialect, key: Key | None, peer: Message) -> Session:
    """Return how far a peer's session is."""
    return Session(
        key=key,
        address=router_address(peer),
        state=SessionState(peer.state.session_state),
        admin_down=peer.state.admin_state == dialect.admin_down,
        reason=peer.state.disconnect_message,
        accepted=sum(family.state.accepted for family in peer.afi_safis),
        advertised=sum(family.state.advertised for family in peer.afi_safis),
        sent=_counts(peer.state.messages.sent),
        received=_counts(peer.state.messages.received),
    )


def _counts(counted: Message) -> MessageCounts:
    return MessageCounts(
        opens=counted.open,
        updates=counted.update,
        keepalives=counted.keepalive,
        notifications=counted.notification,
        route_refreshes=counted.refresh,
        total=counted.total,
    )


def _common_conf(owner: Owner, speaker: Global, peer: Peer) -> dict[str, Any]:
    local = peer.local_asn or speaker.asn
    match peer.asn:
        case AsKind.INTERNAL:
            asn = local
        case AsKind.EXTERNAL:
            asn = 0  # any: the number in the router's OPEN is not compared
        case number:
            asn = int(number)
    return {
        "auth_password": peer.password,
        "description": owner.describe(peer.description),
        "local_asn": local,
        "peer_asn": asn,
    }


def _common(peer: Peer) -> dict[str, Any]:
    hops = peer.ttl_security_hops
    restart = _restart(peer.graceful_restart)
    restarting = message("MpGracefulRestart")(config=message("MpGracefulRestartConfig")(enabled=restart is not None))
    config = message("AfiSafiConfig")
    return {
        "ebgp_multihop": message("EbgpMultihop")(
            enabled=peer.multihop_ttl is not None, multihop_ttl=peer.multihop_ttl or 0
        ),
        "ttl_security": message("TtlSecurity")(enabled=hops is not None, ttl_min=0 if hops is None else 256 - hops),
        "timers": message("Timers")(
            config=message("TimersConfig")(
                connect_retry=peer.connect_retry, hold_time=peer.hold_time, keepalive_interval=peer.keepalive
            )
        ),
        "transport": message("Transport")(
            local_address=str(peer.source) if peer.source is not None else "",
            passive_mode=peer.passive,
            remote_port=peer.port,
        ),
        "graceful_restart": restart,
        "afi_safis": [
            message("AfiSafi")(
                config=config(family=family_message(family), enabled=True), mp_graceful_restart=restarting
            )
            for family in peer.families
        ],
    }


def _neighbor_address(peer: Peer) -> str:
    if peer.address is None:
        return ""
    return f"{peer.address}%{peer.interface}" if peer.interface else str(ip_address(peer.address))


def _restart(restart: GracefulRestart | None) -> Message | None:
    if restart is None:
        return None
    return message("GracefulRestart")(
        enabled=True,
        restart_time=restart.restart_time,
        deferral_time=restart.deferral_time,
        helper_only=restart.helper_only,
        notification_enabled=restart.notification,
        longlived_enabled=restart.longlived,
    )


def _essence_of_restart(holder: Message) -> tuple[object, ...]:
    found = holder.graceful_restart
    if not found.enabled:
        return (False,)
    flags = (found.helper_only, found.notification_enabled, found.longlived_enabled)
    return (True, found.restart_time, found.deferral_time, *flags)


_CONF: Final = (
    "auth_password",
    "description",
    "local_asn",
    "peer_asn",
    "neighbor_interface",
    "allow_own_asn",
    "remove_private",
    "replace_peer_asn",
    "admin_down",
    "peer_group_name",
)


def _essence(peer: Message) -> tuple[object, ...]:
    """Return everything that is told back of a peer or group, in a form that compares."""
    hops, ttl, timers = peer.ebgp_multihop, peer.ttl_security, peer.timers.config
    families = {
        (each.config.family.afi, each.config.family.safi, each.mp_graceful_restart.config.enabled)
        for each in peer.afi_safis
        if each.config.enabled
    }
    address = getattr(peer.conf, "neighbor_address", "")
    return (
        *(getattr(peer.conf, name, None) for name in _CONF),
        "" if address in _NO_ADDRESS else address,
        hops.multihop_ttl if hops.enabled else None,
        ttl.ttl_min if ttl.enabled else None,
        (timers.connect_retry, timers.hold_time, timers.keepalive_interval),
        (peer.transport.passive_mode, peer.transport.remote_port),
        _essence_of_restart(peer),
        frozenset(families),
    )
