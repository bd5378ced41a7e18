"""Why a Service has, or has not, an address and an announcer, as text."""

from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

from netlb.api.core import Endpoint
from netlb.api.keys import TOPOLOGY_KEYS
from netlb.api.snapshot import Snapshot
from netlb.findings import ObjectRef
from netlb.net import Address
from netlb.plan.bgp import plan_bgp
from netlb.plan.cluster import ClusterPlan, ClusterPlanner
from netlb.plan.node import plan_node
from netlb.plan.render import routes_told, service_name
from netlb.reasons import Silence
from netlb.topology import NodePools, Reach, reach, serving_endpoints

__all__ = ["explain_service"]

_SHOWN = 10  # endpoints of one node, for a line that can be read


def explain_service(snapshot: Snapshot, ref: ObjectRef) -> tuple[str, bool]:
    """Explain one Service: what it holds, what each pool says, who announces it, and what is wrong with it.

    The second value says whether it has what it asks for.
    """
    planner = ClusterPlanner(snapshot.holdings)
    plan = planner.plan(snapshot)
    allocation = plan.addresses.allocations.get(ref)
    lines = "\n".join(_lines(replace(snapshot, holdings=plan.holdings), ref, plan, planner))
    return lines + "\n", allocation is not None and allocation.refused is None


def _lines(snapshot: Snapshot, ref: ObjectRef, plan: ClusterPlan, planner: ClusterPlanner) -> Iterator[str]:
    name = service_name(ref)
    service = snapshot.services.get(ref)
    if service is None:
        unread = " (it is declared, and cannot be read)" if snapshot.may_exist(ref) else ""
        yield f"{name}: there is no such Service{unread}"
        return
    if not snapshot.serving.serves(service):
        yield f"{name}: not ours to serve: type {service.spec.type}, class {service.spec.load_balancer_class or 'none'}"
        return
    allocation, refused = plan.addresses.allocations.get(ref), plan.addresses.refusals.get(ref)
    if allocation:
        addresses = zip(allocation.addresses, allocation.pools, strict=True)
        yield f"{name}: holds " + ", ".join(f"{address} of pool {pool or '(unknown)'}" for address, pool in addresses)
        refused = allocation.refused
    else:
        yield f"{name}: holds no address"
    if refused:
        yield f"{refused.reason}: {refused.message}"
    verdicts = planner.explain(ref)
    if verdicts:
        yield "pools, in the order in which they are tried:"
    for verdict in verdicts:
        yield f"  {verdict.pool}: " + (
            f"{verdict.refused.reason}: {verdict.refused.message}" if verdict.refused else "serves it"
        )
    yield from _endpoints(snapshot, ref)
    segments = plan_node(snapshot, "").silent.get(ref, {})
    routers = _routers(snapshot, ref)
    for address, silent in segments.items():
        told = routers.get(address, [])
        elsewhere = any(one.peers for one in told)
        if silent.owner:
            yield f"{address}: announced by node {silent.owner}"
        elif not (elsewhere and silent.reason is Silence.NO_ADVERTISEMENT):
            yield f"{address}: announced by nobody: {silent.reason}"
        for one in told:
            if one.peers:
                yield f"{address}: told to {', '.join(one.peers)} by {_nodes(one.nodes)}"
            elif not (silent.owner and one.silence.startswith(Silence.NO_ADVERTISEMENT)):
                yield f"{address}: told to no router by {_nodes(one.nodes)}: {one.silence}"
    for finding in plan.findings:
        if finding.subject == ref:
            yield str(finding)


def _endpoints(snapshot: Snapshot, ref: ObjectRef) -> Iterator[str]:
    """Say which endpoints serve what comes to which node, nodes that are alike together."""
    service, slices, pools = snapshot.services[ref], snapshot.endpoint_slices.get(ref, ()), NodePools(snapshot.nodes)
    asked = service.metadata.annotations.get(TOPOLOGY_KEYS)
    if asked is not None and reach(service) is Reach.CLUSTER:
        yield f"{TOPOLOGY_KEYS}: {asked!r} has no effect, as with OpenYurt: it takes one key that it knows"
    alike: dict[tuple[str, ...], list[str]] = {}
    for node in sorted(snapshot.nodes) if slices else ():
        endpoints = serving_endpoints(service, slices, node, snapshot.nodes, pools)
        alike.setdefault(tuple(map(_endpoint, endpoints)), []).append(node)
    for serving, nodes in alike.items():
        more = f", and {len(serving) - _SHOWN} more" if len(serving) > _SHOWN else ""
        yield f"{_nodes(tuple(nodes))}: served by {', '.join(serving[:_SHOWN]) or 'no endpoint'}{more}"


def _endpoint(endpoint: Endpoint) -> str:
    address = next(iter(endpoint.addresses or ()), "an endpoint")
    return f"{address} on {endpoint.node_name}" if endpoint.node_name else address


class _Told(NamedTuple):
    """What some nodes, all alike, tell routers of an address."""

    peers: tuple[str, ...]
    """Names of BGPPeers."""
    silence: str
    """Why nobody is told, where there are none."""
    nodes: tuple[str, ...]


def _routers(snapshot: Snapshot, ref: ObjectRef) -> dict[Address, list[_Told]]:
    """Return what nodes tell routers of a Service's addresses; nothing where no router is declared."""
    found: dict[Address, dict[tuple[tuple[str, ...], str], list[str]]] = {}
    for node in sorted(snapshot.nodes):
        plan = plan_bgp(snapshot, node)
        routes = routes_told(plan)
        for address in plan.services.get(ref, ()):
            peers = tuple(sorted({peer for told in routes[address] for peer in told.peers}))
            silence = "" if peers else "no peer of the node is for this family (addressFamilies)"
            found.setdefault(address, {}).setdefault((peers, silence), []).append(node)
        for address, silent in plan.silent.get(ref, {}).items():
            words = f"{silent.reason}: {silent.detail}" if silent.detail else str(silent.reason)
            found.setdefault(address, {}).setdefault(((), words), []).append(node)
    return {
        address: [_Told(peers, silence, tuple(nodes)) for (peers, silence), nodes in alike.items()]
        for address, alike in found.items()
    }


def _nodes(names: tuple[str, ...]) -> str:
    return f"{'node' if len(names) == 1 else 'nodes'} {', '.join(names)}"
