"""What this node tells routers by BGP: a gobgpd, started or found, is kept as the plan says."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Any, Final

from netlb.bgp.adapter.gobgpd import Gobgpd
from netlb.bgp.adapter.leave import leave
from netlb.bgp.adapter.operations import Tenancy
from netlb.bgp.adapter.speaker import GobgpSpeaker
from netlb.bgp.adapter.target import Target
from netlb.bgp.drain import kept_down, withdrawn
from netlb.bgp.events import DaemonBack, DaemonLost, Drifted, Event, ProcessEnded, ProcessStarted, SessionChanged
from netlb.bgp.model import BgpState, Key, Record
from netlb.bgp.sessions import Sessions
from netlb.errors import NetlbError
from netlb.plan.bgp import BgpPlan
from netlb.reconcile import Reconciler
from netlb_speaker.gobgp import GobgpSettings
from netlb_speaker.patience import Patience
from netlb_speaker.report_bgp import Heard
from netlb_speaker.router_liveness import RouterLiveness

__all__ = ["Routers"]

_AGAIN: Final = 10.0
"""Seconds until a gobgpd that could not be started is tried again."""
_DRAIN: Final = 5.0
"""Seconds that routers have to prefer others before a node that takes no more traffic withdraws its routes."""
_LOOK: Final = 10.0
"""Seconds between two looks at the sessions' counters; what happens is looked at at once."""
_COALESCE: Final = 0.1
_PAUSE, _PATIENCE = 1.0, 2.0  # at an orderly end; all of it has 10 s


