"""Who lives of the nodes that this one does not watch: in a large segment each watches a few, and all pass on the rest.

Nothing is said while everybody lives. What is news is passed on at once to all neighbours but the one it came from;
while somebody is dead, everything is said again now and then, since datagrams get lost; and a neighbour that comes up
is told all there is. Believed is who has the key, where there is one, and otherwise who speaks from a neighbour's
address on the same link.
"""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, Final

from prometheus_client import Metric

from netlb.bfd.adapter.notices import NoticeSockets
from netlb.bfd.linkstate import LinkState, Reaction, Statement
from netlb.bfd.notices import decode, encode, mark
from netlb.errors import NetlbError
from netlb.net import Address
from netlb.plan.segment import Watched
from netlb.reasons import BfdVerdict
from netlb.runtime.metrics import counter
from netlb_speaker.keyring import Keyring

__all__ = ["Hearsay"]

_AGAIN: Final = (0.1, 1.0)
"""Seconds after which what this node says is said once more."""
_REFRESH: Final = 10.0
"""Seconds after which everything is said once more, as long as somebody is dead."""


class Hearsay:
    """What one node hears of all. `on_change` is called when others may be dead than before."""

    def __init__(self, node: str, log: Any, on_change: Callable[[], None], keyring: Keyring | None) -> None:
        self._node = node
        self._log = log
        self._on_change = on_change
        self._keyring = keyring
        self._state = LinkState(node)
        self._sockets = NoticeSockets()
        self._graph: Mapping[str, frozenset[str]] = {}
        self._names: Mapping[bytes, str] = {}
        self._neighbours: Mapping[str, Address] = {}
        self._problem = ""
        self._news: dict[Statement, str] = {}
        """Statements to be passed on in this turn of the loop, and the neighbours that they came from."""
        self._timers: set[asyncio.TimerHandle] = set()

    @property
    def needed(self) -> bool:
        """Whether there are nodes that this one does not watch."""
        return bool(self._graph)

    def arrange(self, graph: Mapping[str, frozenset[str]], neighbours: Mapping[str, Watched]) -> None:
        """Take in who watches whom, and where this node's neighbours are; no graph: all watch each other."""
        self._neighbours = {node: watched.address for node, watched in neighbours.items()}
        if graph == self._graph:
            return
        self._graph = graph
        self._names = {mark(node): node for node in graph}
        self._state.arrange(graph)
        if graph:
            self._listen()
        else:
            self.close()

    def dead(self, lost: frozenset[str]) -> frozenset[str]:
        """Return who is dead, where this node does not hear those neighbours."""
        return self._state.dead(lost)

    def say(self, lost: frozenset[str]) -> None:
        """Tell the others which neighbours this node does not hear."""
        if said := self._state.say(lost, time.time_ns() // 1000):
            self._pass_on(said, "")
            for seconds in _AGAIN:
                self._later(seconds, lambda: self._tell(self._neighbours.values(), [said]))

    def greet(self, node: str) -> None:
        """Tell a neighbour that has come all there is, and once more in case that it gets lost."""
        if self._graph and node in self._neighbours:
            for seconds in (0.0, *_AGAIN):
                self._later(seconds, lambda: self._tell([self._neighbours[node]], self._state.statements()))

    async def attend(self) -> None:
        """Listen while there is need, and say everything once more now and then; never ends."""
        try:
            while True:
                if self._graph:
                    self._listen()  # what was refused is tried again
                    self._tell(self._neighbours.values(), self._state.statements())
                await asyncio.sleep(_REFRESH)
        finally:
            self.close()

    def close(self) -> None:
        """Fall silent."""
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        loop = asyncio.get_running_loop()
        self._sockets.close(loop.remove_reader)

    def notes(self) -> list[str]:
        """Return what an operator should know."""
        return [self._problem] if self._problem else []

    def metrics(self) -> Iterable[Metric]:
        """Count what came in."""
        yield counter(
            "netlb_speaker_notices_total",
            "Datagrams of other speakers about who lives, by what became of them.",
            ("verdict",),
            {(str(verdict),): float(number) for verdict, number in self._sockets.counts.items()},
        )

    def _listen(self) -> None:
        loop = asyncio.get_running_loop()
        families = {address.version for address in self._neighbours.values()}
        try:
            self._sockets.open(families, lambda sock: loop.add_reader(sock, self._receive, sock))
        except NetlbError as error:
            if self._problem != str(error):
                self._problem = str(error)
                self._log.error("others cannot say who lives", problem=self._problem)
        else:
            self._problem = ""

    def _receive(self, sock: Any) -> None:
        senders = {address.packed: node for node, address in self._neighbours.items()}
        for source, data in self._sockets.receive(sock):
            verdict = BfdVerdict.UNKNOWN_PEER
            if source in senders:
                statements = decode(data, self._names, self._keys())
                if isinstance(statements, BfdVerdict):
                    verdict = statements
                else:
                    verdict = BfdVerdict.ACCEPTED
                    for said in statements:
                        self._hear(said, senders[source])
            self._sockets.counts[verdict] += 1

    def _hear(self, said: Statement, sender: str) -> None:
        match self._state.hear(said, time.time_ns() // 1000):
            case Reaction(news, everybody=True):
                self._pass_on(news, sender if news == said else "")
            case Reaction(newer):
                self._tell([self._neighbours[sender]], [newer])

    def _pass_on(self, said: Statement, sender: str) -> None:
        """Pass on in one go what comes in one turn of the loop, and look only then who is dead."""
        if not self._news:
            asyncio.get_running_loop().call_soon(self._flush)
        self._news[said] = sender

    def _flush(self) -> None:
        news, self._news = self._news, {}
        self._on_change()
        for node, address in self._neighbours.items():
            self._tell([address], [said for said, sender in news.items() if sender != node])

    def _tell(self, addresses: Iterable[Address], statements: Collection[Statement]) -> None:
        datagrams = list(encode(statements, self._keys()))
        for address in addresses:
            for datagram in datagrams:
                self._sockets.send(datagram, address)

    def _keys(self) -> tuple[Any, ...]:
        return (None,) if self._keyring is None else (self._keyring.key, *self._keyring.former)

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        def run() -> None:
            self._timers.discard(timer)
            call()

        timer = asyncio.get_running_loop().call_later(seconds, run)
        self._timers.add(timer)
