"""Plans after every change, and has written what the plan says: what a controller does for as long as it leads."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Generic, TypeVar

from prometheus_client import Metric

from netlb.api.snapshot import Holding, Snapshot
from netlb.findings import Finding, ObjectRef, Severity
from netlb.ipam import Allocation, Claims
from netlb.net import Address
from netlb.plan import ClusterPlan, ClusterPlanner
from netlb.reconcile import Operations, Reconciler, Status, StatusKind
from netlb.runtime.app import Callback
from netlb.runtime.log import get_logger
from netlb.runtime.metrics import gauge, reconciler_metrics
from netlb.source.protocol import Source
from netlb_controller.results import Form, Results
from netlb_controller.sources import MakeSource, PoolSources

__all__ = ["NAME", "Controller"]

NAME = "netlb-controller"

D = TypeVar("D")


class Controller(Generic[D]):
    """Follows a source and writes results down, from when it is run until it is cancelled; it is run once.

    `held` returns who holds what by what was written down before, where that counts more than the snapshot.
    """

    def __init__(
        self,
        source: Source,
        operations: Operations[str, D],
        form: Form[D],
        *,
        installation: str,
        make_source: MakeSource,
        held: Callable[[], Awaitable[Mapping[ObjectRef, Holding]]],
        beside: Collection[Callback] = (),
    ) -> None:
        """`beside` is what else runs for as long as this does."""
        self._log = get_logger(NAME)
        self._source = source
        self._form = form
        self._find_held = held
        self._beside = beside
        self._results: Results[D] = Results(form, {})
        self.plan: ClusterPlan | None = None
        self.status: Reconciler[str, D] = Reconciler("status", operations, on_bug=self._bug, on_status=self._heard)
        self.sources = PoolSources(installation, make_source, on_leases=self._replan, on_bug=self._bug)
        self._held: Mapping[ObjectRef, Holding] = {}
        self._snapshot: Snapshot | None = None
        self._planner: ClusterPlanner | None = None
        self._claims: Mapping[str, Claims] = {}
        self._told: dict[str, str] = {}

    async def follow(self) -> None:
        """Plan after every change of what is declared."""
        self._held = await self._find_held()
        async for snapshot in self._source.snapshots():
            self._snapshot = snapshot
            self._plan(snapshot, self._source.touched)

    def _replan(self) -> None:
        """Plan again: what the sources of pools have reserved has changed."""
        if self._snapshot is not None:
            self._plan(self._snapshot, frozenset())

    def _plan(self, snapshot: Snapshot, touched: frozenset[ObjectRef] | None) -> None:
        if self._planner is None:
            # What we wrote ourselves counts more than a status that somebody's manifest carries along.
            self._held = {**snapshot.holdings, **self._held}
            self._planner = ClusterPlanner(self._held)
            self._results = Results(self._form, self._held)
        plan = self._planner.plan(snapshot, touched, leases=dict(self.sources.leases))
        self._tell(plan)
        self._results.update(plan)
        self.plan = plan
        self._want()
        self._advance(self.status.statuses())

    def _heard(self, statuses: Mapping[str, Status]) -> None:
        """Take note of what became of writing."""
        failing = {key: status.message for key, status in statuses.items() if status.kind is StatusKind.ERROR}
        for key, message in failing.items():
            # What goes away by itself with the next attempt is not worth a line.
            if statuses[key].attempts > 1 and self._told.get(key) != message:
                self._told[key] = message
                self._log.warning("not written", what=key, why=message)
        self._told = {key: message for key, message in self._told.items() if key in failing}
        self._advance(statuses)

    def _advance(self, statuses: Mapping[str, Status]) -> None:
        """Let be written what waited for addresses that others have given up meanwhile."""
        if self._results.cares:
            unsettled = {key for key, status in statuses.items() if status.kind is not StatusKind.DONE}
            if self._results.advance(unsettled):
                self._want()
        self._claim()

    def _claim(self) -> None:
        """Reserve at the sources what the plan needs; give back what it does not once that is written."""
        if self._snapshot is None or self.plan is None:
            return
        claims = self.plan.addresses.claims
        if not self.is_written():
            claims = {pool: {**self._claims.get(pool, {}), **claims.get(pool, {})} for pool in (*self._claims, *claims)}
        self._claims = claims
        self.sources.want(self._snapshot.pools, claims)

    def _want(self) -> None:
        self.status.want(self._results.writable())

    def is_written(self) -> bool:
        """Whether all that the last plan says is written."""
        return self.status.is_settled() and not self._results.waiting

    async def run(self) -> None:
        """Do all of it, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for service in (self.follow, self.status.run, self.sources.run, *self._beside):
                group.create_task(service())

    def metrics(self) -> Iterable[Metric]:
        """Show the pools and how far writing has come."""
        yield from reconciler_metrics([self.status, *self.sources.reconcilers])
        if self.plan is None:
            return
        usage = {
            (pool, family.lower()): count
            for pool, families in self.plan.addresses.usage.items()
            for family, count in families.items()
            if count.size
        }
        labels = ("pool", "family")
        yield gauge(
            "netlb_allocator_addresses",
            "Addresses that a pool can give.",
            labels,
            {key: float(count.size) for key, count in usage.items()},
        )
        yield gauge(
            "netlb_allocator_addresses_in_use",
            "Addresses of a pool that are held.",
            labels,
            {key: float(count.held) for key, count in usage.items()},
        )
        yield gauge(
            "netlb_allocator_refusals",
            "Services without an address, by reason.",
            ("reason",),
            _count(str(refused.reason) for refused in self.plan.addresses.refusals.values()),
        )
        yield gauge(
            "netlb_findings",
            "Problems of the manifests, by severity; with an error, the last good state is in force.",
            ("severity",),
            {(severity,): 0.0 for severity in Severity}
            | _count(str(finding.severity) for finding in self.plan.findings),
        )

    def _tell(self, plan: ClusterPlan) -> None:
        """Log what this plan changes."""
        known: frozenset[Finding] = frozenset(self.plan.findings) if self.plan else frozenset()
        for finding in plan.findings:
            if finding not in known:
                self._log.warning("manifest problem", finding=str(finding))
        before: Mapping[ObjectRef, Holding | Allocation] = self.plan.addresses.allocations if self.plan else self._held
        after, refusals = plan.addresses.allocations, plan.addresses.refusals
        refused = self.plan.addresses.refusals if self.plan else {}
        for ref in sorted(plan.changed if plan.changed is not None else {*before, *after, *refusals}):
            had = before[ref].addresses if ref in before else ()
            if ref in after and after[ref].addresses != had:
                self._log.info(
                    "addresses allocated", service=str(ref), addresses=_join(after[ref].addresses), pool=after[ref].pool
                )
            elif had and ref not in after:
                self._log.info("addresses released", service=str(ref), addresses=_join(had))
            if ref in refusals and refusals[ref] != refused.get(ref):
                why = refusals[ref]
                self._log.warning("no address", service=str(ref), reason=str(why.reason), why=why.message)

    def _bug(self, reconciler: str, error: Exception) -> None:
        self._log.error("unexpected failure", reconciler=reconciler, exc_info=error)


def _join(addresses: Iterable[Address]) -> str:
    return ",".join(map(str, addresses))


def _count(values: Iterable[str]) -> dict[tuple[str, ...], float]:
    counts: dict[tuple[str, ...], float] = {}
    for value in values:
        counts[value,] = counts.get((value,), 0) + 1
    return counts
