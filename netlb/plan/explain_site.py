"""Why a site reaches, or does not reach, the other ones, as text."""

from collections.abc import Iterator
from dataclasses import replace

from netlb.api.snapshot import Snapshot
from netlb.findings import Finding, ObjectRef
from netlb.plan.raven import RavenPlan, Seen, plan_raven
from netlb.raven.mesh import Link
from netlb.raven.model import Site

__all__ = ["explain_gateway", "review_sites"]

_SHOWN = 10  # prefixes, for a line that can be read


def explain_gateway(snapshot: Snapshot, name: str) -> tuple[str, bool]:
    """Explain one Gateway: its nodes, who is active, its prefixes, how each other site is reached, and what is wrong.

    The second value says whether all other sites are reached. Where no node has published a key, as before
    netlb-gateway runs anywhere, each is taken to have one.
    """
    seen = Seen.published(snapshot)
    if not seen.keys:
        declared = [endpoint for gateway in snapshot.gateways.values() for endpoint in gateway.spec.endpoints]
        known = {endpoint.node_name for endpoint in declared if endpoint.public_key}
        seen = replace(seen, keys={node: node for node in snapshot.nodes if node not in known})
    plan = plan_raven(snapshot, seen)
    site = plan.mesh.sites.get(name)
    if site is None:
        ref = ObjectRef("Gateway", "", name)
        unread = " (it is declared, and cannot be read)" if snapshot.may_exist(ref) else ""
        return f"{name}: there is no such Gateway{unread}\n", False
    lines = [*_who(plan, site), *_prefixes(plan, site)]
    found = {other.name: plan.mesh.between(name, other.name) for other in plan.mesh.others(name)}
    lines += [f"{other}: {_ways(links)}" for other, links in found.items()]
    lines += [str(finding) for finding in (*snapshot.findings, *plan.findings) if _concerns(finding, site)]
    reached = bool(plan.mesh.active(name)) and all(link.way for links in found.values() for link in links)
    return "\n".join((*lines, "")), reached


def review_sites(snapshot: Snapshot) -> tuple[Finding, ...]:
    """Return what is wrong between Gateways, nodes and prefixes."""
    return plan_raven(snapshot, Seen.published(snapshot)).findings if snapshot.gateways else ()


def _who(plan: RavenPlan, site: Site) -> Iterator[str]:
    election = plan.mesh.elections[site.name]
    yield f"{site.name}: {_list(election.active, 'nobody')} active, {_list(election.standby, 'nobody')} could take over"
    for node, why in election.idle.items():
        yield f"{node}: neither: {why}"
    for node in site.nodes:
        if node not in election.active:
            yield f"{node}: sends through {plan.mesh.gateway_of(node) or 'nobody'}"
    if not site.nodes:
        yield "no node is in the site"
    hubs = plan.mesh.hubs
    if hubs:
        yield f"between sites that cannot reach each other stands {hubs[0].node} of site {hubs[0].site}"


def _prefixes(plan: RavenPlan, site: Site) -> Iterator[str]:
    prefixes = [str(prefix) for prefix in plan.mesh.subnets.of(site)]
    more = f", and {len(prefixes) - _SHOWN} more" if len(prefixes) > _SHOWN else ""
    yield f"prefixes: {_list(prefixes[:_SHOWN], 'none')}{more}"


def _ways(links: tuple[Link, ...]) -> str:
    return ", ".join(dict.fromkeys(f"not reached: {link.reason}" if link.reason else str(link) for link in links))


def _list(names: tuple[str, ...] | list[str], none: str) -> str:
    return ", ".join(names) or none


def _concerns(finding: Finding, site: Site) -> bool:
    subject = finding.subject
    return subject is not None and (
        (subject.kind.startswith("Gateway") and subject.name == site.name)
        or (subject.kind == "Node" and subject.name in site.nodes)
    )
