"""Requests that are made all the time, to see how long an address is out of reach while something happens to it."""

import json
import threading
import time
from collections import Counter
from http.client import HTTPException
from typing import NamedTuple, Self

from examples.demo.steps import eventually
from netlb.testing.lab import Host

_PAUSE = 0.005
_PATIENCE = 0.2
_LONG_PATIENCE = 1.0
"""Where nothing is measured: what a busy machine holds up is not lost."""


class Gap(NamedTuple):
    """What was lost since some moment."""

    lost: int
    asked: int
    milliseconds: float
    """From the last answer before the first loss to the first answer after the last one; 0 if nothing was lost."""

    def __str__(self) -> str:
        return f"{self.lost} of {self.asked} requests lost" + (f", in {self.milliseconds:.0f} ms" if self.lost else "")


class _Asked(NamedTuple):
    began: float
    ended: float
    node: str | None
    """Of the pod that answered; None: nobody did in time."""


class Requests:
    """One client that asks for one address again and again, each time over a connection of its own."""

    def __init__(self, client: Host, address: str) -> None:
        self._client = client
        self._address = address
        self._asked: list[_Asked] = []
        self._patience = _PATIENCE
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask_on)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def answered(self, since: float, *nodes: str) -> bool:
        """Whether a pod of one of these nodes (of any, without) answered a request that was made after a moment."""
        return any(one.node in nodes if nodes else one.node for one in self._asked[-200:] if one.began >= since)

    def settle(self, since: float) -> None:
        """Wait until 50 requests in a row, all made after a moment, are answered; what is measured is over by then."""

        def steady() -> bool:
            last = self._asked[-50:]
            return len(last) == 50 and all(one.node and one.began >= since for one in last)

        self._patience = _LONG_PATIENCE
        try:
            eventually(steady, f"{self._address} does not answer all requests")
        finally:
            self._patience = _PATIENCE

    def by_node(self, since: float) -> Counter[str]:
        """Return how many requests since a moment each node's pods answered."""
        return Counter(one.node for one in list(self._asked) if one.node and one.began >= since)

    def gap(self, since: float) -> Gap:
        """Return what was lost since a moment."""
        asked = list(self._asked)
        later = [one for one in asked if one.ended >= since]
        lost = [one for one in later if one.node is None]
        if not lost:
            return Gap(0, len(later), 0.0)
        before = max((one.ended for one in asked if one.node and one.ended <= lost[0].began), default=lost[0].began)
        after = min((one.ended for one in asked if one.node and one.began >= lost[-1].ended), default=lost[-1].ended)
        return Gap(len(lost), len(later), (after - before) * 1000)

    def _ask_on(self) -> None:
        while not self._over.wait(_PAUSE):
            began = time.monotonic()
            node = self._ask()
            self._asked.append(_Asked(began, time.monotonic(), node))

    def _ask(self) -> str | None:
        try:
            reply = self._client.http_get(self._address, 80, timeout=self._patience)
        except (OSError, HTTPException):
            return None
        return str(json.loads(reply.body)["node"]) if reply.status == 200 else None
