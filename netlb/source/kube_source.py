"""The Kubernetes source: the API server's objects, followed, as a stream of snapshots."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass
from random import SystemRandom
from typing import Any

import msgspec

from netlb.api import keys
from netlb.api.documents import Document
from netlb.api.holdings import read_holding
from netlb.api.intake import Intake
from netlb.api.snapshot import Holding, Snapshot
from netlb.errors import TransientError
from netlb.findings import Finding, ObjectRef
from netlb.source.collection import Change, Entry, Key
from netlb.source.kube import KubeClient
from netlb.source.kube_errors import NOT_FOUND, RequestError
from netlb.source.kube_kinds import SERVICES, Resource, Watched, narrowing
from netlb.source.reflector import DEFAULT_PACE, Failure, List, Pace, Page, Reflector, Wait, Watch

__all__ = ["KubeSource"]

_SETTLE_SECONDS = 0.05
"""Changes that come together become one snapshot."""
_DISCOVERY_SECONDS = 60.0
"""Between looks whether a kind that was not served is now."""
_LOTS = SystemRandom()


@dataclass(frozen=True, slots=True)
class _Work:
    """What changed, by origin: the JSON of an object, None for one that is gone, or why it cannot be read."""

    declared: Mapping[str, bytes | None]
    unreadable: Mapping[str, Finding]


class _Follower:
    """One kind: its reflector, and the version in which it is read."""

    def __init__(self, watched: Watched, pace: Pace, jitter: Callable[[], float]) -> None:
        self.watched = watched
        self.served = 0
        self.told: dict[Key, Finding] = {}
        self._narrow = [
            narrowing(resource, record, watched.origin)
            for resource, record in zip(watched.resources, watched.records, strict=True)
        ]
        self.reflector: Reflector[bytes] = Reflector(self._decode, jitter=jitter, pace=pace, optional=watched.optional)
        self.poked = asyncio.Event()

    @property
    def resource(self) -> Resource:
        """The version in which it is read."""
        return self.watched.resources[self.served]

    def _decode(self, body: Mapping[str, Any]) -> bytes:
        return self._narrow[self.served](body)

    def take(self) -> _Work:
        """Return what changed since the last time."""
        reflector, origin = self.reflector, self.watched.origin
        entries = reflector.entries
        declared = {
            origin(*key): None if change is Change.DELETED else entries[key].value
            for key, change in reflector.take_changes().items()
        }
        findings = dict(reflector.findings)
        unreadable = {origin(*key): finding for key, finding in findings.items() if self.told.get(key) != finding}
        for key in self.told.keys() - findings.keys():  # it can be read again, as it was, or is gone
            entry = entries.get(key)
            declared.setdefault(origin(*key), entry.value if entry else None)
        self.told = findings
        return _Work(declared, unreadable)


class KubeSource:
    """Follows these kinds. While the API server is away everything stays as it was, and followers try again."""

    def __init__(
        self,
        client: KubeClient,
        intake: Intake,
        kinds: Iterable[Watched],
        *,
        pace: Pace = DEFAULT_PACE,
        jitter: Callable[[], float] = _LOTS.random,
        discovery_interval: float = _DISCOVERY_SECONDS,
    ) -> None:
        """Nothing is asked before `snapshots` runs. `kinds` as of `kube_kinds.watched`, or some of them."""
        self._client = client
        self._intake = intake
        self._jitter = jitter
        self._discovery_interval = discovery_interval
        self._followers = {str(kind): _Follower(kind, pace, jitter) for kind in kinds}
        self._changed = asyncio.Event()
        self._holdings: dict[str, tuple[ObjectRef, Holding]] = {}

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        """Yield the snapshot of now once all kinds are known, and then one after every change that changed something.

        Raises SettingError if there is no way to reach an API server.
        """
        last: Snapshot | None = None
        tasks = [asyncio.create_task(self._follow(follower)) for follower in self._followers.values()]
        tasks.append(asyncio.create_task(self._discover()))
        try:
            while True:
                await self._woken(tasks)
                await asyncio.sleep(_SETTLE_SECONDS)
                self._changed.clear()
                if not self.synced:
                    continue
                work = [follower.take() for follower in self._followers.values()]
                if last is not None and not any(one.declared or one.unreadable for one in work):
                    continue
                snapshot = await asyncio.to_thread(self._read, work)
                if snapshot != last:
                    yield snapshot
                last = snapshot
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def synced(self) -> bool:
        """Whether every kind has been read once."""
        return all(follower.reflector.synced for follower in self._followers.values())

    def troubles(self) -> dict[str, str]:
        """Return, for each kind of which changes are missed at the moment, why."""
        return {
            name: follower.reflector.trouble or "not read yet"
            for name, follower in self._followers.items()
            if not follower.reflector.live and (follower.reflector.trouble or not follower.reflector.synced)
        }

    def find(self, resource: Resource, namespace: str, name: str) -> Entry[bytes] | None:
        """Return what is known of one object: its uid and resourceVersion, to write to it."""
        follower = self._followers.get(str(resource))
        return follower.reflector.entries.get(Key(namespace, name)) if follower else None

    def _read(self, work: Iterable[_Work]) -> Snapshot:
        """Let the intake know what changed, and return everything that is in force."""
        services = f"{SERVICES}/"
        for one in work:
            for origin, content in one.declared.items():
                body = None if content is None else msgspec.json.decode(content)
                if body is None:
                    self._intake.withdraw(origin)
                else:
                    self._intake.declare(origin, (Document(origin, body),))
                if origin.startswith(services):
                    self._hold(origin, body)
            for origin, finding in one.unreadable.items():
                self._intake.unreadable(origin, finding)
        return self._intake.snapshot(dict(self._holdings.values()))

    def _hold(self, origin: str, body: Mapping[str, Any] | None) -> None:
        """Note what a Service holds, if what stands in its status is a load balancer's whose results we take over."""
        self._holdings.pop(origin, None)
        annotations = body["metadata"].get("annotations", {}) if body else {}
        if body and keys.annotation(annotations, keys.ALLOCATED_FROM) and (held := read_holding(body)):
            self._holdings[origin] = held

    async def _woken(self, tasks: Iterable[asyncio.Task[None]]) -> None:
        """Wait for a change; raise what ended a follower."""
        waiting = asyncio.create_task(self._changed.wait())
        try:
            done, _ = await asyncio.wait({waiting, *tasks}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()
        for task in done - {waiting}:
            task.result()

    async def _discover(self) -> None:
        """Look for kinds that appear: one small request for all that are not served."""
        while True:
            await asyncio.sleep(self._discovery_interval * (0.75 + self._jitter() / 2))
            missing = [follower for follower in self._followers.values() if follower.reflector.absent]
            if not missing:
                continue
            with contextlib.suppress(TransientError):
                served = await self._client.served()
                for follower in missing:
                    if any(resource.api_version in served for resource in follower.watched.resources):
                        follower.reflector.poke()
                        follower.poked.set()

    async def _follow(self, follower: _Follower) -> None:
        """Do what the reflector wants, for ever."""
        reflector, now = follower.reflector, asyncio.get_running_loop().time
        while True:
            match reflector.next_action(now()):
                case Wait():
                    follower.poked.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout_at(reflector.next_wakeup):
                            await follower.poked.wait()
                case List() as action:
                    await self._try(follower, action, self._list(follower, action))
                case Watch() as action:
                    await self._try(follower, action, self._watch(follower, action))
            self._changed.set()

    async def _try(self, follower: _Follower, action: List | Watch, doing: Coroutine[None, None, None]) -> None:
        reflector, now = follower.reflector, asyncio.get_running_loop().time
        try:
            await doing
        except TimeoutError:
            return  # the reflector sees for itself that the time is up
        except RequestError as error:
            reflector.failed(action, Failure(str(error), error.status, error.retry_after), now())

    async def _list(self, follower: _Follower, action: List) -> None:
        """Read a page; the first one in the first version that is served."""
        reflector, now = follower.reflector, asyncio.get_running_loop().time
        if not action.continue_token:
            follower.served = 0
        async with asyncio.timeout_at(reflector.next_wakeup):
            while True:
                try:
                    page = await self._page(follower, action)
                    break
                except RequestError as error:
                    last = follower.served + 1 == len(follower.watched.resources)
                    if error.status != NOT_FOUND or last or action.continue_token:
                        raise
                    follower.served += 1
        reflector.listed(action, page, now())

    async def _page(self, follower: _Follower, action: List) -> Page:
        watched = follower.watched
        return await self._client.list_page(
            follower.resource, action, namespace=watched.namespace, labels=watched.labels, fields=watched.fields
        )

    async def _watch(self, follower: _Follower, action: Watch) -> None:
        reflector, watched, now = follower.reflector, follower.watched, asyncio.get_running_loop().time
        async with (
            asyncio.timeout_at(reflector.next_wakeup) as timer,
            self._client.watch(
                follower.resource, action, namespace=watched.namespace, labels=watched.labels, fields=watched.fields
            ) as batches,
        ):
            reflector.opened(action, now())
            timer.reschedule(reflector.next_wakeup)
            async for batch in batches:
                useful = all(reflector.event(action, kind, body, now()) for kind, body in batch)
                self._changed.set()
                if not useful:
                    return
                timer.reschedule(reflector.next_wakeup)
            reflector.ended(action, now())
