"""Snapshot to ClusterPlan: which Service holds which addresses."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import is_

from netlb.api.core import Service
from netlb.api.snapshot import Holding, Snapshot
from netlb.findings import Finding, ObjectRef, Severity
from netlb.ipam import (
    NO_LEASES,
    Allocator,
    Leases,
    Pools,
    Refused,
    Request,
    Result,
    Verdict,
    allocate,
    explain,
    read_request,
)
from netlb.plan.selected import Selected, same_selected, selected
from netlb.plan.validate import unreadable_request, validate
from netlb.reasons import ManifestProblem, Refusal
from netlb.topology import node_pool

__all__ = ["ClusterPlan", "ClusterPlanner", "plan_cluster"]


@dataclass(frozen=True, slots=True)
class ClusterPlan:
    """The desired state of the cluster: the whole of what the controller writes."""

    addresses: Result
    findings: tuple[Finding, ...]
    changed: frozenset[ObjectRef] | None = None
    """The Services whose outcome may differ from the plan before; None: any."""
    selected: Mapping[ObjectRef, Selected] = field(default_factory=dict)
    """How many nodes and pools objects are for."""

    @property
    def holdings(self) -> Mapping[ObjectRef, Holding]:
        """Who holds what once the plan is carried out."""
        return {
            ref: Holding(allocation.addresses, allocation.pool)
            for ref, allocation in self.addresses.allocations.items()
        }


def plan_cluster(snapshot: Snapshot) -> ClusterPlan:
    """Plan the whole cluster. Pure: the same snapshot gives the same plan on every machine."""
    return ClusterPlanner(snapshot.holdings).plan(snapshot)


class ClusterPlanner:
    """Plans snapshot after snapshot, and works out again only what has changed in between.

    It remembers who holds what: the holdings of later snapshots are not read. Planning in steps gives what planning
    at once gives.
    """

    def __init__(self, holdings: Mapping[ObjectRef, Holding]) -> None:
        self._holdings = holdings
        self._allocator: Allocator | None = None
        self._last = Snapshot()
        self._leases: Mapping[str, Leases] = NO_LEASES
        self._findings: tuple[Finding, ...] = ()
        self._selected: Mapping[ObjectRef, Selected] | None = None
        self._unreadable: dict[ObjectRef, Finding] = {}

    def plan(
        self,
        snapshot: Snapshot,
        touched: Collection[ObjectRef] | None = None,
        leases: Mapping[str, Leases] = NO_LEASES,
    ) -> ClusterPlan:
        """Plan the cluster as it is in this snapshot.

        `touched` names the Services that differ from the snapshot before, where the caller knows; `leases` are what
        the sources of pools have reserved, by pool.
        """
        last, self._last = self._last, snapshot
        allocator = self._allocator
        if allocator is None or not _agree(last, snapshot) or leases != self._leases:
            self._leases = leases
            self._allocator = allocator = self._from_scratch(snapshot, allocator)
            changed, served = None, frozenset((*allocator.allocations, *allocator.refusals))
        else:
            touched = _differing(last.services, snapshot.services) if touched is None else touched
            changed = served = self._step(allocator, snapshot, touched)
        if changed is None or not _same_findings(last, snapshot):
            self._findings = (*validate(snapshot), *_source_problems(snapshot, leases))
        if self._selected is None or not same_selected(last, snapshot):
            self._selected = selected(snapshot)
        findings = (*self._findings, *self._unreadable.values())
        return ClusterPlan(allocator.result(served), findings, changed, self._selected)

    def explain(self, ref: ObjectRef) -> tuple[Verdict, ...]:
        """Return what each pool says to a Service's request, by the last plan."""
        return explain(self._allocator, ref) if self._allocator else ()

    def _from_scratch(self, snapshot: Snapshot, before: Allocator | None) -> Allocator:
        holdings = self._holdings
        if before:
            holdings = {ref: Holding(held.addresses, held.pool) for ref, held in before.allocations.items()}
        self._unreadable.clear()
        requests = {
            ref: self._request(ref, service)
            for ref, service in snapshot.services.items()
            if snapshot.serving.serves(service)
        }
        namespaces = {name: namespace.metadata.labels for name, namespace in snapshot.namespaces.items()}

        def is_unread(namespace: str) -> bool:
            return namespace not in namespaces and snapshot.may_exist(ObjectRef("Namespace", "", namespace))

        return allocate(
            Pools(snapshot.pools, namespaces, _unreachable(snapshot), self._leases, is_unread),
            requests,
            holdings,
            pools_certain=snapshot.pools_certain,
            reserved=frozenset(ref for ref in holdings if ref not in snapshot.services and snapshot.may_exist(ref)),
        )

    def _step(self, allocator: Allocator, snapshot: Snapshot, differing: Iterable[ObjectRef]) -> frozenset[ObjectRef]:
        touched = []
        for ref in differing:
            service = snapshot.services.get(ref)
            self._unreadable.pop(ref, None)
            request = self._request(ref, service) if service and snapshot.serving.serves(service) else None
            if request != allocator.requests.get(ref):
                allocator.change(ref, request)
                touched.append(ref)
        return frozenset(touched) | allocator.settle(touched)

    def _request(self, ref: ObjectRef, service: Service) -> Request | Refused:
        try:
            return read_request(service)
        except ValueError as error:
            self._unreadable[ref] = unreadable_request(ref, str(error))
            return Refused(Refusal.INVALID_REQUEST, str(error))


def _agree(one: Snapshot, other: Snapshot) -> bool:
    """Say whether two snapshots differ in single Services at most, as far as addresses go."""
    return (
        one.pools == other.pools
        and one.namespaces == other.namespaces
        and one.serving == other.serving
        and one.unread == other.unread
        and one.files_missing == other.files_missing
        and _unreachable(one) == _unreachable(other)
    )


def _source_problems(snapshot: Snapshot, leases: Mapping[str, Leases]) -> Iterator[Finding]:
    for name, pool in snapshot.pools.items():
        if pool.spec.source and name in leases and leases[name].problem:
            yield Finding(
                subject=pool.ref,
                field="spec.source",
                reason=ManifestProblem.SOURCE_FAILED,
                problem=leases[name].problem,
                remedy="until it answers, nothing new is given from the pool, and what is held stays held",
                severity=Severity.WARNING,
            )


def _same_findings(one: Snapshot, other: Snapshot) -> bool:
    """Say whether the checks between objects find the same in both, given that the pools are the same."""
    return (
        one.l2_advertisements == other.l2_advertisements
        and one.bgp_advertisements == other.bgp_advertisements
        and one.bfd_profiles == other.bfd_profiles
        and one.nodes == other.nodes
        and one.findings == other.findings
    )


def _unreachable(snapshot: Snapshot) -> frozenset[str]:
    """Return the pools that are bound to node pools none of which has a node."""
    peopled = {node_pool(node) for node in snapshot.nodes.values()}
    return frozenset(
        name
        for name, pool in snapshot.pools.items()
        if pool.spec.node_pools and not peopled & set(pool.spec.node_pools)
    )


def _differing(one: Mapping[ObjectRef, Service], other: Mapping[ObjectRef, Service]) -> Collection[ObjectRef]:
    """Return the Services that are not the very same in both; of many, a single one is found at the speed of C."""
    if len(one) == len(other) and list(one) == list(other):
        same = list(map(is_, one.values(), other.values()))
        return [] if all(same) else [ref for ref, unchanged in zip(one, same, strict=True) if not unchanged]
    gone = [ref for ref in one if ref not in other]
    return gone + [ref for ref, service in other.items() if one.get(ref) is not service]
