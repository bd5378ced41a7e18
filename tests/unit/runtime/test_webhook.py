"""The admission webhook, asked as a server asks it, and its settings."""

import asyncio
import json
from collections.abc import Iterable, MutableMapping
from typing import Any

import pytest

from netlb.errors import SettingError
from netlb.runtime.tls import Certificate
from netlb.runtime.webhook import Request, Verdict, Webhook, application, parse_webhook

ASKED = {
    "apiVersion": "admission.k8s.io/v1",
    "kind": "AdmissionReview",
    "request": {
        "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
        "operation": "CREATE",
        "resource": {"group": "netlb.io", "version": "v1alpha1", "resource": "addresspools"},
        "name": "east",
        "object": {"kind": "AddressPool"},
        "userInfo": {"username": "somebody"},
    },
}


ALLOWED = Verdict(())


def ask(
    body: object, verdict: Verdict = ALLOWED, *, method: str = "POST", path: str = "/validate", pieces: int = 1
) -> tuple[int, str, list[Request]]:
    """Return the status and the body of the answer, and what the judge was asked."""
    sent: list[MutableMapping[str, Any]] = []
    asked: list[Request] = []
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    size = -(-len(content) // pieces) or 1
    parts = [content[at : at + size] for at in range(0, len(content), size)] or [b""]
    messages: Iterable[MutableMapping[str, Any]] = iter(
        {"type": "http.request", "body": part, "more_body": number < len(parts)}
        for number, part in enumerate(parts, start=1)
    )

    async def receive() -> MutableMapping[str, Any]:
        return next(iter(messages))

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    def judge(request: Request) -> Verdict:
        asked.append(request)
        return verdict

    asyncio.run(application(judge)({"type": "http", "method": method, "path": path}, receive, send))
    start, end = sent
    return start["status"], end["body"].decode(), asked


@pytest.mark.parametrize("pieces", [1, 3])
def test_what_is_in_order_is_allowed(pieces: int) -> None:
    status, body, (request,) = ask(ASKED, pieces=pieces)
    assert 200 == status
    assert {
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "response": {"uid": "705ab4f5-6393-11e8-b7cc-42010a800002", "allowed": True},
    } == json.loads(body)
    assert ("CREATE", "addresspools", "east", {"kind": "AddressPool"}) == (
        request.operation,
        request.resource.resource,
        request.name,
        request.object,
    )


def test_what_is_wrong_is_refused_with_every_reason_and_warnings_are_shown() -> None:
    _, body, _ = ask(ASKED, Verdict(("one", "two"), ("three",)))
    response = json.loads(body)["response"]
    assert not response["allowed"]
    assert {"code": 422, "reason": "Invalid", "message": "one; two"} == response["status"]
    assert ["three"] == response["warnings"]


@pytest.mark.parametrize(
    ("body", "method", "path", "status", "words"),
    [
        (ASKED, "POST", "/", 404, "/validate"),
        (ASKED, "GET", "/validate", 405, "posted"),
        (b"", "POST", "/validate", 400, "no AdmissionReview"),
        (b"\xff", "POST", "/validate", 400, "no AdmissionReview"),
        ([], "POST", "/validate", 400, "Expected `object`"),
        ({**ASKED, "apiVersion": "admission.k8s.io/v1beta1"}, "POST", "/validate", 400, "v1beta1"),
        ({**ASKED, "request": {"operation": "CREATE"}}, "POST", "/validate", 400, "uid"),
        (b" " * (8 << 20) + b" ", "POST", "/validate", 413, "8388608"),
    ],
)
def test_what_cannot_be_answered(body: object, method: str, path: str, status: int, words: str) -> None:
    answer = ask(body, method=method, path=path)
    assert status == answer[0]
    assert words in answer[1]
    assert [] == answer[2]


def test_settings() -> None:
    assert parse_webhook("off", None, None) is None
    webhook = parse_webhook("[::]:9443", "/tls", None)
    assert isinstance(webhook, Webhook)
    assert ("::", 9443) == (webhook.host, webhook.port)


@pytest.mark.parametrize(
    ("listen", "directory", "words"),
    [
        ("9443", "/tls", "--webhook: '9443' is not an address and a port"),
        ("0.0.0.0:x", "/tls", "--webhook: 'x' is not a port"),
        ("0.0.0.0:9443", None, "--webhook-tls: is not set"),
    ],
)
def test_settings_that_cannot_be(listen: str, directory: str | None, words: str) -> None:
    with pytest.raises(SettingError, match=words):
        parse_webhook(listen, directory, None)


def test_a_certificate_that_is_not_there_is_named(tmp_path: Any) -> None:
    with pytest.raises(SettingError, match=f"--webhook: the certificate in {tmp_path} cannot be used"):
        Certificate(tmp_path).context("--webhook")
