"""What the log says when a plan follows another, and when something happens to interfaces and the responder."""

from collections.abc import Collection, Iterable
from itertools import islice
from typing import Any, Final

from netlb.findings import Finding
from netlb.l2.announces import (
    Event,
    FastPathRefused,
    InterfaceAppeared,
    InterfaceRefused,
    InterfaceVanished,
    WorkerDied,
    WorkerRestarted,
)
from netlb.l2.ethernet import format_mac
from netlb.plan import NodePlan
from netlb.plan.render import service_name

__all__ = ["tell_event", "tell_findings", "tell_moves", "tell_plan"]

_NAMED: Final = 20
"""Addresses that are named one by one when many move at once: ten thousand lines would take seconds."""


def tell_plan(log: Any, plan: NodePlan, former: NodePlan | None) -> None:
    """Log what a plan changes of the one before."""
    tell_findings(log, plan.findings, former.findings if former else ())
    tell_moves(log, plan, former)


def tell_moves(log: Any, plan: NodePlan, former: NodePlan | None) -> None:
    """Log which addresses this node has taken over, and which it has given up."""
    earlier = former.l2 if former else {}
    for one, more, now, then in (
        ("address taken over", "more addresses taken over", plan.l2, earlier),
        ("address given up", "more addresses given up", earlier, plan.l2),
    ):
        moved = set(now).difference(then)  # between two dicts nothing is hashed anew
        for address in islice(moved, _NAMED):
            services = ",".join(map(service_name, now[address].services))
            log.info(one, address=str(address), services=services)
        if len(moved) > _NAMED:
            log.info(more, number=len(moved) - _NAMED)


def tell_findings(log: Any, found: Iterable[Finding], before: Collection[Finding]) -> None:
    """Log what was found and was not before."""
    for finding in found:
        if finding not in before:
            log.warning("manifest problem", finding=str(finding))


def tell_event(log: Any, event: Event) -> None:
    """Log what happened; of conflicts, `netlb_speaker.conflicts` tells."""
    match event:
        case InterfaceAppeared(interface):
            log.info("interface in use", interface=interface.name, mac=format_mac(interface.mac))
        case InterfaceVanished(interface):
            log.warning("interface gone", interface=interface.name)
        case InterfaceRefused(interface, problem):
            log.error("interface refused", interface=interface.name, problem=problem)
        case FastPathRefused(_, problem):
            log.warning("no fast path, the responder answers alone", problem=problem)
        case WorkerDied(problem):
            log.error("responder died", problem=problem)
        case WorkerRestarted(pid):
            log.info("responder restarted", pid=pid)
        case _:
            pass
