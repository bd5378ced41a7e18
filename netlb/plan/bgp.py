"""Snapshot to BgpPlan: what one node's gobgpd should have, and why an address is not announced by it."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from ipaddress import IPv4Address, ip_network
from types import MappingProxyType
from typing import Any

from netlb.api.core import Node
from netlb.api.keys import RACK_LABEL
from netlb.api.meta import Record, selects
from netlb.api.snapshot import Snapshot
from netlb.api.v1alpha1 import AddressPool, BGPAdvertisement, BGPConfiguration, BGPConfigurationSpec, BGPPeer
from netlb.bgp.audience import audience
from netlb.bgp.drain import shutting_down
from netlb.bgp.model import BgpState, Global, LargeCommunity, Offer, Peer, Prefix, Route
from netlb.findings import Finding, ObjectRef, Severity
from netlb.net import Address, Family, family_of, parse_address
from netlb.plan.bfd import Unwatched, Watch, watch
from netlb.plan.communities import community
from netlb.plan.peers import peer, unhonoured
from netlb.plan.places import Places
from netlb.plan.routes import Claim, SilentRoute, exceeds, unite
from netlb.plan.validate import advertises
from netlb.reasons import ManifestProblem, Silence
from netlb.topology import eligible_nodes

__all__ = ["BgpPlan", "SilentRoute", "plan_bgp"]

_NOTHING: Mapping[Any, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class BgpPlan:
    """What one node tells its routers: the whole of what its gobgpd should have."""

    node: str
    state: BgpState | None = None
    """None: the node speaks no BGP."""
    announced: Mapping[Address, frozenset[Prefix]] = field(default_factory=lambda: _NOTHING)
    """Addresses, and the prefixes in which they are announced."""
    services: Mapping[ObjectRef, tuple[Address, ...]] = field(default_factory=lambda: _NOTHING)
    """Services, and those of their addresses that are announced for them."""
    silent: Mapping[ObjectRef, Mapping[Address, SilentRoute]] = field(default_factory=lambda: _NOTHING)
    draining: bool = False
    """True where the node takes no more traffic: routers are asked to prefer others, before all is withdrawn."""
    peers: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """The BGPPeer behind each of the state's peers, by the name in its key."""
    watches: Mapping[str, Watch] = field(default_factory=lambda: _NOTHING)
    """The BFD sessions with them, by the same name; some peers have none."""
    findings: tuple[Finding, ...] = ()


def plan_bgp(snapshot: Snapshot, node: str, *, ready_only: bool = False) -> BgpPlan:
    """Plan one node. Pure: the same snapshot gives the same plan. `ready_only`: while it is not ready, it drains."""
    record = snapshot.nodes.get(node)
    if record is None or not snapshot.bgp_peers:
        return BgpPlan(node)
    return _Planner(snapshot, record, ready_only).plan()


