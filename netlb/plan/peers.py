"""BGPPeers as the BGP daemon has them, or why it cannot."""

from collections.abc import Mapping
from ipaddress import ip_network

from netlb.api.v1alpha1 import BGPPeer
from netlb.api.v1alpha1.base import duration_seconds
from netlb.api.v1alpha1.bgp import GracefulRestart as DeclaredRestart
from netlb.bgp.model import AsKind, GracefulRestart, Peer, PrivateAsns
from netlb.net import Family, parse_address

__all__ = ["Passwords", "peer", "unhonoured"]

Passwords = Mapping[tuple[str, str], str]
"""What Secrets hold under `password`, by namespace and name."""

_HOLD, _CONNECT = 90, 5
_FAMILIES = {"ipv4": Family.IPV4, "ipv6": Family.IPV6}
_PRIVATE = {None: PrivateAsns.KEEP, "all": PrivateAsns.REMOVE, "replace": PrivateAsns.REPLACE}


def peer(declared: BGPPeer, asn: int, passwords: Passwords, restart: DeclaredRestart | None = None) -> Peer:
    """Return the daemon's peer, for a speaker of this autonomous system; `restart` counts where the peer says nothing.

    ValueError `field: problem` if it cannot be; LookupError if its Secret is not there.
    """
    spec = declared.spec
    if spec.vrf:
        raise ValueError("vrf: GoBGP's own routing table is not the kernel's; leave it out")
    hold, keepalive = _timers(spec.hold_time, spec.keepalive_time)
    kind = AsKind(spec.dynamic_asn) if spec.dynamic_asn else None
    local = spec.local_asn if spec.local_asn is not None else spec.my_asn
    return Peer(
        address=parse_address(spec.peer_address) if spec.peer_address else None,
        interface=spec.interface,
        prefix=ip_network(spec.peer_prefix, strict=False) if spec.peer_prefix else None,
        asn=kind or spec.peer_asn or asn,
        local_asn=local if local != asn else None,
        port=spec.peer_port,
        hold_time=hold,
        keepalive=keepalive,
        connect_retry=int(duration_seconds(spec.connect_time) or _CONNECT) if spec.connect_time else _CONNECT,
        source=parse_address(spec.source_address) if spec.source_address else None,
        password=_password(declared, passwords),
        multihop_ttl=(spec.multi_hop_ttl or 255) if spec.ebgp_multi_hop else None,
        ttl_security_hops=spec.ttl_security_hops,
        passive=spec.passive,
        graceful_restart=_graceful_restart(spec.graceful_restart or restart),
        families=tuple(_FAMILIES[family] for family in spec.address_families),
        allow_own_asn=spec.allow_own_asn,
        private_asns=_PRIVATE[spec.remove_private_asn],
        replace_peer_asn=spec.replace_peer_asn,
        admin_down=spec.disabled,
        description=declared.metadata.name,
    )


def unhonoured(declared: BGPPeer) -> list[tuple[str, str]]:
    """Return the fields of a peer that have no effect, each with what happens instead."""
    spec = declared.spec
    given = {
        "addPaths": (spec.add_paths is not None, "each node sends one path for a prefix: itself"),
        "mtuDiscovery": (spec.mtu_discovery, "the kernel's default counts"),
        "tcpMSS": (spec.tcp_mss is not None, "the kernel's default counts"),
        "routerID": (bool(spec.router_id), "a node has one router id: BGPConfiguration's"),
    }
    return [(name, instead) for name, (is_given, instead) in given.items() if is_given]


def _graceful_restart(declared: DeclaredRestart | None) -> GracefulRestart | None:
    """Return the daemon's settings for a graceful restart."""
    if declared is None or not declared.enabled:
        return None
    return GracefulRestart(
        restart_time=declared.restart_time,
        deferral_time=declared.deferral_time or 360,
        helper_only=declared.helper_only,
        notification=declared.notification_enabled,
        longlived=declared.longlived_enabled,
    )


def _timers(hold_text: str, keepalive_text: str) -> tuple[int, int]:
    """Return hold and keepalive time in whole seconds, one from the other where one is missing (MetalLB's rule)."""
    hold = int(duration_seconds(hold_text) or 0) if hold_text else None
    keepalive = int(duration_seconds(keepalive_text) or 0) if keepalive_text else None
    if hold == 0:
        raise ValueError("holdTime: GoBGP cannot do without a hold time; write at least 3s")
    if hold is None:
        hold = max(3, keepalive * 3) if keepalive else _HOLD
    return hold, keepalive or max(1, hold // 3)


def _password(declared: BGPPeer, passwords: Passwords) -> str:
    spec = declared.spec
    if spec.password_secret is None:
        return spec.password
    key = spec.password_secret.namespace, spec.password_secret.name
    if key not in passwords:
        raise LookupError(f"there is no Secret {'/'.join(filter(None, key))} with a key 'password'")
    return passwords[key]
