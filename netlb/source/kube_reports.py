"""What a node's speaker reports, as objects in the API: one about itself, and one for each Service and kind.

Each has one writer. What is about a Service belongs to it: the API server removes it with that. What a node that leaves
the cluster leaves behind is found by its SpeakerStatus, which therefore comes first and goes last.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
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
from netlb.source.kube_kinds import REPORTS, SERVICES, SPEAKER_STATUSES, Resource
from netlb.source.kube_recorder import EventRecorder, timestamp
from netlb.source.kube_status import Condition, condition_body, read_condition
from netlb.source.kube_writing import write_each
from netlb.source.reflector import List

__all__ = ["NODE_LABEL", "NodeReports", "Report", "node_label", "speaker_status"]

NODE_LABEL = "netlb.io/node"
"""On a report: the node whose speaker wrote it."""

_SESSION = ("name", "router", "asn", "state", "since", "lastError", "advertised", "received", "bfd")
_PROTOCOLS = {"ServiceBGPStatus": "bgp", "ServiceL2Status": "layer2"}
_PAGE = 500
_DOUBT = 5.0
"""Seconds for which an announcement must fail before that is told: interfaces and responders take time to begin."""
_PAUSE = 1.0
"""Seconds between two writings of what a speaker says of itself: counters of sessions may change at any rate."""
_LONGEST_LABEL, _LONGEST_NAME = 63, 253


@dataclass(frozen=True, slots=True)
class Report:
    """What is said of one Service, or by a speaker of itself."""

    kind: str
    service: ObjectRef | None
    """None: of the speaker."""
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
        find: Callable[[Resource, str, str], Entry[Any] | None],
        recorder: EventRecorder,
        *,
        node: str,
        kept_since: Callable[[], int | None] = lambda: None,
    ) -> None:
        """`find` returns what is known of an object now; `kept_since` as of `KubeSource`."""
        self._client = client
        self._find = find
        self._recorder = recorder
        self._node = node
        self._kept_since = kept_since
        self._label = node_label(node)
        self._not_before = float("-inf")
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

    @property
    def keeps_whole(self) -> bool:
        """What grows with the Services is said beside them."""
        return False

    def forms(self, node: Mapping[str, Any], services: Mapping[str, str]) -> Mapping[str, Report]:
        """Return the objects that these documents are."""
        said = _canonical(speaker_status(node, self._kept_since()))
        found = {SPEAKER_STATUSES.plural: Report(SPEAKER_STATUSES.kind, None, "", said, None)}
        for text in services.values():
            kind, service, status, condition = _parsed(text)
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
        self_said = [key for key in changes if key == SPEAKER_STATUSES.plural]
        first = [key for key in self_said if key not in self._names]
        others = [key for key in changes if key not in self_said]
        return await self._each(
            (first, others, [key for key in self_said if key not in first]),
            lambda key: self._write(key, changes[key]),
        )

    async def prune(self, keys: Collection[str]) -> Mapping[str, Exception]:
        """Remove these; return what failed."""
        last = [key for key in keys if key == SPEAKER_STATUSES.plural]
        return await self._each(([key for key in keys if key not in last], last), self._remove)

    async def _each(
        self, groups: Iterable[Collection[str]], write: Callable[[str], Awaitable[None]]
    ) -> Mapping[str, Exception]:
        """Write one group after the other; return what failed."""
        failures: dict[str, Exception] = {}
        for group in groups:
            failures |= await write_each(group, write, lambda: "")
        return failures

    def _note(self, kind: str, resource: Resource, body: Mapping[str, Any]) -> None:
        """Take note of an object that is there; one that cannot be understood is not as anybody wants it."""
        status = dict(body.get("status") or {})
        condition, transitions = read_condition(status, keys.ANNOUNCED)
        status.pop("conditions", None)
        metadata = body["metadata"]
        if resource is SPEAKER_STATUSES:
            key = resource.plural if metadata["name"] == self._node else f"{resource.plural}//{metadata['name']}"
            self._told[key] = Report(kind, None, "", _canonical(status), None)
            self._names[key] = resource, "", metadata["name"]
            return
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
        if report.service is None:
            await self._write_own(key, report)
        else:
            await self._write_service(key, report, report.service)

    async def _write_own(self, key: str, report: Report) -> None:
        """Say something of this speaker, and not oftener than now and then."""
        clock = asyncio.get_running_loop().time
        if (wait := self._not_before - clock()) > 0:
            await asyncio.sleep(wait)
        self._not_before = clock() + _PAUSE
        metadata = {"name": self._node, "labels": {NODE_LABEL: self._label}}
        body = {"metadata": metadata, "status": msgspec.json.decode(report.status)}
        await self._client.apply(SPEAKER_STATUSES, "", body, force=True)
        self._names[key] = SPEAKER_STATUSES, "", self._node
        self._told[key] = report

    async def _write_service(self, key: str, report: Report, service: ObjectRef) -> None:
        if not report.uid:
            raise TransientError(f"{service} is not there (any more)")
        before, resource, name = self._told.get(key), REPORTS[report.kind], self._name(service)
        status = msgspec.json.decode(report.status)
        transitions: dict[str, str] = {}
        if report.condition is not None:
            known = before.condition if before else None
            condition = condition_body(report.condition, known, self._transitions.get(key, {}), timestamp())
            status["conditions"] = [condition]
            transitions = {condition["type"]: condition["lastTransitionTime"]}
        owner = {"apiVersion": SERVICES.api_version, "kind": SERVICES.kind, "name": service.name}
        metadata = {
            "name": name,
            "namespace": service.namespace,
            "labels": {NODE_LABEL: self._label},
            "ownerReferences": [owner | {"uid": report.uid}],
        }
        body = {"metadata": metadata, "status": status}
        await self._client.apply(resource, service.namespace, body, force=True)
        self._names[key] = resource, service.namespace, name
        self._told[key], self._transitions[key] = report, transitions
        self._events.setdefault(key, before.condition if before else None)
        if key in self._doubts:
            self._doubts.pop(key).cancel()
        if report.condition is not None and report.condition.status == "False":
            self._doubts[key] = asyncio.get_running_loop().call_later(_DOUBT, self._tell, key, report, service)
        else:
            self._tell(key, report, service)

    def _tell(self, key: str, report: Report, service: ObjectRef) -> None:
        """Tell by an Event what a report changes."""
        self._doubts.pop(key, None)
        protocol = _PROTOCOLS[report.kind]
        if happened := announcement_events(self._events.get(key), report.condition, self._node, protocol):
            self._events[key] = report.condition
            self._recorder.tell(service, happened, api_version=SERVICES.api_version, uid=report.uid)

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


def node_label(node: str) -> str:
    """Return the value of the label on what a node's speaker writes."""
    return node if len(node) <= _LONGEST_LABEL else sha256(node.encode()).hexdigest()[:_LONGEST_LABEL]


