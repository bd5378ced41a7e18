"""A data plane as text: the commands of iproute2, wg and nft that would make it. What golden tests and people read."""

from collections.abc import Iterator

from netlb.net import Address, Family
from netlb.raven.dataplane import DataPlane, Overlay, Route, RouteKind, Rule, Tunnel
from netlb.raven.model import family_of_prefix

__all__ = ["ip_commands", "render", "wg_configuration"]

_FLAG = {Family.IPV4: "-4", Family.IPV6: "-6"}


def render(plane: DataPlane, protocol: int) -> str:
    """Return the whole of it. Keys that are secret are not in it, nor in the data plane."""
    through = f" through {plane.gateway}" if plane.gateway not in ("", plane.node) else ""
    parts = [f"# {plane.node}: {plane.role}{f' of {plane.site}' if plane.site else ''}{through}"]
    parts += [f"# to {way.site}{f' at {way.endpoint}' if way.endpoint else ''}: {way.link}" for way in plane.ways]
    parts += ip_commands(plane, protocol)
    if plane.tunnel:
        parts.append(wg_configuration(plane.tunnel).rstrip())
    if plane.nft:
        parts.append(plane.nft.rstrip())
    return "\n".join((*parts, ""))


def ip_commands(plane: DataPlane, protocol: int) -> list[str]:
    """Return the commands for links, neighbours, routes and rules, in an order in which they work from nothing."""
    return [
        *(_overlay(plane.overlay) if plane.overlay else ()),
        *(_tunnel(plane.tunnel) if plane.tunnel else ()),
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


def _tunnel(tunnel: Tunnel) -> Iterator[str]:
    yield f"ip link add {tunnel.device} mtu {tunnel.mtu} type wireguard"
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
