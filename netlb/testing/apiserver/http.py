"""As much of HTTP/1.1 as an API server's clients speak; in full control of the connection, to break it."""

import asyncio
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from netlb.testing.apiserver.texts import to_json

__all__ = ["Connection", "Head"]

_MOST = 64 * 1024
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Head:
    """A request line and its headers, whose names are in lower case."""

    method: str
    path: tuple[str, ...]
    query: Mapping[str, str]
    headers: Mapping[str, str]


class Connection:
    """One connection of a client."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.frozen = False
        """Nothing is sent any more, as when the network in between is gone."""

    async def receive(self) -> tuple[Head, bytes] | None:
        """Return the next request and its body; None when the client has gone."""
        try:
            lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = lines[0].split(" ", 2)
            pairs = (line.partition(":") for line in lines[1:] if line)
            headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
            if headers.get("transfer-encoding") == "chunked":
                body = await self._chunks()
            else:
                body = await self._reader.readexactly(int(headers.get("content-length", 0)))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        url = urlsplit(target)
        path = tuple(unquote(part) for part in url.path.split("/") if part)
        return Head(method, path, dict(parse_qsl(url.query, keep_blank_values=True)), headers), body

    async def gone(self) -> None:
        """Return when the client closes. Only while no request is expected."""
        try:
            await self._reader.read(1)
        except ConnectionError:
            return

    async def answer(
        self, code: int, body: Any, headers: Mapping[str, str] | None = None, *, cut: bool = False
    ) -> None:
        """Send a whole answer: JSON, or a text or what is JSON already as it is; or half of it and a reset."""
        text = isinstance(body, str)
        content = body.encode() if text else body if isinstance(body, bytes) else to_json(body)
        head = {
            "Content-Type": "text/plain" if text else "application/json",
            "Content-Length": str(len(content)),
            **(headers or {}),
        }
        if cut:
            await self._send(self._head(code, head) + content[: len(content) // 2])
            self.reset()
        else:
            await self._send(self._head(code, head) + content)

    async def begin_stream(self) -> None:
        """Begin an answer of unknown length."""
        await self._send(self._head(200, {"Content-Type": "application/json", "Transfer-Encoding": "chunked"}))

    async def send_line(self, body: Any, *, cut: bool = False) -> None:
        """Send one line of it; or half a line and a reset."""
        line = (body.encode() if isinstance(body, str) else to_json(body)) + b"\n"
        chunk = f"{len(line):x}\r\n".encode() + line + b"\r\n"
        await self._send(chunk[: len(chunk) // 2] if cut else chunk)
        if cut:
            self.reset()

    async def end_stream(self) -> None:
        """End it in order."""
        await self._send(b"0\r\n\r\n")

    def reset(self) -> None:
        """Break the connection; what was sent still arrives, mostly."""
        if (sock := self._writer.get_extra_info("socket")) is not None and not self._writer.is_closing():
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._writer.transport.abort()

    async def close(self) -> None:
        """Close it, and wait until it is."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            return

    async def _chunks(self) -> bytes:
        """Return a body whose length the client did not know beforehand (RFC 9112, section 7.1)."""
        body = b""
        while size := int((await self._reader.readuntil(b"\r\n")).partition(b";")[0], 16):
            body += (await self._reader.readexactly(size + 2))[:-2]
        while await self._reader.readuntil(b"\r\n") != b"\r\n":  # trailers, which nobody reads
            pass
        return body

    async def _send(self, data: bytes) -> None:
        if not self.frozen:
            self._writer.write(data)
            await self._writer.drain()

    @staticmethod
    def _head(code: int, headers: Mapping[str, str]) -> bytes:
        lines = [f"HTTP/1.1 {code} {HTTPStatus(code).phrase}", *(f"{name}: {value}" for name, value in headers.items())]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
