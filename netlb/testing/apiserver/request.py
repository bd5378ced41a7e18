"""A request, and what a watch is to be sent."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from netlb.testing.apiserver.resources import Resource
from netlb.testing.apiserver.selectors import Matches
from netlb.testing.apiserver.store import Body, Event

__all__ = ["Request", "Watching"]

_VERBS = {"GET": "get", "POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, parsed."""

    method: str
    path: tuple[str, ...]
    query: Mapping[str, str] = field(default_factory=dict)
    content_type: str = "application/json"
    user_agent: str = ""
    body: bytes = b""

    resource: Resource | None = None
    namespace: str = ""
    name: str = ""
    subresource: str = ""
    may_create: Callable[["Request"], None] = lambda _: None
    """Raises Refused where applying may not create."""

    @property
    def verb(self) -> str:
        """The verb, as RBAC calls it; empty for discovery."""
        if self.resource is None:
            return ""
        if self.name:
            return _VERBS.get(self.method, "")
        if self.method == "GET":
            return "watch" if self.query.get("watch") in ("1", "true") else "list"
        return "deletecollection" if self.method == "DELETE" else _VERBS.get(self.method, "")

    @property
    def manager(self) -> str:
        """Who writes."""
        return self.query.get("fieldManager") or self.user_agent.partition("/")[0] or "unknown"


@dataclass(frozen=True, slots=True)
class Watching:
    """What a watch is to be sent."""

    resource: Resource
    namespace: str
    selects: Matches
    revision: int
    initial: tuple[Body, ...]
    """Objects that are sent as added before the history goes on."""
    bookmarks: bool
    timeout: float | None

    def lines(self, events: Iterable[Event]) -> Iterable[Body]:
        """Yield watch events; an object that enters or leaves the selection is added or deleted, to this watch."""
        for event in events:
            if self.namespace and event.name.namespace != self.namespace:
                continue
            was = event.before is not None and self.selects(event.before)
            is_now = event.after is not None and self.selects(event.after)
            if was or is_now:
                kind = "DELETED" if not is_now else "MODIFIED" if was else "ADDED"
                yield {"type": kind, "object": event.last}

    def bookmark(self, revision: int) -> Body:
        """Return the event that says how far the server is."""
        metadata = {"resourceVersion": str(revision), "creationTimestamp": None}
        about = {"kind": self.resource.kind, "apiVersion": self.resource.api_version, "metadata": metadata}
        return {"type": "BOOKMARK", "object": about}