def speaker_status(node: Mapping[str, Any], kept_since: int | None) -> dict[str, Any]:
    """Return what a SpeakerStatus says: of `node_data` what neither grows with the Services nor is said beside them."""
    bgp = node.get("bgp")
    status = {
        "node": node["node"],
        "interfaces": node["interfaces"],
        "nodes": {name: state for name, state in node["nodes"].items() if state != "alive"},
        "notes": node["notes"],
    }
    if holding := node.get("holding"):
        status["holding"] = holding
    if kept_since is not None:
        status["keptSince"] = datetime.fromtimestamp(kept_since, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    if bgp:
        peers = [{name: peer[name] for name in _SESSION if name in peer} for peer in bgp["peers"]]
        status["bgp"] = {"problem": bgp["problem"], "draining": bgp["draining"], "peers": peers}
    return status


def _key(report: Report) -> str:
    service = report.service
    plural = REPORTS[report.kind].plural
    return plural if service is None else f"{plural}/{service.namespace}/{service.name}"


@lru_cache(maxsize=1 << 14)  # of thousands of documents a change concerns a few
def _parsed(text: str) -> tuple[str, ObjectRef, bytes, Condition | None]:
    """Return kind, Service, status and condition of a document about a Service."""
    document = parse_value(text, "report")
    status = dict(document["status"])
    condition, _ = read_condition(status, keys.ANNOUNCED)
    status.pop("conditions", None)
    service = ObjectRef("Service", status["serviceNamespace"], status["serviceName"])
    return document["kind"], service, _canonical(status), condition


def _canonical(status: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode(status, order="sorted")
