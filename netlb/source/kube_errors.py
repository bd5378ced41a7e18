"""What a request to the API server is about, and what its failure means. Pure.

Messages name the object and the remedy; of what the server says they take its own words only.
"""

import re
from typing import NamedTuple

import msgspec

from netlb.errors import ConfigError, NetlbError, TransientError
from netlb.findings import Finding, ObjectRef
from netlb.reasons import ManifestProblem
from netlb.source.kube_kinds import Resource

__all__ = ["CONFLICT", "NOT_FOUND", "UNAUTHORIZED", "About", "RequestError", "refusal"]

BAD_REQUEST, UNAUTHORIZED, NOT_FOUND, CONFLICT, UNPROCESSABLE = 400, 401, 404, 409, 422
_LONGEST_TEXT = 500
_OWNER = re.compile(r'conflict with "([^"]*)"')
_REMEDIES = {
    401: "give it a token or certificate that the API server accepts",
    403: "grant {verb} on {resource} to the account that netlb runs as (docs/kubernetes.md)",
    404: "create it, or install its CustomResourceDefinition (deploy/crds)",
    409: "nothing, if it goes away: somebody else wrote it at the same moment",
    429: "nothing, if it goes away: the API server is busy",
}


class About(NamedTuple):
    """What a request is about: to address it, and to tell of it."""

    verb: str
    resource: Resource
    namespace: str = ""
    name: str = ""
    subresource: str = ""

    @property
    def path(self) -> str:
        return self.resource.path(self.namespace, "" if self.verb == "create" else self.name, self.subresource)

    def __str__(self) -> str:
        about = "/".join(filter(None, (self.namespace, self.name)))
        return f"{self.verb} {self.resource}{'/' if self.subresource else ''}{self.subresource} {about}".rstrip()


class RequestError(TransientError):
    """A request brought nothing. The message names the object and the remedy."""

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        owners: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(message, retry_after)
        self.status = status
        """The HTTP status; None if there was no answer."""
        self.owners = owners
        """Of a conflict between appliers: which managers own the fields."""


class _Cause(msgspec.Struct, frozen=True):
    reason: str = ""
    message: str = ""
    field: str = ""


class _Details(msgspec.Struct, frozen=True):
    causes: tuple[_Cause, ...] = ()


class _Status(msgspec.Struct, frozen=True):
    """`metav1.Status`."""

    message: str = ""
    reason: str = ""
    details: _Details | None = None


def refusal(about: About, code: int, content: bytes, later: str) -> NetlbError:
    """Return what an answer means that is no success; `later` is its Retry-After."""
    try:
        status = msgspec.json.decode(content, type=_Status)
    except msgspec.MsgspecError:
        status = _Status()
    said = (status.message or "no explanation")[:_LONGEST_TEXT]
    if code in (BAD_REQUEST, UNPROCESSABLE) and about.name:
        return ConfigError(
            Finding(
                origin=str(about.resource),
                subject=ObjectRef(about.resource.kind, about.namespace, about.name),
                reason=ManifestProblem.INVALID_OBJECT,
                problem=f"the API server refuses it: {said}",
                remedy="correct the object, or apply the CustomResourceDefinitions of this version (deploy/crds)",
            )
        )
    causes = status.details.causes if status.details else ()
    conflicts = (_OWNER.search(cause.message) for cause in causes if cause.reason == "FieldManagerConflict")
    owners = frozenset(found[1] for found in conflicts if found)
    if owners:
        remedy = f"leave these fields to {', '.join(sorted(owners))}, or let it give them up"
    else:
        remedy = _REMEDIES.get(code, "nothing, if it goes away; otherwise look at the API server's log")
        remedy = remedy.format(verb=about.verb, resource=about.resource)
    return RequestError(
        f"{about}: {code} {said}; {remedy}",
        status=code,
        retry_after=float(later) if later.isdecimal() else None,
        owners=owners,
    )
