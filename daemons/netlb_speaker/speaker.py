"""What the speaker knows between two events, and the services that act on it."""

import asyncio
import gc
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from prometheus_client import Metric

from netlb.api.snapshot import Snapshot
from netlb.bfd.adapter.bfd import Bfd
from netlb.errors import TransientError
from netlb.findings import ObjectRef
from netlb.l2.adapter.operations import EitherWay, Way
from netlb.l2.announces import (
    Conflict,
    Event,
    FastPathRefused,
    InterfaceVanished,
    Stats,
    WorkerDied,
)
from netlb.l2.defence import Conduct
from netlb.l2.ethernet import format_mac
from netlb.l2.probe import ProbeTimings
from netlb.net import Address
from netlb.plan import NodePlan, NodePlanner
from netlb.plan.bgp import BgpPlan, plan_bgp
from netlb.plan.segment import addresses_of
from netlb.reconcile import Reconciler, Status
from netlb.runtime.log import get_logger
from netlb.runtime.memory import give_back
from netlb.runtime.metrics import reconciler_metrics
from netlb.source.protocol import Sink, Source
from netlb.source.status import node_data, service_bgp_statuses, service_l2_statuses
from netlb.source.tenancies import TenancySource
from netlb_speaker.announcing import AnnouncerFactory, KernelFactory
from netlb_speaker.conflicts import Conflicts
from netlb_speaker.doubles import Doubles, addresses_held
from netlb_speaker.gobgp import GobgpSettings
from netlb_speaker.hearing import Hearing
from netlb_speaker.incumbents import Incumbents
from netlb_speaker.metrics import announced_metric, bfd_metrics, bgp_metrics, l2_metrics
from netlb_speaker.permitted import Permitted
from netlb_speaker.prober import Prober
from netlb_speaker.readiness import Readiness
from netlb_speaker.reminder import Reminder
from netlb_speaker.report import announcements
from netlb_speaker.report_bgp import Heard, bgp_report, standings
from netlb_speaker.succession import Succession
from netlb_speaker.telling import tell_event, tell_findings, tell_plan
from netlb_speaker.watching import WatchesFactory

if TYPE_CHECKING:
    from netlb_speaker.routers import Routers

__all__ = ["NAME", "Speaker"]

NAME = "netlb-speaker"

