"""What a node's speaker reports, as objects in the API: one for each Service and kind, with one writer.

An object belongs to its Service: the API server removes it with that.
"""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from typing import Any

import msgspec

from netlb.api import keys
from netlb.api.documents import parse_value
from netlb.errors import TransientError
from netlb.findings import ObjectRef
from netlb.source.collection import Entry
from netlb.source.kube import KubeClient
from netlb.source.kube_events import announcement_events
from netlb.source.kube_kinds import REPORTS, SERVICES, Resource
from netlb.source.kube_recorder import EventRecorder, timestamp
from netlb.source.kube_status import Condition, condition_body, read_condition
from netlb.source.kube_writing import write_each
from netlb.source.reflector import List

__all__ = ["NODE_LABEL", "NodeReports", "Report"]

NODE_LABEL = "netlb.io/node"
"""On a report: the node whose speaker wrote it."""

_PROTOCOLS = {"ServiceBGPStatus": "bgp", "ServiceL2Status": "layer2"}
_PAGE = 500
_DOUBT = 5.0
"""Seconds for which an announcement must fail before that is told: interfaces and responders take time to begin."""
_LONGEST_LABEL, _LONGEST_NAME = 63, 253


@dataclass(frozen=True, slots=True)
class Report:
    """What is said of one Service."""

    kind: str
    service: ObjectRef
    uid: str
    """The Service's."""
    status: bytes
    """JSON, without conditions."""
    condition: Condition | None


