"""Mesh to DataPlane: what one node has to have. Pure, and linear in the number of sites.

Packets are told apart by where they go, in tables of our own, and by nothing that somebody could change on their way:
no marks, so that what kube-proxy does to a Service's address comes first, as it must. A gateway looks at the
overlay's table only for what comes out of a tunnel; the kernel's check of the reverse path (rp_filter) then passes in
its strict form.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv4Network, IPv6Network

from netlb.net import Address, Family, family_of
from netlb.raven import nft
from netlb.raven.dataplane import (
    DataPlane,
    Forwarding,
    Neighbour,
    Numbers,
    Overlay,
    Role,
    Route,
    RouteKind,
    Rule,
    Tunnel,
    WayTo,
)
from netlb.raven.inner import inner_addresses
from netlb.raven.mesh import Link, Mesh, Peer
from netlb.raven.model import Prefix, Site, family_of_prefix
from netlb.raven.mtu import ANY, WIREGUARD, for_family, overlay_mtu, smallest, tunnel_mtu
from netlb.raven.overlay import Station, stations
from netlb.raven.subnets import Coverage
from netlb.reasons import Apart

__all__ = ["Local", "guard_node", "plan_node"]

_LAST = 1 << 20
"""The metric of routes that count only where no other is left."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Local:
    """What only the node itself knows."""

    underlay_mtu: int = 1500
    """Of the interface that carries tunnels and overlay."""
    addresses: tuple[Address, ...] = ()
    """The node's addresses on all of its interfaces."""
    overhead: int = WIREGUARD
    """What a packet grows by in the node's tunnels, in octets, as its backend says."""
    widest: int = ANY
    """The longest packet that the device of its tunnels takes, in octets, as its backend says, too."""
    watched: tuple[Address, ...] = ()
    """Stations outside the site with which this node has BFD sessions over several hops, as routers."""


def plan_node(mesh: Mesh, node: str, local: Local, numbers: Numbers) -> DataPlane:
    """Plan one node. A node that is in no site has nothing."""
    planner = _planner(mesh, node, local, numbers)
    return planner.plan() if planner else DataPlane(node=node)


def guard_node(mesh: Mesh, node: str, local: Local, numbers: Numbers) -> DataPlane:
    """Plan what a node has to have while it is not known yet which way leads to other sites: pods' packets get nowhere,
    and so not out in clear text. Other nodes are reached as without us: it may take them to learn of the way."""
    planner = _planner(mesh, node, local, numbers)
    return planner.guard() if planner else DataPlane(node=node)


def _planner(mesh: Mesh, node: str, local: Local, numbers: Numbers) -> "_Planner | None":
    site = next((site for site in mesh.sites.values() if node in site.nodes), None)
    return _Planner(mesh, site, node, local, numbers) if site else None


@dataclass(frozen=True, slots=True)
class _Destination:
    """A prefix of another site, and how it is reached; `mtu` is 0 where it is not."""

    prefix: Prefix
    mtu: int


