"""Which of the other nodes are alive, by BFD (RFC 5880, RFC 5881) between the speakers of a segment.

A node that was heard and falls silent is dead at once. One that was never heard counts as alive for a while, in which
sessions come up: a speaker that starts must not take everything for its own. Whoever says that it leaves is treated as
dead, since it asks for that. So is a speaker that has come and cannot answer yet: it says so by a diagnostic (RFC 5880
section 6.8.17), and whoever has its addresses keeps them until it can. Who has not our key is not believed, so it is
dead too: two nodes that answer for an address are a lesser evil than none.

A node that comes is dead to one that answers until it is heard: who has its addresses keeps them. When our own process
of BFD has ended, whoever heard us takes us for dead when its detection time is over: from then on we are mute, until
one of them hears us again.

A machine that has none of its node's addresses is not that node: it watches nobody, and nothing is known to it.
"""

import asyncio
import errno
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from prometheus_client import Metric

from netlb.bfd.adapter.bfd import Bfd, Peer
from netlb.bfd.events import AdminDown, Down, Event, ParametersChanged, Up
from netlb.bfd.packet import Diagnostic
from netlb.bfd.settings import Settings
from netlb.errors import DataplaneError, NetlbError
from netlb.net import Address
from netlb.plan.segment import Watched
from netlb.runtime.metrics import gauge
from netlb_speaker.hearsay import Hearsay
from netlb_speaker.identity import Identity
from netlb_speaker.keyring import Keyring
from netlb_speaker.strangers import Strangers

__all__ = ["GRACE", "Liveness"]

NOBODY: Final[Mapping[str, frozenset[str]]] = {}
GRACE: Final = 5.0
"""Seconds for which a node that was never heard counts as alive: sessions begin at one packet a second."""
_HAND_OVER: Final = 0.05
"""Seconds between the last of the others knowing that we are gone, and our silence: they announce meanwhile."""
_TURN: Final = 1.0
"""Seconds between two looks at the key, and at what is refused or dropped."""
_NO_WAY: Final = {errno.ENETUNREACH, errno.EHOSTUNREACH}


