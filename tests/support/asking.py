"""A client that never stops asking: every question is accounted for, whatever happens meanwhile."""

import json
import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import NamedTuple, Self

from netlb.testing.lab import Host
from netlb.testing.lab.question import Question
from tests.support.waiting import eventually

__all__ = ["Asker", "Reply"]

_TRIES = 3
_TRY = 1.0
"""How often, and for how many seconds each time, a kernel asks for an address before it gives up (`mcast_solicit`)."""
_PATIENCE = 15.0
"""Seconds for an HTTP request as a whole: a SYN that is lost is sent again after 1, 3 and 7 s."""
_PAUSE = 0.02


class Reply(NamedTuple):
    """Who answered for an address, and which pod the request came to."""

    address: str
    station: str
    """A MAC address."""
    pod: str


class Asker:
    """Asks for each address in turn, by ARP over and over and by an HTTP request of its own; a context manager.

    A question counts as unanswered when the host that asked would have told a program that there is no way: what takes
    a moment longer because an owner has died is no failure.
    """

    def __init__(self, client: Host, addresses: Sequence[str], port: int = 80) -> None:
        self._client = client
        self._addresses = tuple(addresses)
        self._port = port
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="asker")
        self.asked = 0
        self.replies: Counter[Reply] = Counter()
        self.unanswered: list[str] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()
        if error is None:
            self.account()
            assert self.asked == self.replies.total(), (self.asked, self.replies)

    def goes_on(self, rounds: int = 3) -> None:
        """Wait until each address was asked for this often from now on; AssertionError for one that did not answer."""
        enough = self.asked + (rounds + 1) * len(self._addresses)  # one may be half over
        eventually(lambda: self.asked >= enough or self.unanswered, "it is asked", within=120)
        self.account()

    def account(self) -> None:
        """Make sure that every question had its answer."""
        assert [] == self.unanswered, self.unanswered

    def await_station(self, address: str, station: str) -> None:
        """Wait until a station answers for an address."""

        def answers() -> int:
            return sum(count for reply, count in self.replies.copy().items() if reply[:2] == (address, station))

        before = answers()
        eventually(lambda: answers() > before or self.unanswered, f"{station} answers for {address}", within=60)
        self.account()

    def _run(self) -> None:
        with ExitStack() as stack:
            questions = {address: stack.enter_context(self._client.question(address)) for address in self._addresses}
            while not self._stopping.is_set():
                for address, question in questions.items():
                    self.asked += 1
                    try:
                        self.replies[self._ask(address, question)] += 1
                    except OSError as error:
                        self.unanswered.append(f"{address}: {type(error).__name__}: {error}")
                    self._stopping.wait(_PAUSE)  # others want to run, too

    def _ask(self, address: str, question: Question) -> Reply:
        """Ask as a host does that does not know yet where to send. OSError if nobody answers.

        A connection is cut where its address moves meanwhile, and is made again, as programs do.
        """
        for _ in range(_TRIES):
            if answers := question.ask(_TRY, stop_after=1):
                with suppress(ConnectionResetError):
                    page = self._client.http_get(address, self._port, _PATIENCE)
                    return Reply(address, answers[0].mac, json.loads(page.body)["pod"])
        raise OSError(f"nobody has it, or stays, asked {_TRIES} times")
