"""What nodes tell each other of their sites, and what the tunnels are like by that: round trips, and the MTU.

An endpoint tells all nodes of its site, and whoever is at the other ends of its tunnels, once a second and whenever
something changes. Through a tunnel it is answered.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from netlb.errors import NetlbError
from netlb.net import Address
from netlb.raven.adapter.hellos import HelloSocket
from netlb.raven.hello import HEADERS, Claim, Hello
from netlb.raven.path_mtu import PathMtu
from netlb.raven.watch import Watched, Watches

__all__ = ["FRESH", "Hellos", "OpenedSocket", "Sockets", "Way"]

FRESH: Final = 3.5
"""Seconds for which a claim counts: two hellos may be lost."""
_EVERY: Final = 1.0
_AGAIN: Final = (0.05, 0.2)
"""Seconds after a change at which it is told again, in case that it was lost."""
_EACH: Final = 0.002
"""Seconds between two hellos for each that is told, at least: whoever tells more than 500 tells them less often."""
_UNTIL_THERE: Final = 0.2
"""Seconds until it is tried again to hear, as until the address inside the tunnels is there."""
_LOST: Final = 5.0
"""Seconds after which an answer is not waited for any more."""


class OpenedSocket(Protocol):
    """What hellos are sent through; `HelloSocket` is one."""

    async def open(self) -> None:
        """Begin to hear. Raises NetlbError."""
        ...

    def send(self, to: Address, hello: Hello, size: int = 0) -> None:
        """Send a hello of at least so many octets."""
        ...

    def close(self) -> None:
        """Hear nothing any more."""
        ...


Sockets = Callable[[Address, int, Callable[[Address, Hello, int], None]], OpenedSocket]
"""Makes one for an address and a port; the callable is told who says what, in how many octets."""


@dataclass(slots=True)
class Way:
    """What is known of a tunnel."""

    mtu: PathMtu
    rtt: float | None = None
    """Seconds, smoothed; None: no answer yet."""
    answered_at: float = float("-inf")
    asked: dict[int, tuple[float, int]] = field(default_factory=dict)
    """By sequence, when it was asked, and for a packet of which size (0: any)."""


class Hellos:
    """Tells and hears. `on_change` is called when somebody claims something new, or when a claim is too old."""

    def __init__(
        self, log: Any, node: str, port: int, on_change: Callable[[], None], *, sockets: Sockets = HelloSocket
    ) -> None:
        self._log = log
        self._node = node
        self._port = port
        self._make = sockets
        self._on_change = on_change
        self._site = ""
        self._claim = self._far = Claim()
        self._tells = False
        self._mtu = 0
        self._watches = Watches({}, {})
        self._sockets: dict[Address, OpenedSocket] = {}
        self._opening: dict[Address, asyncio.Future[None]] = {}
        self._senders: dict[tuple[Address, bool], str] = {}
        self._claims: dict[str, tuple[Claim, float]] = {}
        self._accused: dict[str, float] = {}
        """When somebody began to say of a node that it is dead: what it claimed before does not count any more."""
        self._counted = frozenset[str]()
        self._sequence = 0
        self._changed = asyncio.Event()
        self._ended = False
        self.ways: dict[str, Way] = {}

    @property
    def claims(self) -> Mapping[str, Claim]:
        """What others have claimed a moment ago."""
        now = asyncio.get_running_loop().time()
        return {node: claim for node, (claim, _) in self._claims.items() if self._counts(node, now)}

    def _counts(self, node: str, now: float) -> bool:
        """Say whether a node has claimed something a moment ago, and since somebody began to say that it is dead."""
        _, at = self._claims.get(node, (None, float("-inf")))
        return now - at < FRESH and at > self._accused.get(node, float("-inf"))

    def talk(self, site: str, watches: Watches, own: Address | None, mtu: int, *, tells: bool) -> None:
        """Talk with these; `own` is the node's address within its site, `tells` says whether it is an endpoint."""
        self._site, self._watches, self._tells, self._mtu = site, watches, tells, mtu
        self._senders = {
            **{(each.address, False): node for node, each in watches.pool.items()},
            **{(each.address, True): node for node, each in watches.tunnels.items()},
        }
        for node in self.ways.keys() - watches.tunnels.keys():
            del self.ways[node]
        for node in watches.tunnels:
            if node not in self.ways or self.ways[node].mtu.largest != mtu:
                self.ways[node] = Way(PathMtu(mtu))
        for node in self._claims.keys() - watches.tunnels.keys() - watches.pool.keys():
            del self._claims[node]
        for node in self._accused.keys() - self._claims.keys():
            del self._accused[node]
        inner = {each.local for each in watches.tunnels.values()}
        locals_ = inner | ({own} if own is not None and watches.pool else set())
        for address in self._sockets.keys() - locals_:
            self._sockets.pop(address).close()
        for address in locals_ - self._sockets.keys():
            tunnel = address in inner
            self._sockets[address] = self._make(
                address, self._port, lambda *heard, tunnel=tunnel: self._heard(*heard, tunnel=tunnel)
            )
            self._opening[address] = asyncio.ensure_future(self._open(address))

    def drop(self, nodes: Collection[str]) -> None:
        """Forget what these have claimed: they are dead, and when they return they may know better."""
        for node in self._claims.keys() & set(nodes):
            del self._claims[node]
            self._counted -= {node}

    def claim(self, claim: Claim, *, far: bool = True) -> None:
        """Claim this from now on; at once, if it is new. Without `far`, other sites are told what they were before."""
        if claim != self._claim or (far and claim != self._far):
            self._claim = claim
            self._far = claim if far else self._far
            self._changed.set()

    async def run(self) -> None:
        """Tell until cancelled."""
        try:
            while True:
                number = len(self._watches.tunnels) + (len(self._watches.pool) if self._tells else 0)
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(_EVERY, _EACH * number)):
                        await self._changed.wait()
                if self._changed.is_set():
                    self._changed.clear()
                    self._tell(ask=False)
                    for pause in _AGAIN:
                        await asyncio.sleep(pause)
                        if self._changed.is_set():
                            break
                        self._tell(ask=False)
                else:
                    self._tell(ask=True)
                    self._probe()
                    self._forget()
        finally:
            self._ended = True
            for opened in self._sockets.values():
                opened.close()

    def _tell(self, *, ask: bool) -> None:
        for node, watched in self._watches.tunnels.items():
            self._send(node, watched, Hello.of(self._node, self._site, self._far), ask=ask)
        for watched in self._watches.pool.values() if self._tells else ():
            if watched.local in self._sockets:
                self._sockets[watched.local].send(watched.address, Hello.of(self._node, self._site, self._claim))

    def _send(self, node: str, watched: Watched, hello: Hello, *, ask: bool, size: int = 0) -> None:
        opened = self._sockets.get(watched.local)
        if opened is None:
            return
        sequence = 0
        if ask:
            self._sequence += 1
            sequence = self._sequence
            self.ways[node].asked[sequence] = (asyncio.get_running_loop().time(), size)
        asking = Hello.of(hello.node, hello.site, hello.claim, sequence=sequence)
        opened.send(watched.address, asking, max(0, size - HEADERS))

    def _probe(self) -> None:
        """Ask whether large packets pass where small ones do."""
        now = asyncio.get_running_loop().time()
        for node, watched in self._watches.tunnels.items():
            way = self.ways[node]
            if now - way.answered_at < FRESH and (size := way.mtu.next_size(now)) is not None:
                self._send(node, watched, Hello.of(self._node, self._site, self._far), ask=True, size=size)

    def _forget(self) -> None:
        now = asyncio.get_running_loop().time()
        for way in self.ways.values():
            way.asked = {sequence: asked for sequence, asked in way.asked.items() if now - asked[0] < _LOST}
        if self._counted - self.claims.keys():
            self._counted = frozenset(self.claims)
            self._on_change()

    def _heard(self, sender: Address, hello: Hello, size: int, *, tunnel: bool) -> None:
        node = self._senders.get((sender, tunnel))
        if node is None or node != hello.node:
            return
        now = asyncio.get_running_loop().time()
        if tunnel and hello.sequence:
            watched = self._watches.tunnels[node]
            answer = Hello.of(self._node, self._site, self._far, answer=hello.sequence)
            if watched.local in self._sockets:
                self._sockets[watched.local].send(watched.address, answer)
        if tunnel and hello.answer:
            self._answered(self.ways[node], hello.answer, now)
        before, _ = self._claims.get(node, (None, 0.0))
        known = self._counts(node, now)
        for accused in set(hello.claim.dead) - set(before.dead if before is not None else ()):
            if self._is_credible(hello, self._claims.get(accused, (Claim(), 0.0))[0]):
                self._accused[accused] = now
        self._claims[node] = hello.claim, now
        self._counted |= {node}
        if hello.claim != before or not known:
            self._on_change()

    @staticmethod
    def _is_credible(hello: Hello, accused: Claim) -> bool:
        """Say whether one that says of another one that it is dead may be right; that one has claimed this last.

        Who has reached nobody lately was cut off itself, and takes everybody for dead. So it is with one that is back
        after a moment: whom it accuses has outlived it, and hears as much of their site.
        """
        outlived = hello.node in accused.dead and accused.hears >= hello.claim.hears
        return hello.claim.reaches > 0 and not outlived

    def _answered(self, way: Way, sequence: int, now: float) -> None:
        asked_at, size = way.asked.pop(sequence, (None, 0))
        if asked_at is None:
            return
        way.answered_at = now
        if size:
            before = way.mtu.found
            way.mtu.answered(size, now)
            if way.mtu.found != before and way.mtu.found:
                self._log.debug("path measured", mtu=way.mtu.found)
        else:
            taken = now - asked_at
            way.rtt = taken if way.rtt is None else way.rtt + (taken - way.rtt) / 8

    async def _open(self, address: Address) -> None:
        opened = self._sockets[address]
        while not self._ended and self._sockets.get(address) is opened:
            try:
                await opened.open()
            except NetlbError as error:
                self._log.debug("hellos not heard yet", problem=str(error))
                await asyncio.sleep(_UNTIL_THERE)
            else:
                if self._sockets.get(address) is not opened:
                    opened.close()
                return
