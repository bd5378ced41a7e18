"""Objects, one revision for all, and a history that can be compacted, or turned back as by a restored backup."""

import copy
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from netlb.testing.apiserver.status import Refused

__all__ = ["Body", "Event", "Name", "Store"]

Body = dict[str, Any]


class Name(NamedTuple):
    """An object within its resource."""

    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Event:
    """One write."""

    revision: int
    resource: str
    name: Name
    before: Body | None
    after: Body | None
    """None: deleted."""

    @property
    def last(self) -> Body:
        """The object as the write left it; a deleted one as it was, at the revision of its deletion."""
        if self.after is not None:
            return self.after
        assert self.before is not None
        return stamped(self.before, self.revision)


def stamped(body: Body, revision: int) -> Body:
    """Return an object with another resourceVersion."""
    return {**body, "metadata": {**body["metadata"], "resourceVersion": str(revision)}}


class Store:
    """What etcd is to the API server. Bodies that come out are not to be changed."""

    def __init__(self, revision: int = 1000) -> None:
        self.revision = revision
        self.compacted = revision
        """The history after this revision is kept."""
        self._objects: dict[str, dict[Name, Body]] = {}
        self._history: list[Event] = []
        self.on_write: Callable[[], None] = lambda: None

    def get(self, resource: str, name: Name) -> Body | None:
        """Return one object."""
        return self._objects.get(resource, {}).get(name)

    def all(self, resource: str) -> Mapping[Name, Body]:
        """Return every object of a resource as it is now."""
        return self._objects.get(resource, {})

    def put(self, resource: str, name: Name, body: Mapping[str, Any]) -> Body:
        """Write an object; return it with its resourceVersion."""
        after = stamped(copy.deepcopy(dict(body)), self.revision + 1)
        self._write(resource, name, after)
        return after

    def drop(self, resource: str, name: Name) -> Body:
        """Delete an object; return what it was."""
        self._write(resource, name, None)
        return self._history[-1].last

    def at(self, resource: str, revision: int) -> Mapping[Name, Body]:
        """Return every object of a resource as it was; Refused (410) if that is compacted."""
        if revision < self.compacted:
            raise self.expired(revision)
        then = dict(self.all(resource))
        for event in reversed(self._history[self._index(revision) :]):
            if event.resource == resource:
                if event.before is None:
                    then.pop(event.name, None)
                else:
                    then[event.name] = event.before
        return then

    def since(self, resource: str, revision: int) -> Iterator[Event]:
        """Yield what was written to a resource after a revision; Refused (410) if that is compacted."""
        if revision < self.compacted:
            raise self.expired(revision)
        yield from (event for event in self._history[self._index(revision) :] if event.resource == resource)

    def history(self, resource: str) -> list[tuple[Name, Body | None]]:
        """Return every write of a resource that is remembered, oldest first; None: deleted."""
        return [(event.name, event.after) for event in self._history if event.resource == resource]

    def compact(self) -> None:
        """Forget the history up to now."""
        self.compacted = self.revision
        self._history.clear()

    def rewind(self, revision: int) -> None:
        """Be as at an earlier revision, and go on from there with the same numbers."""
        self._objects = {resource: dict(self.at(resource, revision)) for resource in self._objects}
        del self._history[self._index(revision) :]
        self.revision = revision
        self.on_write()

    def expired(self, revision: int) -> Refused:
        """Return what is said of a revision whose history is gone."""
        return Refused(410, "Expired", f"too old resource version: {revision} ({self.compacted})")

    def _index(self, revision: int) -> int:
        return bisect_right(self._history, revision, key=lambda event: event.revision)

    def _write(self, resource: str, name: Name, after: Body | None) -> None:
        objects = self._objects.setdefault(resource, {})
        self.revision += 1
        self._history.append(Event(self.revision, resource, name, objects.get(name), after))
        if after is None:
            del objects[name]
        else:
            objects[name] = after
        self.on_write()
