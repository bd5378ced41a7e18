"""Why a Service has, or has not, an address and an announcer, as text."""

from collections.abc import Iterator
from dataclasses import replace

from netlb.api.snapshot import Snapshot
from netlb.findings import ObjectRef
from netlb.plan.cluster import ClusterPlan, ClusterPlanner
from netlb.plan.node import plan_node
from netlb.plan.render import service_name

__all__ = ["explain_service"]


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
    nobody = plan_node(snapshot, "")
    for address, silent in nobody.silent.get(ref, {}).items():
        yield f"{address}: " + (
            f"announced by node {silent.owner}" if silent.owner else f"announced by nobody: {silent.reason}"
        )
    for finding in plan.findings:
        if finding.subject == ref:
            yield str(finding)