class NodeReports:
    """A node's speaker's part of the API: a `Sink` of the status tree's documents that have a kind."""

    def __init__(
        self,
        client: KubeClient,
        find: Callable[[Resource, str, str], Entry[bytes] | None],
        recorder: EventRecorder,
        *,
        node: str,
    ) -> None:
        """`find` returns what is known of an object now."""
        self._client = client
        self._find = find
        self._recorder = recorder
        self._node = node
        self._label = node if len(node) <= _LONGEST_LABEL else sha256(node.encode()).hexdigest()[:_LONGEST_LABEL]
        self._transitions: dict[str, Mapping[str, str]] = {}
        self._told: dict[str, Report] = {}
        self._names: dict[str, tuple[Resource, str, str]] = {}
        self._events: dict[str, Condition | None] = {}
        """What Events told last, where that is not what was written before."""
        self._doubts: dict[str, asyncio.TimerHandle] = {}
        self.is_open = False

    def open(self) -> None:
        """Begin: there is one speaker a node, and no other writer to keep out."""
        self.is_open = True

    def close(self) -> None:
        """End; what was written stays."""
        for doubt in self._doubts.values():
            doubt.cancel()
        self.is_open = False

    def forms(self, reports: Mapping[str, str]) -> Mapping[str, Report]:
        """Return the objects that these documents are; what has no kind in the API is left out."""
        found: dict[str, Report] = {}
        for text in reports.values():
            if (parsed := _parsed(text)) is not None:
                kind, service, status, condition = parsed
                entry = self._find(SERVICES, service.namespace, service.name)
                report = Report(kind, service, entry.uid if entry else "", status, condition)
                found[_key(report)] = report
        return found

    async def observe(self) -> Mapping[str, Report]:
        """Return all that this node's speaker, or an earlier one, has written."""
        self._transitions, self._told, self._names = {}, {}, {}
        for kind, resource in REPORTS.items():
            page = List(_PAGE)
            while True:
                answer = await self._client.list_page(resource, page, labels=f"{NODE_LABEL}={self._label}")
                for body in answer.items:
                    self._note(kind, resource, body)
                if not answer.continue_token:
                    break
                page = List(_PAGE, answer.continue_token)
        return dict(self._told)

    async def apply(self, changes: Mapping[str, Report]) -> Mapping[str, Exception]:
        """Write these; return what failed."""
        return await write_each(changes, lambda key: self._write(key, changes[key]), lambda: "")

    async def prune(self, keys: Collection[str]) -> Mapping[str, Exception]:
        """Remove these; return what failed."""
        return await write_each(keys, self._remove, lambda: "")

    def _note(self, kind: str, resource: Resource, body: Mapping[str, Any]) -> None:
        """Take note of an object that is there; one that cannot be understood is not as anybody wants it."""
        status = dict(body.get("status") or {})
        condition, transitions = read_condition(status, keys.ANNOUNCED)
        status.pop("conditions", None)
        metadata = body["metadata"]
        owners = [owner.get("uid", "") for owner in metadata.get("ownerReferences") or ()]
        service = ObjectRef("Service", str(metadata["namespace"]), str(status.get("serviceName", "")))
        report = Report(kind, service, owners[0] if owners else "", _canonical(status), condition)
        key = _key(report)
        if metadata["name"] != self._name(service):
            key = f"{resource.plural}//{metadata['namespace']}/{metadata['name']}"  # nobody wants this one
        self._told[key] = report
        self._transitions[key] = transitions
        self._names[key] = resource, metadata["namespace"], metadata["name"]

    async def _write(self, key: str, report: Report) -> None:
        if not report.uid:
            raise TransientError(f"{report.service} is not there (any more)")
        before, resource, name = self._told.get(key), REPORTS[report.kind], self._name(report.service)
        status = msgspec.json.decode(report.status)
        transitions: dict[str, str] = {}
        if report.condition is not None:
            known = before.condition if before else None
            condition = condition_body(report.condition, known, self._transitions.get(key, {}), timestamp())
            status["conditions"] = [condition]
            transitions = {condition["type"]: condition["lastTransitionTime"]}
        owner = {"apiVersion": SERVICES.api_version, "kind": SERVICES.kind, "name": report.service.name}
        metadata = {
            "name": name,
            "namespace": report.service.namespace,
            "labels": {NODE_LABEL: self._label},
            "ownerReferences": [owner | {"uid": report.uid}],
        }
        body = {"metadata": metadata, "status": status}
        await self._client.apply(resource, report.service.namespace, body, force=True)
        self._names[key] = resource, report.service.namespace, name
        self._told[key], self._transitions[key] = report, transitions
        self._events.setdefault(key, before.condition if before else None)
        if key in self._doubts:
            self._doubts.pop(key).cancel()
        if report.condition is not None and report.condition.status == "False":
            self._doubts[key] = asyncio.get_running_loop().call_later(_DOUBT, self._tell, key, report)
        else:
            self._tell(key, report)

    def _tell(self, key: str, report: Report) -> None:
        """Tell by an Event what a report changes."""
        self._doubts.pop(key, None)
        protocol = _PROTOCOLS[report.kind]
        if happened := announcement_events(self._events.get(key), report.condition, self._node, protocol):
            self._events[key] = report.condition
            self._recorder.tell(report.service, happened, api_version=SERVICES.api_version, uid=report.uid)

    async def _remove(self, key: str) -> None:
        if key in self._names:
            resource, namespace, name = self._names[key]
            await self._client.delete(resource, namespace, name)
            for known in (self._names, self._told, self._transitions, self._events):
                known.pop(key, None)
            if key in self._doubts:
                self._doubts.pop(key).cancel()

    def _name(self, service: ObjectRef) -> str:
        name = f"{service.name}.{self._node}"
        return name if len(name) <= _LONGEST_NAME else f"{service.name}.{sha256(self._node.encode()).hexdigest()}"


def _key(report: Report) -> str:
    return f"{REPORTS[report.kind].plural}/{report.service.namespace}/{report.service.name}"


@lru_cache(maxsize=1 << 14)  # of thousands of documents a change concerns a few
def _parsed(text: str) -> tuple[str, ObjectRef, bytes, Condition | None] | None:
    """Return kind, Service, status and condition of a document; None if it is for the status tree alone."""
    document = parse_value(text, "report")
    if not isinstance(document, dict) or document.get("kind") not in REPORTS:
        return None
    status = dict(document["status"])
    condition, _ = read_condition(status, keys.ANNOUNCED)
    status.pop("conditions", None)
    service = ObjectRef("Service", status["serviceNamespace"], status["serviceName"])
    return document["kind"], service, _canonical(status), condition


def _canonical(status: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(status, order="sorted")
