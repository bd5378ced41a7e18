"""What a speaker runs in: where things are declared, where its reports go, and what that takes."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from prometheus_client import Metric

from netlb.api.dialects import Compatibility
from netlb.api.intake import Intake
from netlb.runtime.app import Callback
from netlb.source.directory import DirectorySource
from netlb.source.protocol import Sink, Source
from netlb.source.status import is_speakers, node_path
from netlb.source.tenancies import TenancySource, follow_tree
from netlb.source.tree import StatusTree
from netlb_speaker.watching import WatchesFactory

__all__ = ["Surroundings", "on_directory"]


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """A source and a sink."""

    source: Source
    sink: Sink
    tenancies: TenancySource
    services: Mapping[str, Callback] = field(default_factory=dict)
    """By name, what runs for as long as the speaker does."""
    metrics: Callable[[], Iterable[Metric]] = tuple
    on_rewound: Callable[[Callable[[], None]], None] = lambda _: None
    """Takes what is to be called when what the sink has written may not be there any more."""
    why_blind: Callable[[], str | None] = lambda: None
    """Why what is declared now is not known; None if it is."""
    liveness: WatchesFactory | None = None
    """What tells by these surroundings who is alive, if they do."""


def on_directory(
    manifests: Path, status_dir: Path, compatibility: Compatibility, *, name: str, node: str
) -> Surroundings:
    """Return a directory of manifests and its status tree; `name` is the daemon's."""
    writer = f"{name}-{Path(node_path(node)).stem}"
    return Surroundings(
        source=DirectorySource(manifests, status_dir / "services", Intake(compatibility)),
        sink=StatusTree(status_dir, writer, lambda path: is_speakers(path, node)),
        tenancies=partial(follow_tree, status_dir),
    )
