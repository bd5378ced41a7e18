"""The HTTP server: uvicorn, kept from doing what belongs to the daemon (signals, logs, exiting)."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Iterator

import uvicorn

from netlb.runtime.http import Application

__all__ = ["serve"]


class Server(uvicorn.Server):
    """Leaves the signals to the daemon."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture nothing."""
        yield


async def serve(application: Application, sock: socket.socket, tls: ssl.SSLContext | None = None) -> None:
    """Answer requests on a listening socket until cancelled; then close the connections."""
    config = uvicorn.Config(
        application,
        http="h11",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
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
