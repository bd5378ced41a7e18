"""Snapshot to sites: Gateways, the nodes that are in them, their prefixes and endpoints, and what is wrong with
them."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network
from types import MappingProxyType

from netlb.api.core import Node as NodeRecord
from netlb.api.keys import GATEWAY_LABEL
from netlb.api.snapshot import Snapshot
from netlb.api.v1alpha1 import Gateway, GatewayEndpoint
from netlb.findings import Finding, ObjectRef, Severity
from netlb.net import Address, Family, family_of, is_station, parse_address, parse_prefix, to_address
from netlb.plan.segment import addresses_of
from netlb.raven.backend import Choice
from netlb.raven.model import Claim, ClaimKind, Endpoint, Hub, Nat, Node, Prefix, Site, TunnelProtocol
from netlb.reasons import ManifestProblem

__all__ = ["read_sites", "wanted_backend"]

_NOTHING: Mapping[str, str] = MappingProxyType({})


def read_sites(
    snapshot: Snapshot, keys: Mapping[str, str], backends: Mapping[str, str] = _NOTHING
) -> tuple[tuple[Site, ...], tuple[Finding, ...]]:
    """Return all sites by name, and what is wrong with them; `keys` and `backends` are what nodes have published.

    A mistake costs what it is about: a bad prefix that prefix, an endpoint that is no member that endpoint.
    """
    return _Reader(snapshot, keys, backends).read()


def wanted_backend(snapshot: Snapshot, node: str) -> Choice:
    """Return the backend that the Gateway of a node asks for; `auto` where it leaves that open, or there is none."""
    record = snapshot.nodes.get(node)
    site = _Reader(snapshot, {}, {}).gateway_of(record) if record else None
    return Choice(snapshot.gateways[site].spec.backend) if site else Choice.AUTO


class _Reader:
    """Reads one snapshot."""

    def __init__(self, snapshot: Snapshot, keys: Mapping[str, str], backends: Mapping[str, str]) -> None:
        self._snapshot = snapshot
        self._keys = keys
        self._backends = backends
        self._gateways = sorted(snapshot.gateways.values(), key=_seniority)
        self._findings: list[Finding] = []
        self._blocks: dict[str, list[tuple[ObjectRef, str]]] = {}
        for name in sorted(snapshot.block_affinities):
            block = snapshot.block_affinities[name]
            if block.holds:
                self._blocks.setdefault(block.spec.node, []).append((block.ref, block.spec.cidr))

    def read(self) -> tuple[tuple[Site, ...], tuple[Finding, ...]]:
        """Return the sites and the findings."""
        members = self._members()
        sites = [self._site(gateway, members[gateway.metadata.name]) for gateway in self._gateways]
        distinct = [*self._with_keys_of_their_own(sites)]
        return tuple(sorted(distinct, key=lambda site: site.name)), tuple(self._findings)

    # -- who is where

    def _members(self) -> dict[str, list[NodeRecord]]:
        """Return the nodes of each Gateway: by their label, as Raven does it, else by nodeSelector."""
        members: dict[str, list[NodeRecord]] = {gateway.metadata.name: [] for gateway in self._gateways}
        for name in sorted(self._snapshot.nodes):
            node = self._snapshot.nodes[name]
            if (gateway := self.gateway_of(node)) is not None:
                members[gateway].append(node)
        return members

    def gateway_of(self, node: NodeRecord) -> str | None:
        """Return the Gateway of a node."""
        label = node.metadata.labels.get(GATEWAY_LABEL)
        if label is not None:
            if label in self._snapshot.gateways:
                return label
            self._warn(
                node.ref,
                f"metadata.labels[{GATEWAY_LABEL}]",
                ManifestProblem.UNKNOWN_REFERENCE,
                f"there is no Gateway {label!r}, so the node is in no site",
                "declare the Gateway, or correct the label",
            )
            return None
        selecting = [
            gateway.metadata.name
            for gateway in self._gateways
            if gateway.spec.node_selector is not None and gateway.spec.node_selector.matches(node.metadata.labels)
        ]
        if len(selecting) > 1:
            self._warn(
                node.ref,
                "metadata.labels",
                ManifestProblem.AMBIGUOUS_SITE,
                f"the Gateways {', '.join(selecting)} select the node; it is in the site of {selecting[0]}",
                f"make their nodeSelectors differ, or say which one with the label {GATEWAY_LABEL}",
            )
        return selecting[0] if selecting else None

    def _site(self, gateway: Gateway, members: list[NodeRecord]) -> Site:
        spec = gateway.spec
        nodes = {record.metadata.name: self._node(gateway, record) for record in members}
        endpoints = tuple(
            self._endpoint(gateway, index, endpoint, nodes.get(endpoint.node_name))
            for index, endpoint in enumerate(spec.endpoints)
        )
        outside = {address for endpoint in endpoints for address in endpoint.addresses}
        return Site(
            name=gateway.metadata.name,
            age=gateway.metadata.creation_timestamp,
            nodes={name: _without(node, outside) for name, node in nodes.items()},
            endpoints=endpoints,
            extra=tuple(map(_prefix, spec.extra_source_cidrs)),
            replicas=spec.replicas,
            hub=Hub(spec.hub),
            mtu=spec.mtu,
            keepalive=spec.keepalive,
            revertive=spec.revertive,
            hold_down=float(spec.hold_down),
        )

    # -- nodes

    def _node(self, gateway: Gateway, record: NodeRecord) -> Node:
        addresses = tuple(addresses_of(record).values())
        claims = [*self._claims(record)]
        if not claims:
            self._warn(
                record.ref,
                "spec.podCIDRs",
                ManifestProblem.NO_PREFIX,
                "the node has no prefix for its pods, so other sites do not reach them",
                "give it podCIDRs, or install the CNI that gives it some",
            )
        if gateway.spec.node_addresses:
            claims += (Claim(_prefix(f"{address}/{family_of(address).bits}"), ClaimKind.NODE) for address in addresses)
        return Node(record.metadata.name, addresses, tuple(claims), _ready(record))

    def _claims(self, record: NodeRecord) -> Iterator[Claim]:
        """Yield the prefixes of a node's pods: Calico's, where it has given any, else those of the Node."""
        if blocks := self._blocks.get(record.metadata.name):
            for ref, text in blocks:
                if prefix := self._checked(ref, "spec.cidr", text):
                    yield Claim(prefix, ClaimKind.BLOCK)
            return
        spec = record.spec
        texts = spec.pod_cidrs or ((spec.pod_cidr,) if spec.pod_cidr else ())
        for index, text in enumerate(texts):
            if prefix := self._checked(record.ref, f"spec.podCIDRs[{index}]", text):
                yield Claim(prefix, ClaimKind.POD_CIDR)

    def _checked(self, ref: ObjectRef, field: str, text: str) -> Prefix | None:
        try:
            problem = "" if is_station(parse_prefix(text)) else f"{text} holds no address that a station can have"
        except ValueError as error:
            problem = str(error)
        if problem:
            self._warn(ref, field, ManifestProblem.INVALID_RANGE, problem, "correct it; the other prefixes count")
            return None
        return _prefix(text)

    # -- endpoints

    def _endpoint(self, gateway: Gateway, index: int, declared: GatewayEndpoint, node: Node | None) -> Endpoint:
        name, field = declared.node_name, f"spec.endpoints[{index}]"
        if node is None:
            self._warn(
                gateway.ref,
                f"{field}.nodeName",
                ManifestProblem.UNKNOWN_REFERENCE,
                f"{name} is no node of the site, so it is not elected",
                f"give the node the label {GATEWAY_LABEL}: {gateway.metadata.name}, or correct the name",
            )
        record = self._snapshot.nodes.get(name)
        outside = {family_of(address): address for address in map(parse_address, declared.public_ips)}
        nat = Nat(declared.nat_type or "unknown") if declared.under_nat else None
        if nat is None and not outside:
            outside = addresses_of(record, "ExternalIP") or addresses_of(record)
        if nat is None and not outside:
            nat = Nat.UNKNOWN
            if node is not None:
                self._warn(
                    gateway.ref,
                    f"{field}.publicIPs",
                    ManifestProblem.NO_ADDRESS,
                    f"{name} has no address at which others could reach it; it is treated as behind a NAT",
                    "give publicIPs, or an ExternalIP or InternalIP to the Node",
                )
        families = {family_of(address) for address in node.addresses} if node else set()
        return Endpoint(
            site=gateway.metadata.name,
            node=name,
            key=self._key(gateway, field, declared),
            nat=nat,
            addresses=tuple(outside[family] for family in Family if family in outside),
            families=frozenset(families | outside.keys()) or frozenset(Family),
            port=declared.port,
            public_port=declared.public_port,
            priority=declared.priority,
            protocol=self._protocol(gateway, name),
        )

    def _key(self, gateway: Gateway, field: str, declared: GatewayEndpoint) -> str:
        published = self._keys.get(declared.node_name, "")
        if published and declared.public_key and published != declared.public_key:
            self._warn(
                gateway.ref,
                f"{field}.publicKey",
                ManifestProblem.NOT_HONOURED,
                f"{declared.node_name} has published another key, and that one counts",
                "remove the field",
            )
        return published or declared.public_key

    def _protocol(self, gateway: Gateway, node: str) -> TunnelProtocol | None:
        """Return what an endpoint's tunnels speak: by what it has published, else by what its Gateway asks for."""
        wanted, published = Choice(gateway.spec.backend), self._backends.get(node, "")
        try:
            runs = Choice(published)
        except ValueError:  # it has none, or is of another version
            runs = wanted
        if wanted not in (Choice.AUTO, runs):
            self._warn(
                gateway.ref,
                "spec.backend",
                ManifestProblem.NOT_HONOURED,
                f"{node} runs {runs}, not {wanted}",
                "restart netlb-gateway there, without --backend; or correct the field",
            )
        return None if runs is Choice.AUTO else runs.protocol

    def _with_keys_of_their_own(self, sites: list[Site]) -> Iterator[Site]:
        """Yield the sites with each key at one endpoint only: WireGuard knows peers by nothing else. The oldest keeps
        it."""
        owners: dict[str, str] = {}
        for site in sites:
            endpoints = []
            for index, endpoint in enumerate(site.endpoints):
                if endpoint.node not in site.nodes or not endpoint.key:
                    endpoints.append(endpoint)
                    continue
                owner = owners.setdefault(endpoint.key, endpoint.node)
                if owner != endpoint.node:
                    self._warn(
                        ObjectRef("Gateway", "", site.name),
                        f"spec.endpoints[{index}].publicKey",
                        ManifestProblem.CONFLICTING_OBJECTS,
                        f"{owner} has the same key as {endpoint.node}, which is left out",
                        "give each node a key of its own",
                    )
                endpoints.append(endpoint if owner == endpoint.node else replace(endpoint, key=""))
            yield replace(site, endpoints=tuple(endpoints))

    def _warn(self, ref: ObjectRef, field: str, reason: ManifestProblem, problem: str, remedy: str) -> None:
        self._findings.append(
            Finding(subject=ref, field=field, reason=reason, problem=problem, remedy=remedy, severity=Severity.WARNING)
        )


def _seniority(gateway: Gateway) -> tuple[str, str]:
    return gateway.metadata.creation_timestamp or "~", gateway.metadata.name


def _ready(record: NodeRecord) -> bool:
    """Say whether the cluster takes a node for ready; one that says nothing is, as in a directory of manifests."""
    return all(condition.status == "True" for condition in record.status.conditions if condition.type == "Ready")


def _without(node: Node, outside: Collection[Address]) -> Node:
    """Return a node without a claim to addresses at which tunnels end: these are reached from outside, and must be."""
    claims = (one for one in node.claims if one.kind is not ClaimKind.NODE or one.prefix[0] not in outside)
    return replace(node, claims=tuple(claims))


def _prefix(text: str) -> Prefix:
    """Return a prefix that has been checked; bits behind its length are cleared."""
    span = parse_prefix(text)
    (length,) = span.prefix_lengths()
    first = to_address(span.family, span.first)
    return IPv4Network((int(first), length)) if first.version == 4 else IPv6Network((int(first), length))
