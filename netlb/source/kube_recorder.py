"""Sends Events: what cannot be sent in a while is dropped, and counted; nobody waits for it."""

import asyncio
import time
from collections import deque
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from netlb.errors import ConfigError, NetlbError
from netlb.findings import ObjectRef
from netlb.source.kube import KubeClient
from netlb.source.kube_events import EVENTS, Occurrence, event_body

__all__ = ["EventRecorder", "timestamp"]

_MOST = 1000
"""Events that wait at most: the oldest ones are dropped first."""
_ATTEMPTS = 3
_PAUSE = 1.0
"""Seconds between attempts, unless the API server asks for more."""


def timestamp() -> str:
    """Return the time as Kubernetes writes it."""
    return _calendar().strftime("%Y-%m-%dT%H:%M:%SZ")


class EventRecorder:
    """Tells what happened beside the objects that it happened to, one Event after the other."""

    def __init__(self, client: KubeClient, *, reporter: str, instance: str) -> None:
        self._client = client
        self._reporter = reporter
        self._instance = instance
        self._waiting: deque[tuple[str, Mapping[str, Any]]] = deque(maxlen=_MOST)
        self._some = asyncio.Event()
        self.dropped = 0
        """Events that could not be sent."""

    def tell(self, about: ObjectRef, occurrences: Iterable[Occurrence], *, api_version: str, uid: str) -> None:
        """Send these Events about an object soon."""
        for occurrence in occurrences:
            body = event_body(
                about,
                occurrence,
                api_version=api_version,
                uid=uid,
                reporter=self._reporter,
                instance=self._instance,
                when=_calendar(),
            )
            self.dropped += len(self._waiting) == _MOST
            self._waiting.append((body["metadata"]["namespace"], body))
            self._some.set()

    async def run(self) -> None:
        """Send until cancelled."""
        while True:
            self._some.clear()
            while self._waiting:
                await self._send(*self._waiting.popleft())
            await self._some.wait()

    async def _send(self, namespace: str, body: Mapping[str, Any]) -> None:
        for _ in range(_ATTEMPTS):
            try:
                await self._client.create(EVENTS, namespace, body)
            except ConfigError:
                break
            except NetlbError as error:
                await asyncio.sleep(max(getattr(error, "retry_after", None) or 0.0, _PAUSE))
            else:
                return
        self.dropped += 1


def _calendar() -> datetime:
    return datetime.fromtimestamp(time.time_ns() / 1e9, UTC)
