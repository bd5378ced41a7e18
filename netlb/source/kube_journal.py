"""Which addresses are about to be given: one small object that every controller writes before it gives any.

A Service's resourceVersion keeps two controllers from deciding about one Service at a time. It does not keep them from
giving one address to two Services, each unaware of the other. So whoever gives addresses first writes here to whom, in
place of what it knows to stand here. If somebody else has written meanwhile, that is refused, and who is refused begins
anew: it reads what stands here, then every Service, and so knows what was given and what is about to be.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from netlb.api.snapshot import Holding
from netlb.errors import TransientError
from netlb.findings import ObjectRef
from netlb.net import parse_address
from netlb.source.kube import KubeClient
from netlb.source.kube_errors import CONFLICT, NOT_FOUND, RequestError
from netlb.source.kube_kinds import CONFIG_MAPS, SERVICES
from netlb.source.kube_rights import JOURNAL

__all__ = ["MOST", "Intents", "Journal", "OvertakenError"]

Intents = Mapping[ObjectRef, tuple[str, ...]]
"""By Service, all the addresses that it is about to have."""

MOST = 2000
"""Services in one writing: an object has at most 1 MiB."""
_KEY = "services"


class OvertakenError(TransientError):
    """Another controller has written meanwhile."""


class Journal:
    """What this controller reads once, and then writes. `namespace` is that of netlb's own objects."""

    def __init__(self, client: KubeClient, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._body: Mapping[str, Any] | None = None

    async def read(self) -> dict[ObjectRef, Holding]:
        """Return what was about to be given when it was last written. Raises RequestError."""
        try:
            self._body = await self._client.get(CONFIG_MAPS, self._namespace, JOURNAL)
        except RequestError as error:
            if error.status != NOT_FOUND:
                raise
            self._body = None
            return {}
        try:
            intents = msgspec.json.decode((self._body.get("data") or {}).get(_KEY, "{}"), type=dict[str, list[str]])
            return {_ref(name): Holding(tuple(map(parse_address, addresses))) for name, addresses in intents.items()}
        except (msgspec.MsgspecError, ValueError):
            return {}  # somebody's text: it says nothing of what is about to be given

    async def write(self, intents: Intents) -> None:
        """Say what is about to be given, and nothing else. Raises OvertakenError, and RequestError."""
        content = {f"{ref.namespace}/{ref.name}": list(addresses) for ref, addresses in sorted(intents.items())}
        metadata: dict[str, Any] = {"namespace": self._namespace, "name": JOURNAL}
        if self._body is not None:
            metadata["resourceVersion"] = self._body["metadata"]["resourceVersion"]
        body = {"metadata": metadata, "data": {_KEY: msgspec.json.encode(content).decode()}}
        writing = self._client.create if self._body is None else self._client.replace
        try:
            self._body = await writing(CONFIG_MAPS, self._namespace, body)
        except RequestError as error:
            if error.status not in (CONFLICT, NOT_FOUND):
                raise
            raise OvertakenError(
                f"another controller gives addresses, too, or somebody has changed {JOURNAL} -n {self._namespace}; "
                "let there be one, or let them elect one"
            ) from None


def _ref(name: str) -> ObjectRef:
    namespace, _, own = name.partition("/")
    return ObjectRef(SERVICES.kind, namespace, own)
