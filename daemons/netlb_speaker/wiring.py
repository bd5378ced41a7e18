"""The speaker: a selection of rooms. Snapshots in, answers on the wire out, one way."""

from dataclasses import dataclass
from pathlib import Path

from netlb.api.intake import Intake
from netlb.l2.adapter.announcer import Announcer
from netlb.runtime.app import App
from netlb.runtime.config import CommonSettings
from netlb.runtime.metrics import StateCollector, new_registry
from netlb.source.directory import DirectorySource
from netlb.source.status import node_path
from netlb.source.tree import StatusTree
from netlb_speaker.speaker import NAME, AnnouncerFactory, Speaker

__all__ = ["NAME", "SpeakerSettings", "build"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerSettings:
    """What the speaker is told."""

    common: CommonSettings
    status_dir: Path
    node: str
    interfaces: tuple[str, ...] = ()
    """Names; none: every suitable interface."""


def build(settings: SpeakerSettings, announcer: AnnouncerFactory = Announcer) -> App:
    """Put the speaker together; nothing is read or opened before the App runs. Tests bring their own announcer."""
    path = node_path(settings.node)
    tree = StatusTree(settings.status_dir, f"{NAME}-{Path(path).stem}", lambda name: name == path)
    speaker = Speaker(
        node=settings.node,
        interfaces=settings.interfaces,
        source=DirectorySource(settings.common.source.path, settings.status_dir / "services", Intake()),
        announcer=announcer,
        tree=tree,
    )
    registry = new_registry(NAME)
    registry.register(StateCollector(speaker.metrics))
    return App(
        name=NAME,
        registry=registry,
        services={
            "source": speaker.follow,
            "l2": speaker.announce,
            "report": speaker.report,
            "status": speaker.status.run,
            "counters": speaker.count,
        },
        checks={
            "source": lambda: None if speaker.plan else "no snapshot yet",
            "l2": speaker.why_not_ready,
        },
        on_stop={"withdraw": speaker.withdraw, "status": speaker.finish},
        http=settings.common.http,
    )
