"""What a daemon needs of where things are declared, and of where its reports go."""

from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

from netlb.api.snapshot import Snapshot
from netlb.findings import ObjectRef
from netlb.reconcile import Operations

__all__ = ["Sink", "Source"]


class Source(Protocol):
    """What is declared, as a stream: a directory, or the API."""

    touched: frozenset[ObjectRef] | None
    """The Services in which the last snapshot may differ from the one before; None: any."""

    def require(self) -> None:
        """Raise SettingError if it cannot work: worth knowing before anything else is made."""
        ...

    def snapshots(self) -> AsyncIterator[Snapshot]:
        """Yield the snapshot of now, and then one after every change."""
        ...


class Sink(Operations[str, Any], Protocol):
    """Where reports go: the status tree, or the API."""

    @property
    def is_open(self) -> bool:
        """Whether this writer may write."""
        ...

    @property
    def keeps_whole(self) -> bool:
        """Whether it keeps all that is said of a node, or what does not grow with the Services."""
        ...

    def forms(self, node: Mapping[str, Any], services: Mapping[str, str]) -> Mapping[str, Any]:
        """Return, by key, what this one keeps: of what is said of a node, and of a node's documents about Services."""
        ...

    def open(self) -> None:
        """Keep other writers out. Raises SettingError if there is one."""
        ...

    def close(self) -> None:
        """Let other writers in; what was written stays."""
        ...