class _Planner:
    """Plans for one node and one snapshot."""

    def __init__(self, snapshot: Snapshot, node: Node, ready_only: bool) -> None:
        self._snapshot = snapshot
        self._node = node
        self._name = node.metadata.name
        self._findings: list[Finding] = []
        self._draining = self._name not in eligible_nodes(snapshot.nodes, ready_only=ready_only)
        self._places = Places(snapshot, ready_only=ready_only, also=frozenset({self._name}))
        self._internal = {
            family_of(address): address for address in reversed([*_internal_addresses(node, self._findings)])
        }
        self._watches: dict[str, Watch] = {}
        self._audiences: Mapping[str, tuple[Prefix, ...]] = {}
        self._keys: Mapping[str, str] = {}
        self._checked: set[tuple[str, str]] = set()
        self._stations = {
            address: name for name, each in snapshot.nodes.items() for address in _internal_addresses(each, [])
        }
        self._aliases = {
            alias.name: alias.value for record in snapshot.communities.values() for alias in record.spec.communities
        }

    def plan(self) -> BgpPlan:
        """Return the plan."""
        configuration = self._configuration()
        speaker = self._speaker(configuration)
        if speaker is None:
            return BgpPlan(self._name, silent=self._all_silent(Silence.NO_SPEAKER), findings=tuple(self._findings))
        peers, names = self._peers(speaker, configuration)
        self._audiences = {record.key.name: audience(record, peers) for record in peers}
        self._keys = {declared: key for key, declared in names.items()}
        announced: dict[Address, frozenset[Prefix]] = {}
        services: dict[ObjectRef, list[Address]] = {}
        silent: dict[ObjectRef, dict[Address, SilentRoute]] = {}
        claims: dict[Prefix, dict[Claim, None]] = {}
        for ref, address in self._held():
            found = self._claims(ref, address, speaker.asn) if peers else SilentRoute(Silence.NO_PEER)
            if isinstance(found, SilentRoute):
                silent.setdefault(ref, {})[address] = found
                continue
            for claim in found:
                claims.setdefault(claim.route.prefix, {})[claim] = None
        routes: dict[Prefix, Route | SilentRoute] = {}
        offers: dict[int, Offer] = {}
        for prefix, claimed in claims.items():
            united = unite(claimed, self._audiences)
            routes[prefix] = united if isinstance(united, SilentRoute) else united[0]
            offers.update((offer.id, offer) for offer in (() if isinstance(united, SilentRoute) else united[1]))
        lengths = sorted({prefix.prefixlen for prefix in routes})  # few: looking through all routes would be quadratic
        for ref, address in self._held():
            if address in silent.get(ref, ()):
                continue
            around = (_prefix(address, length) for length in lengths if length <= address.max_prefixlen)
            prefixes = [prefix for prefix in around if prefix in routes]
            conflicts = [one for prefix in prefixes if isinstance(one := routes[prefix], SilentRoute)]
            if conflicts:
                silent.setdefault(ref, {})[address] = conflicts[0]
            announced[address] = frozenset(one for one in prefixes if isinstance(routes[one], Route))
            if announced[address]:
                services.setdefault(ref, []).append(address)
        told = tuple(route for route in routes.values() if isinstance(route, Route))
        state = BgpState(speaker, peers, told, tuple(offers.values()))
        return BgpPlan(
            self._name,
            shutting_down(state) if self._draining else state,
            {address: prefixes for address, prefixes in announced.items() if prefixes},
            {ref: tuple(addresses) for ref, addresses in services.items()},
            silent,
            self._draining,
            names,
            self._watches,
            tuple(self._findings),
        )

    # The speaker and its peers

    def _configuration(self) -> BGPConfiguration | None:
        labels = self._node.metadata.labels
        chosen = [
            record
            for _, record in sorted(self._snapshot.bgp_configurations.items())
            if selects(record.spec.node_selectors, labels)
        ]
        for further in chosen[1:]:
            self._warn(further, "", f"node {self._name} has {chosen[0].ref} already", "let each node be selected once")
        return chosen[0] if chosen else None

    def _speaker(self, configuration: BGPConfiguration | None) -> Global | None:
        spec = configuration.spec if configuration else BGPConfigurationSpec()
        labels = self._node.metadata.labels
        asn = spec.asn_per_rack.get(labels.get(RACK_LABEL, "")) or spec.asn or self._asn_of_peers()
        if asn is None:
            return None
        router_id = spec.router_id or next(
            (one.spec.router_id for one in self._declared_peers() if one.spec.router_id), ""
        )
        return Global(
            asn=asn,
            router_id=IPv4Address(router_id) if router_id else self._router_id(),
            listen_port=spec.listen_port,
            listen_addresses=tuple(map(parse_address, spec.listen_addresses)),
            use_multiple_paths=spec.use_multiple_paths,
        )

    def _asn_of_peers(self) -> int | None:
        """Return the number that the peers of this node name as ours; of several the smallest, and a warning."""
        found = sorted({one.spec.my_asn for one in self._declared_peers() if one.spec.my_asn})
        if len(found) > 1:
            for one in self._declared_peers():
                if one.spec.my_asn not in (None, found[0]):
                    self._warn(
                        one,
                        "spec.myASN",
                        f"another peer of node {self._name} has {found[0]}, which is the node's; this one is told "
                        f"{one.spec.my_asn} (local AS)",
                        "declare the node's number by a BGPConfiguration",
                    )
        return found[0] if found else None

    def _router_id(self) -> IPv4Address:
        """Return the node's own IPv4 address, or one made of its name where it has none (RFC 6286: any will do)."""
        address = self._internal.get(Family.IPV4)
        if isinstance(address, IPv4Address):
            return address
        return IPv4Address(int.from_bytes(sha256(self._name.encode()).digest()[:4], "big") | 1)

    def _declared_peers(self) -> list[BGPPeer]:
        labels = self._node.metadata.labels
        return [
            record
            for _, record in sorted(self._snapshot.bgp_peers.items())
            if selects(record.spec.node_selectors, labels)
        ]

    def _peers(
        self, speaker: Global, configuration: BGPConfiguration | None
    ) -> tuple[tuple[Peer, ...], Mapping[str, str]]:
        restart = configuration.spec.graceful_restart if configuration else None
        peers: dict[str, Peer] = {}
        names: dict[str, str] = {}
        for declared in self._declared_peers():
            for name, instead in unhonoured(declared):
                self._warn(declared, f"spec.{name}", f"it has no effect: {instead}", "leave it out")
            try:
                record = peer(declared, speaker.asn, self._snapshot.passwords, restart)
            except LookupError as error:
                reason = ManifestProblem.UNKNOWN_REFERENCE
                self._warn(declared, "spec.passwordSecret", str(error), "create it", reason=reason)
                continue
            except ValueError as error:
                name, _, problem = str(error).partition(": ")
                self._warn(declared, f"spec.{name}", problem, "correct the field; until then the peer is left out")
                continue
            if record.address is not None and record.address in self._internal.values():
                self._warn(declared, "spec.peerAddress", f"it is node {self._name}'s own", "name the router's address")
                continue
            if record.key.name in peers:
                other = names[record.key.name]
                self._warn(declared, "", f"BGPPeer {other} is the same router on node {self._name}", "remove one")
                continue
            peers[record.key.name], names[record.key.name] = record, declared.metadata.name
            self._watch(declared, record)
        return tuple(peers.values()), names

    def _watch(self, declared: BGPPeer, record: Peer) -> None:
        profiles = self._snapshot.bfd_profiles
        found = watch(declared, record, profiles, self._stations)
        if isinstance(found, Unwatched):
            self._warn(declared, "spec.bfdProfile", found.problem, found.remedy, reason=found.reason)
        elif found is not None:
            self._watches[record.key.name] = found
            profile = profiles[declared.spec.bfd_profile]
            if profile.spec.echo_mode:
                problem = "netlb speaks no BFD echo (RFC 5880 section 6.4): the intervals of its packets count instead"
                self._warn(profile, "spec.echoMode", problem, "leave it out")

    # Routes

    def _held(self) -> Iterable[tuple[ObjectRef, Address]]:
        for ref in sorted(self._snapshot.holdings):
            service = self._snapshot.services.get(ref)
            if service and service.spec.type == "LoadBalancer":
                for address in self._snapshot.holdings[ref].addresses:
                    yield ref, address

    def _all_silent(self, reason: Silence) -> dict[ObjectRef, dict[Address, SilentRoute]]:
        silent: dict[ObjectRef, dict[Address, SilentRoute]] = {}
        for ref, address in self._held():
            silent.setdefault(ref, {})[address] = SilentRoute(reason)
        return silent

    def _claims(self, ref: ObjectRef, address: Address, asn: int) -> list[Claim] | SilentRoute:
        """Return what announces an address for a Service from this node, or why nothing does."""
        service, pool = self._snapshot.services[ref], self._places.pool_of(address)
        advertisements = [
            record
            for _, record in sorted(self._snapshot.bgp_advertisements.items())
            if pool is not None
            and advertises(record, pool)
            and selects(record.spec.service_selectors, service.metadata.labels)
        ]
        if pool is None or not advertisements:
            return SilentRoute(Silence.NO_ADVERTISEMENT)
        nodes = self._places.nodes(service, pool)
        if isinstance(nodes, Silence):
            return SilentRoute(nodes)
        labels = self._node.metadata.labels
        mine = [record for record in advertisements if selects(record.spec.node_selectors, labels)]
        if self._name not in nodes or not mine:
            return SilentRoute(Silence.NO_CANDIDATE)
        claims: list[Claim] = []
        for record in mine:
            peers = self._peers_named(record)
            if peers is None or peers:
                route = self._route(record, address, asn)
                if isinstance(route, SilentRoute):
                    return route
                self._check_aggregate(record, pool, route.prefix)
                claims.append(Claim(route, peers))
        return claims or SilentRoute(Silence.NO_PEER, f"it is for peers that node {self._name} does not have")

    def _route(self, record: BGPAdvertisement, address: Address, asn: int) -> Route | SilentRoute:
        spec, family = record.spec, family_of(address)
        length = spec.aggregation_length if family is Family.IPV4 else spec.aggregation_length_v6
        next_hop = parse_address(spec.next_hop) if spec.next_hop else self._internal.get(family)
        if next_hop is None and family is Family.IPV4:
            next_hop = self._internal.get(Family.IPV6)  # RFC 8950
        if next_hop is None or (family is Family.IPV6 and next_hop.version == 4):
            return SilentRoute(Silence.NO_NEXT_HOP, f"node {self._name} has no InternalIP of {family}")
        communities, large = self._communities(record)
        return Route(
            prefix=_prefix(address, length),
            next_hop=next_hop,
            local_pref=spec.local_pref,
            med=spec.med,
            communities=communities,
            large_communities=large,
            as_path=(asn,) * spec.as_path_prepend,
        )

    def _peers_named(self, record: BGPAdvertisement) -> frozenset[str] | None:
        """Return those of this node's peers that an advertisement names, by their keys' names; None: it names none."""
        for index, name in enumerate(record.spec.peers):
            if name not in self._snapshot.bgp_peers:
                problem, reason = f"there is no BGPPeer {name!r}", ManifestProblem.UNKNOWN_REFERENCE
                self._warn(record, f"spec.peers[{index}]", problem, "declare it, or correct the name", reason=reason)
        if not record.spec.peers:
            return None
        nowhere = sorted(name for name, key in self._keys.items() if not self._audiences[key])
        if nowhere:
            self._warn(
                record,
                "spec.peers",
                f"on node {self._name}, BGPPeer {', '.join(nowhere)} is told of none of these prefixes: GoBGP tells "
                "peers apart by their addresses",
                "give the router's address (peerAddress), or let the prefixes be for all peers",
            )
        return frozenset(key for name, key in self._keys.items() if name in record.spec.peers)

    def _check_aggregate(self, record: BGPAdvertisement, pool: AddressPool, prefix: Prefix) -> None:
        checked = record.metadata.name, pool.metadata.name
        if prefix.prefixlen < prefix.max_prefixlen and checked not in self._checked and exceeds(prefix, pool):
            self._checked.add(checked)
            field_name = "aggregationLength" if prefix.version == 4 else "aggregationLengthV6"
            self._warn(
                record,
                f"spec.{field_name}",
                f"{prefix} has more addresses than pool {pool.metadata.name}, and routers send this node their traffic",
                "make it longer; leave it if all of the prefix is yours, and has no other route",
            )

    def _communities(self, record: BGPAdvertisement) -> tuple[frozenset[int], frozenset[LargeCommunity]]:
        plain: set[int] = set()
        large: set[LargeCommunity] = set()
        for index, text in enumerate(record.spec.communities):
            value = community(text, self._aliases)
            if value is None:
                problem, reason = f"there is no Community that names {text!r}", ManifestProblem.UNKNOWN_REFERENCE
                field_name = f"spec.communities[{index}]"
                self._warn(record, field_name, problem, "declare it, or write the numbers", reason=reason)
            elif isinstance(value, LargeCommunity):
                large.add(value)
            else:
                plain.add(value)
        return frozenset(plain), frozenset(large)

    def _warn(
        self,
        record: Record,
        field_name: str,
        problem: str,
        remedy: str,
        *,
        reason: ManifestProblem = ManifestProblem.NOT_HONOURED,
    ) -> None:
        finding = Finding(
            subject=record.ref,
            field=field_name,
            reason=reason,
            problem=problem,
            remedy=remedy,
            severity=Severity.WARNING,
        )
        if finding not in self._findings:
            self._findings.append(finding)


def _prefix(address: Address, length: int) -> Prefix:
    return ip_network((address, length), strict=False)


def _internal_addresses(node: Node, findings: list[Finding]) -> Iterable[Address]:
    for address in node.status.addresses:
        if address.type == "InternalIP":
            try:
                yield parse_address(address.address)
            except ValueError as error:
                findings.append(
                    Finding(
                        subject=node.ref,
                        field="status.addresses",
                        reason=ManifestProblem.INVALID_OBJECT,
                        problem=str(error),
                        remedy="correct the address",
                        severity=Severity.WARNING,
                    )
                )
