"""The controller's results in the API: `Operations` over the status of Services and of native objects.

A status is applied with the resourceVersion of the object that the plan was made from, so that what was decided about
an older one is refused. What this process wrote itself is remembered until the watch brings it back.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from netlb.errors import NetlbError, TransientError
from netlb.findings import ObjectRef
from netlb.source.collection import Entry
from netlb.source.kube import KubeClient
from netlb.source.kube_errors import CONFLICT, RequestError
from netlb.source.kube_events import service_events
from netlb.source.kube_journal import MOST, Intents, Journal, OvertakenError
from netlb.source.kube_kinds import ADDRESSING, SERVICES, Resource
from netlb.source.kube_recorder import EventRecorder, timestamp
from netlb.source.kube_status import (
    ObjectStatus,
    ServiceSeen,
    ServiceStatus,
    Told,
    object_body,
    read_object_status,
    service_body,
    service_key,
)
from netlb.source.kube_writing import write_each
from netlb.source.reflector import List

__all__ = ["ClusterStatuses"]

Find = Callable[[Resource, str, str], Entry[Any] | None]

_PAGE = 500
_QUIET = 60.0
"""Seconds after which it is forgotten that somebody undid what was written here; the longest pause because of that."""
_PLURALS = {resource.plural: resource for resource in ADDRESSING.values()}


@dataclass(frozen=True, slots=True)
class _Undone:
    """How often somebody else changed what was written here, and until when it is left as it is."""

    times: int
    until: float


class ClusterStatuses:
    """What `Operations` need, beside `see`, which is to be called with all Services that change."""

    def __init__(
        self,
        client: KubeClient,
        find: Find,
        recorder: EventRecorder,
        *,
        why_not: Callable[[], str],
        journal: Journal,
    ) -> None:
        """`find` returns what is known of an object now; `why_not` says why this process may not write, if so."""
        self._client = client
        self._find = find
        self._recorder = recorder
        self._why_not = why_not
        self._journal = journal
        self._intents: Intents = {}
        self.drifted: Callable[[], None] = lambda: None
        """Called when a Service does not say any more what was written into it."""
        self.overtaken: Callable[[str], None] = lambda _: None
        """Called when another controller gives addresses, too: what is known here is not all there is to know."""
        self._seen: dict[ObjectRef, ServiceSeen] = {}
        self._written: dict[ObjectRef, str] = {}
        self._said: dict[ObjectRef, ServiceStatus | None] = {}
        """What was last sent: the watch may bring it before the answer comes."""
        self._undone: dict[ObjectRef, _Undone] = {}
        self._objects: dict[str, tuple[ObjectStatus | None, Mapping[str, str]]] = {}

    def see(self, services: Mapping[ObjectRef, ServiceSeen | None]) -> None:
        """Take note of Services as the next plan has them; None: gone."""
        drifted = False
        for ref, seen in services.items():
            before = self._seen.pop(ref, None)
            if seen is None:
                for known in (self._written, self._said, self._undone):
                    known.pop(ref, None)
                continue
            entry = self._find(SERVICES, ref.namespace, ref.name)
            written = self._written.get(ref)
            if before is not None and written is not None and entry and _is_lower(entry.resource_version, written):
                # It was read before our own write, which the watch will bring.
                self._seen[ref] = replace(before, content=seen.content)
                continue
            self._seen[ref] = seen
            self._written.pop(ref, None)
            if before is None or before.status is None:
                continue
            if seen.status not in (before.status, self._said.get(ref, before.status)):
                drifted = True
                self._count(ref)
        if drifted:
            self.drifted()

    async def observe(self) -> Mapping[str, Told]:
        """Return what is said of every object. Services are known from the watch, the others are listed."""
        objects: dict[str, tuple[ObjectStatus | None, Mapping[str, str]]] = {}
        for resource in ADDRESSING.values():
            page = List(_PAGE)
            while True:
                answer = await self._client.list_page(resource, page)
                for body in answer.items:
                    objects[f"{resource.plural}/{body['metadata']['name']}"] = read_object_status(body)
                if not answer.continue_token:
                    break
                page = List(_PAGE, answer.continue_token)
        self._objects = objects
        told: dict[str, Told] = {key: status for key, (status, _) in objects.items() if status is not None}
        return told | {service_key(ref): seen.status for ref, seen in self._seen.items() if seen.status is not None}

    async def apply(self, changes: Mapping[str, Told]) -> Mapping[str, Exception]:
        """Say this; return what failed."""
        giving = {key: status for key, status in changes.items() if self._gives(key, status)}
        failures: dict[str, Exception] = {}
        left = list(giving)
        while batch := left[:MOST]:
            left = left[MOST:]
            try:
                await self._intend({key: giving[key] for key in batch})
            except NetlbError as error:
                if isinstance(error, OvertakenError):
                    self.overtaken(str(error))
                    return dict.fromkeys(changes, error)
                failures |= dict.fromkeys((*batch, *left), error)
                break
            failures |= await self._write_each(changes, batch)
        return failures | await self._write_each(changes, [key for key in changes if key not in giving])

    async def prune(self, keys: Collection[str]) -> Mapping[str, Exception]:
        """Say nothing any more of these; of native objects, only those are left that are gone."""
        services = [key for key in keys if key.startswith(f"{SERVICES.plural}/")]
        write = partial(self._write_service, status=None)
        return await write_each(services, lambda key: write(_service(key)), self._why_not)

    async def _write_each(self, changes: Mapping[str, Told], keys: Collection[str]) -> dict[str, Exception]:
        async def write(key: str) -> None:
            match changes[key]:
                case ServiceStatus() as status:
                    await self._write_service(_service(key), status)
                case ObjectStatus() as status:
                    await self._write_object(key, status)

        return await write_each(keys, write, self._why_not)

    def _gives(self, key: str, status: Told) -> bool:
        """Say whether this gives a Service an address that it does not have yet."""
        if not isinstance(status, ServiceStatus):
            return False
        seen = self._seen.get(_service(key))
        return not set(status.addresses) <= set(seen.status.addresses if seen and seen.status else ())

    async def _intend(self, giving: Mapping[str, Told]) -> None:
        """Note in the journal what is about to be given, and what of before may still be under way."""
        if why := self._why_not():
            raise TransientError(why)
        still = {
            ref: addresses
            for ref, addresses in self._intents.items()
            if (seen := self._seen.get(ref)) and addresses != (seen.status.addresses if seen.status else ())
        }
        now = {_service(key): status.addresses for key, status in giving.items() if isinstance(status, ServiceStatus)}
        self._intents = still | now
        await self._journal.write(self._intents)

    async def _write_service(self, ref: ObjectRef, status: ServiceStatus | None) -> None:
        seen, entry = self._seen.get(ref), self._find(SERVICES, ref.namespace, ref.name)
        if seen is None or entry is None:
            if status is None:
                return
            raise TransientError(f"{ref} is not there (any more)")
        if entry.value != seen.content:
            raise TransientError(f"{ref} has changed; it is planned anew")
        said = status.addresses if status else ()
        if status is not None and seen.ingress and not seen.marked and said != seen.ingress:
            raise TransientError(
                f"{ref}: its status is another load balancer's ({', '.join(seen.ingress)}); "
                "give it a loadBalancerClass, or start netlb-controller with --classless ignore"
            )
        self._demand_peace(ref)
        written = self._written.get(ref, "")
        version = written if _is_lower(entry.resource_version, written) else entry.resource_version
        body = service_body(ref, status, seen, version, timestamp())
        force = status is not None and (seen.marked or bool(seen.ingress))
        self._said[ref] = status
        try:
            answer = await self._client.apply(SERVICES, ref.namespace, body, subresource="status", force=force)
        except RequestError as error:
            if error.status == CONFLICT:
                self._written.pop(ref, None)  # a restored server may not know of it
            raise
        version, now = answer["metadata"]["resourceVersion"], self._seen.get(ref)
        there = self._find(SERVICES, ref.namespace, ref.name)
        if now is seen or (now is not None and there is not None and _is_lower(there.resource_version, version)):
            self._written[ref] = version
            told = {one["type"]: one["lastTransitionTime"] for one in body.get("status", {}).get("conditions", ())}
            self._seen[ref] = replace(now, status=status, marked=bool(said), ingress=said, transitions=told)
        # Otherwise the watch has brought this, or what came after it, and `see` knows it; or it is gone.
        self._recorder.tell(ref, service_events(seen.status, status), api_version=SERVICES.api_version, uid=entry.uid)

    async def _write_object(self, key: str, status: ObjectStatus) -> None:
        plural, _, name = key.partition("/")
        before, transitions = self._objects.get(key, (None, {}))
        body = object_body(name, status, before, transitions, timestamp())
        await self._client.apply(_PLURALS[plural], "", body, subresource="status", force=True)
        told = {one["type"]: one["lastTransitionTime"] for one in body["status"].get("conditions", ())}
        self._objects[key] = status, told

    def _count(self, ref: ObjectRef) -> None:
        """Note that somebody undid what was written: at once it is put back once, then after longer and longer."""
        now = asyncio.get_running_loop().time()
        before = self._undone.get(ref)
        times = before.times + 1 if before and now < before.until + _QUIET else 0
        self._undone[ref] = _Undone(times, now + min(_QUIET, 2.0**times - 1))

    def _demand_peace(self, ref: ObjectRef) -> None:
        undone = self._undone.get(ref)
        wait = undone.until - asyncio.get_running_loop().time() if undone else 0.0
        if undone and wait > 0:
            raise TransientError(
                f"{ref}: somebody else has changed its status {undone.times + 1} times; let one of the two serve it",
                retry_after=wait,
            )


def _service(key: str) -> ObjectRef:
    _, namespace, name = key.split("/")
    return ObjectRef(SERVICES.kind, namespace, name)


def _is_lower(version: str, than: str) -> bool:
    """Whether a version is certainly older; versions that are no numbers are not compared."""
    return version.isdecimal() and than.isdecimal() and int(version) < int(than)
