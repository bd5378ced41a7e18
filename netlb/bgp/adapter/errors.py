"""What goes wrong with a gobgpd, in the terms of `netlb.errors`: no exception of grpc leaves this package."""

from typing import Final

import grpc

from netlb.errors import NetlbError, TransientError

__all__ = ["ApiError", "ForeignDaemonError", "translated"]

_AWAY: Final = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED},
)


class ApiError(NetlbError):
    """gobgpd refused a call. GoBGP has hardly any codes: the reason is in its words."""

    def __init__(self, call: str, code: str, details: str) -> None:
        super().__init__(f"gobgpd: {call}: {details or code}")
        self.call = call
        self.code = code
        self.details = details


class ForeignDaemonError(NetlbError):
    """Somebody else configured this gobgpd; nothing in it is touched."""


def translated(call: str, error: grpc.RpcError) -> NetlbError:
    """Return what a failed call means: gone and silent daemons come back, a refusal does not change by itself."""
    code = error.code()
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return TransientError(f"gobgpd: {call}: no answer in time")
    if code in _AWAY:
        return TransientError(f"gobgpd: {call}: not connected ({error.details()})")
    return ApiError(call, code.name, error.details() or "")
