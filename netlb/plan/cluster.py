"""Snapshot to ClusterPlan: which Service holds which addresses."""

from collections.abc import Mapping
from dataclasses import dataclass

from netlb.api.snapshot import Snapshot
from netlb.findings import Finding, ObjectRef
from netlb.ipam import Refused, Request, Result, allocate, is_served, read_request
from netlb.plan.validate import SERVED_PROTOCOLS, validate
from netlb.reasons import Refusal

__all__ = ["ClusterPlan", "plan_cluster"]


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """The desired state of the cluster: the whole of what the controller writes."""

    addresses: Result
    findings: tuple[Finding, ...]


def plan_cluster(snapshot: Snapshot) -> ClusterPlan:
    """Plan the whole cluster. Pure: the same snapshot gives the same plan on every machine."""
    requests: Mapping[ObjectRef, Request | Refused] = {
        ref: _request(snapshot, ref) for ref, service in snapshot.services.items() if is_served(service)
    }
    reserved = frozenset(ref for ref in snapshot.holdings if ref not in snapshot.services and snapshot.may_exist(ref))
    result = allocate(
        snapshot.pools,
        requests,
        snapshot.holdings,
        pools_certain=snapshot.pools_certain,
        reserved=reserved,
        served_protocols=SERVED_PROTOCOLS,
    )
    return ClusterPlan(result, validate(snapshot))


def _request(snapshot: Snapshot, ref: ObjectRef) -> Request | Refused:
    try:
        return read_request(snapshot.services[ref])
    except ValueError as error:
        return Refused(Refusal.INVALID_REQUEST, str(error))
