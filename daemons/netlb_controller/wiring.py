"""The controller: a selection of rooms. Manifests in, allocations out, one way."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from prometheus_client import Metric

from netlb.api.intake import Intake
from netlb.api.snapshot import Holding
from netlb.findings import Finding, ObjectRef, Severity
from netlb.plan import ClusterPlan, plan_cluster
from netlb.reconcile import Reconciler, Status, StatusKind
from netlb.runtime.app import App
from netlb.runtime.config import CommonSettings
from netlb.runtime.log import get_logger
from netlb.runtime.metrics import StateCollector, gauge, new_registry, reconciler_metrics
from netlb.source.directory import DirectorySource
from netlb.source.status import cluster_status, is_controllers, read_holdings, service_path
from netlb.source.tree import StatusTree
from netlb.source.watch import DirectoryWatch

__all__ = ["NAME", "ControllerSettings", "build"]

NAME = "netlb-controller"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerSettings:
    """What the controller is told."""

    common: CommonSettings
    status_dir: Path


def build(settings: ControllerSettings) -> App:
    """Put the controller together; nothing is read or written before the App runs."""
    tree = StatusTree(settings.status_dir, NAME, is_controllers)
    source = DirectorySource(settings.common.source.path, None, Intake())
    controller = _Controller(source, tree, settings.status_dir)
    registry = new_registry(NAME)
    registry.register(StateCollector(controller.metrics))
    return App(
        name=NAME,
        registry=registry,
        services={
            "source": controller.follow,
            "status": controller.status.run,
            "guard": controller.guard,
        },
        checks={
            "source": lambda: None if controller.plan else "no snapshot yet",
            "status": lambda: None if controller.is_written() else "not all written",
        },
        on_stop={"status": controller.finish},
        http=settings.common.http,
    )


class _Controller:
    """Holds what is known between two snapshots: the last plan, which says who holds what."""

    def __init__(self, source: DirectorySource, tree: StatusTree, directory: Path) -> None:
        self._log = get_logger(NAME)
        self._source = source
        self._tree = tree
        self._directory = directory
        self._opened = asyncio.Event()
        self._files: dict[str, str] = {}
        self._waits: dict[str, frozenset[str]] = {}
        self.plan: ClusterPlan | None = None
        self.status: Reconciler[str, str] = Reconciler("status", tree, on_bug=self._bug, on_status=self._advance)

    async def follow(self) -> None:
        """Plan after every change of the manifests."""
        self._source.require()
        self._tree.open()
        self._opened.set()
        holdings: Mapping[ObjectRef, Holding] = read_holdings(await self._tree.observe())
        async for snapshot in self._source.snapshots():
            plan = plan_cluster(replace(snapshot, holdings=holdings))
            self._tell(holdings, plan)
            self.plan = plan
            self._write(holdings, plan)
            holdings = plan.holdings

    def _write(self, before: Mapping[ObjectRef, Holding], plan: ClusterPlan) -> None:
        """Write the plan down: what is given up first, so that no crash leaves an address with two holders."""
        holders = {address: service_path(ref) for ref, holding in before.items() for address in holding.addresses}
        waits: dict[str, frozenset[str]] = {}
        for ref, holding in plan.holdings.items():
            path = service_path(ref)
            predecessors = {holders.get(address, path) for address in holding.addresses}
            # Who is still waiting has nothing on disk: its successor waits for those that it waits for.
            predecessors.update(*(self._waits.get(waiting, ()) for waiting in (*predecessors, path)))
            if predecessors - {path}:
                waits[path] = frozenset(predecessors - {path})
        self._files, self._waits = cluster_status(plan), waits
        self._want()
        self._advance(self.status.statuses())

    def _advance(self, statuses: Mapping[str, Status]) -> None:
        """Write the files whose addresses have been given up by others meanwhile."""
        waits = {
            path: predecessors
            for path, predecessors in self._waits.items()
            if any(other in statuses and statuses[other].kind is not StatusKind.DONE for other in predecessors)
        }
        if waits != self._waits:
            self._waits = waits
            self._want()

    def _want(self) -> None:
        self.status.want({path: text for path, text in self._files.items() if path not in self._waits})

    def is_written(self) -> bool:
        """Whether the status tree says all that the last plan says."""
        return self.status.is_settled() and not self._waits

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
        yield from reconciler_metrics([self.status])
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

    def _tell(self, before: Mapping[ObjectRef, Holding], plan: ClusterPlan) -> None:
        """Log what this plan changes."""
        known: frozenset[Finding] = frozenset(self.plan.findings) if self.plan else frozenset()
        for finding in plan.findings:
            if finding not in known:
                self._log.warning("manifest problem", finding=str(finding))
        refused = self.plan.addresses.refusals if self.plan else {}
        after = plan.holdings
        for ref in sorted(before.keys() - after.keys()):
            self._log.info("addresses released", service=str(ref), addresses=_join(before[ref]))
        for ref, holding in after.items():
            if before.get(ref, Holding(())).addresses != holding.addresses:
                self._log.info("addresses allocated", service=str(ref), addresses=_join(holding), pool=holding.pool)
        for ref, why in plan.addresses.refusals.items():
            if refused.get(ref) != why:
                self._log.warning("no address", service=str(ref), reason=str(why.reason), why=why.message)

    def _bug(self, reconciler: str, error: Exception) -> None:
        self._log.error("unexpected failure", reconciler=reconciler, exc_info=error)


def _join(holding: Holding) -> str:
    return ",".join(map(str, holding.addresses))


def _count(values: Iterable[str]) -> dict[tuple[str, ...], float]:
    counts: dict[tuple[str, ...], float] = {}
    for value in values:
        counts[value,] = counts.get((value,), 0) + 1
    return counts
