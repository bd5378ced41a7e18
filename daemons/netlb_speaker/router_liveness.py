"""Which routers are alive, by BFD beside gobgpd: a session that was up and failed keeps its BGP peer down for a while.

BFD takes a BGP session down, and never keeps one from coming up (RFC 5882 sections 3.2 and 4.1, and what FRR does): a
router without BFD is a router all the same. So a peer is kept down until BFD is up again, until the router's operator
says that BFD is off, or until `HOLD` has passed, after which BGP may find out by itself.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from netlb.bfd.adapter.bfd import Bfd, Peer
from netlb.bfd.events import AdminDown, Down, Event, ParametersChanged, Up
from netlb.bfd.packet import State
from netlb.errors import NetlbError
from netlb.plan.bfd import Watch

__all__ = ["HOLD", "RouterLiveness"]

HOLD: Final = 10.0
"""Seconds for which a failed BFD session keeps its peer down at most."""
_AGAIN: Final = 10.0
"""Seconds until a session that could not be begun, for instance since there is no route yet, is tried again."""


class RouterLiveness:
    """Watches routers, by the names of their peers; `on_change` is called when `down` or a state changes."""

    def __init__(self, log: Any, on_change: Callable[[], None], *, hold: float = HOLD) -> None:
        self._log = log
        self._on_change = on_change
        self._hold = hold
        self._bfd: Bfd | None = None
        self._wanted: Mapping[str, Watch] = {}
        self._sessions: dict[str, tuple[Watch, Peer]] = {}
        self._problems: dict[str, str] = {}
        self._held: dict[str, asyncio.TimerHandle] = {}
        self._again: asyncio.TimerHandle | None = None

    @property
    def down(self) -> frozenset[str]:
        """The peers that are to be kept down."""
        return frozenset(self._held)

    def begin(self, bfd: Bfd) -> None:
        """Begin to watch what is wanted, by a BFD that others use too."""
        self._bfd = bfd
        self.watch(self._wanted)

    def end(self) -> None:
        """BFD is ending, and takes all sessions down on purpose: nothing is begun or concluded any more."""
        self._bfd = None
        if self._again is not None:
            self._again.cancel()

    def watch(self, routers: Mapping[str, Watch]) -> None:
        """Watch these routers, and no others. Who is watched otherwise than before stays as it is known to be."""
        self._wanted = routers
        if self._bfd is None:
            return
        for name, (before, peer) in list(self._sessions.items()):
            wanted = routers.get(name)
            if wanted is not None and _peer(wanted) == peer:
                if wanted != before:
                    self._bfd.change(peer, wanted.settings)
                    self._sessions[name] = wanted, peer
            else:
                self._forget(name, self._bfd)
        for name in self._problems.keys() - routers.keys():
            del self._problems[name]
        # A session that goes is out of the way of its successor after the loop's next turn.
        asyncio.get_running_loop().call_soon(self._begin_missing)

    def states(self) -> dict[str, str]:
        """Return how BFD with each router is: a state of RFC 5880 section 4.1 in small letters, or the problem."""
        states = {name: self._problems.get(name, "down") for name in self._wanted}
        for name, (_, peer) in self._sessions.items():
            if self._bfd is not None:
                states[name] = _STATES[self._bfd.status(peer).state]
        return states

    def _begin_missing(self) -> None:
        if self._bfd is None:
            return
        if self._again is not None:
            self._again.cancel()
            self._again = None
        for name, wanted in self._wanted.items():
            if name not in self._sessions:
                self._begin(name, wanted, self._bfd)
        if self._problems:
            self._again = asyncio.get_running_loop().call_later(_AGAIN, self._begin_missing)
        self._on_change()

    def _begin(self, name: str, wanted: Watch, bfd: Bfd) -> None:
        try:
            peer = _peer(wanted)
            bfd.add(peer, wanted.settings, lambda _, event: self._heard(name, peer, event))
        except NetlbError as error:
            if self._problems.get(name) != str(error):
                self._log.warning("router not watched by BFD", router=name, problem=str(error))
            self._problems[name] = str(error)
            return
        self._problems.pop(name, None)
        self._sessions[name] = wanted, peer

    def _forget(self, name: str, bfd: Bfd) -> None:
        _, peer = self._sessions.pop(name)
        self._release(name)
        removal = asyncio.ensure_future(bfd.remove(peer))
        removal.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _heard(self, name: str, peer: Peer, event: Event) -> None:
        if self._bfd is None or self._sessions.get(name, (None, None))[1] is not peer:
            return
        match event:
            case Up():
                self._log.info("BFD with router up", router=name, **_timers(event))
                self._release(name)
            case AdminDown():
                self._log.warning("BFD with router switched off by its operator", router=name)
                self._release(name)
            case Down(diagnostic):
                self._log.warning("BFD with router down", router=name, diagnostic=diagnostic.name)
                self._held[name] = asyncio.get_running_loop().call_later(self._hold, self._expired, name)
            case ParametersChanged():
                self._log.info("BFD with router has new timers", router=name, **_timers(event))
                return
        self._on_change()

    def _expired(self, name: str) -> None:
        self._log.warning("BFD with router stays down, and BGP may try without", router=name)
        del self._held[name]
        self._on_change()

    def _release(self, name: str) -> None:
        if name in self._held:
            self._held.pop(name).cancel()


_STATES: Final = {State.ADMIN_DOWN: "admin down", State.DOWN: "down", State.INIT: "init", State.UP: "up"}


def _timers(event: Up | ParametersChanged) -> dict[str, int]:
    return {"transmit_us": event.transmit_interval, "detection_us": event.detection_time}


def _peer(wanted: Watch) -> Peer:
    return Peer(wanted.address, local=wanted.source, multihop=wanted.multihop)
