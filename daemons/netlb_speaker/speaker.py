"""What the speaker knows between two events, and the services that act on it."""

import asyncio
import gc
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from prometheus_client import Metric

from netlb.api.snapshot import Snapshot
from netlb.bfd.adapter.bfd import Bfd
from netlb.errors import NetlbError, TransientError
from netlb.findings import Finding, ObjectRef
from netlb.l2.adapter.operations import EitherWay, Way
from netlb.l2.announces import (
    Conflict,
    Event,
    FastPathRefused,
    InterfaceAppeared,
    InterfaceRefused,
    InterfaceVanished,
    Stats,
    Stranger,
    WorkerDied,
    WorkerRestarted,
)
from netlb.l2.ethernet import format_mac
from netlb.l2.probe import ProbeTimings
from netlb.net import Address
from netlb.plan import NodePlan, NodePlanner
from netlb.plan.bgp import BgpPlan, plan_bgp
from netlb.plan.render import service_name
from netlb.plan.segment import addresses_of
from netlb.reconcile import Reconciler, Status
from netlb.runtime.log import get_logger
from netlb.runtime.metrics import counter, gauge, reconciler_metrics
from netlb.source.protocol import Sink, Source
from netlb.source.status import node_data, service_bgp_statuses, service_l2_statuses
from netlb.source.tenancies import TenancySource
from netlb_speaker.announcing import AnnouncerFactory, KernelFactory
from netlb_speaker.disputes import Disputes
from netlb_speaker.gobgp import GobgpSettings
from netlb_speaker.incumbents import Incumbents
from netlb_speaker.keyring import Keyring
from netlb_speaker.liveness import Liveness
from netlb_speaker.metrics import announced_metric, bfd_metrics, bgp_metrics, l2_metrics
from netlb_speaker.prober import Prober
from netlb_speaker.report import announcements, silence
from netlb_speaker.report_bgp import Heard, bgp_report, standings

if TYPE_CHECKING:
    from netlb_speaker.routers import Routers

__all__ = ["NAME", "Speaker"]

NAME = "netlb-speaker"

_REPORT_SECONDS = 0.02
_FINISH_SECONDS = 3.0
_COUNT_SECONDS = 10.0  # between two readings of the responder's counters; Prometheus scrapes no oftener


