"""Which of the other nodes are alive, by BFD (RFC 5880, RFC 5881) between the speakers of a segment.

A node that was heard and falls silent is dead at once. One that was never heard counts as alive for a while, in which
sessions come up: a speaker that starts must not take everything for its own. Whoever says that it leaves is treated as
dead, since it asks for that.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final

from netlb.bfd.adapter.bfd import Bfd, Peer
from netlb.bfd.events import AdminDown, Down, Event, Up
from netlb.bfd.settings import Settings
from netlb.errors import NetlbError
from netlb.net import Address

__all__ = ["GRACE", "SETTINGS", "Liveness"]

SETTINGS: Final = Settings(transmit_interval=100_000, receive_interval=100_000, detect_multiplier=3)
"""Three packets of 100 ms missed: a death is noticed within 0.3 s."""
GRACE: Final = 5.0
"""Seconds for which a node that was never heard counts as alive: sessions begin at one packet a second."""
_HAND_OVER: Final = 0.05
"""Seconds between the last of the others knowing that we leave, and our silence: they announce meanwhile."""


class Liveness:
    """Watches nodes; `on_change` is called when the set of the dead changes."""

    def __init__(self, log: Any, on_change: Callable[[], None], *, settings: Settings = SETTINGS, grace: float = GRACE):
        self._log = log
        self._on_change = on_change
        self._settings = settings
        self._grace = grace
        self._bfd: Bfd | None = None
        self._wanted: Mapping[str, Address] = {}
        self._sessions: dict[str, Peer] = {}
        self._doubts: dict[str, asyncio.TimerHandle] = {}
        self._alive: set[str] = set()
        self.dead: frozenset[str] = frozenset()

    def begin(self, bfd: Bfd) -> None:
        """Begin to watch what is wanted, by a BFD that others may use too."""
        self._bfd = bfd
        self.watch(self._wanted)
        self._on_change()  # whoever waits to know has nobody to wait for, perhaps

    def watch(self, nodes: Mapping[str, Address]) -> None:
        """Watch these nodes, and no others."""
        self._wanted = nodes
        if self._bfd is None:
            return
        for node, peer in list(self._sessions.items()):
            if nodes.get(node) != peer.address:
                self._forget(node)
        for node, address in nodes.items():
            if node not in self._sessions:
                self._begin(node, Peer(address))

    @property
    def settled(self) -> bool:
        """Whether it is known of every watched node if it lives."""
        return self._bfd is not None and self._sessions.keys() >= self._wanted.keys() and not self._doubts

    def states(self) -> dict[str, str]:
        """Return how each watched node is: alive, dead, or unknown."""
        return {
            node: "alive" if node in self._alive else "dead" if node in self.dead else "unknown"
            for node in self._sessions
        }

    async def leave(self) -> None:
        """Tell everybody that this node leaves, and return when they have taken over."""
        if self._bfd is None or not self._alive:
            return
        bfd, self._wanted = self._bfd, {}
        leaving = [bfd.remove(peer) for peer in self._sessions.values()]
        for node in list(self._doubts):
            self._doubts.pop(node).cancel()
        self._sessions.clear()
        await asyncio.gather(*leaving)
        await asyncio.sleep(_HAND_OVER)

    def _begin(self, node: str, peer: Peer) -> None:
        if self._bfd is None:
            return
        try:
            self._bfd.add(peer, self._settings, self._heard)
        except NetlbError as error:
            self._log.warning("node not watched", node=node, address=str(peer.address), problem=str(error))
            return
        self._sessions[node] = peer
        self._doubts[node] = asyncio.get_running_loop().call_later(self._grace, self._give_up, node)

    def _forget(self, node: str) -> None:
        peer = self._sessions.pop(node)
        if node in self._doubts:
            self._doubts.pop(node).cancel()
        self._alive.discard(node)
        if self._bfd is not None:
            removal = asyncio.ensure_future(self._bfd.remove(peer))
            removal.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._bury(self.dead - {node})

    def _give_up(self, node: str) -> None:
        del self._doubts[node]
        self._log.warning("node never heard", node=node, address=str(self._sessions[node].address))
        self._bury(self.dead | {node}, always=True)

    def _heard(self, peer: Peer, event: Event) -> None:
        node = next((name for name, each in self._sessions.items() if each == peer), None)
        if node is None:
            return
        match event:
            case Up():
                if node in self._doubts:
                    self._doubts.pop(node).cancel()
                self._alive.add(node)
                self._log.info("node alive", node=node)
                self._bury(self.dead - {node}, always=True)
            case Down() | AdminDown():
                left = isinstance(event, AdminDown)
                self._alive.discard(node)
                if node in self._doubts:
                    self._doubts.pop(node).cancel()
                self._log.warning("node left" if left else "node dead", node=node)
                self._bury(self.dead | {node})

    def _bury(self, dead: frozenset[str], *, always: bool = False) -> None:
        if dead != self.dead or always:
            self.dead = dead
            self._on_change()
