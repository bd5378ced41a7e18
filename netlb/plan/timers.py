"""How fast the nodes of a segment notice each other's death: by the BFDProfiles of the pools that they announce."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from netlb.api.snapshot import Snapshot
from netlb.api.v1alpha1 import BFDProfile
from netlb.bfd.settings import Settings
from netlb.findings import Finding, Severity
from netlb.plan.bfd import bfd_settings
from netlb.reasons import ManifestProblem

__all__ = ["SEGMENT_TIMERS", "fastest", "unusable_profiles"]

SEGMENT_TIMERS: Final = Settings(transmit_interval=100_000, receive_interval=100_000, detect_multiplier=3)
"""Where a pool names no profile: three packets of 100 ms missed, so that a death is noticed within 0.3 s."""


def fastest(snapshot: Snapshot, profiles: Iterable[str]) -> Settings:
    """Return the timers that notice a death first, of the profiles with these names; "" and unknown ones are ours.

    Both ends of a session use the same timers, so the time is the multiplier times the longer of the two intervals.
    """
    return min((_timers(snapshot.bfd_profiles.get(name)) for name in profiles), key=_slowness)


def unusable_profiles(snapshot: Snapshot) -> Iterator[Finding]:
    """Yield what is wrong with the profiles that pools name: there is none, or it has fields without effect here."""
    named = {pool.spec.bfd_profile for pool in snapshot.pools.values()}
    for pool in snapshot.pools.values():
        name = pool.spec.bfd_profile
        if name and name not in snapshot.bfd_profiles:
            yield Finding(
                subject=pool.ref,
                field="spec.bfdProfile",
                reason=ManifestProblem.UNKNOWN_REFERENCE,
                problem=f"there is no BFDProfile {name!r}, so the speakers watch each other by the default timers",
                remedy="declare a BFDProfile of this name, or correct the name",
                severity=Severity.WARNING,
            )
    for name, profile in snapshot.bfd_profiles.items():
        if name in named:
            for field in _without_effect(profile):
                yield Finding(
                    subject=profile.ref,
                    field=f"spec.{field}",
                    reason=ManifestProblem.NOT_HONOURED,
                    problem="a pool names this profile, and between speakers the field has no effect",
                    remedy="leave the field out, or give the pool a profile of its own",
                    severity=Severity.WARNING,
                )


def _without_effect(profile: BFDProfile) -> Iterator[str]:
    if profile.spec.echo_mode:
        yield "echoMode"
    if profile.spec.passive_mode:
        yield "passiveMode"
    if profile.spec.minimum_ttl is not None:
        yield "minimumTtl"


def _timers(profile: BFDProfile | None) -> Settings:
    if profile is None:
        return SEGMENT_TIMERS
    return replace(bfd_settings(profile.spec), passive=False)


def _slowness(settings: Settings) -> tuple[int, int, int]:
    return settings.detection_time, settings.transmit_interval, settings.receive_interval
