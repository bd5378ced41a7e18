"""What a plan changes, as lines of the log."""

from collections.abc import Collection, Iterable
from typing import Any

from netlb.findings import Finding
from netlb.plan import NodePlan
from netlb.plan.render import service_name

__all__ = ["tell_findings", "tell_plan"]


def tell_plan(log: Any, plan: NodePlan, last: NodePlan | None) -> None:
    """Log what becomes this node's and what does not stay so, and what is wrong with manifests since the last plan."""
    tell_findings(log, plan.findings, last.findings if last else ())
    before = last.l2 if last else {}
    for address in plan.l2.keys() - before.keys():
        services = ",".join(map(service_name, plan.l2[address].services))
        log.info("address taken over", address=str(address), services=services)
    for address in before.keys() - plan.l2.keys():
        log.info("address given up", address=str(address))


def tell_findings(log: Any, found: Iterable[Finding], before: Collection[Finding]) -> None:
    """Log the findings that are new."""
    for finding in found:
        if finding not in before:
            log.warning("manifest problem", finding=str(finding))
