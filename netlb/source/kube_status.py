"""What netlb writes into the status of objects in the API, and what it finds there. Pure.

A status is compared without its times; what goes out has them.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from netlb.api import keys
from netlb.api.holdings import read_holding
from netlb.api.snapshot import Holding
from netlb.findings import Finding, ObjectRef, Severity
from netlb.ipam import PoolUsage, Result
from netlb.net import Family
from netlb.source.kube_kinds import ADDRESSING, SERVICES

__all__ = [
    "ACCEPTED",
    "Condition",
    "ObjectStatus",
    "ServiceSeen",
    "ServiceStatus",
    "Told",
    "condition_body",
    "object_body",
    "object_key",
    "object_status",
    "read_condition",
    "read_object_status",
    "see",
    "service_body",
    "service_key",
    "service_status",
]

ACCEPTED = "netlb.io/Accepted"
"""Type of the condition on a native object that says whether it is honoured as it stands."""

_MARK = keys.ALLOCATED_FROM[0]
_LONGEST_MESSAGE = 32768  # of a metav1.Condition
_SELECTED = ("nodes", "pools")


@dataclass(frozen=True, slots=True)
class Condition:
    """`metav1.Condition`, without its times."""

    type: str
    status: str
    """True, False or Unknown."""
    reason: str
    message: str = ""


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """What netlb says of a Service."""

    condition: Condition | None
    addresses: tuple[str, ...] = ()
    pool: str = ""


@dataclass(frozen=True, slots=True)
class ServiceSeen:
    """A Service as it was when a plan was made from it."""

    content: object
    """The part of it that is read."""
    status: ServiceStatus | None
    """What netlb said of it; None: nothing."""
    ours: bool
    """Whether its ingress was written by netlb, or taken over."""
    marked: bool
    """Whether it was, or was written by a system whose results are taken over."""
    ingress: tuple[str, ...]
    """What the ingress says, whoever wrote it; entries that netlb would not write are told apart."""
    transitions: Mapping[str, str]
    """When conditions of ours changed last, by type."""
    holding: Holding | None
    """What it holds, if it is marked."""


@dataclass(frozen=True, slots=True)
class ObjectStatus:
    """What netlb says of a native object."""

    condition: Condition | None
    counts: tuple[tuple[str, str, str, str], ...] = ()
    """Of a pool, by family: its name in lower case, total, used and free."""
    selected: tuple[tuple[str, int], ...] = ()
    """How many nodes and pools the object is for, by name."""


Told = ServiceStatus | ObjectStatus

# Services


def service_key(ref: ObjectRef) -> str:
    """Return the key of a Service's status."""
    return f"{SERVICES.plural}/{ref.namespace}/{ref.name}"


def service_status(ref: ObjectRef, result: Result) -> ServiceStatus:
    """Return what is to be said of a Service that is served or refused."""
    allocation = result.allocations.get(ref)
    refused = allocation.refused if allocation else result.refusals[ref]
    status, reason, message = (
        ("False", str(refused.reason), refused.message) if refused else ("True", "IPAllocated", "")
    )
    condition = Condition(keys.ALLOCATED, status, reason, message[:_LONGEST_MESSAGE])
    if allocation is None:
        return ServiceStatus(condition)
    return ServiceStatus(condition, tuple(map(str, allocation.addresses)), allocation.pool)


def see(body: Mapping[str, Any], content: object) -> ServiceSeen:
    """Return what is to be known of a Service to write to it; `content` is the JSON that `body` is."""
    annotations = body["metadata"].get("annotations") or {}
    status = body.get("status") or {}
    entries = (status.get("loadBalancer") or {}).get("ingress") or ()
    ingress = tuple(map(_entry, entries)) if isinstance(entries, Sequence) else ()
    condition, transitions = read_condition(status, keys.ALLOCATED)
    ours = _MARK in annotations or (condition is not None and condition.status == "True")
    # OpenELB writes no such annotation beside what it gives: there the Service's own mark says whose it is.
    theirs = annotations.get(keys.OPENELB_MARK) == "openelb"
    marked = ours or theirs or keys.annotation(annotations, keys.ALLOCATED_FROM) is not None
    told = None
    if _MARK in annotations:
        told = ServiceStatus(condition, ingress, annotations[_MARK])
    elif condition is not None:
        told = ServiceStatus(condition, ingress if ours else ())
    held = read_holding(body) if marked else None
    return ServiceSeen(content, told, ours, marked, ingress, transitions, held[1] if held else None)


