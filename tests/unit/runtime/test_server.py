"""The server, asked over a socket."""

import asyncio
import socket
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest

from netlb.runtime.http import application, standard_pages
from netlb.runtime.metrics import new_registry
from netlb.runtime.server import Server, serve


def test_it_answers_with_the_date_and_does_not_wake_up_to_look_for_something(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []

    async def look(self: Server, counter: int) -> bool:
        looked.append(counter)
        return False

    monkeypatch.setattr(Server, "on_tick", look)

    async def ask() -> bytes:
        with socket.socket(socket.AF_UNIX) as sock:
            sock.bind(str(tmp_path / "s"))
            serving = asyncio.create_task(serve(application(standard_pages({}, new_registry("netlb-test"))), sock))
            while True:
                try:
                    reader, writer = await asyncio.open_unix_connection(str(tmp_path / "s"))
                    break
                except ConnectionRefusedError:  # it does not listen yet
                    await asyncio.sleep(0)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: netlb\r\nConnection: close\r\n\r\n")
            answer = await reader.read()
            writer.close()
            serving.cancel()
            await asyncio.wait([serving])
            return answer

    head, _, body = asyncio.run(ask()).partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    assert ("HTTP/1.1 200 OK", b"ok\n") == (status, body)
    assert parsedate_to_datetime(headers["date"]).tzinfo is not None
    assert [] == looked
