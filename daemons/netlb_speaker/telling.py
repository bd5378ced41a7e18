"""What a plan changes, as lines of the log: ten thousand of them would take seconds that addresses cannot wait."""

from collections.abc import Collection, Iterable
from itertools import islice
from typing import Any, Final

from netlb.findings import Finding
from netlb.plan import NodePlan
from netlb.plan.render import service_name

__all__ = ["tell_findings", "tell_plan"]

_NAMED: Final = 20
"""Addresses that are named one by one when many move at once."""


def tell_plan(log: Any, plan: NodePlan, last: NodePlan | None) -> None:
    """Log what becomes this node's and what does not stay so, and what is wrong with manifests since the last plan."""
    tell_findings(log, plan.findings, last.findings if last else ())
    before = last.l2 if last else {}
    for one, more, now, then in (
        ("address taken over", "more addresses taken over", plan.l2, before),
        ("address given up", "more addresses given up", before, plan.l2),
    ):
        moved = now.keys() - then.keys()
        for address in islice(moved, _NAMED):
            log.info(one, address=str(address), services=",".join(map(service_name, now[address].services)))
        if len(moved) > _NAMED:
            log.info(more, number=len(moved) - _NAMED)


def tell_findings(log: Any, found: Iterable[Finding], before: Collection[Finding]) -> None:
    """Log the findings that are new."""
    for finding in found:
        if finding not in before:
            log.warning("manifest problem", finding=str(finding))
