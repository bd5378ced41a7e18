"""What goes wrong on the way to an API server and in it, switched on for the next requests of some kind."""

from dataclasses import dataclass
from enum import Enum

from netlb.testing.apiserver.request import Request
from netlb.testing.apiserver.status import Refused

__all__ = ["Effect", "Fault", "Faults"]


class Effect(Enum):
    """What becomes of a request that is not answered with a status."""

    DROP = "drop"
    """The connection is reset before an answer."""
    STALL = "stall"
    """Nothing is ever answered, and the connection stays open."""
    SLOW = "slow"
    """The answer comes late."""
    HOLD = "hold"
    """It is carried out when `ApiServer.release` is called, even if nobody waits for the answer any more."""
    CUT = "cut"
    """The connection is reset in the middle of the answer."""
    GARBAGE = "garbage"
    """The answer is not JSON."""
    EXPIRED = "expired"
    """The answer to a watch begins well, and is an ERROR event with 410."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """One switch."""

    effect: Effect | None = None
    status: Refused | None = None
    verb: str = ""
    """As RBAC calls it: get, list, watch, create, update, patch, delete. Empty: any."""
    resource: str = ""
    """`services`, `addresspools.netlb.io`. Empty: any."""
    times: int = 1
    seconds: float = 0.0

    def strikes(self, request: Request) -> bool:
        """Whether it is this request's turn."""
        name = request.resource.name if request.resource else ""
        return self.times > 0 and self.verb in ("", request.verb) and self.resource in ("", name)


class Faults:
    """The switches that are on. Each method says for how many requests, and which: see `Fault`."""

    def __init__(self) -> None:
        self._on: list[Fault] = []

    def drop(self, *, verb: str = "", resource: str = "", times: int = 1) -> None:
        """Reset the connection before an answer."""
        self._add(Fault(effect=Effect.DROP, verb=verb, resource=resource, times=times))

    def stall(self, *, verb: str = "", resource: str = "", times: int = 1) -> None:
        """Answer nothing and keep the connection."""
        self._add(Fault(effect=Effect.STALL, verb=verb, resource=resource, times=times))

    def slow(self, seconds: float, *, verb: str = "", resource: str = "", times: int = 1) -> None:
        """Answer late."""
        self._add(Fault(effect=Effect.SLOW, seconds=seconds, verb=verb, resource=resource, times=times))

    def hold(self, *, verb: str = "", resource: str = "", times: int = 1) -> None:
        """Carry it out when `ApiServer.release` is called, and not before."""
        self._add(Fault(effect=Effect.HOLD, verb=verb, resource=resource, times=times))

    def cut(self, *, verb: str = "", resource: str = "", times: int = 1) -> None:
        """Reset the connection in the middle of the answer."""
        self._add(Fault(effect=Effect.CUT, verb=verb, resource=resource, times=times))

    def garbage(self, *, verb: str = "", resource: str = "", times: int = 1) -> None:
        """Answer what is not JSON, as a proxy does."""
        self._add(Fault(effect=Effect.GARBAGE, verb=verb, resource=resource, times=times))

    def expired(self, *, resource: str = "", times: int = 1) -> None:
        """Answer a watch with an ERROR event: 410."""
        self._add(Fault(effect=Effect.EXPIRED, verb="watch", resource=resource, times=times))

    def gone(self, *, verb: str = "", resource: str = "", times: int = 1) -> None:
        """Answer 410."""
        self._refuse(Refused(410, "Expired", "too old resource version"), verb, resource, times)

    def too_large(self, *, verb: str = "", resource: str = "", times: int = 1) -> None:
        """Answer 504, as a server that has not come so far."""
        causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
        refused = Refused(504, "Timeout", "Timeout: Too large resource version", causes=causes, retry_after=1)
        self._refuse(refused, verb, resource, times)

    def throttle(self, retry_after: int, *, verb: str = "", resource: str = "", times: int = 1) -> None:
        """Answer 429 with Retry-After, in seconds."""
        said = "Too many requests, please try again later."
        self._refuse(Refused(429, "TooManyRequests", said, retry_after=retry_after), verb, resource, times)

    def fail(self, code: int, reason: str, *, verb: str = "", resource: str = "", times: int = 1) -> None:
        """Answer any other status."""
        self._refuse(Refused(code, reason, f"as told: {reason}"), verb, resource, times)

    def clear(self) -> None:
        """Switch everything off."""
        self._on.clear()

    def strike(self, request: Request) -> Fault | None:
        """Return what becomes of a request, and count it."""
        for fault in self._on:
            if fault.strikes(request):
                fault.times -= 1
                return fault
        return None

    def _refuse(self, status: Refused, verb: str, resource: str, times: int) -> None:
        self._add(Fault(status=status, verb=verb, resource=resource, times=times))

    def _add(self, fault: Fault) -> None:
        self._on = [one for one in self._on if one.times > 0] + [fault]
