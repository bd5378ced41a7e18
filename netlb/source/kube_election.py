"""The driver of a Lease elector: its requests, its timers, and word of every change."""

import asyncio
import contextlib
import math
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from netlb.errors import NetlbError
from netlb.source.kube import KubeClient
from netlb.source.kube_errors import CONFLICT, NOT_FOUND, RequestError
from netlb.source.kube_kinds import LEASES
from netlb.source.lease import Create, Elector, Lease, LeaseRecord, Read, Replace, Wait

__all__ = ["Election", "micros", "steady"]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def steady() -> float:
    """Return seconds of a clock that also runs while the machine sleeps, unlike that of asyncio."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Election:
    """Takes part in the election by one Lease until it has resigned.

    `changed` is called, on the event loop, with True when this process begins to lead and with False when it ceases to;
    whoever writes as the leader asks `leads` before each write all the same.
    """

    def __init__(
        self,
        client: KubeClient,
        elector: Elector,
        *,
        namespace: str,
        name: str,
        changed: Callable[[bool], None],
        metadata: Callable[[], Mapping[str, Any]] = dict,
        sending: Callable[[LeaseRecord], None] = lambda _: None,
        clock: Callable[[], float] = steady,
    ) -> None:
        """`metadata` returns what else each write says; `sending` is told of each before it goes out."""
        self._client = client
        self._elector = elector
        self._namespace = namespace
        self._name = name
        self._changed = changed
        self._metadata = metadata
        self._sending = sending
        self._clock = clock
        self._body: Mapping[str, Any] = {"metadata": {"namespace": namespace, "name": name}}
        self._led = False
        self._wake = asyncio.Event()
        self._finished = asyncio.Event()
        self.trouble = ""
        """Why the last request failed; empty once one has not."""

    def leads(self) -> bool:
        """Say whether this process leads at this moment."""
        return self._elector.leads(self._clock())

    @property
    def holder(self) -> str:
        """The identity of the leader as last seen; empty for nobody."""
        return self._elector.holder

    async def run(self) -> None:
        """Take part until `resign` is done."""
        requests: set[asyncio.Task[None]] = set()
        try:
            while not self._elector.finished(self._clock()):
                self._wake.clear()
                action = self._elector.next_action(self._clock(), time.time_ns() // 1000)
                if not isinstance(action, Wait):
                    for given_up in requests:
                        given_up.cancel()
                    task = asyncio.create_task(self._carry_out(action))
                    requests.add(task)
                    task.add_done_callback(requests.discard)
                self._tell()
                pause = self._elector.next_wakeup(self._clock()) - self._clock()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(None if math.isinf(pause) else max(pause, 0.0)):
                        await self._wake.wait()
        finally:
            for task in requests:
                task.cancel()
            await asyncio.gather(*requests, return_exceptions=True)
            self._finished.set()

    async def resign(self) -> None:
        """Let another one lead at once, and return when it can, or when this one's time has run out.

        To be called while `run` runs, after the leader's work has stopped.
        """
        self._elector.resign(self._clock())
        self._tell()
        self._wake.set()
        await self._finished.wait()

    def hurry(self) -> None:
        """Write at once what `metadata` returns now, if this process leads."""
        self._elector.hurry(self._clock())
        self._wake.set()

    def _tell(self) -> None:
        if (leads := self.leads()) is not self._led:
            self._led = leads
            self._changed(leads)

    async def _carry_out(self, action: Read | Create | Replace) -> None:
        try:
            lease = await self._request(action)
        except NetlbError as error:
            self.trouble = str(error)
            if isinstance(error, RequestError) and error.status in (CONFLICT, NOT_FOUND):
                self._elector.refused(action, self._clock())
            else:
                self._elector.failed(action, self._clock())
        else:
            self.trouble = ""
            self._elector.answered(action, lease, self._clock())
        self._wake.set()

    async def _request(self, action: Read | Create | Replace) -> Lease | None:
        if isinstance(action, Read):
            try:
                body = await self._client.get(LEASES, self._namespace, self._name)
            except RequestError as error:
                if error.status == NOT_FOUND:
                    return None
                raise
        else:
            self._sending(action.record)
            whole = _with(self._body, action, self._metadata())
            if isinstance(action, Create):
                body = await self._client.create(LEASES, self._namespace, whole)
            else:
                body = await self._client.replace(LEASES, self._namespace, whole)
        self._body = body
        return _lease(body)


def _with(body: Mapping[str, Any], action: Create | Replace, said: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the Lease with another record, and this metadata; what others wrote into it stays."""
    metadata = dict(body["metadata"])
    if isinstance(action, Replace):
        metadata["resourceVersion"] = action.resource_version
    else:
        metadata = {"namespace": metadata["namespace"], "name": metadata["name"]}
    for name, value in said.items():
        metadata[name] = {**metadata.get(name, {}), **value} if isinstance(value, Mapping) else value
    record = action.record
    written = {
        "holderIdentity": record.holder or None,
        "leaseDurationSeconds": record.duration,
        "acquireTime": _text(record.acquired),
        "renewTime": _text(record.renewed),
        "leaseTransitions": record.transitions,
    }
    spec = {**body.get("spec", {}), **written}
    return {
        "apiVersion": LEASES.api_version,
        "kind": LEASES.kind,
        "metadata": metadata,
        "spec": {name: value for name, value in spec.items() if value is not None},
    }


def _lease(body: Mapping[str, Any]) -> Lease:
    spec = body.get("spec") or {}
    record = LeaseRecord(
        holder=spec.get("holderIdentity") or "",
        duration=spec.get("leaseDurationSeconds"),
        acquired=micros(spec.get("acquireTime")),
        renewed=micros(spec.get("renewTime")),
        transitions=spec.get("leaseTransitions") or 0,
    )
    return Lease(record, body["metadata"]["resourceVersion"])


def _text(micros: int | None) -> str | None:
    """Return a time as `metav1.MicroTime`."""
    if micros is None:
        return None
    try:
        when = _EPOCH + timedelta(microseconds=micros)
    except OverflowError:
        return None
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def micros(text: Any) -> int | None:
    """Read a `metav1.MicroTime`, in microseconds since 1970; None for what is none."""
    try:
        return (datetime.fromisoformat(text) - _EPOCH) // timedelta(microseconds=1)
    except (TypeError, ValueError):
        return None
