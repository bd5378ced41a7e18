"""The speaker: a selection of rooms. Snapshots in, answers on the wire out, one way."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from netlb.api.intake import Intake
from netlb.errors import SettingError
from netlb.l2.adapter.announcer import Announcer
from netlb.l2.probe import RFC_TIMINGS, ProbeTimings
from netlb.runtime.app import App
from netlb.runtime.config import CommonSettings
from netlb.runtime.metrics import StateCollector, new_registry
from netlb.source.directory import DirectorySource
from netlb.source.status import is_speakers, node_path
from netlb.source.tree import StatusTree
from netlb_speaker.gobgp import GobgpSettings
from netlb_speaker.liveness import GRACE
from netlb_speaker.speaker import NAME, AnnouncerFactory, Speaker

__all__ = ["NAME", "ConflictDetection", "LivenessMode", "SpeakerSettings", "build", "parse_gobgp"]


class ConflictDetection(StrEnum):
    """What is done before an address is announced for the first time."""

    OFF = "off"
    PROBE = "probe"
    """Ask whether another station has it (RFC 5227, RFC 4862)."""


class LivenessMode(StrEnum):
    """How it is found out which of the other nodes are alive."""

    BFD = "bfd"
    """By BFD between the speakers (UDP port 3784): a death is noticed within 0.3 s."""
    STATIC = "static"
    """Not at all: a node is alive for as long as it is declared."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerSettings:
    """What the speaker is told."""

    common: CommonSettings
    status_dir: Path
    node: str
    interfaces: tuple[str, ...] = ()
    """Names; none: every suitable interface."""
    conflict_detection: ConflictDetection = ConflictDetection.OFF
    liveness: LivenessMode = LivenessMode.BFD
    gobgp: GobgpSettings | None = None
    """None: no BGP."""
    withdraw_not_ready: bool = False
    """Whether nodes whose condition Ready is not True announce nothing."""


def parse_gobgp(where: str, tenancy: str, directory: str) -> GobgpSettings | None:
    """Read the values of --gobgp, --gobgp-tenancy and --gobgp-dir. Raises `SettingError`."""
    if tenancy not in ("sole", "shared"):
        raise SettingError("--gobgp-tenancy", f"{tenancy!r} is not a choice", "choose one of: sole, shared")
    if where == "off":
        return None
    if where == "managed":
        return GobgpSettings(directory=Path(directory))
    host, colon, port = where.rpartition(":")
    if not where.startswith("unix:/") and not (colon and host and port.isdecimal()):
        raise SettingError("--gobgp", f"{where!r} names no gobgpd", "write managed, unix:/PATH, HOST:PORT or off")
    return GobgpSettings(target=where, shared=tenancy == "shared", directory=Path(directory))


def build(
    settings: SpeakerSettings,
    announcer: AnnouncerFactory = Announcer,
    timings: ProbeTimings = RFC_TIMINGS,
    grace: float = GRACE,
) -> App:
    """Put the speaker together; nothing is read or opened before the App runs.

    Tests bring their own announcer, and do not wait as long as the RFCs say.
    """
    writer = f"{NAME}-{Path(node_path(settings.node)).stem}"
    tree = StatusTree(settings.status_dir, writer, lambda path: is_speakers(path, settings.node))
    speaker = Speaker(
        node=settings.node,
        interfaces=settings.interfaces,
        source=DirectorySource(
            settings.common.source.path, settings.status_dir / "services", Intake(settings.common.compatibility)
        ),
        announcer=announcer,
        tree=tree,
        detects_conflicts=settings.conflict_detection is ConflictDetection.PROBE,
        timings=timings,
        watches=settings.liveness is LivenessMode.BFD,
        grace=grace,
        gobgp=settings.gobgp,
        ready_only=settings.withdraw_not_ready,
    )
    registry = new_registry(NAME)
    registry.register(StateCollector(speaker.metrics))
    return App(
        name=NAME,
        registry=registry,
        services={
            "source": speaker.follow,
            "l2": speaker.announce,
            "prober": speaker.prober.run,
            "report": speaker.report,
            "status": speaker.status.run,
            "counters": speaker.count,
            "bfd": speaker.watch,
            "bgp": speaker.route,
        },
        checks={
            "source": lambda: None if speaker.plan else "no snapshot yet",
            "l2": speaker.why_not_ready,
        },
        on_stop={"withdraw": speaker.withdraw, "status": speaker.finish},
        http=settings.common.http,
    )
