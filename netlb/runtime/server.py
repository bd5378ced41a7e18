"""The HTTP server: uvicorn, kept from doing what belongs to the daemon (signals, logs, exiting), and asleep if idle."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator, MutableMapping
from email.utils import formatdate
from typing import Any

import uvicorn

from netlb.runtime.http import Application, Receive, Scope, Send

__all__ = ["serve"]


class Server(uvicorn.Server):
    """Leaves the signals to the daemon, and sleeps while nobody asks."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield

    async def main_loop(self) -> None:
        """Wait to be cancelled: uvicorn's own wakes up ten times a second to look for a signal, and to set the date."""
        await asyncio.Event().wait()


async def serve(application: Application, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
    """Answer requests on a listening socket until cancelled; then close the connections."""
    config = uvicorn.Config(
        _dated(application),
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
        limit_concurrency=64,
        timeout_keep_alive=5,
        timeout_graceful_shutdown=1,
    )
    config.load()
    config.ssl = tls  # as uvicorn would make it of file names, but for one whose certificate may be renewed
    server = Server(config)
    try:
        await server.serve(sockets=[sock])
    except asyncio.CancelledError:
        if server.started:
            await server.shutdown(sockets=[sock])
        raise


def _dated(application: Application) -> Application:
    """Have each response say when it was made (RFC 9110, section 6.6.1)."""

    async def serve_dated(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_dated(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [(b"date", formatdate(usegmt=True).encode()), *message["headers"]]
            await send(message)

        await application(scope, receive, send_dated)

    return serve_dated
