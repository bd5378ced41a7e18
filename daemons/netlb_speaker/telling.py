"""What the log says when a plan follows another, and when something happens to interfaces and the responder."""

from collections.abc import Collection, Iterable
from typing import Any

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

__all__ = ["tell_event", "tell_findings", "tell_plan"]


def tell_plan(log: Any, plan: NodePlan, former: NodePlan | None) -> None:
    """Log what a plan changes of the one before."""
    tell_findings(log, plan.findings, former.findings if former else ())
    before = former.l2 if former else {}
    for address in plan.l2.keys() - before.keys():
        services = ",".join(map(service_name, plan.l2[address].services))
        log.info("address taken over", address=str(address), services=services)
    for address in before.keys() - plan.l2.keys():
        log.info("address given up", address=str(address))


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
