"""What the log says of a plan that changes: ten thousand lines would take seconds that addresses cannot wait."""

from itertools import islice
from typing import Final

from structlog.typing import FilteringBoundLogger

from netlb.plan import NodePlan
from netlb.plan.render import service_name

__all__ = ["tell_moves"]

_NAMED: Final = 20
"""Addresses that are named one by one when many move at once."""


def tell_moves(log: FilteringBoundLogger, plan: NodePlan, before: NodePlan | None) -> None:
    """Log which addresses this node has taken over, and which it has given up."""
    earlier = before.l2 if before else {}
    for one, more, now, then in (
        ("address taken over", "more addresses taken over", plan.l2, earlier),
        ("address given up", "more addresses given up", earlier, plan.l2),
    ):
        moved = now.keys() - then.keys()
        for address in islice(moved, _NAMED):
            services = ",".join(map(service_name, now[address].services))
            log.info(one, address=str(address), services=services)
        if len(moved) > _NAMED:
            log.info(more, number=len(moved) - _NAMED)
