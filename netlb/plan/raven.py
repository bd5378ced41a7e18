"""Snapshot to mesh, and mesh to what one node has to have; with everything that is wrong with what was declared."""

from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from netlb.api.snapshot import Snapshot
from netlb.findings import Finding, ObjectRef, Severity
from netlb.plan.render import findings_data, to_yaml
from netlb.plan.sites import read_sites
from netlb.raven.dataplane import DataPlane, Numbers
from netlb.raven.election import Health, elect
from netlb.raven.mesh import Mesh
from netlb.raven.model import Site
from netlb.raven.node import Local, guard_node, plan_node
from netlb.raven.subnets import Dispute, Subnets, settle
from netlb.reasons import ManifestProblem

__all__ = ["RavenPlan", "Seen", "plan_raven", "plan_sites", "render_mesh"]

_NOTHING: Mapping[Any, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What nodes have found out, beside what was declared. Nodes that have seen the same plan the same."""

    health: Health = field(default_factory=Health)
    incumbents: Mapping[str, Collection[str]] = field(default_factory=lambda: _NOTHING)
    """By Gateway: the endpoints that are active already."""
    hub: str = ""
    """The Gateway that has been the hub so far; empty: unknown."""
    fallen: Collection[str] = ()
    """The endpoints that fell silent while they were active, and may still be gateways of their own pods."""
    keys: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """By node: the public key that it has published. It counts more than a declared one: it is what the node has."""
    backends: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    """By node: what it has published that its tunnels are made of. It counts more than a declared one, too."""

    @classmethod
    def published(cls, snapshot: Snapshot) -> "Seen":
        """Return what nodes have published, for whoever hears none of them."""
        reports = snapshot.gateway_nodes.items()
        incumbents: dict[str, tuple[str, ...]] = {}
        for _, report in reports:
            if report.active:
                incumbents.setdefault(report.site, report.active)
        hubs = Counter(report.hub for _, report in reports if report.hub)
        return cls(
            incumbents=incumbents,
            hub=min(hubs, key=lambda hub: (-hubs[hub], hub), default=""),
            keys={node: report.public_key for node, report in reports if report.public_key},
            backends={node: report.backend for node, report in reports if report.backend},
        )


@dataclass(frozen=True, slots=True)
class RavenPlan:
    """All sites and how they reach each other."""

    mesh: Mesh
    findings: tuple[Finding, ...]

    def node(self, node: str, local: Local, numbers: Numbers) -> DataPlane:
        """Return what one node has to have: a value, equal whenever it is the same."""
        return plan_node(self.mesh, node, local, numbers)

    def guard(self, node: str, local: Local, numbers: Numbers) -> DataPlane:
        """Return what one node has to have while it does not know yet who is alive: nothing gets out in clear text."""
        return guard_node(self.mesh, node, local, numbers)


def plan_raven(snapshot: Snapshot, seen: Seen) -> RavenPlan:
    """Plan all sites. Pure: the same snapshot and the same things seen give the same plan."""
    sites, findings = read_sites(snapshot, seen.keys, seen.backends)
    return plan_sites(sites, findings, seen, settle(sites))


def plan_sites(sites: Collection[Site], findings: Collection[Finding], seen: Seen, subnets: Subnets) -> RavenPlan:
    """Plan sites that have been read before, with the keys in them, as `plan_raven` does.

    `subnets` are what they `settle` to, which does not depend on what is seen.
    """
    elections = {site.name: elect(site, seen.incumbents.get(site.name, ()), seen.health) for site in sites}
    return RavenPlan(
        Mesh(sites, elections, subnets, seen.hub, seen.fallen),
        (*findings, *(_overlap(dispute) for dispute in subnets.disputes)),
    )


def _overlap(dispute: Dispute) -> Finding:
    ref = ObjectRef("Node", "", dispute.node) if dispute.node else ObjectRef("Gateway", "", dispute.site)
    return Finding(
        subject=ref,
        reason=ManifestProblem.OVERLAPPING_SITES,
        problem=f"{dispute.claim.prefix} of site {dispute.site} overlaps site {dispute.holder}, and is left out",
        remedy="give each site addresses of its own",
        severity=Severity.WARNING,
    )


def render_mesh(plan: RavenPlan) -> str:
    """Return sites, ways and findings as YAML."""
    mesh = plan.mesh
    names = sorted(mesh.sites)
    return to_yaml(
        {
            "hubs": [hub.node for hub in mesh.hubs],
            "sites": [_site(mesh, name) for name in names],
            "ways": {
                f"{one} - {other}": [str(link) for link in mesh.between(one, other)]
                for place, one in enumerate(names)
                for other in names[place + 1 :]
            },
            "findings": findings_data(plan.findings),
        }
    )


def _site(mesh: Mesh, name: str) -> dict[str, Any]:
    election = mesh.elections[name]
    return {
        "site": name,
        "active": {node: [str(prefix) for prefix in mesh.share(node)] for node in election.active},
        "standby": list(election.standby),
        "idle": {node: str(reason) for node, reason in election.idle.items()},
        "nodes": {node: mesh.gateway_of(node) or "" for node in mesh.sites[name].nodes},
    }
