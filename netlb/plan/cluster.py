"""Snapshot to ClusterPlan: which Service holds which addresses."""

from collections.abc import Mapping
from dataclasses import dataclass

from netlb.api.snapshot import Holding, Snapshot
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

    @property
    def holdings(self) -> Mapping[ObjectRef, Holding]:
        """Who holds what once the plan is carried out."""
        return {
            ref: Holding(allocation.addresses, allocation.pool)
            for ref, allocation in self.addresses.allocations.items()
        }


def plan_cluster(snapshot: Snapshot) -> ClusterPlan:
    """Plan the whole cluster. Pure: the same snapshot gives the same plan on every machine."""
    requests: Mapping[ObjectRef, Request | Refused] = {
        ref: _request(snapshot, ref) for ref, service in snapshot.services.items() if is_served(service)
    }
    reserved = frozenset(ref for ref in snapshot.holdings if ref not in snapshot.services and snapshot.may_exist(ref))
    holdings, findings = snapshot.holdings, validate(snapshot)
    while True:
        result = allocate(
            snapshot.pools,
            requests,
            holdings,
            pools_certain=snapshot.pools_certain,
            reserved=reserved,
            served_protocols=SERVED_PROTOCOLS,
        )
        plan = ClusterPlan(result, findings)
        # An address that one Service just left may be what another one waits for. This ends: who got what it
        # asked for never moves, and every further turn serves at least one more.
        if plan.holdings == holdings:
            return plan
        holdings = plan.holdings


def _request(snapshot: Snapshot, ref: ObjectRef) -> Request | Refused:
    try:
        return read_request(snapshot.services[ref])
    except ValueError as error:
        return Refused(Refusal.INVALID_REQUEST, str(error))
