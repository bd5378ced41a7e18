"""What netlb-gateway runs in: where things are declared, where its reports go, and what that takes."""

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from prometheus_client import Metric

from netlb.api.dialects import Compatibility
from netlb.api.intake import Intake
from netlb.reconcile import Operations
from netlb.runtime.app import Callback
from netlb.source.directory import DirectorySource
from netlb.source.gateway_status import FOLDER, is_nodes_gateways, node_path, text
from netlb.source.protocol import Source
from netlb.source.tree import StatusTree

__all__ = ["GatewaySink", "Surroundings", "on_directory"]

Document = Mapping[str, Any]


class GatewaySink(Operations[str, Any], Protocol):
    """Where reports go: the status tree, or the API."""

    def open(self) -> None:
        """Keep other writers out. Raises SettingError if there is one."""
        ...

    def close(self) -> None:
        """Let other writers in; what was written stays."""
        ...

    def speak_for(self, site: str) -> None:
        """Say of which site this node writes the status from now on; empty: of none."""
        ...

    def forms(self, documents: Mapping[str, Document]) -> Mapping[str, Any]:
        """Return these documents, by path, as what this one keeps."""
        ...


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """A source and a sink."""

    source: Source
    sink: GatewaySink
    services: Mapping[str, Callback] = field(default_factory=dict)
    """By name, what runs for as long as the daemon does."""
    metrics: Callable[[], Iterable[Metric]] = tuple
    why_blind: Callable[[], str | None] = lambda: None
    """Why what is declared now is not known; None if it is."""


class _Tree:
    """A node's part of the status tree."""

    def __init__(self, root: Path, writer: str, node: str) -> None:
        self._root = root
        self._site = ""
        self._tree = StatusTree(root, writer, lambda path: is_nodes_gateways(path, node, self._site))

    def open(self) -> None:
        self._tree.open()
        (self._root / FOLDER).mkdir(exist_ok=True)

    def close(self) -> None:
        self._tree.close()

    def speak_for(self, site: str) -> None:
        self._site = site

    def forms(self, documents: Mapping[str, Document]) -> Mapping[str, str]:
        return {path: text(document) for path, document in documents.items()}

    async def observe(self) -> Mapping[str, str]:
        return await self._tree.observe()

    async def apply(self, changes: Mapping[str, str]) -> Mapping[str, Exception]:
        return await self._tree.apply(changes)

    async def prune(self, keys: Collection[str]) -> Mapping[str, Exception]:
        return {}  # what is no longer this node's to say, another one says


def on_directory(
    manifests: Path, status_dir: Path, compatibility: Compatibility, *, name: str, node: str
) -> Surroundings:
    """Return a directory of manifests and its status tree; `name` is the daemon's."""
    writer = f"{name}-{Path(node_path(node)).stem}"
    return Surroundings(
        source=DirectorySource(manifests, None, Intake(compatibility), reports=status_dir / FOLDER),
        sink=_Tree(status_dir, writer, node),
    )
