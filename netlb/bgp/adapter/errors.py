"""What goes wrong with a gobgpd, in the terms of `netlb.errors`: no exception of grpc leaves this package."""

from typing import Final

import grpc

from netlb.errors import NetlbError, TransientError
from netlb.reasons import BgpRefusal

__all__ = ["ApiError", "BgpError", "ForeignDaemonError", "translated"]

_AWAY: Final = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED},
)


class BgpError(NetlbError):
    """gobgpd cannot be brought to what is wanted; `reason` names why."""

    def __init__(self, reason: BgpRefusal, message: str) -> None:
        super().__init__(f"{message} ({reason})")
        self.reason = reason


class ApiError(BgpError):
    """gobgpd refused a call. GoBGP has hardly any codes: what is wrong is in its words."""

    def __init__(self, call: str, code: str, details: str) -> None:
        super().__init__(BgpRefusal.REFUSED, f"gobgpd: {call}: {details or code}")
        self.call = call
        self.code = code


class ForeignDaemonError(BgpError):
    """Somebody else configured this gobgpd, or this part of it; it is not touched."""


def translated(call: str, error: grpc.RpcError) -> NetlbError:
    """Return what a failed call means: gone and silent daemons come back, a refusal does not change by itself."""
    code = error.code()
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return TransientError(f"gobgpd: {call}: no answer in time")
    if code in _AWAY:
        return TransientError(f"gobgpd: {call}: not connected ({error.details()})")
    return ApiError(call, code.name, error.details() or "")
