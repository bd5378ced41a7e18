"""Plans as data and as text: what `--print-plan` shows, what golden tests compare, what the status tree is made of."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import yaml

from netlb.api.documents import Dumper
from netlb.bgp.model import AsKind, Prefix, Route
from netlb.findings import Finding, ObjectRef
from netlb.net import Address, family_of
from netlb.plan.bfd import Watch
from netlb.plan.bgp import BgpPlan
from netlb.plan.cluster import ClusterPlan
from netlb.plan.node import NodePlan
from netlb.plan.routes import told_of

__all__ = [
    "Told",
    "bgp_data",
    "findings_data",
    "in_order",
    "render_cluster",
    "render_node",
    "route_data",
    "routes_told",
    "service_name",
    "silent_data",
    "to_yaml",
]

V = TypeVar("V")


class Told(NamedTuple):
    """A route, and whom it is for."""

    route: Route
    peers: tuple[str, ...]
    """Names of the BGPPeers whose sessions carry its family."""


def render_cluster(plan: ClusterPlan) -> str:
    """Return the plan of the cluster as YAML."""
    result = plan.addresses
    data = {
        "allocations": [
            {
                "service": service_name(ref),
                "addresses": [str(address) for address in allocation.addresses],
                "pool": allocation.pool,
                **({"refused": str(allocation.refused.reason)} if allocation.refused else {}),
            }
            for ref, allocation in sorted(result.allocations.items())
        ],
        "refusals": [
            {
                "service": service_name(ref),
                "reason": str(refused.reason),
                "message": refused.message,
            }
            for ref, refused in sorted(result.refusals.items())
        ],
        "findings": findings_data(plan.findings),
    }
    return to_yaml(data)


def render_node(plan: NodePlan, bgp: BgpPlan) -> str:
    """Return the plan of a node as YAML; what it tells routers only where there is something to tell, or why not."""
    told_routers = bgp_data(bgp)
    data = {
        "node": plan.node,
        "announce": [
            {
                "address": str(address),
                "services": [service_name(ref) for ref in announced.services],
                "interfaces": "all" if announced.interfaces is None else sorted(announced.interfaces),
                **({"announce": announced.announce} if announced.announce != "reply" else {}),
            }
            for address, announced in in_order(plan.l2)
        ],
        "silent": silent_data(plan),
        **({"bgp": told_routers} if told_routers else {}),
        "findings": findings_data(plan.findings),
    }
    return to_yaml(data)


def bgp_data(plan: BgpPlan) -> dict[str, Any]:
    """Return what a node tells its routers as plain data; nothing where no router is declared. No password is in it."""
    if plan.state is None and not plan.silent:
        return {}
    services: dict[Address, list[str]] = {}
    for ref, addresses in plan.services.items():
        for address in addresses:
            services.setdefault(address, []).append(service_name(ref))
    speaker = plan.state.speaker if plan.state else None
    return {
        **({"asn": speaker.asn, "routerID": str(speaker.router_id)} if speaker else {}),
        "draining": plan.draining,
        "peers": [
            {
                "name": plan.peers[peer.key.name],
                "router": peer.key.name,
                "asn": str(peer.asn) if isinstance(peer.asn, AsKind) else peer.asn,
                **_watch_data(plan.watches.get(peer.key.name)),
            }
            for peer in (plan.state.peers if plan.state else ())
        ],
        "announcing": [
            {
                "address": str(address),
                "services": services.get(address, []),
                "routes": [route_data(*told) for told in routes],
            }
            for address, routes in in_order(routes_told(plan))
        ],
        "silent": [
            {
                "address": str(address),
                "service": service_name(ref),
                "reason": str(silent.reason),
                **({"detail": silent.detail} if silent.detail else {}),
            }
            for ref, addresses in plan.silent.items()
            for address, silent in addresses.items()
        ],
        "findings": findings_data(plan.findings),
    }


def routes_told(plan: BgpPlan) -> dict[Address, tuple[Told, ...]]:
    """Return the routes that announce each address, shortest prefix first; several of one if peers hear different."""
    state = plan.state
    if state is None:
        return {}
    told: dict[Prefix, list[Told]] = {}
    for prefix, claims in told_of(state).items():
        family = family_of(prefix.network_address)
        carrying = [peer.key.name for peer in state.peers if family in peer.families]
        told[prefix] = [
            Told(route, tuple(plan.peers[key] for key in carrying if keys is None or key in keys))
            for route, keys in claims
        ]
    return {
        address: tuple(one for prefix in sorted(prefixes, key=lambda prefix: prefix.prefixlen) for one in told[prefix])
        for address, prefixes in plan.announced.items()
    }


def route_data(route: Route, peers: Iterable[str]) -> dict[str, Any]:
    """Return a route with those of its attributes that are set as plain data, as BGPAdvertisements name them."""
    attributes: dict[str, Any] = {
        "localPref": route.local_pref,
        "med": route.med,
        "communities": [f"{value >> 16}:{value & 0xFFFF}" for value in sorted(route.communities)] or None,
        "largeCommunities": [str(value) for value in sorted(route.large_communities)] or None,
        "asPathPrepend": len(route.as_path) or None,
    }
    return {
        "prefix": str(route.prefix),
        "nextHop": str(route.next_hop),
        **{name: value for name, value in attributes.items() if value is not None},
        "peers": list(peers),
    }


def _watch_data(watch: Watch | None) -> dict[str, Any]:
    """Return how a router is watched by BFD, as BFDProfiles name it; milliseconds."""
    if watch is None:
        return {}
    settings = watch.settings
    return {
        "watch": {
            "transmitInterval": settings.transmit_interval // 1000,
            "receiveInterval": settings.receive_interval // 1000,
            "detectMultiplier": settings.detect_multiplier,
            "multihop": watch.multihop,
        }
    }


def in_order(addresses: Mapping[Address, V]) -> list[tuple[Address, V]]:
    """Return what belongs to each address in the order of the addresses, IPv4 first."""
    return sorted(addresses.items(), key=lambda item: (item[0].version, int(item[0])))


def silent_data(plan: NodePlan) -> list[dict[str, str]]:
    """Return what a node does not announce, and why, as plain data."""
    return [
        {
            "address": str(address),
            "service": service_name(ref),
            "reason": str(verdict.reason),
            **({"owner": verdict.owner} if verdict.owner else {}),
        }
        for ref, addresses in plan.silent.items()
        for address, verdict in addresses.items()
    ]


def findings_data(findings: Iterable[Finding]) -> list[dict[str, str]]:
    """Return findings as plain data."""
    return [
        {
            "severity": str(finding.severity),
            "reason": str(finding.reason),
            "object": str(finding.subject or ""),
            "file": finding.origin,
            "field": finding.field,
            "problem": finding.problem,
            "remedy": finding.remedy,
        }
        for finding in findings
    ]


def service_name(ref: ObjectRef) -> str:
    """Write a Service's name as kubectl does."""
    return f"{ref.namespace}/{ref.name}"


def to_yaml(data: Any) -> str:
    """Write plain data as YAML, keys in the order given."""
    return yaml.dump(data, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=100)
