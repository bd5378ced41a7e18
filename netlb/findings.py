"""What is wrong with something that was declared: whose object, which field, why, and what to do about it."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from netlb.reasons import ManifestProblem

__all__ = ["Finding", "ObjectRef", "Severity"]


class Severity(StrEnum):
    """How bad a finding is."""

    ERROR = "error"
    """Not honoured: the last good version of the object stays in force."""
    WARNING = "warning"
    """Honoured, and probably not what was meant."""


class ObjectRef(NamedTuple):
    """The name of one object; `namespace` is empty for kinds that have none. The key of every mapping of objects."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        path = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return f"{self.kind} {path}"


@dataclass(frozen=True, slots=True, order=True, kw_only=True)
class Finding:
    """One problem, complete enough to be mended from the message alone."""

    origin: str = ""
    """Where the object was declared: a file name, and the document's number in it from 1."""
    subject: ObjectRef | None = None
    """None where no object can be named, as in a file that is not YAML."""
    field: str = ""
    """Path of the field, as in `spec.addresses[0]`; empty for the object as a whole."""
    reason: ManifestProblem
    problem: str
    """What is wrong, in one sentence without a full stop."""
    remedy: str
    """What to do about it, as an imperative without a full stop."""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        where = ": ".join(str(part) for part in (self.origin, self.subject, self.field) if part)
        return f"{self.severity}: {where}: {self.problem} ({self.reason}); {self.remedy}"