class _Planner:
    """Plans for one node of one site."""

    def __init__(self, mesh: Mesh, site: Site, node: str, local: Local, numbers: Numbers) -> None:
        self._mesh, self._site, self._node, self._local, self._numbers = mesh, site, node, local, numbers
        self._gateway = mesh.gateway_of(node) or ""
        self._via = site.endpoint(self._gateway) if self._gateway else None
        self._me = site.endpoint(node) if site.replicas else None
        self._stations = stations(site.nodes.values(), numbers)
        self._mine = mesh.subnets.nodes.get(node, ())
        self._own = mesh.subnets.of(site)
        self._remote = tuple(prefix for other in mesh.others(site.name) for prefix in mesh.subnets.of(other))
        self._families = [
            family
            for family in Family
            if family in {family_of_prefix(prefix) for prefix in (*self._own, *self._remote)}
        ]
        self._tunnel_mtu = tunnel_mtu(local.underlay_mtu, site.mtu, local.overhead, local.widest)

    def plan(self) -> DataPlane:
        """Return the plan."""
        role = self._role()
        if not self._remote and self._me is None:
            return DataPlane(node=self._node, role=role, site=self._site.name, gateway=self._gateway)
        ways = tuple(self._ways())
        overlay = self._overlay()
        tunnel = self._tunnel()
        return DataPlane(
            node=self._node,
            role=role,
            site=self._site.name,
            gateway=self._gateway,
            overlay=overlay,
            forwarding=tuple(self._forwarding()) if overlay else (),
            neighbours=tuple(self._neighbours()) if overlay else (),
            tunnel=tunnel,
            routes=tuple(self._routes(overlay, tunnel, ways)),
            rules=tuple(self._rules(overlay, tunnel)),
            nft=self._nft(overlay, tunnel) if self._remote else "",
            ways=ways,
        )

    def guard(self) -> DataPlane:
        """Return the plan for the time before."""
        numbers, remote = self._numbers, Coverage(self._remote)
        table = numbers.overlay_table
        sites = self._mesh.sites.values()
        nodes = {address for site in sites for node in site.nodes.values() for address in node.addresses}
        ends = {address for site in sites for endpoint in site.endpoints for address in endpoint.addresses}
        return DataPlane(
            node=self._node,
            site=self._site.name,
            routes=(
                *(_closed(prefix, table) for prefix in self._remote),
                *(
                    Route(prefix=_host(each), table=table, kind=RouteKind.THROW)
                    for each in _in_order(nodes | ends)
                    if each in remote
                ),
            ),
            rules=tuple(
                Rule(family, numbers.overlay_priority, table)
                for family in Family
                if family in map(family_of_prefix, self._remote)
            ),
        )

    @property
    def _is_gateway(self) -> bool:
        return self._gateway == self._node

    def _role(self) -> Role:
        if self._is_gateway:
            return Role.GATEWAY
        return Role.STANDBY if self._me is not None else Role.MEMBER

    def _ways(self) -> Iterator[WayTo]:
        """Yield how each active endpoint of each other site is reached from this node's gateway."""
        for other in self._mesh.others(self._site.name):
            found = self._mesh.active(other.name) if self._via is not None else ()
            for endpoint in found:
                assert self._via is not None
                yield WayTo(other.name, endpoint.node, self._mesh.link(self._via, endpoint))
            if not found:
                yield WayTo(other.name, "", Link(None, reason=Apart.NO_ENDPOINT))

    # -- overlay

    def _others(self) -> dict[str, Station]:
        return {name: station for name, station in self._stations.items() if name != self._node}

    def _overlay(self) -> Overlay | None:
        """Return the overlay; there is none where nobody else is, or where there is nothing that it could lead to."""
        me = self._stations.get(self._node)
        if me is None or not self._others() or not self._remote:
            return None
        underlay = self._local.underlay_mtu
        mtu = overlay_mtu(underlay, family_of(me.underlay), self._tunnel_mtu)
        return Overlay(
            device=self._numbers.overlay_device,
            vni=self._numbers.vni,
            port=self._numbers.vxlan_port,
            local=me.underlay,
            mac=me.mac,
            addresses=tuple(address for address in me.addresses if family_of(address) in self._families),
            mtu=self._device_mtu(mtu),
        )

    def _device_mtu(self, mtu: int) -> int:
        return max(for_family(mtu, family) for family in self._families)

    def _met(self) -> dict[str, Station]:
        """Return the stations that this node sends to: all others for an endpoint, the endpoints for the rest."""
        if self._me is not None:
            return self._others()
        endpoints = {endpoint.node for endpoint in self._site.endpoints}
        return {name: station for name, station in self._others().items() if name in endpoints}

    def _forwarding(self) -> Iterator[Forwarding]:
        for station in self._met().values():
            yield Forwarding(station.mac, station.underlay)

    def _neighbours(self) -> Iterator[Neighbour]:
        gateway = self._stations.get(self._gateway)
        if gateway is not None and not self._is_gateway:
            for family in self._families:
                yield Neighbour(self._next_hop(family), gateway.mac)
        if self._me is not None:
            for station in self._others().values():
                for address in station.addresses:
                    if family_of(address) in self._families:
                        yield Neighbour(address, station.mac)

    def _next_hop(self, family: Family) -> Address:
        return self._numbers.next_hop4 if family is Family.IPV4 else self._numbers.next_hop6

    # -- tunnels

    def _tunnel(self) -> Tunnel | None:
        if self._me is None:
            return None
        mtu = self._device_mtu(self._tunnel_mtu) if self._families else self._tunnel_mtu
        inner = inner_addresses(self._mesh.sites.values(), self._numbers.inner_network)
        return Tunnel(
            device=self._numbers.tunnel_device,
            port=self._me.port,
            mtu=mtu,
            peers=tuple(_reached_at(peer, inner[peer.node]) for peer in self._mesh.peers(self._node)),
            address=inner[self._node],
        )

    # -- routes

    def _routes(self, overlay: Overlay | None, tunnel: Tunnel | None, ways: Iterable[WayTo]) -> Iterator[Route]:
        numbers = self._numbers
        if self._is_gateway and overlay is not None:
            yield from self._routes_to_members(overlay)
        table = numbers.tunnel_table if self._is_gateway else numbers.overlay_table
        outside = set(map(_host, self._carriers(tunnel)))
        for destination in self._destinations(ways):
            if destination.prefix in outside:
                continue  # a node's address at which its tunnels end: a route of one prefix and metric there is one
            family = family_of_prefix(destination.prefix)
            source = self._source(family)
            if destination.mtu and self._is_gateway:
                mtu = for_family(destination.mtu, family)
                yield Route(
                    prefix=destination.prefix, table=table, device=numbers.tunnel_device, source=source, mtu=mtu
                )
            elif destination.mtu and overlay is not None:
                yield Route(
                    prefix=destination.prefix,
                    table=table,
                    device=overlay.device,
                    via=self._next_hop(family),
                    source=source,
                    mtu=for_family(min(overlay.mtu, destination.mtu), family),
                )
            yield _closed(destination.prefix, table)
        if tunnel is not None and tunnel.peers:
            yield Route(prefix=numbers.inner_network, table=table, device=tunnel.device)
            yield _closed(numbers.inner_network, table)
        remote = Coverage(self._remote)
        for address in self._carriers(tunnel):
            if address in remote:
                yield Route(prefix=_host(address), table=table, kind=RouteKind.THROW)

    def _routes_to_members(self, overlay: Overlay) -> Iterator[Route]:
        for name, station in self._others().items():
            for prefix in self._mesh.subnets.nodes.get(name, ()):
                family = family_of_prefix(prefix)
                yield Route(
                    prefix=prefix,
                    table=self._numbers.overlay_table,
                    device=overlay.device,
                    via=station.address4 if family is Family.IPV4 else station.address6,
                    mtu=for_family(overlay.mtu, family),
                )

    def _destinations(self, ways: Iterable[WayTo]) -> tuple[_Destination, ...]:
        """Return all prefixes of other sites, in order, each with the MTU of its way; 0 where there is none."""
        found = [
            _Destination(prefix, self._way_mtu(way) if way.link.way else 0)
            for way in ways
            for prefix in self._prefixes(way)
        ]
        return tuple(
            sorted(found, key=lambda one: (one.prefix.version, int(one.prefix.network_address), one.prefix.prefixlen))
        )

    def _prefixes(self, way: WayTo) -> tuple[Prefix, ...]:
        if way.endpoint:
            return self._mesh.share(way.endpoint)
        return self._mesh.subnets.of(self._mesh.sites[way.site])

    def _way_mtu(self, way: WayTo) -> int:
        """Return the MTU of a way: this site's, unless the other one or the hub has said a smaller one."""
        sites = (way.site, self._mesh.site_of(way.link.hub)) if way.link.hub else (way.site,)
        return smallest(self._tunnel_mtu, (self._mesh.sites[name].mtu for name in sites))

    def _source(self, family: Family) -> Address | None:
        """Return an address of the node's own that others can answer to, if it has one."""
        mine = Coverage(self._mine)
        return next(
            (address for address in self._local.addresses if family_of(address) is family and address in mine), None
        )

    def _carriers(self, tunnel: Tunnel | None) -> list[Address]:
        """Return the addresses to which tunnels and overlay themselves send."""
        stations_met = {station.underlay for station in self._met().values()}
        ends = {peer.destination[0] for peer in tunnel.peers if peer.destination} if tunnel else set()
        return _in_order(stations_met | ends)

    def _rules(self, overlay: Overlay | None, tunnel: Tunnel | None) -> Iterator[Rule]:
        numbers = self._numbers
        inner = {Family.IPV4} if tunnel is not None and tunnel.peers else set()
        for family in [each for each in Family if each in inner or (self._remote and each in self._families)]:
            if not self._is_gateway:
                yield Rule(family, numbers.overlay_priority, numbers.overlay_table)
                continue
            if overlay is not None:
                yield Rule(family, numbers.overlay_priority, numbers.overlay_table, numbers.tunnel_device)
            yield Rule(family, numbers.tunnel_priority, numbers.tunnel_table)

    # -- nftables

    def _nft(self, overlay: Overlay | None, tunnel: Tunnel | None) -> str:
        table = nft.Table(
            local=self._own,
            remote=self._remote,
            own=self._mine,
            overlay=overlay is not None,
            tunnel=tunnel is not None,
            relays=any(hub.node == self._node for hub in self._mesh.hubs),
            sources={family: source for family in self._families if (source := self._sender(family)) is not None},
            nodes=tuple(address for node in self._site.nodes.values() for address in node.addresses),
            watched=self._local.watched,
        )
        return nft.render(table, self._numbers)

    def _sender(self, family: Family) -> Address | None:
        """Return the sender of what comes from no address of the site: the node's own, else its prefix's first station.

        Answers come back to the node that has the prefix, and are given back to whom they belong there.
        """
        if source := self._source(family):
            return source
        return next(
            (
                prefix.network_address + (1 if prefix.num_addresses > 2 else 0)
                for prefix in self._mine
                if family_of_prefix(prefix) is family
            ),
            None,
        )


def _reached_at(peer: Peer, address: IPv4Address) -> Peer:
    return replace(peer, allowed=(*peer.allowed, IPv4Network(address)), address=address)


def _in_order(addresses: Iterable[Address]) -> list[Address]:
    return sorted(addresses, key=lambda address: (address.version, int(address)))


def _closed(prefix: Prefix, table: int) -> Route:
    return Route(prefix=prefix, table=table, kind=RouteKind.UNREACHABLE, metric=_LAST)


def _host(address: Address) -> Prefix:
    return IPv4Network(address) if isinstance(address, IPv4Address) else IPv6Network(address)
