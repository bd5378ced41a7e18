"""What a daemon tells over HTTP: whether it lives, whether it is ready, and its metrics. Nothing can be changed.

A page is a function without arguments; the ASGI application around the pages is pure, and the server that
runs it is in `netlb.runtime.server`, which is imported only where something listens.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest

__all__ = [
    "Application",
    "Check",
    "Page",
    "Receive",
    "Response",
    "Scope",
    "Send",
    "application",
    "respond",
    "standard_pages",
]

Check = Callable[[], str | None]
"""Why something is not ready, in a few words, or None if it is."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class Response:
    """An answer; a body of text ends in a newline."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: tuple[tuple[bytes, bytes], ...] = ()


Page = Callable[[], Response]


def standard_pages(checks: Mapping[str, Check], registry: CollectorRegistry) -> Mapping[str, Page]:
    """Return the pages that every daemon has."""
    return {
        "/healthz": lambda: Response(200, b"ok\n"),  # an answer at all shows that the event loop turns
        "/readyz": lambda: readiness(checks),
        "/metrics": lambda: Response(200, generate_latest(registry), CONTENT_TYPE_PLAIN_0_0_4),
    }


def readiness(checks: Mapping[str, Check]) -> Response:
    """Return 200 if every check passes and 503 if not, with a line for each check."""
    problems = {name: check() for name, check in checks.items()}
    ready = all(problem is None for problem in problems.values())
    lines = [f"{name}: {problem or 'ok'}\n" for name, problem in problems.items()]
    return Response(200 if ready else 503, "".join(lines).encode())


def answer(pages: Mapping[str, Page], method: str, path: str) -> Response:
    """Return the response to one request."""
    page = pages.get(path)
    if page is None:
        return Response(404, f"no such page; there are {', '.join(pages)}\n".encode())
    if method not in {"GET", "HEAD"}:
        return Response(405, b"this can only be read\n", headers=((b"allow", b"GET, HEAD"),))
    return page()


def application(pages: Mapping[str, Page]) -> Application:
    """Return an ASGI application that shows `pages`."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        await respond(scope, send, answer(pages, scope["method"], scope["path"]))

    return serve


async def respond(scope: Scope, send: Send, response: Response) -> None:
    """Send the response to one request."""
    headers = [
        (b"content-type", response.content_type.encode()),
        (b"content-length", str(len(response.body)).encode()),
        (b"cache-control", b"no-store"),
        *response.headers,
    ]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    body = b"" if scope["method"] == "HEAD" else response.body
    await send({"type": "http.response.body", "body": body})
