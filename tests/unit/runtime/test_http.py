"""The pages, asked as a server asks them."""

import asyncio
from collections.abc import Mapping, MutableMapping
from typing import Any

import pytest

from netlb.runtime.http import Check, application, standard_pages
from netlb.runtime.metrics import new_registry


def ask(path: str, *, method: str = "GET", checks: Mapping[str, Check] | None = None) -> tuple[int, Any, str]:
    """Return status, headers and body."""
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        raise AssertionError("no page reads a request body")

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    pages = standard_pages(checks or {}, new_registry("netlb-test"))
    asyncio.run(application(pages)({"type": "http", "method": method, "path": path}, receive, send))
    start, body = sent
    return start["status"], dict(start["headers"]), body["body"].decode()


def test_healthz_answers() -> None:
    status, headers, body = ask("/healthz")
    assert (status, body) == (200, "ok\n")
    assert headers[b"content-type"] == b"text/plain; charset=utf-8"


@pytest.mark.parametrize(
    ("checks", "status", "body"),
    [
        ({}, 200, ""),
        ({"snapshot": lambda: None, "l2": lambda: None}, 200, "snapshot: ok\nl2: ok\n"),
        ({"snapshot": lambda: None, "l2": lambda: "3 pending"}, 503, "snapshot: ok\nl2: 3 pending\n"),
    ],
)
def test_readyz_names_every_check(checks: Mapping[str, Check], status: int, body: str) -> None:
    answer = ask("/readyz", checks=checks)
    assert (answer[0], answer[2]) == (status, body)


def test_metrics_are_in_the_text_format() -> None:
    status, headers, body = ask("/metrics")
    assert status == 200
    assert headers[b"content-type"] == b"text/plain; version=0.0.4; charset=utf-8"
    assert 'netlb_build_info{component="netlb-test",version=' in body


def test_head_tells_the_length_and_sends_nothing() -> None:
    status, headers, body = ask("/healthz", method="HEAD")
    assert (status, headers[b"content-length"], body) == (200, b"3", "")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
def test_nothing_can_be_changed(method: str) -> None:
    status, headers, _ = ask("/healthz", method=method)
    assert (status, headers[b"allow"]) == (405, b"GET, HEAD")


@pytest.mark.parametrize("path", ["/", "/healthz/", "/Metrics", "//metrics"])
def test_there_are_no_other_pages(path: str) -> None:
    status, _, body = ask(path)
    assert (status, body) == (404, "no such page; there are /healthz, /readyz, /metrics\n")
