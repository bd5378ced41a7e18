"""How far the engine has come, in values that a status, a metric and a log line can be made of."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Counts", "Status", "StatusKind"]


class StatusKind(StrEnum):
    """Where one object stands between what is wanted and what is there."""

    PENDING = "Pending"
    """Wanted, and not known to be there as wanted."""
    DONE = "Done"
    """There, as wanted."""
    PRUNING = "Pruning"
    """There, or possibly there, and not wanted."""
    ERROR = "Error"
    """The last attempt to make, change or remove it failed; it is tried again at `retry_at`."""


@dataclass(frozen=True, slots=True)
class Status:
    """One object's standing; the last three fields are set for errors only."""

    kind: StatusKind
    message: str = ""
    attempts: int = 0
    """Failures in a row since the wanted state of the object last changed."""
    retry_at: float | None = None
    """In the time of the clock that the engine is given, in seconds."""


@dataclass(frozen=True, slots=True)
class Counts:
    """The engine in three numbers."""

    pending: int
    """Objects that are not as wanted and have not failed."""
    errors: int
    """Objects whose last attempt failed, and one more while the adapter cannot be observed."""
    retries: int
    """Attempts made after a failure, since the start."""