def service_body(
    ref: ObjectRef, status: ServiceStatus | None, seen: ServiceSeen, version: str, now: str
) -> dict[str, Any]:
    """Return what to apply to a Service's status; with None, that nothing is said any more.

    The mode of an address (`ipMode: VIP`) is its default, which an API server that knows it fills in. An ingress that
    others own as well is emptied in so many words.
    """
    metadata: dict[str, Any] = {"name": ref.name, "namespace": ref.namespace, "resourceVersion": version}
    body: dict[str, Any] = {"metadata": metadata}
    if status is None:
        return body
    said: dict[str, Any] = {}
    if status.addresses:
        metadata["annotations"] = {_MARK: status.pool}
        said["loadBalancer"] = {"ingress": [{"ip": address} for address in status.addresses]}
    elif seen.marked and seen.ingress:
        said["loadBalancer"] = {"ingress": []}
    if status.condition is not None:
        before = seen.status.condition if seen.status else None
        said["conditions"] = [condition_body(status.condition, before, seen.transitions, now)]
    return {**body, "status": said}


# Native objects


def object_key(ref: ObjectRef) -> str:
    """Return the key of a native object's status."""
    return f"{ADDRESSING[ref.kind].plural}/{ref.name}"


def object_status(
    usage: Mapping[Family, PoolUsage], findings: Iterable[Finding], selected: Mapping[str, int] = MappingProxyType({})
) -> ObjectStatus:
    """Return what is to be said of a native object: whether it is honoured, how full it is, and how many it selects."""
    found = sorted(findings, key=lambda finding: finding.severity is not Severity.ERROR)
    refused = bool(found) and found[0].severity is Severity.ERROR
    message = "; ".join(
        f"{finding.field}: {finding.problem}; {finding.remedy}"
        if finding.field
        else f"{finding.problem}; {finding.remedy}"
        for finding in found
    )
    reason = str(found[0].reason) if found else "Accepted"
    condition = Condition(ACCEPTED, "False" if refused else "True", reason, message[:_LONGEST_MESSAGE])
    counts = tuple(
        (family.lower(), str(count.size), str(count.held), str(count.free))
        for family, count in usage.items()
        if count.size
    )
    return ObjectStatus(condition, tuple(sorted(counts)), tuple(sorted(selected.items())))


def read_object_status(body: Mapping[str, Any]) -> tuple[ObjectStatus | None, Mapping[str, str]]:
    """Return what the status of a native object says, None for nothing, and when its conditions changed last."""
    status = body.get("status") or {}
    condition, transitions = read_condition(status, ACCEPTED)
    counts = tuple(
        (family, str(numbers.get("total", "")), str(numbers.get("used", "")), str(numbers.get("free", "")))
        for family in ("ipv4", "ipv6")
        if isinstance(numbers := status.get(family), Mapping)
    )
    selected = tuple((name, number) for name in _SELECTED if isinstance(number := status.get(name), int))
    said = ObjectStatus(condition, counts, selected) if counts or condition or selected else None
    return said, transitions


def object_body(
    name: str, status: ObjectStatus, before: ObjectStatus | None, transitions: Mapping[str, str], now: str
) -> dict[str, Any]:
    """Return what to apply to a native object's status."""
    said: dict[str, Any] = {
        family: {"total": total, "used": used, "free": free} for family, total, used, free in status.counts
    } | dict(status.selected)
    if status.condition is not None:
        said["conditions"] = [condition_body(status.condition, before.condition if before else None, transitions, now)]
    return {"metadata": {"name": name}, "status": said}


# Conditions


def condition_body(
    condition: Condition, before: Condition | None, transitions: Mapping[str, str], now: str
) -> dict[str, str]:
    """Return a condition with its time, which stays as long as its status does; `now` as RFC 3339, in UTC."""
    same = before is not None and before.status == condition.status
    return {
        "type": condition.type,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "lastTransitionTime": transitions.get(condition.type, now) if same else now,
    }


def read_condition(status: Mapping[str, Any], kind: str) -> tuple[Condition | None, dict[str, str]]:
    """Return a status's condition of a type, if it has one, and when it changed last, by type."""
    for one in status.get("conditions") or ():
        if isinstance(one, Mapping) and one.get("type") == kind:
            text = {name: str(one.get(name) or "") for name in ("status", "reason", "message", "lastTransitionTime")}
            when = text.pop("lastTransitionTime")
            return Condition(kind, **text), {kind: when} if when else {}
    return None, {}


def _entry(entry: Any) -> str:
    """Return an entry of an ingress as netlb writes it: an address; anything else is told apart by what it is."""
    if isinstance(entry, Mapping) and entry.get("ip") and not entry.get("hostname"):
        ports, mode = entry.get("ports"), entry.get("ipMode", "VIP")
        if mode == "VIP" and not ports:
            return str(entry["ip"])
    return f"not ours: {entry}"
