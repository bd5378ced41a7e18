"""A whole daemon with its HTTP pages on a real socket."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from netlb.runtime.app import App, run
from netlb.runtime.listen import Listen, TcpListen, UnixListen
from netlb.runtime.metrics import new_registry


@pytest.fixture(autouse=True)
def _uvicorn_as_before() -> Iterator[None]:
    logger = logging.getLogger("uvicorn.access")
    handlers, propagate = logger.handlers, logger.propagate
    yield
    logger.handlers, logger.propagate = handlers, propagate


def free_port(family: socket.AddressFamily, host: str) -> int:
    with socket.socket(family) as sock:
        sock.bind((host, 0))
        return int(sock.getsockname()[1])


async def get(listen: Listen, path: str) -> str:
    """Return the whole response to a request over a new connection."""
    if isinstance(listen, UnixListen):
        reader, writer = await asyncio.open_unix_connection(listen.path)
    else:
        reader, writer = await asyncio.open_connection(listen.host, listen.port)
    with contextlib.closing(writer):
        writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
        return (await reader.read()).decode()


@pytest.mark.parametrize("kind", ["ipv4", "ipv6", "unix"])
def test_it_serves_until_the_end_and_leaves_nothing(kind: str, tmp_path: Path) -> None:
    listen: Listen = UnixListen(tmp_path / "http.sock")
    if kind == "ipv4":
        listen = TcpListen("127.0.0.1", free_port(socket.AF_INET, "127.0.0.1"))
    elif kind == "ipv6":
        listen = TcpListen("::1", free_port(socket.AF_INET6, "::1"))
    answers: dict[str, str] = {}
    ready: list[str | None] = ["waiting for the first snapshot"]

    async def client() -> None:
        answers["healthz"] = await get(listen, "/healthz")
        answers["before"] = await get(listen, "/readyz")
        ready[0] = None
        answers["after"] = await get(listen, "/readyz")
        answers["metrics"] = await get(listen, "/metrics")
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    async def while_stopping() -> None:
        answers["stopping"] = await get(listen, "/readyz")

    app = App(
        name="netlb-test",
        registry=new_registry("netlb-test"),
        services={"client": client},
        checks={"snapshot": lambda: ready[0]},
        on_stop={"look": while_stopping},
        http=listen,
    )
    assert run(app) == 0
    assert answers["healthz"].startswith("HTTP/1.1 200 OK\r\n")
    assert "server:" not in answers["healthz"].lower()
    assert answers["before"].startswith("HTTP/1.1 503 ")
    assert answers["before"].endswith("\r\n\r\nrunning: ok\nsnapshot: waiting for the first snapshot\n")
    assert answers["after"].endswith("\r\n\r\nrunning: ok\nsnapshot: ok\n")
    assert "netlb_build_info{" in answers["metrics"]
    assert answers["stopping"].startswith("HTTP/1.1 503 ")
    assert answers["stopping"].endswith("\r\n\r\nrunning: stopping\nsnapshot: ok\n")
    assert list(tmp_path.iterdir()) == []


def test_an_idle_connection_is_closed_at_the_stop(tmp_path: Path) -> None:
    listen = UnixListen(tmp_path / "http.sock")
    with socket.socket(socket.AF_UNIX) as connection:
        connection.setblocking(False)

        async def client() -> None:
            loop = asyncio.get_running_loop()
            await loop.sock_connect(connection, str(listen.path))
            await loop.sock_sendall(connection, b"HEAD /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            assert b"200 OK" in await loop.sock_recv(connection, 1000)
            os.kill(os.getpid(), signal.SIGTERM)
            await asyncio.Event().wait()

        registry = new_registry("netlb-test")
        assert run(App(name="netlb-test", registry=registry, services={"client": client}, http=listen)) == 0
        assert connection.recv(1) == b""


def test_the_server_leaves_signals_and_logs_to_the_daemon(tmp_path: Path) -> None:
    listen = UnixListen(tmp_path / "http.sock")
    handlers: list[object] = []

    async def client() -> None:
        handlers.append(signal.getsignal(signal.SIGTERM))
        await get(listen, "/healthz")
        handlers.append(signal.getsignal(signal.SIGTERM))
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.Event().wait()

    registry = new_registry("netlb-test")
    assert run(App(name="netlb-test", registry=registry, services={"client": client}, http=listen)) == 0
    assert handlers[0] is handlers[1]
    assert logging.getLogger("uvicorn").handlers == []


def test_the_server_is_loaded_only_where_something_listens() -> None:
    code = "import sys, netlb.runtime.app, netlb.runtime.config; sys.exit('uvicorn' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
