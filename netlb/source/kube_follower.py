"""Follows one kind: carries out what its reflector wants, for ever."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from typing import Any

from netlb.findings import Finding
from netlb.source.collection import Change, Key
from netlb.source.kube import KubeClient
from netlb.source.kube_errors import NOT_FOUND, RequestError
from netlb.source.kube_kinds import Resource, Watched, narrowing
from netlb.source.reflector import Failure, List, Pace, Page, Probe, Reflector, Wait, Watch

__all__ = ["Follower", "Work"]


@dataclass(frozen=True, slots=True)
class Work:
    """What changed, by origin: the JSON of an object, None for one that is gone, or why it cannot be read."""

    declared: Mapping[str, bytes | None]
    unreadable: Mapping[str, Finding]


class Follower:
    """One kind: its reflector, and the version in which it is read. `changed` is called whenever something happened."""

    def __init__(
        self,
        client: KubeClient,
        watched: Watched,
        changed: Callable[[], None],
        *,
        pace: Pace,
        jitter: Callable[[], float],
    ) -> None:
        self.watched = watched
        self._client = client
        self._changed = changed
        self._served = 0
        self._told: dict[Key, Finding] = {}
        self._narrow = [
            narrowing(resource, record, watched.origin)
            for resource, record in zip(watched.resources, watched.records, strict=True)
        ]
        self.reflector: Reflector[bytes] = Reflector(self._decode, jitter=jitter, pace=pace, optional=watched.optional)
        self._poked = asyncio.Event()

    @property
    def resource(self) -> Resource:
        """The version in which it is read."""
        return self.watched.resources[self._served]

    @property
    def trouble(self) -> str:
        """Why changes are missed at the moment; empty if none are."""
        reflector = self.reflector
        if reflector.live or (reflector.synced and not reflector.trouble):
            return ""
        return reflector.trouble or "not read yet"

    def contents(self) -> dict[str, bytes]:
        """Return the JSON of every object, by origin."""
        return {self.watched.origin(*key): entry.value for key, entry in self.reflector.entries.items()}

    def take(self) -> Work:
        """Return what changed since the last time."""
        reflector, origin = self.reflector, self.watched.origin
        entries = reflector.entries
        declared = {
            origin(*key): None if change is Change.DELETED else entries[key].value
            for key, change in reflector.take_changes().items()
        }
        findings = dict(reflector.findings)
        unreadable = {origin(*key): finding for key, finding in findings.items() if self._told.get(key) != finding}
        for key in self._told.keys() - findings.keys():  # it can be read again, as it was, or is gone
            entry = entries.get(key)
            declared.setdefault(origin(*key), entry.value if entry else None)
        self._told = findings
        return Work(declared, unreadable)

    def poke(self) -> None:
        """Say that the kind is served now."""
        self.reflector.poke()
        self._poked.set()

    async def run(self) -> None:
        """Do what the reflector wants, until cancelled."""
        reflector, now = self.reflector, asyncio.get_running_loop().time
        while True:
            match reflector.next_action(now()):
                case Wait():
                    self._poked.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout_at(reflector.next_wakeup):
                            await self._poked.wait()
                case List() as action:
                    await self._try(action, self._list(action))
                case Watch() as action:
                    await self._try(action, self._watch(action))
                case Probe() as action:
                    await self._try(action, self._probe(action))
            self._changed()

    def _decode(self, body: Mapping[str, Any]) -> bytes:
        return self._narrow[self._served](body)

    async def _try(self, action: List | Watch | Probe, doing: Coroutine[None, None, None]) -> None:
        try:
            await doing
        except TimeoutError:
            return  # the reflector sees for itself that the time is up
        except RequestError as error:
            failure = Failure(str(error), error.status, error.retry_after)
            self.reflector.failed(action, failure, asyncio.get_running_loop().time())

    async def _list(self, action: List) -> None:
        """Read a page; the first one in the first version that is served."""
        reflector, now = self.reflector, asyncio.get_running_loop().time
        if not action.continue_token:
            self._served = 0
        async with asyncio.timeout_at(reflector.next_wakeup):
            while True:
                try:
                    page = await self._page(action)
                    break
                except RequestError as error:
                    last = self._served + 1 == len(self.watched.resources)
                    if error.status != NOT_FOUND or last or action.continue_token:
                        raise
                    self._served += 1
        reflector.listed(action, page, now())

    async def _page(self, action: List) -> Page:
        watched = self.watched
        return await self._client.list_page(
            self.resource, action, namespace=watched.namespace, labels=watched.labels, fields=watched.fields
        )

    async def _probe(self, action: Probe) -> None:
        async with asyncio.timeout_at(self.reflector.next_wakeup):
            page = await self._page(List(1))
        self.reflector.probed(action, page.resource_version)

    async def _watch(self, action: Watch) -> None:
        reflector, watched, now = self.reflector, self.watched, asyncio.get_running_loop().time
        async with (
            asyncio.timeout_at(reflector.next_wakeup) as timer,
            self._client.watch(
                self.resource, action, namespace=watched.namespace, labels=watched.labels, fields=watched.fields
            ) as batches,
        ):
            reflector.opened(action, now())
            timer.reschedule(reflector.next_wakeup)
            async for batch in batches:
                useful = all(reflector.event(action, kind, body, now()) for kind, body in batch)
                self._changed()
                if not useful:
                    return
                timer.reschedule(reflector.next_wakeup)
            reflector.ended(action, now())
