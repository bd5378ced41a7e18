"""Which endpoints reach each other, and how: directly where one of them can, else through a hub.

Every pair of endpoints is judged by itself, so what changes at one site leaves all other pairs as they are. Only who is
the hub concerns many, and that does not change because somebody came: hubs are named, or the oldest.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from ipaddress import IPv4Address

from netlb.raven.model import Election, Endpoint, Hub, Prefix, Site
from netlb.raven.nat import Destination, dial, meet
from netlb.raven.subnets import Subnets, merged
from netlb.reasons import Apart

__all__ = ["Link", "Mesh", "Peer", "Way"]


class Way(StrEnum):
    """How two endpoints reach each other."""

    DIRECT = "direct"
    """One of them can open a tunnel to the other."""
    TRAVERSAL = "traversal"
    """Both are behind NATs that let them meet."""
    RELAY = "relay"
    """Each has a tunnel to a hub."""


@dataclass(frozen=True, slots=True)
class Link:
    """What two active endpoints of different sites make of each other; the same from both ends."""

    way: Way | None
    hub: str = ""
    """The node that stands between them, if one does."""
    reason: Apart | None = None
    """Why there is no way."""

    def __str__(self) -> str:
        return f"{self.way} by {self.hub}" if self.hub else str(self.way or self.reason)


@dataclass(frozen=True, slots=True)
class Peer:
    """Another endpoint, as an endpoint has to know it."""

    site: str
    node: str
    key: str
    allowed: tuple[Prefix, ...] = ()
    """What is sent to it, and taken from it. Without any it is known, so that it can take over at once (warm)."""
    destination: Destination | None = None
    """Where it is at first. None: it comes by itself, and where it was seen last must not be overwritten."""
    keepalive: int = 0
    """Seconds; 0: none."""
    address: IPv4Address | None = None
    """Its own address inside the tunnel, which stays its own whoever is active; among what is allowed."""
    watched: bool = False
    """Whether the two ends watch each other through the tunnel: one of them is active at least."""


class Mesh:
    """All sites and how they reach each other; for one endpoint that is worked out in linear time, when asked."""

    def __init__(
        self,
        sites: Collection[Site],
        elections: Mapping[str, Election],
        subnets: Subnets,
        hub: str = "",
        fallen: Collection[str] = (),
    ) -> None:
        """Join sites; `hub` is the site that has been the hub so far, where that is known.

        Endpoints in `fallen` are active no more, but what their own nodes have is still sent to them, and taken from
        them: if only their agents have died, they send it through their tunnels as before.
        """
        self.sites = {site.name: site for site in sites}
        self.elections = elections
        self.subnets = subnets
        self._endpoints = {
            endpoint.node: endpoint for site in sites for endpoint in site.endpoints if endpoint.node in site.nodes
        }
        self._active = {name: tuple(map(self._endpoints.__getitem__, elections[name].active)) for name in self.sites}
        self._fallen = {
            site.name: tuple(
                endpoint
                for endpoint in site.endpoints
                if endpoint.node in fallen
                and endpoint.node in site.nodes
                and self._active[site.name]
                and endpoint not in self._active[site.name]
            )
            for site in sites
        }
        self._gateways = {node: gateway for site in sites for node, gateway in self._assigned(site)}
        self._shares = {node: share for site in sites for node, share in self._share_out(site)}
        self.hubs = self._rank_hubs(hub)

    def site_of(self, endpoint: str) -> str:
        """Return the site of an endpoint."""
        return self._endpoints[endpoint].site

    def gateway_of(self, node: str) -> str | None:
        """Return the active endpoint that a node's traffic to other sites goes through; None if its site has none."""
        return self._gateways.get(node)

    def share(self, node: str) -> tuple[Prefix, ...]:
        """Return the prefixes of a site that are reached through one of its active endpoints."""
        return self._shares.get(node, ())

    def active(self, site: str) -> tuple[Endpoint, ...]:
        """Return the active endpoints of a site."""
        return self._active[site]

    def others(self, site: str) -> Iterator[Site]:
        """Yield the other sites."""
        return (other for name, other in self.sites.items() if name != site)

    def between(self, one: str, other: str) -> tuple[Link, ...]:
        """Return the links between two sites: one for each pair of active endpoints, or one that says why there is
        none."""
        pairs = [(first, second) for first in self._active[one] for second in self._active[other]]
        return tuple(self.link(*pair) for pair in pairs) or (Link(None, reason=Apart.NO_ENDPOINT),)

    def link(self, one: Endpoint, other: Endpoint) -> Link:
        """Return what two endpoints of different sites make of each other."""
        if not one.key or not other.key:
            return Link(None, reason=Apart.NO_KEY)
        if not _understand(one, other):
            return Link(None, reason=Apart.OTHER_PROTOCOL)
        if self._direct(one, other):
            return Link(Way.DIRECT)
        if meet(one, other):
            return Link(Way.TRAVERSAL)
        for hub in self.hubs:
            if hub.site not in (one.site, other.site) and self._direct(hub, one) and self._direct(hub, other):
                return Link(Way.RELAY, hub.node)
        return Link(None, reason=Apart.NO_HUB)

    def peers(self, node: str) -> tuple[Peer, ...]:
        """Return all peers of an endpoint, in the order of sites and of their endpoints.

        An active endpoint has one for each other endpoint that it has a tunnel to; the prefixes of those that it
        reaches through a hub are among the hub's, which has none of its own for the pair: a hub's state grows with
        the sites, not with their pairs. Endpoints that could take over are there without prefixes: when they do,
        prefixes move from one peer to another, and no handshake is needed that the other end could not answer. One
        that could take over itself has the same peers, and keeps a tunnel to the hubs open.
        """
        me = self._endpoints[node]
        if not me.key:
            return ()
        mine = me in self._active[me.site]
        relayed: dict[str, list[Prefix]] = {}
        links: dict[str, Link] = {}
        for site in self.others(me.site) if mine else ():
            for other in (*self._active[site.name], *self._fallen[site.name]):
                links[other.node] = link = self.link(me, other)
                if link.hub:
                    relayed.setdefault(link.hub, []).extend(self._carried(other))
        return tuple(
            peer
            for site in self.others(me.site)
            for other in site.endpoints
            if other.key
            and other.node in site.nodes
            and (peer := self._peer(me, other, links.get(other.node), relayed.get(other.node, ()), mine))
        )

    def _peer(
        self, me: Endpoint, other: Endpoint, link: Link | None, relayed: Collection[Prefix], mine: bool
    ) -> Peer | None:
        """Return an endpoint as a peer; `link` is None where one of the two is not active."""
        behind_nat = me.nat is not None
        keepalive = self.sites[me.site].keepalive if behind_nat else 0
        if link is not None and link.way is Way.TRAVERSAL:
            met = meet(me, other)
            assert met is not None
            return Peer(other.site, other.node, other.key, self._carried(other), met[0], keepalive, watched=True)
        if not self._direct(me, other):
            return None
        allowed = (*self._carried(other), *relayed) if link is not None else ()
        if link is None:
            keepalive = keepalive if not mine and other in self._kept_warm else 0
        return Peer(
            other.site,
            other.node,
            other.key,
            _in_order(allowed),
            dial(me, other),
            keepalive,
            watched=mine or other in self._active[other.site],
        )

    def _carried(self, endpoint: Endpoint) -> tuple[Prefix, ...]:
        """Return the prefixes that go through an endpoint's own tunnels."""
        fallen = self._fallen[endpoint.site]
        if endpoint in fallen:
            return self.subnets.nodes.get(endpoint.node, ())
        if not fallen:
            return self.share(endpoint.node)
        without = dict(self._share_out(self.sites[endpoint.site], {other.node for other in fallen}))
        return without.get(endpoint.node, ())

    def _direct(self, one: Endpoint, other: Endpoint) -> bool:
        return _understand(one, other) and (dial(one, other) is not None or dial(other, one) is not None)

    @property
    def _kept_warm(self) -> tuple[Endpoint, ...]:
        """The hubs to which endpoints that could take over have a tunnel already."""
        named = tuple(hub for hub in self.hubs if self.sites[hub.site].hub is Hub.ALWAYS)
        return named or self.hubs[:1]

    def _rank_hubs(self, incumbent: str) -> tuple[Endpoint, ...]:
        """Return the active endpoints that can stand between others, the first choice first."""

        def order(site: Site) -> tuple[bool, bool, tuple[str, str]]:
            return site.hub is not Hub.ALWAYS, site.name != incumbent, site.seniority

        willing = sorted((site for site in self.sites.values() if site.hub is not Hub.NEVER), key=order)
        return tuple(
            endpoint
            for site in willing
            for endpoint in self._active[site.name]
            if endpoint.nat is None and endpoint.addresses and endpoint.key
        )

    def _assigned(self, site: Site) -> Iterator[tuple[str, str]]:
        """Yield each node and its endpoint: itself, or by SHA-256 one of them all, so that others stay when one comes
        or goes."""
        active = self.elections[site.name].active
        for node in site.nodes if active else ():
            yield node, node if node in active else max(active, key=lambda gateway: _score(node, gateway))

    def _share_out(self, site: Site, without: Collection[str] = ()) -> Iterator[tuple[str, tuple[Prefix, ...]]]:
        """Yield each active endpoint and the prefixes of its nodes; the first one has what belongs to no node, too."""
        active = self.elections[site.name].active
        if len(active) == 1 and not without:  # merging again what is merged already would take most of the time
            yield active[0], self.subnets.of(site)
            return
        for place, gateway in enumerate(active):
            prefixes = [
                prefix
                for node in site.nodes
                if self._gateways[node] == gateway and node not in without
                for prefix in self.subnets.nodes.get(node, ())
            ]
            yield gateway, merged((*prefixes, *(self.subnets.extra.get(site.name, ()) if not place else ())))


def _understand(one: Endpoint, other: Endpoint) -> bool:
    """Say whether two endpoints speak the same, WireGuard or IPsec, as far as is known."""
    return one.protocol is None or other.protocol is None or one.protocol is other.protocol


def _score(node: str, gateway: str) -> tuple[bytes, str]:
    return sha256(f"{node}#{gateway}".encode()).digest(), gateway


def _in_order(prefixes: Collection[Prefix]) -> tuple[Prefix, ...]:
    """Order prefixes as text is read; those of different sites are not merged, so that each comes and goes alone."""
    return tuple(sorted(prefixes, key=lambda prefix: (prefix.version, int(prefix.network_address), prefix.prefixlen)))
