"""The Kubernetes source: the API server's objects, followed, as a stream of snapshots."""

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from random import SystemRandom
from typing import Any

import msgspec

from netlb.api.documents import Document
from netlb.api.intake import Intake
from netlb.api.snapshot import Snapshot
from netlb.errors import TransientError
from netlb.findings import ObjectRef
from netlb.source.collection import Entry, Key
from netlb.source.holders import Holders
from netlb.source.keeper import Keeper, Kept
from netlb.source.kube import KubeClient
from netlb.source.kube_follower import Follower, Known, Work
from netlb.source.kube_kinds import ADDRESSING, SECRETS, SERVICES, Resource, Watched, password
from netlb.source.kube_lean import Lean, body_of, said_of
from netlb.source.kube_status import ServiceSeen, see
from netlb.source.reflector import DEFAULT_PACE, Pace

__all__ = ["KubeSource"]

_DISCOVERY_SECONDS = 60.0
"""Between looks whether a kind that was not served is now."""
_KEEP_SECONDS = 5.0
"""From a change until it is on disk: many at once are written once."""
_LOTS = SystemRandom()
_FEW = 100
"""Objects that are taken in at once; more of them while everything else goes on."""


@dataclass(frozen=True, slots=True)
class _Read:
    """What came of taking in some work."""

    snapshot: Snapshot
    services: Mapping[ObjectRef, ServiceSeen | None]
    """Those that were concerned; None: gone, or nobody wants to know."""
    touched: frozenset[ObjectRef]
    """The Services of which something may be different, their endpoints too."""


