"""The speaker: a selection of rooms. Snapshots in, answers on the wire out, one way."""

from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from pathlib import Path

from netlb import __version__
from netlb.errors import SettingError
from netlb.l2.adapter.announcer import Announcer
from netlb.l2.adapter.kernel import LIFETIME, KernelAddresses
from netlb.l2.announces import FastPath
from netlb.l2.defence import SETTLED, Conduct
from netlb.l2.probe import RFC_TIMINGS, YIELD_TIMINGS, ProbeTimings
from netlb.runtime.app import App
from netlb.runtime.config import CommonSettings, parse_choice
from netlb.runtime.log import get_logger
from netlb.runtime.metrics import StateCollector, new_registry
from netlb.source.reflector import DEFAULT_PACE, Pace
from netlb_speaker.announcing import AnnouncerFactory, KernelFactory
from netlb_speaker.gobgp import GobgpSettings
from netlb_speaker.keyring import KEY_OPTION, Keyring
from netlb_speaker.liveness import GRACE, Liveness
from netlb_speaker.speaker import NAME, Speaker
from netlb_speaker.succession import Succession, SuccessionSettings
from netlb_speaker.surroundings import Surroundings, on_directory
from netlb_speaker.watching import WatchesFactory

__all__ = [
    "NAME",
    "ConflictDetection",
    "LivenessMode",
    "SpeakerSettings",
    "Unauthenticated",
    "build",
    "parse_gobgp",
    "parse_key_file",
    "parse_lease_duration",
    "parse_lifetime",
    "parse_on_conflict",
    "require_leases",
]


_SHORTEST, _LONGEST = 3, 3600  # seconds; a planner that stands still for one must not cost an address

SPEAKER_PACE = replace(DEFAULT_PACE, settle=0.01)
"""A plan that follows from the one before takes milliseconds, and addresses are not to wait."""
PATIENCE = 3.0
"""Seconds for the API server to answer, before what is kept on disk is taken for what is."""


LEASE_DURATION = 4
SHORTEST_LEASE, LONGEST_LEASE = 2, 3600


class ConflictDetection(StrEnum):
    """What is done before an address is announced."""

    OFF = "off"
    PROBE = "probe"
    """Ask whether another station has it (RFC 5227, RFC 4862)."""
    YIELD = "yield"
    """Ask, and announce it only for as long as no other station does: beside a load balancer that is replaced."""


TIMINGS = {ConflictDetection.YIELD: YIELD_TIMINGS}
"""Where they are not those of the RFCs."""


class LivenessMode(StrEnum):
    """How it is found out which of the other nodes are alive."""

    BFD = "bfd"
    """By BFD between the speakers (UDP port 3784): a death is noticed within 0.3 s."""
    LEASE = "lease"
    """By a Lease of each node in the API: a death is noticed within its duration, and a little more."""
    STATIC = "static"
    """Not at all: a node is alive for as long as it is declared."""


class Unauthenticated(StrEnum):
    """What becomes of packets of other speakers that were made without a key, where there is one."""

    REFUSE = "refuse"
    ACCEPT = "accept"
    """They are believed, and ours are sent without it too: while the speakers are given their key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeakerSettings:
    """What the speaker is told."""

    common: CommonSettings
    status_dir: Path | None
    """Of a directory of manifests: the status tree."""
    node: str
    interfaces: tuple[str, ...] = ()
    """Names; none: every suitable interface."""
    address_lifetime: int = LIFETIME
    """Seconds for which an address stays on an interface when nobody renews it any more."""
    conflict_detection: ConflictDetection = ConflictDetection.OFF
    on_conflict: Conduct = Conduct.REPORT
    fastpath: FastPath = FastPath.AUTO
    liveness: LivenessMode = LivenessMode.BFD
    lease_duration: int = LEASE_DURATION
    """With LEASE: seconds for which a node that is not heard of counts as alive."""
    bfd_key_file: Path | None = None
    """None: whoever speaks from a node's address is believed."""
    bfd_unauthenticated: Unauthenticated = Unauthenticated.REFUSE
    gobgp: GobgpSettings | None = None
    """None: no BGP."""
    succession: SuccessionSettings | None = None
    """None: responder and BFD end with the speaker."""
    withdraw_not_ready: bool = False
    """Whether nodes whose condition Ready is not True announce nothing."""
    state_dir: Path | None = None
    """Of a cluster: where what was heard is kept; None: nowhere."""


def parse_on_conflict(text: str, detection: ConflictDetection) -> Conduct:
    """Read the value of --on-conflict. Raises `SettingError`."""
    conduct = parse_choice("--on-conflict", Conduct, text)
    if conduct is not Conduct.REPORT and detection is ConflictDetection.YIELD:
        problem = f"{text!r} comes too late with --conflict-detection yield, which gives way at once"
        raise SettingError("--on-conflict", problem, "leave one of the two out")
    return conduct


def parse_key_file(path: str | None, unauthenticated: Unauthenticated, liveness: LivenessMode) -> Path | None:
    """Read the value of --bfd-key-file. Raises `SettingError` where it does not go with the others."""
    if path is None and unauthenticated is Unauthenticated.ACCEPT:
        problem = f"without {KEY_OPTION} no packet is authenticated"
        raise SettingError("--bfd-unauthenticated", problem, "leave it out, or name a key")
    if path is not None and liveness is not LivenessMode.BFD:
        problem = f"with --liveness {liveness} there is no BFD between the speakers"
        raise SettingError(KEY_OPTION, problem, "leave one of the two out")
    return None if path is None else Path(path)


