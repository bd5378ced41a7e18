"""An HTTP/1.1 server on loopback that answers from a function, and misbehaves on demand. For tests of clients.

It runs on the caller's event loop, so what it knows can be read and changed between two requests without a lock.
"""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl, urlsplit

__all__ = ["Fault", "HttpDouble", "Request", "Response"]

_PAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"


class Fault(Enum):
    """What goes wrong with one request. The ones that end in DONE happen after the work has been done."""

    HANG = "no answer until the client gives up"
    HANG_DONE = "the work is done, then no answer"
    RESET = "the connection is reset"
    RESET_DONE = "the work is done, then the connection is reset"
    LATE = "the connection is reset; the work is done when `finish_late` is called"
    CUT_DONE = "the work is done, and the connection ends within the answer"
    BUSY = "429 with Retry-After"
    BAD_GATEWAY = "502 with a page of HTML"
    BAD_GATEWAY_DONE = "the work is done, then 502 with a page of HTML"
    DRIP = "an answer that comes byte by byte and never ends"
    REDIRECT = "302 to `elsewhere`"
    LOGIN_PAGE = "200 with a page of HTML"
    WRONG_HOST = "404 with a page of HTML"


@dataclass(frozen=True, slots=True)
class Request:
    """One request. Header names are in lower case."""

    method: str
    path: str
    query: tuple[tuple[str, str], ...]
    headers: dict[str, str]
    body: bytes

    def values(self, name: str) -> list[str]:
        """Return every value of a query parameter."""
        return [value for key, value in self.query if key == name]


@dataclass(frozen=True, slots=True)
class Response:
    """An answer."""

    status: int
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)

    @classmethod
    def json(cls, status: int, value: Any) -> "Response":
        """Return an answer that carries a JSON value."""
        return cls(status, json.dumps(value).encode())


_HTML = (("Content-Type", "text/html"),)
_ANSWERS = {
    Fault.BUSY: Response(429, b'{"detail": "slow down"}', (("Retry-After", "7"),)),
    Fault.BAD_GATEWAY: Response(502, _PAGE, _HTML),
    Fault.BAD_GATEWAY_DONE: Response(502, _PAGE, _HTML),
    Fault.LOGIN_PAGE: Response(200, b"<html>log in</html>", _HTML),
    Fault.WRONG_HOST: Response(404, b"<html>no such site</html>", _HTML),
}


@dataclass
class HttpDouble:
    """The server: `answer` does the work of a request at once, without waiting."""

    answer: Callable[[Request], Response]
    elsewhere: str = "http://127.0.0.1:9/"
    """Where a REDIRECT leads."""
    requests: list[Request] = field(default_factory=list)
    """Every request that arrived, whatever became of it."""
    _faults: list[tuple[str, Fault]] = field(default_factory=list)
    _late: list[Request] = field(default_factory=list)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def fail_next(self, fault: Fault, method: str = "") -> None:
        """Let the next request fail, or the next one of that method. Several are used up in the order of the calls."""
        self._faults.append((method, fault))

    def heal(self) -> None:
        """Forget the faults that have not happened yet."""
        self._faults.clear()

    def finish_late(self) -> None:
        """Do the work of every request that was LATE."""
        late, self._late = self._late, []
        for request in late:
            self.answer(request)

    @asynccontextmanager
    async def serving(self, tls: ssl.SSLContext | None = None) -> AsyncIterator[str]:
        """Listen on any free port of 127.0.0.1; yield the URL. Connections are cut at the end."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=tls)
        try:
            port = server.sockets[0].getsockname()[1]
            yield f"{'https' if tls else 'http'}://127.0.0.1:{port}"
        finally:
            server.close()
            while self._writers:
                for writer in list(self._writers):
                    writer.transport.abort()
                await asyncio.sleep(0)
            await server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._one(await self._receive(reader), reader, writer):
                    pass
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _receive(self, reader: asyncio.StreamReader) -> Request:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *lines = head.rstrip("\r\n").split("\r\n")
        method, target, _ = line.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (text.partition(":") for text in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        parts = urlsplit(target)
        query = tuple(parse_qsl(parts.query, keep_blank_values=True))
        return Request(method, parts.path, query, headers, body)

    async def _one(self, request: Request, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; say whether the connection goes on."""
        self.requests.append(request)
        fault = self._next_fault(request)
        if fault is Fault.LATE:
            self._late.append(request)
        response = Response(500)
        if fault is None or fault.name.endswith("DONE"):
            response = self.answer(request)
        match fault:
            case Fault.HANG | Fault.HANG_DONE:
                await reader.read()
                return False
            case Fault.RESET | Fault.RESET_DONE | Fault.LATE:
                return False
            case Fault.CUT_DONE:
                whole = _encode(response)
                writer.write(whole[: len(whole) // 2])
                await writer.drain()
                writer.write_eof()
                return False
            case Fault.DRIP:
                writer.write(b"HTTP/1.1 200 -\r\nX-Drip: ")
                while not writer.is_closing():
                    writer.write(b".")
                    await writer.drain()
                    await asyncio.sleep(0.01)
                return False
            case Fault.REDIRECT:
                writer.write(_encode(Response(302, b"", (("Location", self.elsewhere),))))
            case None:
                writer.write(_encode(response))
            case _:
                writer.write(_encode(_ANSWERS[fault]))
        await writer.drain()
        return True

    def _next_fault(self, request: Request) -> Fault | None:
        for index, (method, fault) in enumerate(self._faults):
            if method in ("", request.method):
                del self._faults[index]
                return fault
        return None


def _encode(response: Response) -> bytes:
    headers = [*response.headers, ("Content-Length", str(len(response.body)))]
    lines = [f"HTTP/1.1 {response.status} -", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode() + response.body
