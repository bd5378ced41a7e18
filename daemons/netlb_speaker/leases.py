"""Which of the other nodes are alive, by Leases in the API: where no UDP passes between the nodes.

What a Lease proves is decided in `netlb.source.vigil`. Here is what follows from it for a node that is cut off from the
API server. It finds nobody dead, and keeps all that it had: an API server that is away for all must cost no address.
Where it is away for this node alone the others take over; they announce what they take, and to what another station
claims, this node gives way while its own Lease is not renewed. So of two that answer the one goes on whose Lease runs.
In case that a claim was missed, this node announces now and then what it answers for, and whose Lease runs does too.

A speaker that starts and finds no API server does not know who lives. After a while it takes what would be its own if
all did, and of that only what nobody answers for.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import chain, repeat
from typing import Any, Final

from prometheus_client import Metric

from netlb.bfd.adapter.bfd import Bfd
from netlb.net import Address
from netlb.plan.segment import Watched
from netlb.runtime.metrics import gauge
from netlb.source.kube_leases import NodeLeases
from netlb_speaker.identity import Identity

__all__ = ["LeaseLiveness"]

_HAND_OVER: Final = 0.5
"""Seconds between our leaving and our silence: the others are told within milliseconds, and announce meanwhile."""
_LEAVE: Final = 3.0
"""Seconds for the API server to take in that we leave."""
_REMINDERS: Final = (10.0, 20.0, 40.0)
"""Seconds between what a node announces that may have been taken for dead; the last again and again."""
_LOOK: Final = 1.0
"""Seconds between two looks whether this machine is that node."""


class LeaseLiveness:
    """Watches nodes. The three are called as by `netlb_speaker.liveness.Liveness`."""

    def __init__(
        self,
        node: str,
        log: Any,
        on_change: Callable[[], None],
        on_return: Callable[[], None],
        on_note: Callable[[], None],
        /,
        *,
        leases: NodeLeases,
        patience: float,
    ) -> None:
        """After `patience` seconds without an API server a speaker that starts goes on without it."""
        self._log = log
        self._on_change = on_change
        self._on_return = on_return
        self._on_note = on_note
        self._leases = leases
        self._patience = patience
        self._identity = Identity(node, log)
        self._node = node
        self._own: Collection[Address] = ()
        self._watched: tuple[str, ...] = ()
        self._begun = asyncio.Event()
        self._blind = False
        self._was_settled = False
        self._alone = asyncio.Event()
        """As `gives_way`."""
        self._dead = frozenset[str]()
        leases.on_change = self._look

    @property
    def dead(self) -> frozenset[str]:
        """The nodes that cannot answer."""
        return self._leases.dead

    @property
    def gives_way(self) -> bool:
        """Whether others may have taken this node for dead."""
        return self._was_settled and not self._leases.renewing

    @property
    def defends(self) -> bool:
        """Whether what this node owns is its own, whoever claims it."""
        return self._leases.renewing

    mute: Final = False
    """Who must not answer does not hold its Lease."""
    silences: Final = 0
    """Who is dead is so by what the API server says: it is heard."""

    def interrupted(self) -> None:
        """See Watches: BFD watches routers alone."""

    @property
    def settled(self) -> bool:
        """Whether it is known of every watched node if it lives, or there is no way to know."""
        return self._begun.is_set() and not self._identity.why_not() and (self._leases.settled or self._blind)

    def why_not_settled(self) -> str | None:
        """Return why it is not known yet, or None."""
        if self.settled:
            return None
        return self._identity.why_not() or self._why_not_seen() or "not known yet which nodes are alive"

    def begin(self, bfd: Bfd) -> None:
        """Leave BFD to routers."""

    async def attend(self) -> None:
        """Renew this node's Lease, and follow the others, once this is known to be the node; never ends."""
        await self._begun.wait()
        while self._identity.why_not():
            await asyncio.sleep(_LOOK)
            self._identity.look(self._own)
        self._on_change()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._leases.run())
            group.create_task(self._remind())
            await asyncio.sleep(self._patience)
            while not self._leases.settled and not self._blind:
                if not self._leases.renewing and not self._leases.rival:
                    self._blind = True
                    self._log.warning("not known which nodes are alive", problem=self._leases.trouble)
                    self._look()
                await asyncio.sleep(_LOOK)

    async def _remind(self) -> None:
        """Announce now and then what is announced without knowing whether it is somebody else's."""
        while True:
            await self._alone.wait()
            for pause in chain(_REMINDERS, repeat(_REMINDERS[-1])):
                await asyncio.sleep(pause)
                if not self.gives_way:
                    break
                self._on_return()

    def watch(
        self,
        nodes: Mapping[str, Watched],
        graph: Mapping[str, frozenset[str]],
        own: Collection[Address],
        *,
        holding: bool = False,
    ) -> None:
        """Watch these nodes, and no others; where they are many, `graph` has who watches whom."""
        self._own = own
        self._identity.look(own)
        others = graph.keys() - {self._node} if graph else nodes.keys()
        self._watched = tuple(sorted(others))
        self._leases.arrange(others, nodes.keys() if graph else None)
        self._dead &= frozenset(others)
        self._begun.set()

    def be_ready(self, ready: bool) -> None:
        """Tell the others whether this node can answer for addresses."""
        self._leases.be_ready(ready)

    def states(self) -> dict[str, str]:
        """Return how each watched node is."""
        return {node: str(self._leases.life(node)) for node in self._watched}

    def notes(self) -> list[str]:
        """Return what an operator should know."""
        why = self._identity.why_not() or (self._why_not_seen() if self.gives_way else "")
        return [why] if why else []

    def metrics(self) -> Iterable[Metric]:
        """Show who is alive."""
        yield gauge(
            "netlb_speaker_node_alive",
            "1: this speaker knows the node's to be alive, by BFD or by its Lease; 0: it does not.",
            ("node",),
            {(node,): float(state == "alive") for node, state in self.states().items()},
        )

    async def leave(self) -> None:
        """Tell everybody that this node leaves, and return when they have taken over."""
        try:
            async with asyncio.timeout(_LEAVE):
                told = await self._leases.leave()
        except TimeoutError:
            told = False
        if told:
            await asyncio.sleep(_HAND_OVER)

    def _why_not_seen(self) -> str:
        if rival := self._leases.rival:
            return f"the Lease {self._node} is renewed by {rival}; let one machine go by this node's name"
        return f"this node's Lease is not renewed: {self._leases.trouble}" if self._leases.trouble else ""

    def _look(self) -> None:
        """Take in what the Leases say now."""
        self._was_settled |= self.settled
        before, self._dead = self._dead, self._leases.dead
        for node in sorted(self._dead ^ before):
            if node in self._dead:
                self._log.warning("node dead", node=node, state=str(self._leases.life(node)))
            else:
                self._log.info("node alive", node=node)
        if self.gives_way and not self._alone.is_set():
            self._alone.set()
            self._log.warning("Lease not renewed, others may take over", problem=self._leases.trouble)
        elif self._alone.is_set() and not self.gives_way:
            self._alone.clear()
            self._log.info("Lease renewed again")
        self._on_note()
        self._on_change()
        if before - self._dead:
            self._on_return()
