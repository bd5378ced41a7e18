"""`metav1.Status`: how the API server says no, and what a client is told with it."""

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["Refused", "not_found"]


class Refused(Exception):  # noqa: N818 - it is an answer
    """A request is answered with this status instead of an object."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        causes: Sequence[Mapping[str, str]] = (),
        retry_after: int | None = None,
        continue_token: str = "",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.retry_after = retry_after
        details: dict[str, Any] = {}
        if causes:
            details["causes"] = [dict(cause) for cause in causes]
        if retry_after is not None:
            details["retryAfterSeconds"] = retry_after
        self.body: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {"continue": continue_token} if continue_token else {},
            "status": "Failure",
            "message": message,
            "reason": reason,
            **({"details": details} if details else {}),
            "code": code,
        }


def not_found(resource: str, name: str) -> Refused:
    """Return what is said of an object that is not there."""
    return Refused(404, "NotFound", f'{resource} "{name}" not found')
