"""The controller: a selection of rooms. Manifests in, allocations out, one way."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from prometheus_client import Metric

from netlb.api.intake import Intake
from netlb.api.snapshot import EVERYTHING, Holding, Serving, Snapshot
from netlb.findings import Finding, ObjectRef, Severity
from netlb.ipam import Allocation, Claims
from netlb.net import Address
from netlb.plan import ClusterPlan, ClusterPlanner
from netlb.reconcile import Reconciler, Status, StatusKind
from netlb.runtime.app import App
from netlb.runtime.config import CommonSettings
from netlb.runtime.log import get_logger
from netlb.runtime.metrics import StateCollector, gauge, new_registry, reconciler_metrics
from netlb.source.directory import DirectorySource
from netlb.source.status import is_controllers, read_holdings
from netlb.source.tree import StatusTree
from netlb.source.watch import DirectoryWatch
from netlb_controller.files import StatusFiles
from netlb_controller.sources import MakeSource, PoolSources, make_source

__all__ = ["NAME", "Classless", "ControllerSettings", "build"]

NAME = "netlb-controller"


class Classless(StrEnum):
    """What becomes of Services without a loadBalancerClass; those with OpenELB's mark are served in any case."""

    SERVE = "serve"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerSettings:
    """What the controller is told."""

    common: CommonSettings
    status_dir: Path
    serving: Serving = EVERYTHING
    installation: str = "default"
    """What tells this cluster from others that use the same address sources."""


def build(settings: ControllerSettings, make_source: MakeSource = make_source) -> App:
    """Put the controller together; nothing is read or written before the App runs."""
    tree = StatusTree(settings.status_dir, NAME, is_controllers)
    source = DirectorySource(settings.common.source.path, None, Intake(settings.common.compatibility, settings.serving))
    controller = _Controller(source, tree, settings, make_source)
    registry = new_registry(NAME)
    registry.register(StateCollector(controller.metrics))
    return App(
        name=NAME,
        registry=registry,
        services={
            "source": controller.follow,
            "status": controller.status.run,
            "guard": controller.guard,
            "address sources": controller.sources.run,
        },
        checks={
            "source": lambda: None if controller.plan else "no snapshot yet",
            "status": lambda: None if controller.is_written() else "not all written",
        },
        on_stop={"status": controller.finish},
        http=settings.common.http,
    )


class _Controller:
    """Plans after every change, and keeps the status tree as the plan says."""

    def __init__(
        self, source: DirectorySource, tree: StatusTree, settings: ControllerSettings, make_source: MakeSource
    ) -> None:
        self._log = get_logger(NAME)
        self._source = source
        self._tree = tree
        self._directory = settings.status_dir
        self._opened = asyncio.Event()
        self._files = StatusFiles({})
        self.plan: ClusterPlan | None = None
        self.status: Reconciler[str, str] = Reconciler("status", tree, on_bug=self._bug, on_status=self._advance)
        self.sources = PoolSources(settings.installation, make_source, on_leases=self._plan, on_bug=self._bug)
        self._held: Mapping[ObjectRef, Holding] = {}
        self._snapshot: Snapshot | None = None
        self._planner: ClusterPlanner | None = None
        self._claims: Mapping[str, Claims] = {}

    async def follow(self) -> None:
        """Plan after every change of the manifests."""
        self._source.require()
        self._tree.open()
        self._opened.set()
        self._held = read_holdings(await self._tree.observe())
        self._files = StatusFiles(self._held)
        async for snapshot in self._source.snapshots():
            self._snapshot = snapshot
            self._plan()

    def _plan(self) -> None:
        """Plan by what is known now."""
        if self._snapshot is None:
            return
        if self._planner is None:
            # What our own tree says counts more than a status that somebody's manifest carries along.
            self._planner = ClusterPlanner({**self._snapshot.holdings, **self._held})
        plan = self._planner.plan(self._snapshot, leases=dict(self.sources.leases))
        self._tell(plan)
        self._files.update(plan)
        self.plan = plan
        self._want()
        self._advance(self.status.statuses())

    def _advance(self, statuses: Mapping[str, Status]) -> None:
        """Write the files whose addresses have been given up by others meanwhile."""
        if self._files.cares:
            unsettled = {path for path, status in statuses.items() if status.kind is not StatusKind.DONE}
            if self._files.advance(unsettled):
                self._want()
        self._claim()

    def _claim(self) -> None:
        """Reserve at the sources what the plan needs; give back what it does not once the files say so."""
        if self._snapshot is None or self.plan is None:
            return
        claims = self.plan.addresses.claims
        if not self.is_written():
            claims = {pool: {**self._claims.get(pool, {}), **claims.get(pool, {})} for pool in (*self._claims, *claims)}
        self._claims = claims
        self.sources.want(self._snapshot.pools, claims)

    def _want(self) -> None:
        self.status.want(self._files.writable())

    def is_written(self) -> bool:
        """Whether the status tree says all that the last plan says."""
        return self.status.is_settled() and not self._files.waiting

    async def guard(self) -> None:
        """Put back what somebody else changes in the status tree, once it is there and ours."""
        await self._opened.wait()
        with DirectoryWatch((self._directory, self._directory / "services", self._directory / "addresspools")) as watch:
            while True:
                await watch.changed()
                self.status.refresh()

    async def finish(self) -> None:
        """Write what is still to be written; the addresses stay where they are."""
        if self.plan:
            await self.status.settled()
        self._tree.close()

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