class Speaker:
    """Plans after every change, makes the plan true, and reports what is true."""

    def __init__(
        self,
        *,
        node: str,
        interfaces: tuple[str, ...],
        source: Source,
        announcer: AnnouncerFactory,
        kernel: KernelFactory,
        sink: Sink,
        tenancies: TenancySource,
        patience: float,
        detects_conflicts: bool,
        yields: bool,
        timings: ProbeTimings,
        watches: bool,
        keyring: Keyring | None,
        grace: float,
        gobgp: GobgpSettings | None,
        ready_only: bool,
    ) -> None:
        self._log = get_logger(NAME).bind(node=node)
        self._node = node
        self._named = frozenset(interfaces)
        self._source = source
        self._announcer = announcer(interfaces=interfaces, on_event=self._happened)
        self._kernel = kernel(interfaces=interfaces, on_change=self._drifted)
        self._either_way = EitherWay(self._announcer, self._kernel)
        self._sink = sink
        self._detects_conflicts = detects_conflicts
        self._timings = timings
        self._news = asyncio.Event()
        self._answering = False
        self._stopping = False
        self._disputes = Disputes()
        self._slow: dict[str | None, str] = {}
        self._stats: Stats | None = None
        self.plan: NodePlan | None = None
        self.l2: Reconciler[Address, Way] = Reconciler(
            "l2", self._either_way, on_bug=self._bug, on_status=self._settled
        )
        self._snapshot: Snapshot | None = None
        self._settled_once = not watches
        self._informed = False
        self.incumbents = Incumbents(node, tenancies, self._plan, patience)
        self._began = False
        self._returned = asyncio.Event()
        self.liveness = (
            Liveness(node, self._log, self._plan, self._returned.set, self._news.set, keyring=keyring, grace=grace)
            if watches
            else None
        )
        self._gobgp = gobgp
        self._ready_only = ready_only
        self._planner = NodePlanner(node, ready_only=ready_only)
        self._routing = asyncio.Event()
        self._bfd: Bfd | None = None
        self.routers: Routers | None = None
        self.bgp: BgpPlan | None = None
        self.prober = Prober(self._announcer, timings, self._log, self._announce_what_may_be, yields=yields)
        self.status: Reconciler[str, Any] = Reconciler("status", sink, on_bug=self._bug)

    # Services

    async def follow(self) -> None:
        """Plan after every change of the manifests or of who holds what."""
        self._source.require()
        self._sink.open()
        async for snapshot in self._source.snapshots():
            first, self._snapshot = self._snapshot is None, snapshot
            self._plan(self._source.touched)
            if first:
                gc.freeze()  # what is there stays, for the most part: looking through it for cycles takes long
            if self._gobgp is not None and not self._stopping:
                self._plan_bgp(snapshot, self._gobgp)

    def _plan(self, touched: Collection[ObjectRef] | None = None) -> None:
        """Plan by what is declared and who is alive now; `touched` as of the source, after a snapshot of it."""
        if self._snapshot is None or self._stopping:
            return
        dead = self.liveness.dead if self.liveness else frozenset[str]()
        holders = self.incumbents.holders(self._snapshot, dead)
        plan = self._planner.plan(self._snapshot, dead, touched, holders=holders)
        self._tell(plan)
        self.plan = plan
        if self.liveness:
            own = addresses_of(self._snapshot.nodes.get(self._node))
            self.liveness.watch(plan.peers, plan.watchers, own.values())
        if self._detects_conflicts:
            held = {address for holding in self._snapshot.holdings.values() for address in holding.addresses}
            self.prober.planned(held, plan)
        self._announce_what_may_be()

    def _plan_bgp(self, snapshot: Snapshot, gobgp: GobgpSettings) -> None:
        """Plan what routers are told, and begin to tell them when there is something for the first time."""
        before, self.bgp = self.bgp, plan_bgp(snapshot, self._node, ready_only=self._ready_only)
        self._tell_findings(self.bgp.findings, before.findings if before else ())
        if self.routers is None and self.bgp.state is not None:
            from netlb_speaker.routers import Routers  # noqa: PLC0415 - gRPC takes 20 MiB: for those who need it

            self.routers = Routers(self._log, gobgp, on_change=self._news.set, on_bug=self._bug)
            if self._bfd is not None:
                self.routers.liveness.begin(self._bfd)
            self._routing.set()
        if self.routers is not None:
            self.routers.want(self.bgp)

    async def watch(self) -> None:
        """Have BFD: of its ports there is one user on a node, and its sockets are opened when a session needs them."""
        async with Bfd(on_problem=lambda problem: self._log.error("BFD process ended", problem=problem)) as bfd:
            self._bfd = bfd
            if self.liveness:
                self.liveness.begin(bfd)
            if self.routers:
                self.routers.liveness.begin(bfd)
            try:
                await asyncio.Event().wait()
            finally:
                self._bfd = None
                if self.routers:
                    self.routers.liveness.end()

    async def route(self) -> None:
        """Tell routers, from when there is something to tell."""
        await self._routing.wait()
        if self.routers is not None:
            await self.routers.run()

    async def announce(self) -> None:
        """Answer on the segments for as long as the speaker runs."""
        async with self._announcer, self._kernel:
            self._answering = True
            if not self._settled_once:  # what a process that died has left on interfaces may be another node's by now
                self.l2.want({})
            for name in sorted(self._missing()):
                self._log.warning("interface missing", interface=name, remedy="create it, or correct --interface")
            await self.l2.run()

    async def remind(self) -> None:
        """Announce once more what is owned when a node returns: it may have lived, and answered others meanwhile."""
        while True:
            await self._returned.wait()
            self._returned.clear()
            with suppress(NetlbError):  # the responder is being restarted, and then announces everything
                await self._either_way.announce(self.plan.l2.keys() if self.plan else ())

    async def report(self) -> None:
        """Keep this node's file up to date; many changes at once make one report."""
        while True:
            await self._news.wait()
            await asyncio.sleep(_REPORT_SECONDS)
            self._news.clear()
            if self.plan is not None and self.incumbents.known and not self._stopping:
                self.status.want(self._report(self.plan))

    async def count(self) -> None:
        """Read the responder's counters now and then."""
        while True:
            await asyncio.sleep(_COUNT_SECONDS)
            try:
                self._stats = await self._announcer.stats()
            except TransientError:
                continue  # the responder is being restarted

    async def withdraw(self) -> None:
        """Be silent for every address before anything else stops, once the next owners have taken over."""
        self._stopping = True
        leaving = [part.leave() for part in (self.liveness, self.routers) if part]
        await asyncio.gather(*leaving)
        if self._answering:
            self.l2.want({})
            await self.l2.settled()
            self._log.info("withdrawn")

    async def finish(self) -> None:
        """Take this node's files away: what does not answer must not be said to."""
        if self._sink.is_open:  # another speaker's file is not ours to remove
            self.status.want({})
            with suppress(TimeoutError):  # an API server that is away must not keep us
                async with asyncio.timeout(_FINISH_SECONDS):
                    await self.status.settled()
            self._sink.close()

    # What is shown

    def why_not_ready(self) -> str | None:
        """Return why this node does not do all it should, or None."""
        if missing := self._missing():
            return f"no interface {', '.join(sorted(missing))} that is up"
        if not self._announcer.interfaces():
            return "no interface to answer on"
        if self.liveness and not self._settled_once:
            return self.liveness.why_not_settled()
        if not self._informed:
            return "not known yet who holds what does not go back to a better node"
        if not self.l2.is_settled():
            return "not all addresses are answered for"
        return self.routers.why_not_ready() if self.routers else None

    def metrics(self) -> Iterable[Metric]:
        """Show what is announced, and what came in and went out."""
        yield from reconciler_metrics([self.l2, self.status])
        bgp, heard = self._routing_now()
        yield announced_metric(self._node, self.plan, self._either_way.held(), bgp, standings(bgp, heard))
        if self.liveness:
            yield from self.liveness.metrics()
        yield gauge(
            "netlb_speaker_withheld",
            "Always 1: this node owns the address and does not announce it yet.",
            ("ip", "reason"),
            {(str(address), str(silence(withheld))): 1.0 for address, withheld in self.prober.withheld.items()},
        )
        yield counter(
            "netlb_layer2_conflicts_total",
            "Times that another station claimed an address held here.",
            ("ip", "interface"),
            self._disputes.counts(),
        )
        if self._stats is not None:
            yield from l2_metrics(self._stats)
        if self._bfd is not None:
            yield from bfd_metrics({peer: self._bfd.status(peer) for peer in self._bfd.peers()}, self._bfd.counts())
        yield from bgp_metrics(bgp, heard)

    # What happens

    def _happened(self, event: Event) -> None:
        match event:
            case Conflict(address, mac, interface):
                if self._disputes.add(event, asyncio.get_running_loop().time()):
                    self._log.warning("address conflict", address=str(address), mac=mac, interface=interface)
                if self.plan is not None and (announced := self.plan.l2.get(address)):
                    self.prober.claimed(address, Stranger(mac, interface), announced.interfaces)
            case InterfaceAppeared(interface):
                self._log.info("interface in use", interface=interface.name, mac=format_mac(interface.mac))
            case InterfaceVanished(interface):
                self._slow.pop(interface.name, None)
                self._log.warning("interface gone", interface=interface.name)
            case InterfaceRefused(interface, problem):
                self._log.error("interface refused", interface=interface.name, problem=problem)
            case FastPathRefused(name, problem):
                self._slow[name] = problem
                self._log.warning("no fast path, the responder answers alone", problem=problem)
            case WorkerDied(problem):
                self._slow.clear()
                self._log.error("responder died", problem=problem)
            case WorkerRestarted(pid):
                self._log.info("responder restarted", pid=pid)
        self._say_if_ready()
        self._news.set()

    def _drifted(self) -> None:
        """Look again what interfaces have, and try again what failed: an address or a link is not as it was."""
        self.l2.lost()

    def _settled(self, _: Mapping[Address, Status]) -> None:
        self._news.set()
        self._say_if_ready()

    def _say_if_ready(self) -> None:
        """Let others keep what they announce until all that is this node's was tried once, and while it cannot be."""
        if self.liveness:
            self._began = self._began or (self._settled_once and self.l2.counts().pending == 0)
            self.liveness.be_ready(self._began and bool(self._announcer.interfaces()))

    def _announce_what_may_be(self) -> None:
        """Want all that is planned but for what is withheld; nothing before it is known which nodes are alive."""
        self._settled_once = self._settled_once or (self.liveness is not None and self.liveness.settled)
        self._informed = self._informed or (self._snapshot is not None and self.incumbents.known)
        if self.plan is not None and self._settled_once and self._informed and not self._stopping:
            self.incumbents.decided(self.plan)
            withheld = self.prober.withheld
            self.l2.want(
                {
                    address: Way(each.interfaces, by_kernel=each.announce == "address")
                    for address, each in self.plan.l2.items()
                    if address not in withheld
                }
            )
            self._say_if_ready()
            self._news.set()

    def _report(self, plan: NodePlan) -> Mapping[str, Any]:
        """Return what is to be said of this node now."""
        standing = announcements(
            plan,
            held=self._either_way.held(),
            statuses=self.l2.statuses(),
            withheld=self.prober.withheld,
            timings=self._timings,
        )
        bgp, heard = self._routing_now()
        told = standings(bgp, heard)
        node = node_data(
            plan,
            announcements=standing,
            interfaces={interface.name: format_mac(interface.mac) for interface in self._announcer.interfaces()},
            whole=self._sink.keeps_whole,
            nodes=self.liveness.states() if self.liveness else {},
            bgp=bgp_report(bgp, heard, told),
            holding=self.incumbents.report(),
            notes=[
                *(f"no interface {name} that is up; create it, or correct --interface" for name in self._missing()),
                *(f"no fast path, the responder answers alone: {problem}" for problem in self._slow.values()),
                *(self.liveness.notes() if self.liveness else ()),
                *self._disputes.notes(plan.l2),
            ],
        )
        return self._sink.forms(node, {**service_l2_statuses(plan, standing), **service_bgp_statuses(bgp, told)})

    def _routing_now(self) -> tuple[BgpPlan, Heard]:
        return self.bgp or BgpPlan(self._node), self.routers.heard() if self.routers else Heard()

    def _tell(self, plan: NodePlan) -> None:
        """Log what this plan changes."""
        self._tell_findings(plan.findings, self.plan.findings if self.plan else ())
        before = self.plan.l2 if self.plan else {}
        for address in plan.l2.keys() - before.keys():
            services = ",".join(map(service_name, plan.l2[address].services))
            self._log.info("address taken over", address=str(address), services=services)
        for address in before.keys() - plan.l2.keys():
            self._log.info("address given up", address=str(address))

    def _tell_findings(self, found: Iterable[Finding], before: Collection[Finding]) -> None:
        for finding in found:
            if finding not in before:
                self._log.warning("manifest problem", finding=str(finding))

    def _missing(self) -> frozenset[str]:
        return self._named - {interface.name for interface in self._announcer.interfaces()}

    def _bug(self, reconciler: str, error: Exception) -> None:
        self._log.error("unexpected failure", reconciler=reconciler, exc_info=error)
