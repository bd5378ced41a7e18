"""The validating admission webhook: an API server asks, over HTTPS, whether an object may be applied.

Written from the documentation of `admission.k8s.io/v1`. Each request is answered by itself; what cannot be understood
is refused with a status.
"""

import asyncio
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec

from netlb.errors import SettingError
from netlb.runtime.http import Application, Receive, Response, Scope, Send, respond
from netlb.runtime.listen import parse_endpoint
from netlb.runtime.tls import Certificate

__all__ = ["Judge", "Request", "Verdict", "Webhook", "application", "parse_webhook"]

SETTING = "--webhook"
PATH: Final = "/validate"
_LARGEST: Final = 8 << 20
"""Bytes of a request: an old and a new object of the 1.5 MiB that etcd takes, with room for how JSON writes them."""
_PATIENCE: Final = 10.0
"""Seconds in which a request has to be complete: as long as an API server waits for an answer."""
_API_VERSION, _KIND = "admission.k8s.io/v1", "AdmissionReview"


class _Resource(msgspec.Struct, frozen=True):
    resource: str
    group: str = ""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What an API server asks: the part of an AdmissionRequest that is read."""

    uid: str
    operation: str
    resource: _Resource
    name: str = ""
    namespace: str = ""
    object: dict[str, Any] | None = None
    """The object as it would be; None where it would be gone."""


class _Review(msgspec.Struct, frozen=True, rename="camel"):
    api_version: str
    kind: str
    request: Request


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer."""

    refusals: Sequence[str]
    """Why it must not be applied, each a sentence; none: it may be."""
    warnings: Sequence[str] = ()
    """What kubectl shows beside."""


Judge = Callable[[Request], Verdict]


@dataclass(frozen=True, slots=True)
class Webhook:
    """Where it listens, and as whom. Unlike the pages of a daemon it may be reached from other hosts, by TLS alone."""

    host: str
    port: int
    certificate: Certificate

    async def run(self, judge: Judge, *, renewal: float = 60.0) -> None:
        """Answer until cancelled; a renewed certificate is used within `renewal` seconds.

        SettingError if it cannot listen, or the certificate cannot be used.
        """
        from netlb.runtime.server import serve  # noqa: PLC0415 - for those who listen

        context = self.certificate.context(SETTING)
        try:
            sock = socket.create_server((self.host, self.port), family=_family(self.host))
        except OSError as error:
            problem = f"cannot listen on {self.host} port {self.port}: {error.strerror or error}"
            raise SettingError(SETTING, problem, "choose an address and a port that are free") from error
        with sock:
            async with asyncio.TaskGroup() as tasks:
                following = tasks.create_task(self.certificate.follow(context, renewal))
                await serve(application(judge), sock, context)
                following.cancel()


def parse_webhook(listen: str, directory: str | None, client_ca: str | None) -> Webhook | None:
    """Read the values of --webhook, --webhook-tls and --webhook-client-ca; None means off. Raises `SettingError`."""
    if listen == "off":
        return None
    address, port = parse_endpoint(SETTING, listen, "write 0.0.0.0:PORT, [::]:PORT or off")
    if not directory:
        remedy = "name the directory that has tls.crt and tls.key"
        raise SettingError("--webhook-tls", "is not set, and nobody asks without TLS", remedy)
    return Webhook(str(address), port, Certificate(Path(directory), Path(client_ca) if client_ca else None))


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def application(judge: Judge) -> Application:
    """Return an ASGI application that answers AdmissionReviews at /validate by what `judge` says."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(scope, send, await _answer(scope, receive, judge))

    return serve


async def _answer(scope: Scope, receive: Receive, judge: Judge) -> Response:
    if scope["path"] != PATH:
        return Response(404, f"no such page; there is {PATH}\n".encode())
    if scope["method"] != "POST":
        return Response(405, b"an AdmissionReview is posted\n", headers=((b"allow", b"POST"),))
    try:
        async with asyncio.timeout(_PATIENCE):
            body = await _body(receive)
    except TimeoutError:
        return Response(408, f"not all of it within {_PATIENCE:g} s\n".encode())
    if body is None:
        return Response(413, f"more than {_LARGEST} bytes\n".encode())
    try:
        review = msgspec.json.decode(body, type=_Review)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:  # a ValidationError is a DecodeError, too
        return Response(400, f"no AdmissionReview: {error}\n".encode())
    if (review.api_version, review.kind) != (_API_VERSION, _KIND):
        return Response(400, f"a {review.kind} of {review.api_version}, not a {_KIND} of {_API_VERSION}\n".encode())
    return Response(200, _encode(review.request.uid, judge(review.request)), "application/json")


async def _body(receive: Receive) -> bytes | None:
    """Return the body of a request; None if it is too long."""
    parts, length = [], 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        length += len(part)
        if length > _LARGEST:
            return None
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


def _encode(uid: str, verdict: Verdict) -> bytes:
    response: dict[str, Any] = {"uid": uid, "allowed": not verdict.refusals}
    if verdict.refusals:
        response["status"] = {"code": 422, "reason": "Invalid", "message": "; ".join(verdict.refusals)}
    if verdict.warnings:
        response["warnings"] = list(verdict.warnings)
    return msgspec.json.encode({"apiVersion": _API_VERSION, "kind": _KIND, "response": response})
