"""A data plane as text: commands of iproute2 and nft, and the tunnels as wg or swanctl read them. What golden tests
and people read."""

from collections.abc import Iterator, Mapping
from typing import Any

from netlb.net import Address, Family
from netlb.raven import ipsec
from netlb.raven.backend import Remote
from netlb.raven.dataplane import DataPlane, Overlay, Route, RouteKind, Rule, Tunnel
from netlb.raven.model import family_of_prefix

__all__ = ["ip_commands", "render", "swanctl_configuration", "wg_configuration"]

_FLAG = {Family.IPV4: "-4", Family.IPV6: "-6"}


def render(plane: DataPlane, protocol: int, *, ipsec_key: str | None = None) -> str:
    """Return the whole of it. Keys that are secret are not in it, nor in the data plane.

    `ipsec_key` is the node's own public key where its tunnels are made by strongSwan; None: they are WireGuard's.
    """
    through = f" through {plane.gateway}" if plane.gateway not in ("", plane.node) else ""
    parts = [f"# {plane.node}: {plane.role}{f' of {plane.site}' if plane.site else ''}{through}"]
    parts += [f"# to {way.site}{f' at {way.endpoint}' if way.endpoint else ''}: {way.link}" for way in plane.ways]
    parts += ip_commands(plane, protocol, "wireguard" if ipsec_key is None else f"xfrm if_id {ipsec.IF_ID}")
    if plane.tunnel and ipsec_key is None:
        parts.append(wg_configuration(plane.tunnel).rstrip())
    elif plane.tunnel and plane.tunnel.peers and ipsec_key is not None:
        parts.append(swanctl_configuration(plane.tunnel, ipsec_key).rstrip())
    if plane.nft:
        parts.append(plane.nft.rstrip())
    return "\n".join((*parts, ""))


def ip_commands(plane: DataPlane, protocol: int, kind: str = "wireguard") -> list[str]:
    """Return the commands for links, neighbours, routes and rules, in an order in which they work from nothing.

    `kind` is that of the tunnels' link.
    """
    return [
        *(_overlay(plane.overlay) if plane.overlay else ()),
        *(_tunnel(plane.tunnel, kind) if plane.tunnel else ()),
        *(
            f"bridge fdb replace {entry.mac} dev {plane.overlay.device} dst {entry.station} self permanent"
            for entry in plane.forwarding
            if plane.overlay
        ),
        *(
            f"ip neigh replace {entry.address} lladdr {entry.mac} dev {plane.overlay.device} nud permanent"
            for entry in plane.neighbours
            if plane.overlay
        ),
        *(_route(route, protocol) for route in plane.routes),
        *(_rule(rule, protocol) for rule in plane.rules),
    ]


def wg_configuration(tunnel: Tunnel) -> str:
    """Return the peers in the form of `wg setconf`, without the node's own key and the one that all share."""
    lines = ["[Interface]", f"ListenPort = {tunnel.port}"]
    for peer in tunnel.peers:
        lines += ["", f"# {peer.site}/{peer.node}", "[Peer]", f"PublicKey = {peer.key}"]
        lines.append(f"AllowedIPs = {', '.join(map(str, peer.allowed))}" if peer.allowed else "AllowedIPs =")
        if peer.destination:
            address, port = peer.destination
            lines.append(f"Endpoint = {f'[{address}]' if address.version == 6 else address}:{port}")
        if peer.keepalive:
            lines.append(f"PersistentKeepalive = {peer.keepalive}")
    return "\n".join((*lines, ""))


def swanctl_configuration(tunnel: Tunnel, own: str) -> str:
    """Return the peers in the form of swanctl.conf(5), just as strongSwan is told of them, without the secret."""
    lines = []
    for peer in tunnel.peers:
        remote = Remote(allowed=frozenset(peer.allowed), destination=peer.destination, keepalive=peer.keepalive)
        loaded = ipsec.connection(tunnel.device, own, peer.key, remote, tunnel.port, ipsec.IF_ID)
        lines += [f"# {peer.site}/{peer.node}", *_sections({"connections": loaded})]
    return "\n".join((*lines, ""))


def _sections(settings: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield f"{indent}{name} {{"
            yield from _sections(value, f"{indent}  ")
            yield f"{indent}}}"
        else:
            yield f"{indent}{name} = {', '.join(value) if isinstance(value, list) else value}"


def _overlay(overlay: Overlay) -> Iterator[str]:
    device = overlay.device
    yield (
        f"ip link add {device} address {overlay.mac} mtu {overlay.mtu} type vxlan id {overlay.vni} "
        f"local {overlay.local} dstport {overlay.port} nolearning"
    )
    yield from _up(device)
    for address in overlay.addresses:
        yield f"ip address add {address}/{_on_link(address)} dev {device} scope link"


def _on_link(address: Address) -> int:
    return 32 if address.version == 4 else 64


def _tunnel(tunnel: Tunnel, kind: str) -> Iterator[str]:
    yield f"ip link add {tunnel.device} mtu {tunnel.mtu} type {kind}"
    yield from _up(tunnel.device)
    if tunnel.address:
        yield f"ip address add {tunnel.address}/32 dev {tunnel.device} scope link"


def _up(device: str) -> Iterator[str]:
    # Beforehand: a device that comes up gives itself an address of its own.
    yield f"ip link set {device} addrgenmode none"
    yield f"ip link set {device} up"


def _route(route: Route, protocol: int) -> str:
    words = [f"ip {_FLAG[family_of_prefix(route.prefix)]} route add"]
    words += [] if route.kind is RouteKind.UNICAST else [str(route.kind)]
    words.append(str(route.prefix))
    words += [f"via {route.via}"] if route.via else []
    words += [f"dev {route.device}"] if route.device else []
    words += [f"table {route.table} proto {protocol}"]
    words += ["scope link"] if route.device and not route.via and route.prefix.version == 4 else []
    words += [f"src {route.source}"] if route.source else []
    words += [f"metric {route.metric}"] if route.metric else []
    words += [f"mtu {route.mtu}"] if route.mtu else []
    words += ["onlink"] if route.via else []
    return " ".join(words)


def _rule(rule: Rule, protocol: int) -> str:
    incoming = f" iif {rule.incoming}" if rule.incoming else ""
    return (
        f"ip {_FLAG[rule.family]} rule add priority {rule.priority}{incoming} lookup {rule.table} protocol {protocol}"
    )
