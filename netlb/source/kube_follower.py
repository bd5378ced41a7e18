"""Follows one kind: carries out what its reflector wants, for ever."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from netlb.findings import Finding, ObjectRef
from netlb.source.collection import Change, Key
from netlb.source.kube import KubeClient
from netlb.source.kube_errors import NOT_FOUND, RequestError
from netlb.source.kube_kinds import Resource, Watched, narrowing
from netlb.source.kube_lean import DOORS, Lean
from netlb.source.reflector import Failure, List, Pace, Page, Probe, Reflector, Wait, Watch

__all__ = ["Follower", "Work"]


Known = bytes | Lean
"""The JSON of what is read of an object, or the record that it is."""


@dataclass(frozen=True, slots=True)
class Work:
    """What changed: what is kept of an object, None for one that is gone; or, by origin, why it cannot be read."""

    declared: Mapping[Key, Known | None]
    unreadable: Mapping[str, Finding]
    watched: Watched

    def changes(self) -> Iterator[tuple[str, ObjectRef, Known | None]]:
        """Yield origin, name and what is kept of each; of thousands, the texts are made one by one."""
        for key, known in self.declared.items():
            yield self.watched.origin(*key), ObjectRef(self.watched.records[0].kind(), *key), known


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
            narrowing(resource, record, watched.origin, watched.annotations)
            for resource, record in zip(watched.resources, watched.records, strict=True)
        ]
        self._door = DOORS[watched.records[0]](watched.annotations) if watched.lean else None
        self.reflector: Reflector[Known] = Reflector(
            self._decode, jitter=jitter, pace=pace, optional=watched.optional, versions=not watched.lean
        )
        self._poked = asyncio.Event()

    @property
    def resource(self) -> Resource:
        """The version in which it is read."""
        return self.watched.resources[self._served]

    @property
    def _form(self) -> Any:
        """The type by which objects are decoded, if they are."""
        return Any if self._door is None else self._door.form

    @property
    def trouble(self) -> str:
        """Why changes are missed at the moment; empty if none are."""
        reflector = self.reflector
        if reflector.live or (reflector.synced and not reflector.trouble):
            return ""
        return reflector.trouble or "not read yet"

    def contents(self) -> Iterator[tuple[str, Known]]:
        """Return every object of now, by origin; later changes are not in it."""
        origin = self.watched.origin
        entries = list(self.reflector.entries.items())
        return ((origin(*key), entry.value) for key, entry in entries)

    def take(self) -> Work:
        """Return what changed since the last time."""
        reflector, origin = self.reflector, self.watched.origin
        entries = reflector.entries
        declared = {
            key: None if change is Change.DELETED else entries[key].value
            for key, change in reflector.take_changes().items()
        }
        findings = dict(reflector.findings)
        unreadable = {origin(*key): finding for key, finding in findings.items() if self._told.get(key) != finding}
        for key in self._told.keys() - findings.keys():  # it can be read again, as it was, or is gone
            entry = entries.get(key)
            declared.setdefault(key, entry.value if entry else None)
        self._told = findings
        return Work(declared, unreadable, self.watched)

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

    def _decode(self, body: Any) -> Known:
        door = self._door
        if door is not None:
            if isinstance(body, dict):  # something else on its page is odd
                with contextlib.suppress(msgspec.ValidationError):
                    body = msgspec.json.decode(msgspec.json.encode(body), type=door.form)
            if isinstance(body, door.form):
                if (lean := door.lean(body)) is not None:
                    return lean
                body = msgspec.json.decode(msgspec.json.encode(body))
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
            self.resource,
            action,
            namespace=watched.namespace,
            labels=watched.labels,
            fields=watched.fields,
            form=self._form,
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
                self.resource,
                action,
                namespace=watched.namespace,
                labels=watched.labels,
                fields=watched.fields,
                form=self._form,
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
