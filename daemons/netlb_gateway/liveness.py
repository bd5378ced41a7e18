"""Which other nodes are alive, by BFD over several hops (RFC 5883): within the site, and through the tunnels.

Who was heard and falls silent is dead at once; who was never heard counts as neither alive nor dead for a while, in
which sessions come up.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from netlb.bfd.adapter.bfd import Bfd, Peer
from netlb.bfd.events import AdminDown, Down, Event, Up
from netlb.bfd.settings import Settings
from netlb.errors import NetlbError
from netlb.raven.watch import Watched

__all__ = ["GRACE", "STEADY", "Liveness"]

GRACE: Final = 5.0
"""Seconds for which a node that was never heard is not known to be dead: sessions begin at one packet a second."""
_FAR: Final = 1.6
"""Times as long for the other end of a tunnel: WireGuard repeats a lost handshake after 5 s (whitepaper, 6.4)."""
STEADY: Final = 2.0
"""Seconds for which a node has to be heard before it counts in what a claim is worth: sessions of one that comes back
come up one after the other, and it must not outweigh who went on without it."""
_AGAIN: Final = 1.0
"""Seconds until a session that could not be begun is tried again, as before the node has its address."""
_ANY_HOPS: Final = 1
"""Nodes of a site may have routers between them; whose packets are taken is our filter's business."""
_ONE_HOP: Final = 255


class Liveness:
    """Watches nodes; `on_change` is called when somebody becomes alive or dead."""

    def __init__(self, log: Any, on_change: Callable[[], None], *, grace: float = GRACE) -> None:
        self._log = log
        self._on_change = on_change
        self._grace = grace
        self._bfd: Bfd | None = None
        self._wanted: Mapping[str, Watched] = {}
        self._sessions: dict[str, tuple[Watched, Peer]] = {}
        self._problems: dict[str, str] = {}
        self._doubts: dict[str, asyncio.TimerHandle] = {}
        self._rising: dict[str, asyncio.TimerHandle] = {}
        """Those of the alive that are not steady yet."""
        self._alive: set[str] = set()
        self._dead: set[str] = set()
        self._left: set[str] = set()

    @property
    def alive(self) -> frozenset[str]:
        """Who is heard."""
        return frozenset(self._alive)

    @property
    def steady(self) -> frozenset[str]:
        """Who has been heard for a while."""
        return frozenset(self._alive - self._rising.keys())

    @property
    def dead(self) -> frozenset[str]:
        """Who was heard and is not any more, or was not within a while."""
        return frozenset(self._dead)

    @property
    def left(self) -> frozenset[str]:
        """Those of them that went on purpose (AdminDown)."""
        return frozenset(self._left)

    @property
    def problems(self) -> Mapping[str, str]:
        """By node, why it cannot be watched."""
        return self._problems

    @property
    def settled(self) -> bool:
        """Whether it is known of everybody if it lives."""
        return self._bfd is not None and self._wanted.keys() <= self._alive | self._dead

    def begin(self, bfd: Bfd) -> None:
        """Begin to watch what is wanted, by a BFD that others use too."""
        self._bfd = bfd
        self.watch(self._wanted)

    async def attend(self) -> None:
        """Try again what was refused; never ends."""
        while True:
            await asyncio.sleep(_AGAIN)
            self.watch(self._wanted)

    def watch(self, nodes: Mapping[str, Watched]) -> None:
        """Watch these nodes, and no others."""
        self._wanted = nodes
        if self._bfd is None:
            return
        for node, (before, peer) in list(self._sessions.items()):
            wanted = nodes.get(node)
            if wanted is None or (wanted.local, wanted.address) != (before.local, before.address):
                self._forget(node, self._bfd)
            elif wanted != before:
                self._bfd.change(peer, _settings(wanted))
                self._sessions[node] = wanted, peer
        for node in self._problems.keys() - nodes.keys():
            del self._problems[node]
        for node in (self._doubts.keys() | self._dead) - nodes.keys():
            self._clear(node)
        for node, wanted in nodes.items():
            if node not in self._sessions:
                self._begin(node, wanted, self._bfd)

    async def leave(self) -> None:
        """Tell everybody on purpose that this end goes (AdminDown), and return when they know."""
        if self._bfd is None:
            return
        bfd, self._bfd, self._wanted = self._bfd, None, {}
        leaving = [bfd.remove(peer) for _, peer in self._sessions.values()]
        for timers in (self._doubts, self._rising):
            for node in list(timers):
                timers.pop(node).cancel()
        self._sessions.clear()
        await asyncio.gather(*leaving)

    def _begin(self, node: str, wanted: Watched, bfd: Bfd) -> None:
        if node not in self._doubts and node not in self._dead:
            grace = self._grace * (_FAR if wanted.tunnel else 1)
            self._doubts[node] = asyncio.get_running_loop().call_later(grace, self._give_up, node)
        try:
            peer = Peer(wanted.address, local=wanted.local, multihop=True)
            bfd.add(peer, _settings(wanted), lambda _, event: self._heard(node, peer, event))
        except NetlbError as error:
            if self._problems.get(node) != str(error):
                self._log.info("node not watched yet", node=node, address=str(wanted.address), problem=str(error))
            self._problems[node] = str(error)
            return
        self._problems.pop(node, None)
        self._sessions[node] = wanted, peer

    def _forget(self, node: str, bfd: Bfd) -> None:
        _, peer = self._sessions.pop(node)
        self._clear(node)
        removal = asyncio.ensure_future(bfd.remove(peer))
        removal.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _clear(self, node: str) -> None:
        for timers in (self._doubts, self._rising):
            if node in timers:
                timers.pop(node).cancel()
        for known in (self._alive, self._dead, self._left):
            known.discard(node)

    def _give_up(self, node: str) -> None:
        del self._doubts[node]
        self._dead.add(node)
        self._on_change()

    def _rise(self, node: str) -> None:
        del self._rising[node]
        self._on_change()

    def _heard(self, node: str, peer: Peer, event: Event) -> None:
        wanted, current = self._sessions.get(node, (None, None))
        if wanted is None or current is not peer:
            return
        where = "tunnel" if wanted.tunnel else "site"
        match event:
            case Up(_, detection_time):
                self._clear(node)
                self._alive.add(node)
                self._rising[node] = asyncio.get_running_loop().call_later(STEADY, self._rise, node)
                self._log.info("node alive", node=node, by=where, death_noticed_within=f"{detection_time / 1000:g} ms")
            case Down() | AdminDown():
                left = isinstance(event, AdminDown)
                self._clear(node)
                self._dead.add(node)
                if left:
                    self._left.add(node)
                self._log.warning("node left" if left else "node dead", node=node, by=where)
            case _:
                return
        self._on_change()


def _settings(wanted: Watched) -> Settings:
    return Settings(
        transmit_interval=wanted.interval,
        receive_interval=wanted.interval,
        minimum_ttl=_ONE_HOP if wanted.tunnel else _ANY_HOPS,
    )