_REPORT_SECONDS = 0.02
_REPORT_LATEST = 1.0  # while addresses are brought to interfaces: the report of thousands takes as long
_FINISH_SECONDS = 3.0
_FIRST_SECONDS = 8.0  # from the first plan until all that is done once is done: announced, reported and kept on disk
_COUNT_SECONDS = 15.0  # between two readings of the responder's counters; Prometheus scrapes hardly oftener


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
        guards: bool,
        probes: bool,
        yields: bool,
        conduct: Conduct,
        settled: float,
        timings: ProbeTimings,
        refresh: float | None,
        liveness: WatchesFactory | None,
        gobgp: GobgpSettings | None,
        ready_only: bool,
        succession: Succession,
    ) -> None:
        self._log = get_logger(NAME).bind(node=node)
        self._node = node
        self._named = frozenset(interfaces)
        self._source = source
        self._announcer = announcer(interfaces=interfaces, on_event=self._happened)
        self._kernel = kernel(interfaces=interfaces, on_change=self._drifted)
        self._either_way = EitherWay(self._announcer, self._kernel)
        self._sink = sink
        self._guards = guards
        self._timings = timings
        self._news = asyncio.Event()
        self._stopping = False
        self._slow: dict[str | None, str] = {}
        self._stats: Stats | None = None
        self.plan: NodePlan | None = None
        self.l2 = Reconciler("l2", self._either_way, on_bug=self._bug, on_status=self._settled)
        self._snapshot: Snapshot | None = None
        self._informed = False
        self._permitted = Permitted()
        self.incumbents = Incumbents(node, tenancies, self._plan, patience)
        self.reminder = Reminder(self._either_way.announce, lambda: self.plan.l2.keys() if self.plan else (), refresh)
        self.liveness = (
            None
            if liveness is None
            else liveness(node, self._log, self._plan, self.reminder.everything, self._news.set)
        )
        self.readiness = Readiness(
            self.liveness,
            can_answer=lambda: bool(self._announcer.interfaces()),
            tried_all=lambda: self.l2.counts().pending == 0,
        )
        self._gobgp = gobgp
        self._ready_only = ready_only
        self._planner = NodePlanner(node, ready_only=ready_only)
        self._routing = asyncio.Event()
        self._bfd: Bfd | None = None
        self._succession = succession
        self.routers: Routers | None = None
        self.bgp: BgpPlan | None = None
        self.prober = Prober(
            self._announcer, timings, self._log, self._announce_what_may_be, probes=probes, yields=yields
        )
        self.conflicts = Conflicts(
            conduct,
            self._announcer,
            self.prober,
            self._log,
            lambda: self.plan,
            liveness=self.liveness,
            reminder=self.reminder,
            settled=settled,
        )
        self.hearing = Hearing(self._announcer, self.reminder, self._announce_what_may_be)
        self.doubles = Doubles(self._log, self._announcer, lambda: (self._snapshot, self.plan), self._news.set)
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
                asyncio.get_running_loop().call_later(_FIRST_SECONDS, give_back)
            if self._gobgp is not None and not self._stopping:
                self._plan_bgp(snapshot, self._gobgp)

    def _plan(self, touched: Collection[ObjectRef] | None = None) -> None:
        """Plan by what is declared and who is alive now; `touched` as of the source, after a snapshot of it."""
        if self._snapshot is None or self._stopping:
            return
        dead = self.liveness.dead if self.liveness else frozenset[str]()
        if self.liveness:
            others = self.plan is not None and not self.plan.peers.keys() <= dead
            self.hearing.look(self.liveness.silences, self._snapshot, others=others)
        holders = self.incumbents.holders(self._snapshot, dead)
        plan = self._planner.plan(self._snapshot, dead, touched, holders=holders)
        tell_plan(self._log, plan, self.plan)
        self.plan = plan
        if self.liveness:
            own = addresses_of(self._snapshot.nodes.get(self._node))
            self.liveness.watch(plan.peers, plan.watchers, own.values(), holding=self.readiness.holding)
        self.readiness.look()
        if self._guards:
            alone = self.liveness is not None and self.liveness.gives_way
            held = addresses_held(self._snapshot)
            self.prober.planned(held, plan, alone=alone, announcing=self.readiness.settled)
        self._announce_what_may_be()

    def _plan_bgp(self, snapshot: Snapshot, gobgp: GobgpSettings) -> None:
        """Plan what routers are told, and begin to tell them when there is something for the first time."""
        before, self.bgp = self.bgp, plan_bgp(snapshot, self._node, ready_only=self._ready_only)
        tell_findings(self._log, self.bgp.findings, before.findings if before else ())
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
        self.readiness.inherit(self._succession.begin())
        async with Bfd(on_problem=self._bfd_ended, shelter=self._succession.shelter) as bfd:
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
        inherited = self.readiness.inherit(self._succession.begin())
        async with self._announcer, self._kernel:
            self.readiness.answering = True
            self.readiness.say()
            if not self.readiness.settled and not inherited:  # what one that died has left may be another node's by now
                self.l2.want({})
            for name in sorted(self._missing()):
                self._log.warning("interface missing", interface=name, remedy="create it, or correct --interface")
            await self.l2.run()

    async def report(self) -> None:
        """Keep this node's file up to date; many changes at once make one report."""
        while True:
            await self._news.wait()
            await asyncio.sleep(_REPORT_SECONDS)
            with suppress(TimeoutError):  # to announce comes before to say so
                async with asyncio.timeout(_REPORT_LATEST):
                    while self.l2.counts().pending:
                        self._news.clear()
                        await self._news.wait()
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
        if self.readiness.answering:
            self.l2.want({})
            await self.l2.settled()
            self._log.info("withdrawn")

    async def leave(self) -> None:
        """Leave all to the next speaker, but for what the kernel answers for, which nobody would renew."""
        if self._kernel.held():
            await self.withdraw()
            await self.finish()
        else:
            self._succession.leave()

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
        if self.liveness and not self.readiness.settled:
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
        yield from self.conflicts.metrics()
        yield from self.doubles.metrics()
        if self._stats is not None:
            yield from l2_metrics(self._stats)
        if self._bfd is not None:
            yield from bfd_metrics({peer: self._bfd.status(peer) for peer in self._bfd.peers()}, self._bfd.counts())
        yield from bgp_metrics(bgp, heard)

    # What happens

    def _happened(self, event: Event) -> None:
        tell_event(self._log, event)
        self.hearing.happened(event, self.plan.peers.values() if self.plan and self.liveness else ())
        match event:
            case Conflict():
                self.conflicts.seen(event)
            case InterfaceVanished(interface):
                self._slow.pop(interface.name, None)
            case FastPathRefused(name, problem):
                self._slow[name] = problem
            case WorkerDied():
                self._slow.clear()
        self.readiness.say()
        self._news.set()

    def _bfd_ended(self, problem: str) -> None:
        self._log.error("BFD process ended", problem=problem)
        if self.liveness:
            self.liveness.interrupted()

    def _drifted(self) -> None:
        """Look again what interfaces have, and try again what failed: an address or a link is not as it was."""
        self.l2.lost()

    def _settled(self, _: Mapping[Address, Status]) -> None:
        self._news.set()
        self.readiness.say()

    def _announce_what_may_be(self) -> None:
        """Want all that is planned but for what is withheld; nothing before it is known which nodes are alive."""
        self.readiness.look()
        self._informed = self._informed or (self._snapshot is not None and self.incumbents.known)
        if self.plan is not None and self.readiness.settled and self._informed and not self._stopping:
            self.readiness.holding = bool(self.plan.l2)
            self.l2.want(self._may_be(self.plan))
        self.readiness.say()
        self._news.set()

    def _may_be(self, plan: NodePlan) -> Mapping[Address, Way]:
        if self.liveness and self.liveness.mute:
            return {}
        self.incumbents.decided(plan)
        held = self._either_way.held() if self.hearing.doubtful else None
        return self._permitted.ways(plan.l2, self.prober.withheld, held)

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
                *self.conflicts.notes(),
                *self.doubles.notes(),
            ],
        )
        return self._sink.forms(node, {**service_l2_statuses(plan, standing), **service_bgp_statuses(bgp, told)})

    def _routing_now(self) -> tuple[BgpPlan, Heard]:
        return self.bgp or BgpPlan(self._node), self.routers.heard() if self.routers else Heard()

    def _missing(self) -> frozenset[str]:
        return self._named - {interface.name for interface in self._announcer.interfaces()}

    def _bug(self, reconciler: str, error: Exception) -> None:
        self._log.error("unexpected failure", reconciler=reconciler, exc_info=error)