class KubeSource:
    """Follows these kinds. While the API server is away everything stays as it was, and followers try again."""

    def __init__(
        self,
        client: KubeClient,
        intake: Intake,
        kinds: Iterable[Watched],
        *,
        secrets_in: Callable[[], Sequence[str]] = tuple,
        leaves_others: bool = False,
        takes_over: bool = True,
        keeper: Keeper | None = None,
        on_trouble: Callable[[str], None] = lambda _: None,
        pace: Pace = DEFAULT_PACE,
        jitter: Callable[[], float] = _LOTS.random,
        discovery_interval: float = _DISCOVERY_SECONDS,
        patience: float = 3.0,
        keep_interval: float = _KEEP_SECONDS,
    ) -> None:
        """Nothing is asked before `snapshots` runs. `kinds` as of `kube_kinds.watched`, or some of them.

        Secrets that BGPPeers name are followed in these namespaces, of which the first is netlb's own. With
        `leaves_others`, Services that another load balancer serves are not in the snapshots. What a Service got from
        a system whose results can be taken over counts as held at once, or, without `takes_over`, once netlb's
        controller has taken it over. `on_trouble` is called with what is the matter with the file that is kept. After
        `patience` seconds without the API server what is kept counts.
        """
        self._client = client
        self._intake = intake
        self._secrets_in = secrets_in
        self._keeper = keeper
        self._on_trouble = on_trouble
        self._pace = pace
        self._jitter = jitter
        self._discovery_interval = discovery_interval
        self._patience = patience
        self._keep_interval = keep_interval
        self._followers = {str(kind): self._follower(kind) for kind in kinds}
        self._secrets: dict[str, Follower] = {}
        self._released: set[str] = set()
        self._borrowed: set[str] = set()
        self._changed = asyncio.Event()
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._holders = Holders(leaves_others=leaves_others, takes_over=takes_over)
        self._worth_keeping = asyncio.Event()
        self.on_services: Callable[[Mapping[ObjectRef, ServiceSeen | None]], None] = _nobody
        """Called with the Services that changed, before a snapshot that has them; None: gone."""
        self.on_rewound: Callable[[], None] = lambda: None
        """Called when the server turns out to have another history: what was written may not be there any more."""
        self._rewound = 0
        self.touched: frozenset[ObjectRef] | None = None
        """The Services in which the last snapshot may differ from the one before; None: any."""
        self.kept_since: int | None = None
        """When that was heard which is in force, if that is from the disk, in seconds since 1970; None: it is not."""
        self.missing_since: int | None = None
        """Since when changes are missed, in seconds since 1970; None: they are not."""

    def require(self) -> None:
        """Raise SettingError if there is no way to reach an API server, or no place to keep what it says."""
        self._client.check()
        if self._keeper is not None and not self._keeper.open():
            self._on_trouble(f"{self._keeper.path.parent} is open to others: passwords are not kept; chmod 0700")

    async def snapshots(self) -> AsyncGenerator[Snapshot, None]:
        """Yield the snapshot of now once all kinds are known, and then one after every change that changed something.

        Where something was kept and the API server does not answer in time, what was kept comes first. Raises
        SettingError if there is no way to reach an API server.
        """
        self.require()
        last: Snapshot | None = None
        held_back = False
        touched = frozenset[ObjectRef]()
        taken = float("-inf")
        kept = await asyncio.to_thread(self._load)
        since = asyncio.get_running_loop().time()
        for name, follower in self._followers.items():
            self._tasks[name] = asyncio.create_task(follower.run())
        self._tasks[""] = asyncio.create_task(self._discover())
        if self._keeper is not None:
            self._tasks["keeper"] = asyncio.create_task(self._keep(self._keeper))
        try:
            while True:
                await self._woken(None if kept is None else since + self._patience)
                # The first change is taken in at once, and those that follow it together.
                await asyncio.sleep(taken + self._pace.settle - asyncio.get_running_loop().time())
                self._changed.clear()
                came_back = self.synced and self.kept_since is not None
                if self.synced:
                    work, kept = self._take(), None
                elif kept is not None and asyncio.get_running_loop().time() >= since + self._patience:
                    work = self._from_disk(kept.objects)
                    self._borrowed = set(kept.objects)
                    self.kept_since, kept = kept.saved, None
                else:
                    continue
                news = any(one.declared or one.unreadable for one in work)
                if last is not None and not (news or held_back or came_back):
                    continue
                taken = asyncio.get_running_loop().time()
                if sum(len(one.declared) for one in work) > _FEW:
                    read = await asyncio.to_thread(self._read, work)
                else:
                    read = self._read(work)
                self.on_services(read.services)
                touched |= read.touched
                if held_back := self._attend(read.snapshot):
                    continue  # a peer must not be without its password for a moment
                self._worth_keeping.set()
                if (read.snapshot is not last and read.snapshot != last) or came_back:
                    self.touched = touched if last is not None else None
                    touched = frozenset()
                    yield read.snapshot
                last = read.snapshot
                del work, read  # of thousands of Services, what is not needed any more is many megabytes
        finally:
            for task in self._tasks.values():
                task.cancel()
            await asyncio.gather(*self._tasks.values(), return_exceptions=True)
            self._tasks.clear()

    async def first(self) -> Snapshot:
        """Return the snapshot of now, and follow no longer."""
        async with contextlib.aclosing(self.snapshots()) as snapshots:
            return await anext(snapshots)

    @property
    def synced(self) -> bool:
        """Whether every kind has been read once."""
        return all(follower.reflector.synced for follower in self._followers.values())

    def troubles(self) -> dict[str, str]:
        """Return, for each kind of which changes are missed at the moment, why."""
        every = {**self._followers, **self._secrets}
        return {name: trouble for name, follower in every.items() if (trouble := follower.trouble)}

    def refusal(self) -> str:
        """Return why a kind may not be read; empty if all may."""
        every = (*self._followers.values(), *self._secrets.values())
        return next((follower.trouble for follower in every if follower.trouble and follower.reflector.refused), "")

    def find(self, resource: Resource, namespace: str, name: str) -> Entry[Known] | None:
        """Return what is known of one object: its uid and resourceVersion, to write to it."""
        follower = self._followers.get(str(resource))
        return follower.reflector.entries.get(Key(namespace, name)) if follower else None

    def names(self, resource: Resource) -> frozenset[str] | None:
        """Return the names of all objects of a kind; None while changes of it are missed."""
        follower = self._followers.get(str(resource))
        if follower is None or not follower.reflector.synced or follower.trouble:
            return None
        return frozenset(key.name for key in follower.reflector.entries)

    def declared(self) -> list[ObjectRef]:
        """Return the native objects that are there, also those that cannot be read."""
        found: list[ObjectRef] = []
        for kind, resource in ADDRESSING.items():
            reflector = self._followers[str(resource)].reflector
            found += [ObjectRef(kind, "", key.name) for key in sorted({*reflector.entries, *reflector.findings})]
        return found

    def _follower(self, kind: Watched) -> Follower:
        return Follower(self._client, kind, self._note, pace=self._pace, jitter=self._jitter)

    def _note(self) -> None:
        """Take note that something happened to a follower."""
        if not self.troubles():
            self.missing_since = None
        elif self.missing_since is None:
            self.missing_since = time.time_ns() // 10**9
        rewound = sum(follower.reflector.rewound for follower in self._followers.values())
        if rewound != self._rewound:
            self._rewound = rewound
            self.on_rewound()
        self._changed.set()

    def _take(self) -> list[Work]:
        """Return what changed since the last time. What was kept on disk and is not there is gone, too."""
        self.kept_since = None
        work = [follower.take() for follower in (*self._followers.values(), *self._secrets.values())]
        unread = {origin for origin, follower in self._secrets.items() if not follower.reflector.synced}
        if self._borrowed:
            self._borrowed.difference_update(
                *((*(origin for origin, _, _ in one.changes()), *one.unreadable) for one in work)
            )
        gone = (self._borrowed - unread) | self._released
        self._borrowed &= unread
        self._released = set()
        return [*self._from_disk(dict.fromkeys(gone)), *work]

    def _from_disk(self, objects: Mapping[str, bytes | None]) -> list[Work]:
        """Return the work that is in what was kept, by origin; None: gone."""
        every = self._followers.values()
        kinds = {str(SECRETS): password("", ""), **{str(each.watched): each.watched for each in every}}
        found: dict[str, dict[Key, Known | None]] = {}
        for origin, content in objects.items():
            kind, _, rest = origin.partition("/")
            name, _, namespace = rest.partition(" -n ")
            found.setdefault(kind, {})[Key(namespace, name)] = content
        return [Work(declared, {}, kinds[kind]) for kind, declared in found.items() if kind in kinds]

    def _read(self, work: Iterable[Work]) -> _Read:
        """Let the intake know what changed, and return everything that is in force."""
        services: dict[ObjectRef, ServiceSeen | None] = {}
        for one in work:
            for origin, ref, content in one.changes():
                body = _said(content)
                seen = None
                if ref.kind == SERVICES.kind:
                    seen = None if body is None or content is None else see(body, content)
                    services[ref] = seen if self.on_services is not _nobody else None  # thousands are megabytes
                    self._holders.see(origin, ref, seen)
                if body is None or (seen is not None and self._holders.is_others(origin, seen)):
                    self._intake.withdraw(origin)
                    self._intake.dismiss(ref)
                elif isinstance(content, Lean):
                    self._intake.adopt(origin, content.record)
                else:
                    self._intake.declare(origin, (Document(origin, body),))
            for origin, finding in one.unreadable.items():
                self._intake.unreadable(origin, finding)
        snapshot = self._complete(self._intake.snapshot(self._holders.holdings()))
        return _Read(snapshot, services, self._intake.touched | services.keys())

    def _complete(self, snapshot: Snapshot) -> Snapshot:
        """Let passwords of netlb's own namespace be found without its name, too."""
        own = next(iter(self._secrets_in()), None)
        nearby = {("", name): text for (namespace, name), text in snapshot.passwords.items() if namespace == own}
        return replace(snapshot, passwords={**snapshot.passwords, **nearby}) if nearby else snapshot

    def _attend(self, snapshot: Snapshot) -> bool:
        """Follow the Secrets that are named now; say whether one of them will be read in a moment."""
        allowed = self._secrets_in()
        wanted: dict[str, Watched] = {}
        for peer in snapshot.bgp_peers.values() if allowed else ():
            if (named := peer.spec.password_secret) is not None:
                namespace = named.namespace or allowed[0]
                if namespace in allowed:
                    secret = password(namespace, named.name)
                    wanted[secret.origin(namespace, named.name)] = secret
        for origin in self._secrets.keys() - wanted.keys():
            del self._secrets[origin]
            self._released.add(origin)
            self._tasks.pop(origin).cancel()
        for origin in wanted.keys() - self._secrets.keys():
            self._secrets[origin] = self._follower(wanted[origin])
            self._tasks[origin] = asyncio.create_task(self._secrets[origin].run())
        if self.kept_since is not None:
            return False
        readers = [follower.reflector for follower in self._secrets.values()]
        return any(not reflector.synced and not reflector.trouble for reflector in readers)

    async def _woken(self, deadline: float | None) -> None:
        """Wait for a change, or until a time; raise what ended a follower."""
        waiting = asyncio.create_task(self._changed.wait())
        now = asyncio.get_running_loop().time()
        try:
            done, _ = await asyncio.wait(
                {waiting, *self._tasks.values()},
                return_when=asyncio.FIRST_COMPLETED,
                timeout=None if deadline is None else max(0.0, deadline - now),
            )
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
                        follower.poke()

    # What is kept

    def _load(self) -> Kept | None:
        try:
            return self._keeper.load() if self._keeper is not None else None
        except TransientError as error:
            self._on_trouble(str(error))
            return None

    async def _keep(self, keeper: Keeper) -> None:
        """Write what was heard, a while after it changed, and at the end."""
        try:
            while True:
                await self._worth_keeping.wait()
                await asyncio.sleep(self._keep_interval)
                if self.synced:
                    self._worth_keeping.clear()
                    try:
                        await self._in_pieces(self._save(keeper))
                    except asyncio.CancelledError:
                        self._worth_keeping.set()  # what is half written is not kept
                        raise
        finally:
            if self._worth_keeping.is_set() and self.synced:
                deque(self._save(keeper), 0)

    @staticmethod
    async def _in_pieces(work: Generator[None]) -> None:
        """Do it in threads, piece by piece: no change waits for thousands of objects, or for a disk."""
        done = False
        with contextlib.closing(work):
            while not done:
                piece = asyncio.create_task(asyncio.to_thread(next, work, True))
                try:
                    done = bool(await asyncio.shield(piece))
                finally:
                    if not piece.done():
                        await piece  # a thread cannot be cancelled, and the next one writes to the same file

    def _save(self, keeper: Keeper) -> Generator[None]:
        """Write what there is now; yields now and then."""
        every = [follower.contents() for follower in (*self._followers.values(), *self._secrets.values())]
        objects = (
            (origin, msgspec.json.encode(body_of(content)) if isinstance(content, Lean) else content)
            for origin, content in chain.from_iterable(every)
        )
        try:
            yield from keeper.save(objects, time.time_ns() // 10**9)
        except TransientError as error:
            self._on_trouble(str(error))


def _nobody(_: Mapping[ObjectRef, ServiceSeen | None]) -> None:
    """Do not want to know."""


def _said(content: Known | None) -> Mapping[str, Any] | None:
    """Return an object as a mapping; of a record what it does not have itself."""
    if content is None:
        return None
    if isinstance(content, Lean):
        return said_of(content)
    body: Mapping[str, Any] = msgspec.json.decode(content)
    return body
