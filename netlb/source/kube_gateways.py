"""What a node's netlb-gateway says, as objects in the API: of its node, and of the Gateway for which it speaks."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import msgspec

from netlb.api import keys
from netlb.errors import TransientError
from netlb.findings import ObjectRef
from netlb.reasons import EventReason
from netlb.source.collection import Entry
from netlb.source.gateway_status import gateway_path, node_path
from netlb.source.kube import KubeClient
from netlb.source.kube_errors import NOT_FOUND, RequestError
from netlb.source.kube_events import gateway_events
from netlb.source.kube_kinds import GATEWAY_NODES, GATEWAYS, NODES, Resource
from netlb.source.kube_recorder import EventRecorder, timestamp
from netlb.source.kube_status import condition_body, read_condition
from netlb.source.kube_writing import write_each

__all__ = ["GatewayReports"]


class GatewayReports:
    """A node's part of the API: statuses as JSON without times, by the path that they have in a status tree."""

    def __init__(
        self,
        client: KubeClient,
        find: Callable[[Resource, str, str], Entry[Any] | None],
        recorder: EventRecorder,
        *,
        node: str,
    ) -> None:
        """`find` returns what is known of an object now."""
        self._client = client
        self._find = find
        self._recorder = recorder
        self._node = node
        self._site = ""

    def open(self) -> None:
        """Begin: there is one gateway a node, and no other writer to keep out."""

    def close(self) -> None:
        """End; what was written stays."""

    def speak_for(self, site: str) -> None:
        """See the daemon's sink: of a Gateway that is not a native one nothing is written."""
        self._site = site if site and self._find(GATEWAYS, "", site) else ""

    def forms(self, documents: Mapping[str, Mapping[str, Any]]) -> Mapping[str, bytes]:
        """Return these documents as what is kept."""
        mine = {node_path(self._node), gateway_path(self._site) if self._site else ""}
        return {path: _canonical(document["status"]) for path, document in documents.items() if path in mine}

    async def observe(self) -> Mapping[str, bytes]:
        """Return what is said now of the node, and of the Gateway for which it speaks."""
        found: dict[str, bytes] = {}
        if (status := await self._status(GATEWAY_NODES, self._node)) is not None:
            found[node_path(self._node)] = _canonical(status)
        if self._site and (status := await self._status(GATEWAYS, self._site)) is not None:
            found[gateway_path(self._site)] = _canonical(status)
        return found

    async def apply(self, changes: Mapping[str, bytes]) -> Mapping[str, Exception]:
        """Say this; return what failed."""
        return await write_each(changes, lambda path: self._write(path, changes[path]), lambda: "")

    async def prune(self, keys: Collection[str]) -> Mapping[str, Exception]:
        """Nothing: what is no longer this node's to say, another one says."""
        return {}

    async def _write(self, path: str, content: bytes) -> None:
        status = msgspec.json.decode(content)
        if path == node_path(self._node):
            await self._write_node(status)
        elif self._site and path == gateway_path(self._site):
            await self._write_site(self._site, status)

    async def _write_node(self, status: dict[str, Any]) -> None:
        entry = self._find(NODES, "", self._node)
        if entry is None:
            raise TransientError(f"Node {self._node} is not there (yet)")
        owner = {"apiVersion": NODES.api_version, "kind": NODES.kind, "name": self._node, "uid": entry.uid}
        body = {"metadata": {"name": self._node, "ownerReferences": [owner]}, "status": status}
        await self._client.apply(GATEWAY_NODES, "", body, force=True)

    async def _write_site(self, site: str, status: dict[str, Any]) -> None:
        # Somebody else may have spoken for the site until a moment ago.
        before = await self._status(GATEWAYS, site) or {}
        known, transitions = read_condition(before, keys.READY)
        said, _ = read_condition(status, keys.READY)
        lost = said is not None and said.reason == str(EventReason.ACTIVE_ENDPOINT_LOST)
        if said is not None:
            status["conditions"] = [condition_body(said, known, transitions, timestamp())]
        await self._client.apply(
            GATEWAYS, "", {"metadata": {"name": site}, "status": status}, subresource="status", force=True
        )
        entry = self._find(GATEWAYS, "", site)
        if entry is not None and (known is None or said is None or known.status != said.status or not lost):
            told = gateway_events(_active(before), _active(status), lost=lost)
            about = ObjectRef(GATEWAYS.kind, "", site)
            self._recorder.tell(about, told, api_version=GATEWAYS.api_version, uid=entry.uid)

    async def _status(self, resource: Resource, name: str) -> dict[str, Any] | None:
        """Return an object's status; None if there is no such object, or it says nothing."""
        try:
            return (await self._client.get(resource, "", name)).get("status")
        except RequestError as error:
            if error.status == NOT_FOUND:
                return None
            raise


def _active(status: Mapping[str, Any]) -> list[str]:
    return [str(one.get("nodeName")) for one in status.get("activeEndpoints") or ()]


def _canonical(status: Mapping[str, Any]) -> bytes:
    """Return a status as JSON; times of conditions say nothing."""
    said = dict(status)
    condition, _ = read_condition(said, keys.READY)
    said.pop("conditions", None)
    if condition is not None:
        said["conditions"] = [
            {
                "type": condition.type,
                "status": condition.status,
                "reason": condition.reason,
                "message": condition.message,
            }
        ]
    return msgspec.json.encode(said, order="sorted")