class Liveness:
    """Watches nodes: what the speaker asks of it is in `netlb_speaker.watching.Watches`.

    `on_change` is called when the set of the dead changes, `on_return` when a dead node is alive after all, and
    `on_note` when `notes` change.
    """

    def __init__(
        self,
        node: str,
        log: Any,
        on_change: Callable[[], None],
        on_return: Callable[[], None],
        on_note: Callable[[], None],
        *,
        keyring: Keyring | None,
        grace: float,
    ) -> None:
        self._log = log
        self._on_change = on_change
        self._on_return = on_return
        self._on_note = on_note
        self._keyring = keyring
        self._grace = grace
        self._identity = Identity(node, log)
        self._own: Collection[Address] = ()
        self._hearsay = Hearsay(node, log, self._hear_of_others, keyring)
        self._mourned: frozenset[str] = frozenset()
        """Who was dead when others were heard of last."""
        self._bfd: Bfd | None = None
        self._wanted: Mapping[str, Watched] = {}
        self._graph = NOBODY
        self._sessions: dict[str, Peer] = {}
        self._timers: dict[str, Settings] = {}
        self._refused: dict[str, str] = {}
        self._doubts: dict[str, asyncio.TimerHandle] = {}
        self._ready = False
        self._heard_of: set[str] = set()
        """Their sessions are up; of those who are `alive`, they are ready, too."""
        self._alive: set[str] = set()
        self._missed: set[str] = set()
        """They heard this node until its process of BFD ended, and none of them has since."""
        self._noticed = False
        """They know it by now."""
        self._notice: asyncio.TimerHandle | None = None
        self.silences = 0
        self._strangers = Strangers(log, on_note)
        self._lost: frozenset[str] = frozenset()

    @property
    def dead(self) -> frozenset[str]:
        """The nodes that cannot answer: as this one hears, and in a large segment as all say."""
        return self._hearsay.dead(self._lost) if self._hearsay.needed else self._lost

    gives_way: Final = False
    """Whoever takes this node for dead does not hear it, nor do we hear them: we take them for dead, too."""
    defends: Final = False

    @property
    def mute(self) -> bool:
        """Whether this node must not answer: others take it for dead, and know better in a moment."""
        return self._noticed and bool(self._missed)

    def interrupted(self) -> None:
        """Take in that the process of BFD has ended; another takes its place."""
        if self._missed:
            return  # one that ends before it was heard: the time runs
        self._missed = set(self._heard_of)
        self._noticed = False
        if self._notice is not None:
            self._notice.cancel()
        times = [watched.timers.detection_time for node, watched in self._wanted.items() if node in self._missed]
        seconds = max(times, default=0) / 1_000_000 + _HAND_OVER
        self._notice = asyncio.get_running_loop().call_later(seconds, self._fall_mute)

    def _fall_mute(self) -> None:
        self._noticed = True
        self._on_change()

    def begin(self, bfd: Bfd) -> None:
        """Begin to watch what is wanted, by a BFD that others may use too. SettingError where the key is none."""
        if self._keyring is not None:
            self._keyring.begin()
        self._bfd = bfd
        self._watch(self._wanted)
        self._on_change()  # whoever waits to know has nobody to wait for, perhaps

    async def attend(self) -> None:
        """Follow the key, try again what was refused, and tell of packets that are not believed; never ends."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._hearsay.attend())
            await self._attend()

    async def _attend(self) -> None:
        while True:
            await asyncio.sleep(_TURN)
            if self._keyring is not None and self._keyring.look(asyncio.get_running_loop().time()):
                self._timers.clear()
            self._watch(self._wanted)
            if self._bfd is not None:
                now = asyncio.get_running_loop().time()
                self._strangers.look(self._bfd, self._sessions, self.states(), now)

    def watch(
        self,
        nodes: Mapping[str, Watched],
        graph: Mapping[str, frozenset[str]] = NOBODY,
        own: Collection[Address] = (),
        *,
        holding: bool = False,
    ) -> None:
        """Watch these nodes, and no others.

        `graph` has who watches whom, where not all watch each other; `own` has the addresses that this node is declared
        to have. `holding`: this node answers for addresses, which it keeps until who comes now is heard.
        """
        self._graph, self._own = graph, own
        self._watch(nodes, holding=holding)

    def _watch(self, nodes: Mapping[str, Watched], *, holding: bool = False) -> None:
        before, self._wanted = self._wanted, nodes
        if self._identity.look(self._own):
            asyncio.get_running_loop().call_soon(self._on_change)
        if self._bfd is None or self._identity.why_not():
            return
        self._hearsay.arrange(self._graph, nodes)
        gone = {
            node for node, peer in self._sessions.items() if node not in nodes or nodes[node].address != peer.address
        }
        for node in gone:
            self._forget(node)
        for node in self._refused.keys() - nodes.keys():
            self._pardon(node)
            gone.add(node)
        self._lose(self._lost - gone | (nodes.keys() - before.keys() if holding else frozenset()), soon=True)
        for node, watched in nodes.items():
            if node not in self._sessions:
                self._begin(node, Peer(watched.address), watched.timers)
            elif self._timers.get(node) != watched.timers:
                self._timers[node] = watched.timers
                self._bfd.change(self._sessions[node], self._settings(watched.timers))

    @property
    def settled(self) -> bool:
        """Whether it is known of every watched node if it lives."""
        known = self._sessions.keys() | self._lost
        doubtful = self._doubts.keys() - self._heard_of
        ours = self._bfd is not None and not self._identity.why_not()
        return ours and known >= self._wanted.keys() and not doubtful

    def why_not_settled(self) -> str | None:
        """See Watches."""
        return None if self.settled else self._identity.why_not() or "not known yet which nodes are alive"

    def be_ready(self, ready: bool) -> None:
        """Tell the others whether this node can answer for addresses; at first it cannot."""
        if ready != self._ready:
            self._ready = ready
            self._timers.clear()
            self._watch(self._wanted)

    def states(self) -> dict[str, str]:
        """Return how each watched node is: alive, not ready, dead, or unknown."""
        return {node: self._state(node) for node in self._sessions}

    def notes(self) -> list[str]:
        """Return what an operator should know: nodes that cannot be watched, or have another key."""
        stranger = self._identity.why_not()
        return [
            *([stranger] if stranger else []),
            *self._hearsay.notes(),
            *(f"node {node} is not watched: {problem}" for node, problem in self._refused.items()),
            *self._strangers.notes(),
        ]

    def metrics(self) -> Iterable[Metric]:
        """Show who is alive."""
        yield gauge(
            "netlb_speaker_node_alive",
            "1: this speaker hears the node's by BFD; 0: it does not.",
            ("node",),
            {(node,): float(state == "alive") for node, state in self.states().items()},
        )
        yield gauge(
            "netlb_speaker_is_node",
            "1: this machine has an address of the node that it is named after; 0: it has none, and announces nothing.",
            (),
            {(): float(not self._identity.why_not())},
        )
        yield from self._hearsay.metrics()

    async def leave(self) -> None:
        """Tell everybody that this node leaves, and return when they have taken over."""
        if self._bfd is None or not self._heard_of:
            return
        bfd, self._bfd, self._wanted = self._bfd, None, {}
        leaving = [bfd.remove(peer) for peer in self._sessions.values()]
        for node in list(self._doubts):
            self._assure(node)
        self._sessions.clear()
        await asyncio.gather(*leaving)
        await asyncio.sleep(_HAND_OVER)

    def _state(self, node: str) -> str:
        if node in self._alive:
            return "alive"
        if node in self._heard_of:
            return "not ready"
        return "dead" if node in self._lost else "unknown"

    def _settings(self, timers: Settings) -> Settings:
        settings = replace(timers, path_down=not self._ready)
        if self._keyring is None:
            return settings
        return replace(settings, key=self._keyring.key, former=self._keyring.former)

    def _begin(self, node: str, peer: Peer, timers: Settings) -> None:
        if self._bfd is None:
            return
        try:
            self._bfd.add(peer, self._settings(timers), self._heard)
        except NetlbError as error:
            if self._refused.get(node) != str(error):
                self._log.warning("node not watched", node=node, address=str(peer.address), problem=str(error))
                self._refused[node] = str(error)
                self._on_note()
            # To whom there is no way from here is as good as dead; all else is our own trouble, and says nothing of it.
            away = isinstance(error, DataplaneError) and error.errno in _NO_WAY
            if away and node not in self._doubts and node not in self._lost:
                self._doubt(node)
            return
        self._pardon(node)
        self._sessions[node], self._timers[node] = peer, timers
        if node not in self._lost:
            self._doubt(node)

    def _doubt(self, node: str) -> None:
        self._doubts[node] = asyncio.get_running_loop().call_later(self._grace, self._give_up, node)

    def _assure(self, node: str) -> None:
        """End the doubt, if there is any."""
        if node in self._doubts:
            self._doubts.pop(node).cancel()

    def _pardon(self, node: str) -> None:
        if self._refused.pop(node, None):
            self._assure(node)
            self._on_note()

    def _forget(self, node: str) -> None:
        peer = self._sessions.pop(node)
        self._assure(node)
        self._alive.discard(node)
        self._heard_of.discard(node)
        self._missed.discard(node)
        self._strangers.forget(node)
        if self._bfd is not None:
            removal = asyncio.ensure_future(self._bfd.remove(peer))
            removal.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _give_up(self, node: str) -> None:
        del self._doubts[node]
        what = "node not ready" if node in self._heard_of else "node never heard"
        self.silences += node not in self._heard_of
        self._log.warning(what, node=node, address=str(self._wanted[node].address))
        self._lose(self._lost | {node}, always=True)

    def _heard(self, peer: Peer, event: Event) -> None:
        node = next((name for name, each in self._sessions.items() if each == peer), None)
        if node is None:
            return
        match event:
            case Up(_, detection_time, usable) | ParametersChanged(_, detection_time, usable):
                if isinstance(event, Up):
                    self._hearsay.greet(node)
                self._heard_of.add(node)
                if node in self._missed:
                    self._missed.clear()  # it returns what it had taken over; better two that answer than nobody
                within = f"{detection_time / 1000:g} ms"
                self._log.info("node heard", node=node, ready=usable, death_noticed_within=within)
                if usable:
                    self._welcome(node)
                elif node in self._alive:
                    self._alive.discard(node)
                    self._lose(self._lost | {node})
                else:
                    self._on_change()
            case Down() | AdminDown():
                left = isinstance(event, AdminDown)
                if isinstance(event, Down) and event.diagnostic is Diagnostic.CONTROL_DETECTION_TIME_EXPIRED:
                    self.silences += 1
                self._alive.discard(node)
                self._heard_of.discard(node)
                self._missed.discard(node)
                self._assure(node)
                self._log.warning("node left" if left else "node dead", node=node)
                self._lose(self._lost | {node})

    def _welcome(self, node: str) -> None:
        """Count a node among the living."""
        self._assure(node)
        self._alive.add(node)
        returns = node in self._lost
        self._lose(self._lost - {node}, always=True)
        if returns:
            self._on_return()

    def _lose(self, lost: frozenset[str], *, always: bool = False, soon: bool = False) -> None:
        """Take in whom this node does not hear; `soon`: whoever plans on account of it is planning right now."""
        if lost != self._lost or always:
            self._lost = lost
            if self._hearsay.needed:
                self._hearsay.say(lost)
            if soon:
                asyncio.get_running_loop().call_soon(self._on_change)
            else:
                self._on_change()

    def _hear_of_others(self) -> None:
        """Take in what was heard of nodes that are not watched."""
        before, self._mourned = self._mourned, self.dead
        for node in sorted(self._mourned ^ before):
            self._log.info(
                "node dead, as others say" if node in self._mourned else "node alive, as others say", node=node
            )
        self._on_change()
        if before - self._mourned:
            self._on_return()
