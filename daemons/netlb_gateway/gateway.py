"""What the gateway knows between two events, and the services that act on it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any, Final

from prometheus_client import Metric

from netlb.api.snapshot import Snapshot
from netlb.bfd.adapter.bfd import Bfd
from netlb.errors import NetlbError
from netlb.findings import Finding
from netlb.plan.raven import RavenPlan, Seen, plan_sites
from netlb.plan.sites import read_sites
from netlb.raven.adapter.hellos import HelloSocket
from netlb.raven.dataplane import DataPlane, Numbers, Role
from netlb.raven.events import Change
from netlb.raven.hello import Claim
from netlb.raven.keys import Keys
from netlb.raven.model import Site
from netlb.raven.node import Local
from netlb.raven.subnets import settle
from netlb.raven.views import Evidence, Published, View, Views
from netlb.raven.watch import watches
from netlb.reconcile import Reconciler
from netlb.runtime.log import get_logger
from netlb.source.gateway_status import gateway_path, node_document, node_path, site_document
from netlb.source.protocol import Source
from netlb_gateway.carrier import Carrier, Kernel
from netlb_gateway.coalescer import Coalescer
from netlb_gateway.hellos import Hellos, Sockets
from netlb_gateway.liveness import GRACE, Liveness
from netlb_gateway.metrics import Peers, gateway_metrics
from netlb_gateway.report import elected, narrow, node_status, notes, site_status, spokesman, why_not_connected
from netlb_gateway.settings import NAME
from netlb_gateway.surroundings import GatewaySink

__all__ = ["Gateway"]

_REPORT_SECONDS: Final = 0.05
_FINISH_SECONDS: Final = 3.0
_TAKE_OVER_SECONDS: Final = 3.0
"""Within which a successor says that it has taken over, or is taken to have."""
_LEAVE_SECONDS: Final = 2.0
_STATES_SECONDS: Final = 5.0
_AGAIN_SECONDS: Final = 1.0
_ABSENT = Site(name="")
_UNKNOWN: Final = "not known yet which endpoints are alive"

MakeCarrier = Callable[[Callable[[], None], Callable[[], None], Callable[[str, Exception], None]], Carrier]


class Gateway:
    """Plans after every change of what is declared or heard, makes the plan true, and reports what is true."""

    def __init__(
        self,
        *,
        node: str,
        source: Source,
        sink: GatewaySink,
        kernel: Kernel,
        carrier: MakeCarrier,
        keys: Keys | None,
        numbers: Numbers,
        withdraws: bool,
        grace: float = GRACE,
        bfd: Callable[..., Bfd] = Bfd,
        sockets: Sockets = HelloSocket,
    ) -> None:
        """Without `keys` the node can hold no tunnels."""
        self._log = get_logger(NAME).bind(node=node)
        self._node = node
        self._source = source
        self._sink = sink
        self._kernel = kernel
        self._keys = keys
        self._numbers = numbers
        self._withdraws = withdraws
        self._grace = grace
        self._bfd = bfd
        self._news = asyncio.Event()
        soon = Coalescer(self._replan).ask
        self.carrier = carrier(self._news.set, soon, self._bug)
        self.liveness = Liveness(self._log, soon, grace=grace)
        self.hellos = Hellos(self._log, node, numbers.hello_port, soon, sockets=sockets)
        self.status: Reconciler[str, Any] = Reconciler("status", sink, on_bug=self._bug)
        self._views = Views(node)
        self._view: View | None = None
        self._snapshot: Snapshot | None = None
        self._sites: tuple[Site, ...] = ()
        self._findings: tuple[Finding, ...] = ()
        self._subnets = settle(())
        self._local: Local | None = None
        self._own = Claim()
        self._leaving = False
        self._handed_over = False
        self._withdrawn = False
        self._opened = False
        self._kernel_opened = asyncio.Event()
        self._told: tuple[Finding, ...] = ()
        self._began: float | None = None
        self._settled = False
        self._timer: asyncio.TimerHandle | None = None
        self._heard = asyncio.Event()
        self._peers: Peers = {}
        self.elections: Counter[str] = Counter()
        """By site, how often others became active, as this node saw it."""
        self.plan: RavenPlan | None = None
        self.plane: DataPlane | None = None

    # Services

    async def follow(self) -> None:
        """Plan after every change of what is declared."""
        self._source.require()
        self._sink.open()
        self._opened = True
        await self._kernel_opened.wait()
        async for snapshot in self._source.snapshots():
            self._snapshot = snapshot
            seen, own = Seen.published(snapshot), self._keys
            self._sites, self._findings = read_sites(
                snapshot,
                {**seen.keys, self._node: own.public} if own else seen.keys,
                {**seen.backends, self._node: self._backend},
            )
            self._subnets = settle(self._sites)
            self._tell_findings((*snapshot.findings, *self._findings))
            await self._look()

    async def carry(self) -> None:
        """Make true what is planned, and follow what changes in the kernel without us."""
        async with self._kernel, asyncio.TaskGroup() as group:
            self._kernel_opened.set()
            group.create_task(self.carrier.run())
            async for changes in self._kernel.changes():
                if Change.OBJECTS in changes:
                    self.carrier.refresh()
                if Change.LOCAL in changes:
                    await self._look()

    async def watch(self) -> None:
        """Have BFD, by which nodes and tunnels are watched."""
        async with self._bfd(on_problem=lambda problem: self._log.error("BFD process ended", problem=problem)) as bfd:
            self.liveness.begin(bfd)
            self._replan()
            await self.liveness.attend()

    async def report(self) -> None:
        """Say how the node is connected; many changes at once make one report."""
        while True:
            await self._news.wait()
            await asyncio.sleep(_REPORT_SECONDS)
            self._news.clear()
            if self._opened and self.plan is not None and self.plane is not None:
                documents = self._documents(self.plan, self.plane)
                self._sink.speak_for(self.plane.site if gateway_path(self.plane.site) in documents else "")
                self.status.want(self._sink.forms(documents))

    async def count(self) -> None:
        """Look at the tunnels' counters now and then."""
        while True:
            await asyncio.sleep(_STATES_SECONDS)
            if self.carrier.backend is not None:
                with suppress(Exception):  # what is the matter is told by the reconciler
                    self._peers = await self.carrier.backend.states()
            self._news.set()  # what probes have found, too

    async def leave(self) -> None:
        """Hand over, if there is somebody to hand over to; then go, and leave things so that packets find their way."""
        self._leaving = True
        before = self.plane
        self._replan()
        after = self.plane
        if before is not None and after is not None and before.role is Role.GATEWAY and after.role is not Role.GATEWAY:
            self._log.info("handing over", to=after.gateway)
            with suppress(TimeoutError):
                async with asyncio.timeout(_TAKE_OVER_SECONDS):
                    while after.gateway not in self._claimed(after.gateway):
                        self._heard.clear()
                        await self._heard.wait()
        self._handed_over = True
        self._replan()
        if after is None or after.role is not Role.GATEWAY:
            with suppress(TimeoutError):
                async with asyncio.timeout(_LEAVE_SECONDS):
                    await self.liveness.leave()
        if self.plane is not None and self._settled:
            await self.carrier.settled()
        if self._withdraws:
            self._withdrawn = True
            await self.carrier.remove()
            self._log.info("everything removed")

    async def finish(self) -> None:
        """Write what is still to be written; what a node has said of itself stays, since its key is still its own."""
        if self._opened:
            with suppress(TimeoutError):
                async with asyncio.timeout(_FINISH_SECONDS):
                    await self.status.settled()
            self._sink.close()

    # What is shown

    def why_not_ready(self) -> str | None:
        """Return why this node is not connected as it should be, or None."""
        if self.plan is None or self.plane is None:
            return "no snapshot yet"
        if not self._settled:
            return self.carrier.problem() or _UNKNOWN
        if not self.carrier.is_settled():
            return self.carrier.problem() or "not everything is there yet"
        return why_not_connected(self.plane, self.liveness.alive, self.liveness.dead)

    def metrics(self) -> Iterable[Metric]:
        """Show who is active, and how the tunnels are."""
        return gateway_metrics(self)

    def problems(self) -> list[str]:
        """Return what an operator should know."""
        found = [f"{node} is not watched: {problem}" for node, problem in self.liveness.problems.items()]
        if problem := self.carrier.problem():
            found.append(problem)
        if not self._settled:
            return [_UNKNOWN, *found]
        return [*found, *notes(self.plane, self.liveness.alive, self.liveness.dead, self.hellos.ways)]

    def is_lost(self, site: str) -> bool:
        """Say whether none of a site's endpoints is alive, as far as this node can see."""
        active = self.plan.mesh.elections[site].active if self.plan else ()
        return not active or (self._view is not None and site in self._view.lost)

    @property
    def peers(self) -> Peers:
        """What was seen last of the tunnels, by public key."""
        return self._peers

    @property
    def _backend(self) -> str:
        return str(self.carrier.backend.choice) if self.carrier.backend is not None else ""

    # What happens

    async def _look(self) -> None:
        """Read what only the node knows, and plan."""
        site = next((site for site in self._sites if self._node in site.nodes), _ABSENT)
        node = site.nodes.get(self._node)
        while True:
            try:
                self._local = await self.carrier.local(node.underlay if node else None)
                break
            except NetlbError as error:
                self._log.warning("cannot read what only the node knows", problem=str(error))
                await asyncio.sleep(_AGAIN_SECONDS)
        self._replan()

    def _replan(self) -> None:
        """Plan by what is declared and heard now."""
        self._heard.set()
        if self._snapshot is None or self._local is None or self._withdrawn:
            return
        now = asyncio.get_running_loop().time()
        self._began = now if self._began is None else self._began
        view = self._views.conclude(self._sites, self._evidence(self._snapshot), now)
        seen = Seen(health=view.health, incumbents=view.incumbents, hub=view.hub, fallen=view.fallen)
        before, self._view = self.plan, view
        plan = plan_sites(self._sites, self._findings, seen, self._subnets)
        plane = plan.node(self._node, self._local, self._numbers)
        self.plan, self.plane = plan, plane
        self._attend(plan, plane)
        self._settled = self._settled or self._knows(plan, plane, now)
        if self._settled:
            hubs = plan.mesh.hubs
            self._views.remember(plan.mesh.elections, hubs[0].site if hubs else "")
            self._claim(plan, plane)
            if not self._leaving or self._handed_over:
                self.carrier.want(plane)
            self._tell(before, plan)
        elif not self._leaving:
            self.carrier.guard(plan.guard(self._node, self._local, self._numbers), plane)
        self._schedule(now)
        self._news.set()

    def _attend(self, plan: RavenPlan, plane: DataPlane) -> None:
        """Watch, and talk to, whom the plan says."""
        if self._leaving:
            return
        wanted = watches(plan.mesh, plane)
        self.liveness.watch({**wanted.pool, **wanted.tunnels})
        site = plan.mesh.sites.get(plane.site)
        own = site.nodes[self._node].underlay if site else None
        self.hellos.talk(
            plane.site, wanted, own, plane.tunnel.mtu if plane.tunnel else 0, tells=plane.tunnel is not None
        )

    def _evidence(self, snapshot: Snapshot) -> Evidence:
        own = next((site for site in self._sites if self._node in site.nodes), _ABSENT)
        dead = self.liveness.dead
        self.hellos.drop(dead)
        claims = dict(self.hellos.claims)
        if self._own.active or self._leaving:
            claims[self._node] = self._own if not self._leaving else Claim(leaving=True)
        return Evidence(
            alive=self.liveness.alive | ({self._node} if not self._leaving else frozenset()),
            dead=dead & own.nodes.keys(),
            unheard=dead - own.nodes.keys(),
            left=self.liveness.left,
            claims=claims,
            published={node: Published(report.active, report.hub) for node, report in snapshot.gateway_nodes.items()},
        )

    def _claim(self, plan: RavenPlan, plane: DataPlane) -> None:
        """Claim what was concluded, if this node is an endpoint.

        Who takes over from one that lives says so when it has: others turn to it then, and to nobody who is not ready.
        Who takes over from a dead one says so at once, for nothing is lost by that.
        """
        site = plan.mesh.sites.get(plane.site)
        if site is None or plane.tunnel is None or self._view is None:
            self._own = Claim()
            return
        alive, made = self.liveness.alive, self.carrier.made
        ready = made is not None and made.role is Role.GATEWAY
        if plane.role is Role.GATEWAY and not ready and alive & set(self._own.active):
            return
        self._own = Claim(
            active=plan.mesh.elections[site.name].active,
            dead=tuple(endpoint.node for endpoint in site.endpoints if endpoint.node in self._view.health.dead),
            hears=len(self.liveness.steady & site.nodes.keys()),
            reaches=len(self.liveness.steady - site.nodes.keys()),
            leaving=self._leaving and plane.role is not Role.GATEWAY,
        )
        self.hellos.claim(self._own, far=not self._leaving or self._handed_over)

    def _knows(self, plan: RavenPlan, plane: DataPlane, now: float) -> bool:
        """Say whether it is known which of the site's other endpoints live and who they say is active, or has been
        waited for: before that what an earlier process left stays as it is."""
        wanted = watches(plan.mesh, plane).pool
        site = plan.mesh.sites.get(plane.site, _ABSENT)
        others = {endpoint.node for endpoint in site.endpoints} & wanted.keys()
        heard = self.hellos.claims.keys() & self.liveness.alive
        began = now if self._began is None else self._began
        return others <= heard | self.liveness.dead or now >= began + self._grace

    def _schedule(self, now: float) -> None:
        """Plan again when something is due though nothing is heard."""
        if self._timer is not None:
            self._timer.cancel()
        times = [self._views.next_change(now)]
        if not self._settled and self._began is not None:
            times.append(self._began + self._grace)
        due = min((each for each in times if each is not None), default=None)
        self._timer = None if due is None else asyncio.get_running_loop().call_at(due + 0.01, self._replan)

    def _claimed(self, node: str) -> Collection[str]:
        claim = self.hellos.claims.get(node)
        return claim.active if claim is not None else ()

    # What is told

    def _documents(self, plan: RavenPlan, plane: DataPlane) -> dict[str, Mapping[str, Any]]:
        status = node_status(
            plan,
            plane,
            key=self._keys.public if self._keys else "",
            backend=self._backend,
            alive=self.liveness.alive,
            mtus=narrow(self.hellos.ways),
            notes=self.problems(),
        )
        documents: dict[str, Mapping[str, Any]] = {node_path(self._node): node_document(self._node, status)}
        site = plan.mesh.sites.get(plane.site)
        if site is not None and self._settled:
            lost = self.is_lost(site.name)
            if spokesman(plan, site, lost=lost) == self._node:
                status = site_status(plan, site, lost=lost)
                documents[gateway_path(site.name)] = site_document(site.name, status)
        return documents

    def _tell(self, before: RavenPlan | None, plan: RavenPlan) -> None:
        """Log who became active where, and count it."""
        for site, active in elected(before, plan):
            self.elections[site] += 1
            if active:
                self._log.info("active endpoint elected", site=site, active=",".join(active))
            else:
                self._log.warning("active endpoint lost", site=site)

    def _tell_findings(self, found: Iterable[Finding]) -> None:
        for finding in found:
            if finding not in self._told:
                self._log.warning("manifest problem", finding=str(finding))
        self._told = tuple(found)

    def _bug(self, reconciler: str, error: Exception) -> None:
        self._log.error("unexpected failure", reconciler=reconciler, exc_info=error)