def parse_lease_duration(text: str) -> int:
    """Read the value of --lease-duration. Raises `SettingError`."""
    if not text.isdecimal() or not SHORTEST_LEASE <= int(text) <= LONGEST_LEASE:
        problem = f"{text!r} is not a whole number of seconds from {SHORTEST_LEASE} to {LONGEST_LEASE}"
        raise SettingError("--lease-duration", problem, f"correct it, or leave it out for {LEASE_DURATION}")
    return int(text)


def require_leases(directory: Path | None, liveness: LivenessMode) -> None:
    """Raise `SettingError` where nodes are to know of each other by Leases, and there is nowhere to write them."""
    if directory is not None and liveness is LivenessMode.LEASE:
        problem = "Leases are objects in the API, and with --source dir: there is no API server"
        raise SettingError("--liveness", problem, "choose bfd or static, or --source kube")


def parse_lifetime(text: str) -> int:
    """Read the value of --address-lifetime. Raises `SettingError`."""
    if not text.isdecimal() or not _SHORTEST <= int(text) <= _LONGEST:
        problem = f"{text!r} is not a number of seconds from {_SHORTEST} to {_LONGEST}"
        raise SettingError("--address-lifetime", problem, f"leave it out for {LIFETIME}, or correct it")
    return int(text)


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
    announcer: AnnouncerFactory | None = None,
    timings: ProbeTimings | None = None,
    grace: float = GRACE,
    settled: float = SETTLED,
    *,
    kernel: KernelFactory | None = None,
    pace: Pace = SPEAKER_PACE,
    patience: float = PATIENCE,
) -> App:
    """Put the speaker together; nothing is read or opened before the App runs.

    Tests bring their own announcer and kernel, and their own timings in place of those of the mode.
    """
    surroundings = _surroundings(settings, pace, patience, grace)
    guards = settings.conflict_detection is not ConflictDetection.OFF
    by_leases = settings.liveness is LivenessMode.LEASE
    identity = f"{__version__} {settings.node} {settings.fastpath.value}"
    succession = Succession(settings.succession, identity, get_logger(NAME).bind(node=settings.node))
    speaker = Speaker(
        node=settings.node,
        interfaces=settings.interfaces,
        source=surroundings.source,
        announcer=announcer or partial(Announcer, fastpath=settings.fastpath, shelter=succession.shelter),
        kernel=kernel or partial(KernelAddresses, lifetime=settings.address_lifetime),
        sink=surroundings.sink,
        tenancies=surroundings.tenancies,
        patience=patience,
        guards=guards or by_leases or settings.on_conflict is Conduct.YIELD,
        probes=settings.conflict_detection is ConflictDetection.PROBE,
        yields=settings.conflict_detection is ConflictDetection.YIELD,
        conduct=settings.on_conflict,
        settled=settled,
        timings=timings or _timings(settings),
        liveness=surroundings.liveness if by_leases else _by_bfd(settings, grace),
        gobgp=settings.gobgp,
        ready_only=settings.withdraw_not_ready,
        succession=succession,
    )
    surroundings.on_rewound(speaker.status.refresh)
    registry = new_registry(NAME)
    registry.register(StateCollector(speaker.metrics))
    registry.register(StateCollector(surroundings.metrics))
    return App(
        name=NAME,
        registry=registry,
        services={
            **surroundings.services,
            "source": speaker.follow,
            "l2": speaker.announce,
            "prober": speaker.prober.run,
            "conflicts": speaker.conflicts.run,
            "doubles": speaker.doubles.run,
            "hearing": speaker.hearing.run,
            "remind": speaker.reminder.run,
            "report": speaker.report,
            "status": speaker.status.run,
            "counters": speaker.count,
            "incumbents": speaker.incumbents.run,
            "bfd": speaker.watch,
            **({"liveness": speaker.liveness.attend} if speaker.liveness else {}),
            "bgp": speaker.route,
        },
        checks={
            "source": lambda: surroundings.why_blind() or (None if speaker.plan else "no snapshot yet"),
            "l2": speaker.why_not_ready,
        },
        on_stop={"withdraw": speaker.withdraw, "status": speaker.finish},
        on_failure={"leave": speaker.leave} if settings.succession else None,
        http=settings.common.http,
    )


def _timings(settings: SpeakerSettings) -> ProbeTimings:
    """Return how is probed; whose Lease ran out asks again as soon as who yields."""
    if settings.conflict_detection is ConflictDetection.OFF and settings.liveness is LivenessMode.LEASE:
        return YIELD_TIMINGS
    return TIMINGS.get(settings.conflict_detection, RFC_TIMINGS)


def _by_bfd(settings: SpeakerSettings, grace: float) -> WatchesFactory | None:
    if settings.liveness is not LivenessMode.BFD:
        return None
    keyring = None
    if settings.bfd_key_file is not None:
        accepts = settings.bfd_unauthenticated is Unauthenticated.ACCEPT
        keyring = Keyring(settings.bfd_key_file, get_logger(NAME).bind(node=settings.node), unauthenticated=accepts)
    return partial(Liveness, keyring=keyring, grace=grace)


def _surroundings(settings: SpeakerSettings, pace: Pace, patience: float, grace: float) -> Surroundings:
    common = settings.common
    if common.directory is not None and settings.status_dir is not None:
        return on_directory(common.directory, settings.status_dir, common.compatibility, name=NAME, node=settings.node)
    from netlb_speaker.cluster import on_cluster  # noqa: PLC0415 - lightkube is for those who need it

    return on_cluster(
        common,
        settings.state_dir,
        name=NAME,
        node=settings.node,
        pace=pace,
        patience=patience,
        lease_duration=settings.lease_duration if settings.liveness is LivenessMode.LEASE else None,
        grace=grace,
    )