class Routers:
    """Follows the plans. This module is loaded, and this made, only where a plan has something for routers."""

    def __init__(
        self,
        log: Any,
        settings: GobgpSettings,
        *,
        on_change: Callable[[], None],
        on_bug: Callable[[str, Exception], None],
    ) -> None:
        self._log = log
        self._settings = settings
        self._on_change = on_change
        self._on_bug = on_bug
        self._plan: BgpPlan | None = None
        self._drained: asyncio.TimerHandle | None = None
        self._withdrawn = False
        self._leaving = False
        self._gobgpd: Gobgpd | None = None
        self._patience = Patience(self._replace)
        self.problem = ""
        """Why routers hear nothing at present; empty if they do, or need not."""
        self.sessions = Sessions()
        self._stirred = asyncio.Event()
        self.reconciler: Reconciler[Key, Record] | None = None
        self.liveness = RouterLiveness(log, self._router_changed)

    def want(self, plan: BgpPlan) -> None:
        """Set the plan."""
        self._plan = plan
        self.liveness.watch(plan.watches)
        if not plan.draining:
            self._withdrawn = False
            if self._drained:
                self._drained.cancel()
                self._drained = None
        elif self._drained is None and not self._withdrawn:
            self._drained = asyncio.get_running_loop().call_later(_DRAIN, self._drain_over)
        self._apply()

    async def run(self) -> None:
        """Keep a gobgpd until cancelled; one that cannot be had is tried again, and nothing else suffers."""
        while True:
            try:
                await self._speak()
            except NetlbError as error:
                self._tell(str(error))
                self._log.error("no BGP", problem=str(error))
                await asyncio.sleep(_AGAIN)

    def heard(self) -> Heard:
        """Return what is known of the gobgpd and its sessions."""
        return Heard(
            sessions=tuple(self.sessions),
            statuses=self.reconciler.statuses() if self.reconciler else {},
            bfd=self.liveness.states(),
            problem=self.problem,
            withdrawn=self._withdrawn,
        )

    async def leave(self) -> None:
        """Let routers prefer others, withdraw, and end the sessions."""
        self._leaving = True
        state = self._state()
        if self.reconciler is not None and state is not None:
            await leave(self.reconciler, state, pause=_PAUSE, patience=_PATIENCE)

    def why_not_ready(self) -> str | None:
        """Return why routers do not hear all they should, or None."""
        if self._plan is None or self._plan.state is None:
            return None
        if self.problem or self.reconciler is None:
            return self.problem or "gobgpd is being started"
        return None if self.reconciler.is_settled() else "not everything is told to gobgpd"

    async def _speak(self) -> None:
        async with AsyncExitStack() as stack:
            stack.callback(self._forget)
            tenancy = Tenancy.SHARED if self._settings.shared else Tenancy.SOLE
            target = Target(address=self._settings.target)
            if not self._settings.target:
                self._gobgpd = Gobgpd(directory=self._settings.directory, on_event=self._hear)
                await stack.enter_async_context(self._gobgpd)
                target, tenancy = self._gobgpd.target, Tenancy.OWN
            speaker = GobgpSpeaker(target, on_event=self._hear, tenancy=tenancy)
            self.reconciler = Reconciler(
                "bgp", speaker.operations, on_bug=self._on_bug, on_status=lambda _: self._stir()
            )
            self._tell("")
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            tasks.create_task(speaker.run())
            tasks.create_task(self.reconciler.run())
            tasks.create_task(self._look(speaker))
            self._apply()
            await asyncio.Event().wait()

    async def _look(self, speaker: GobgpSpeaker) -> None:
        """Read what only a list of the sessions says, after whatever happens, and now and then."""
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stirred.wait(), _LOOK)
            await asyncio.sleep(_COALESCE)
            self._stirred.clear()
            with suppress(NetlbError):  # it is out of reach, which is told elsewhere
                if self.sessions.listed((await speaker.sessions()).values(), _now()):
                    self._on_change()

    def _stir(self) -> None:
        self._stirred.set()
        self._on_change()

    def _forget(self) -> None:
        self._patience.found()
        self.reconciler = None
        self._gobgpd = None

    def _state(self) -> BgpState | None:
        """Return what gobgpd should have now: as planned, but for what is drained and who is dead."""
        state = self._plan.state if self._plan else None
        if state is None:
            return None
        return kept_down(withdrawn(state) if self._withdrawn else state, self.liveness.down)

    def _apply(self) -> None:
        if self.reconciler is not None and self._plan is not None and not self._leaving:
            state = self._state()
            self.reconciler.want(state.records() if state else {})

    def _router_changed(self) -> None:
        self._apply()
        self._on_change()

    def _drain_over(self) -> None:
        self._drained = None
        self._withdrawn = True
        self._apply()

    def _hear(self, event: Event) -> None:
        match event:
            case DaemonLost(problem):
                self._log.warning("gobgpd lost", problem=problem)
                self._tell(problem)
                self.sessions.forget()
                if self.reconciler is not None:
                    self.reconciler.lost()
                if self._gobgpd is not None:
                    self._patience.lost()
            case DaemonBack(service):
                self._log.info("gobgpd answers", api=service)
                self._patience.found()
                self._tell("")
                if self.reconciler is not None:
                    self.reconciler.refresh()
            case Drifted(what):
                self._log.warning("gobgpd drifted", what=what)
                if self.reconciler is not None:
                    self.reconciler.refresh()
            case SessionChanged(session):
                if self.sessions.hear(session, _now()):
                    why = {"reason": session.reason} if session.reason else {}
                    self._log.info("BGP session", router=session.address, state=session.state.name, **why)
                self._stir()
            case ProcessStarted(pid):
                self._log.info("gobgpd started", pid=pid)
                self._patience.started()
            case ProcessEnded(problem):
                self._log.error("gobgpd ended", problem=problem)

    def _replace(self) -> None:
        if self._gobgpd is not None and self._gobgpd.pid is not None:
            self._log.error("gobgpd hangs and is killed", pid=self._gobgpd.pid)
            self._gobgpd.kill()  # another one is started in its place

    def _tell(self, problem: str) -> None:
        self.problem = problem
        self._on_change()


def _now() -> float:
    """Return the time of day: what people read of a session is when it changed."""
    return time.time_ns() / 1e9
