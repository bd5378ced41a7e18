"""A copy of one collection of the API server: decoded objects, what is wrong with some, what changed. No I/O."""

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from types import MappingProxyType
from typing import Any, Generic, NamedTuple, TypeVar

from netlb.errors import ConfigError
from netlb.findings import Finding

__all__ = ["Change", "Collection", "Entry", "Key", "key_of", "version_of"]

T = TypeVar("T")


class Key(NamedTuple):
    """The name of an object within its collection; `namespace` is empty where the kind has none."""

    namespace: str
    name: str


class Change(Enum):
    """What became of an object since the changes were last taken."""

    ADDED = "added"
    CHANGED = "changed"
    DELETED = "deleted"


class Entry(NamedTuple, Generic[T]):
    """One object."""

    value: T
    uid: str
    resource_version: str


class Part(Generic[T]):
    """Some objects of a collection: the pages of a list that is being read, or all of it."""

    __slots__ = ("entries", "findings")

    def __init__(self) -> None:
        self.entries: dict[Key, Entry[T]] = {}
        self.findings: dict[Key, Finding] = {}


class Collection(Generic[T]):
    """Objects by name. What cannot be decoded is a finding, and keeps its last good value.

    `decode` makes the value of an object from the JSON of it; ConfigError says why it cannot.
    """

    def __init__(self, decode: Callable[[Any], T], *, versions: bool = True) -> None:
        """Without `versions`, of which each is a text of its own, those of single objects are not kept."""
        self._decode = decode
        self._versions = versions
        self._namespaces: dict[str, str] = {}
        self._all: Part[T] = Part()
        self._changes: dict[Key, Change] = {}

    @property
    def entries(self) -> Mapping[Key, Entry[T]]:
        """All objects. Live: not to be kept across the next change."""
        return MappingProxyType(self._all.entries)

    @property
    def findings(self) -> Mapping[Key, Finding]:
        """Of each object that cannot be decoded as it is now: why. Live, as `entries`."""
        return MappingProxyType(self._all.findings)

    def take_changes(self) -> dict[Key, Change]:
        """Return what changed since the last call: at most one change of each object that was there then or is now."""
        changes, self._changes = self._changes, {}
        return changes

    def put(self, body: Any) -> None:
        """Add or change one object."""
        key = key_of(body)
        before = self._all.entries.get(key)
        self.read(body, self._all)
        self._note(key, before, self._all.entries.get(key))

    def drop(self, body: Any) -> None:
        """Remove one object."""
        key = key_of(body)
        self._all.findings.pop(key, None)
        self._note(key, self._all.entries.pop(key, None), None)

    def read(self, body: Any, part: Part[T]) -> None:
        """Decode an object into a part of the collection."""
        namespace, name = key_of(body)
        key = Key(self._namespaces.setdefault(namespace, namespace), name)
        try:
            entry = Entry(self._decode(body), _text(body, "uid"), version_of(body) if self._versions else "")
        except ConfigError as error:
            part.findings[key] = error.finding
            if key in self._all.entries:
                part.entries[key] = self._all.entries[key]
        else:
            part.findings.pop(key, None)
            part.entries[key] = entry

    def replace(self, whole: Part[T]) -> None:
        """Let the collection be this."""
        before, after = self._all.entries, whole.entries
        self._all = whole
        for key in _union(before, after):
            self._note(key, before.get(key), after.get(key))

    def _note(self, key: Key, before: Entry[T] | None, after: Entry[T] | None) -> None:
        """Fold one change into those not taken yet."""
        if before is None and after is None:
            return
        earlier = self._changes.pop(key, None)
        if after is None:
            if earlier is not Change.ADDED:
                self._changes[key] = Change.DELETED
        elif before is None:
            self._changes[key] = Change.ADDED if earlier is None else Change.CHANGED
        elif before[:2] != after[:2]:
            self._changes[key] = earlier or Change.CHANGED
        elif earlier is not None:
            self._changes[key] = earlier


def key_of(body: Any) -> Key:
    """Return the name of an object, as far as it has one."""
    return Key(_text(body, "namespace"), _text(body, "name"))


def version_of(body: Any) -> str:
    """Return an object's resourceVersion; empty if it has none."""
    return _text(body, "resourceVersion")


def _text(body: Any, name: str) -> str:
    if not isinstance(body, dict):  # decoded by a type that has what is asked for
        return str(getattr(body.metadata, _ATTRIBUTES[name], "")) if hasattr(body, "metadata") else ""
    metadata = body.get("metadata")
    value = metadata.get(name) if isinstance(metadata, dict) else None
    return value if isinstance(value, str) else ""


_ATTRIBUTES = {"namespace": "namespace", "name": "name", "uid": "uid", "resourceVersion": "resource_version"}


def _union(before: Iterable[Key], after: Iterable[Key]) -> dict[Key, None]:
    """Return the keys of both in a steady order."""
    return dict.fromkeys((*before, *after))
