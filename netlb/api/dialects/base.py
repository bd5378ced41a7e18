"""What the dialects have in common: foreign objects come in, native records go out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from netlb.api import keys
from netlb.api.meta import Record
from netlb.findings import Finding, ObjectRef, Severity
from netlb.reasons import ManifestProblem

__all__ = ["Compatibility", "Foreign", "System", "Translated", "Translation"]


class System(StrEnum):
    """Another system whose configuration can be read as it stands."""

    METALLB = "metallb"
    OPENELB = "openelb"
    PURELB = "purelb"
    RAVEN = "raven"


@dataclass(frozen=True, slots=True, kw_only=True)
class Compatibility:
    """Which other systems are understood, and where they keep their objects."""

    systems: frozenset[System] = frozenset(System)
    """Those whose kinds, annotations and classes are read; of the others it is as if nobody knew them."""
    metallb_namespace: str = "metallb-system"
    """MetalLB reads its objects from one namespace only, and so do we."""
    purelb_namespace: str = "purelb-system"
    """As PureLB does since 0.17."""

    @property
    def classes(self) -> frozenset[str]:
        """Values of `spec.loadBalancerClass` that are served: ours, and those of systems that are understood."""
        return frozenset({keys.LOAD_BALANCER_CLASS, *(keys.PURELB_CLASSES if System.PURELB in self.systems else ())})

    @property
    def foreign_annotations(self) -> frozenset[str]:
        """Annotations of Services that are not read, since their systems are not understood."""
        prefixes = tuple(
            prefix for system, named in keys.PREFIXES.items() if system not in self.systems for prefix in named
        )
        return frozenset(name for name in keys.SERVICE_ANNOTATIONS if name.startswith(prefixes))


@dataclass(frozen=True, slots=True)
class Foreign:
    """One object of another system, and where it was declared."""

    origin: str
    record: Record

    def error(
        self, field: str, problem: str, remedy: str, reason: ManifestProblem = ManifestProblem.INVALID_OBJECT
    ) -> Finding:
        """Return what refuses the object as a whole."""
        return Finding(
            origin=self.origin, subject=self.record.ref, field=field, reason=reason, problem=problem, remedy=remedy
        )

    def warning(
        self, field: str, problem: str, remedy: str, reason: ManifestProblem = ManifestProblem.NOT_HONOURED
    ) -> Finding:
        """Return what is understood, and has no effect or another one."""
        return Finding(
            origin=self.origin,
            subject=self.record.ref,
            field=field,
            reason=reason,
            problem=problem,
            remedy=remedy,
            severity=Severity.WARNING,
        )


@dataclass(frozen=True, slots=True)
class Translated:
    """A native record, and the object that it says the same as."""

    record: Record
    source: ObjectRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Translation:
    """What all objects of a dialect say together in native terms, and what got lost on the way."""

    records: tuple[Translated, ...] = ()
    findings: tuple[Finding, ...] = ()
    """Warnings: what is understood and not honoured, or means something else here."""
    refused: Mapping[ObjectRef, Finding] = field(default_factory=dict)
    """Objects that are wrong as a whole, and why; nothing of them is among the records."""
