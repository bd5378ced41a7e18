"""Whether this node hears anything at all, asked when another node has fallen silent.

It may be this one that is deaf: by a link that works one way only, it would announce the addresses of all others, and
their clients would follow it into nothing. So it takes over nothing before a frame has come in, from whomever: from a
further node, which speaks many times a second, or from a neighbour that it asks. Whoever asks for an address sends one,
too. A node that has heard nothing for longer knows by that frame only that its link works again, and waits a moment for
the others to be heard. By an interface that comes up, it asks for them.

Nor does it announce what it has, which others have taken over by then.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from ipaddress import IPv6Address, ip_address
from pathlib import Path
from typing import Final

from netlb.api.snapshot import Snapshot
from netlb.errors import NetlbError
from netlb.l2.announces import Announces, Event, InterfaceAppeared
from netlb.l2.probe import ProbeTimings
from netlb.net import Address
from netlb.plan.segment import Watched, addresses_of
from netlb_speaker.reminder import Reminder

__all__ = ["Hearing", "neighbours", "received"]

_LOOK: Final = 0.005
"""Seconds between two looks at the counters at first, and _SLOW after a second without a frame."""
_SLOW: Final = 0.05
_ASK: Final = 1.0
"""Seconds between two rounds of questions."""
_DEAF: Final = 0.1
"""Seconds without a frame after which nothing is announced."""
_CUT_OFF: Final = 0.5
"""Seconds without a frame that tell that the link was gone."""
_SETTLE: Final = 1.5
"""Seconds in which the others are heard again: BFD begins with one packet a second."""
_MOST_ASKED: Final = 8
_QUICK: Final = ProbeTimings(probe_wait=0.0, probe_num=2, probe_min=0.05, probe_max=0.1, announce_wait=0.1)
_NET: Final = Path("/proc/self/net")
_COMPLETE: Final = 0x2
_LOOPBACK: Final = "lo"


class Hearing:
    """Doubts, after a silence, until a frame has come in. `on_change` is called when the doubt is over."""

    def __init__(
        self,
        announcer: Announces,
        reminder: Reminder,
        on_change: Callable[[], None],
        *,
        received: Callable[[], Mapping[str, int]] | None = None,
        neighbours: Callable[[], Mapping[Address, str]] | None = None,
    ) -> None:
        self._announcer = announcer
        self._reminder = reminder
        self._on_change = on_change
        self._received = received or _received
        self._neighbours = neighbours or _neighbours
        self._news = asyncio.Event()
        self._silences = 0
        self._since = 0.0
        self._before: Mapping[str, int] = {}
        self._asked: Mapping[Address, str] = {}
        self._names: Collection[str] = ()
        self._greetings: asyncio.Queue[Mapping[Address, str]] = asyncio.Queue()
        self.doubtful = False
        """Whether nothing is to be taken over now."""

    def look(self, silences: int, snapshot: Snapshot, *, others: bool) -> None:
        """Take in how often nodes have fallen silent so far; doubt if that is more often than before.

        `others`: there are further nodes that have not.
        """
        before, self._silences = self._silences, silences
        if silences > before and not self.doubtful:
            nodes = {address for node in snapshot.nodes.values() for address in addresses_of(node).values()}
            self._doubt(nodes, others=others)

    def _doubt(self, nodes: Collection[Address], *, others: bool) -> None:
        """Doubt, if somebody speaks by himself, or there is somebody to ask who is none of the nodes."""
        names = {interface.name for interface in self._announcer.interfaces()}
        known = {address: name for address, name in self._neighbours().items() if address not in nodes}
        self._asked = {address: name for address, name in list(known.items())[:_MOST_ASKED] if name in names}
        if self._asked or others:
            self._names = frozenset(self._asked.values() or names or self._received().keys() - {_LOOPBACK})
            self._before = self._heard()
            self._since = asyncio.get_running_loop().time()
            self.doubtful = True
            self._news.set()

    def happened(self, event: Event, others: Iterable[Watched]) -> None:
        """Take in what happened; by an interface that has appeared, the other nodes are asked for.

        While the link was down the kernel asked for them in vain, and it may not do so again for a second, in which no
        packet of BFD leaves. It heeds the answers to our questions as those to its own.
        """
        if isinstance(event, InterfaceAppeared):
            self._greetings.put_nowait({each.address: event.interface.name for each in others})

    async def run(self) -> None:
        """Look and ask while there is doubt, and greet, until cancelled."""
        loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._greet())
            while True:
                await self._news.wait()
                self._news.clear()
                ask, deaf = self._since, False
                while self.doubtful and self._heard() == self._before:
                    if not deaf and loop.time() > self._since + _DEAF:
                        deaf = True
                        self._reminder.hush()
                    if self._asked and loop.time() >= ask:
                        group.create_task(self._ask(self._asked))
                        ask = loop.time() + _ASK
                    await asyncio.sleep(_LOOK if loop.time() < self._since + _ASK else _SLOW)
                if self.doubtful and loop.time() > self._since + _CUT_OFF:
                    await asyncio.sleep(_SETTLE)
                if self.doubtful:
                    self.doubtful = False
                    self._on_change()
                if deaf:
                    self._reminder.everything()

    async def _greet(self) -> None:
        while True:
            await self._ask(await self._greetings.get())

    async def _ask(self, asked: Mapping[Address, str]) -> None:
        with suppress(NetlbError):  # the responder is being restarted
            await self._announcer.probe({address: {name} for address, name in asked.items()}, _QUICK)

    def _heard(self) -> dict[str, int]:
        counts = self._received()
        return {name: counts.get(name, 0) for name in self._names}


def received(text: str) -> dict[str, int]:
    """Read /proc/net/dev: how many frames have come in, by interface."""
    found: dict[str, int] = {}
    for line in text.splitlines()[2:]:
        name, _, counts = line.partition(":")
        found[name.strip()] = int(counts.split()[1])
    return found


def neighbours(arp: str, routes: str) -> dict[Address, str]:
    """Read /proc/net/arp and /proc/net/ipv6_route: neighbours that were there lately, and routers, with interfaces."""
    found: dict[Address, str] = {}
    for line in arp.splitlines()[1:]:
        address, _, flags, _, _, name = line.split()
        if int(flags, 16) & _COMPLETE:
            found[ip_address(address)] = name
    for line in routes.splitlines():
        fields = line.split()
        if int(fields[4], 16):
            found[IPv6Address(int(fields[4], 16))] = fields[9]
    return found


def _received() -> dict[str, int]:
    return received((_NET / "dev").read_text())


def _neighbours() -> dict[Address, str]:
    routes = _NET / "ipv6_route"
    return neighbours((_NET / "arp").read_text(), routes.read_text() if routes.exists() else "")
