"""Events (events.k8s.io/v1): what netlb did, told beside the object that it concerns. Pure.

What is told is the difference between what was said of an object before and what is said now: once a change, also
across restarts, since what was said before is read from the API.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from netlb.findings import ObjectRef
from netlb.reasons import EventReason
from netlb.source.kube_kinds import Resource
from netlb.source.kube_status import Condition, ServiceStatus

__all__ = ["EVENTS", "Occurrence", "announcement_events", "event_body", "gateway_events", "service_events"]

EVENTS = Resource(group="events.k8s.io", version="v1", plural="events", kind="Event")
_LONGEST_NOTE = 1024
_LONGEST_NAME = 230


@dataclass(frozen=True, slots=True)
class Occurrence:
    """What an Event tells."""

    reason: EventReason
    action: str
    """What netlb was about: a CamelCase verb."""
    note: str
    warning: bool = False


def service_events(before: ServiceStatus | None, after: ServiceStatus | None) -> tuple[Occurrence, ...]:
    """Return what there is to tell when this is said of a Service in place of that."""
    had, has = before.addresses if before else (), after.addresses if after else ()
    told: list[Occurrence] = []
    if has != had and after is not None and has:
        note = f"assigned {', '.join(has)} from pool {after.pool}" if after.pool else f"assigned {', '.join(has)}"
        told.append(Occurrence(EventReason.IP_ALLOCATED, "Allocate", note))
    elif had and not has:
        told.append(Occurrence(EventReason.IP_RELEASED, "Release", f"released {', '.join(had)}"))
    if (why := after.condition if after else None) is not None and why.status == "False":
        known = before.condition if before else None
        if known is None or (known.status, known.reason) != (why.status, why.reason):
            note = f"{why.reason}: {why.message}"
            told.append(Occurrence(EventReason.ALLOCATION_FAILED, "Allocate", note, warning=True))
    return tuple(told)


def announcement_events(
    before: Condition | None, after: Condition | None, node: str, protocol: str
) -> tuple[Occurrence, ...]:
    """Return what there is to tell when a node says this of announcing a Service in place of that.

    `protocol` is layer2 or bgp, as in the Events of MetalLB.
    """
    if after is None or (before is not None and (before.status, before.reason) == (after.status, after.reason)):
        return ()
    if after.status == "True":
        note = f'announcing from node "{node}" with protocol "{protocol}"'
        return (Occurrence(EventReason.NODE_ASSIGNED, "Announce", note),)
    if after.status == "False":
        note = f'node "{node}", protocol "{protocol}": {after.reason}: {after.message}'
        return (Occurrence(EventReason.ANNOUNCE_FAILED, "Announce", note, warning=True),)
    return ()


def gateway_events(before: Collection[str], after: Collection[str], *, lost: bool) -> tuple[Occurrence, ...]:
    """Return what there is to tell when these endpoints are active in place of those, as Raven tells it."""
    if lost or not after:
        note = "no endpoint is alive" if lost else "no endpoint is active"
        return (Occurrence(EventReason.ACTIVE_ENDPOINT_LOST, "Elect", note, warning=True),)
    if [*before] == [*after]:
        return ()
    return tuple(
        Occurrence(EventReason.ACTIVE_ENDPOINT_ELECTED, "Elect", f"the active endpoint is hosted by node {node}")
        for node in after
    )


def event_body(
    about: ObjectRef,
    occurrence: Occurrence,
    *,
    api_version: str,
    uid: str,
    reporter: str,
    instance: str,
    when: datetime,
) -> Mapping[str, Any]:
    """Return an Event to be created; of cluster-wide objects, in the namespace `default`, as the API server wants it.

    `reporter` as in netlb.io/controller, `instance` the pod or node, `when` in UTC. The API server keeps Events for an
    hour.
    """
    name = about.name[:_LONGEST_NAME]
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.kind,
        "metadata": {"generateName": f"{name}.", "namespace": about.namespace or "default"},
        "eventTime": when.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": reporter,
        "reportingInstance": instance,
        "action": occurrence.action,
        "reason": str(occurrence.reason),
        "note": occurrence.note[:_LONGEST_NOTE],
        "type": "Warning" if occurrence.warning else "Normal",
        "regarding": {
            "apiVersion": api_version,
            "kind": about.kind,
            "namespace": about.namespace,
            "name": about.name,
            "uid": uid,
        },
    }
