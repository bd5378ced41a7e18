"""Request over TCP again and again, and tell at the end when requests were completed.

Run with `python -I -S` inside a client: ADDRESS PORT MICROSECONDS. A request begins at every interval, whatever became
of those before: one that hangs holds up no other. Prints "ready", and when it is told to stop, one line of JSON: the
times (CLOCK_MONOTONIC, ns) at which a request had its whole answer.
"""

import contextlib
import json
import select
import signal
import socket
import sys
import time

__all__: list[str] = []

_REQUEST = b"GET / HTTP/1.0\r\n\r\n"
_PATIENCE = 5.0  # seconds until a request is given up


def main(address: str, port: str, microseconds: str) -> None:
    """Request until SIGTERM or SIGINT."""
    running = True

    def stop(*_: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    poller = select.epoll()
    begun: dict[int, tuple[socket.socket, float]] = {}
    completed: list[int] = []
    interval = int(microseconds) / 1e6
    print("ready", flush=True)
    due = time.monotonic()
    while running:
        now = time.monotonic()
        if now >= due:
            connection = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            connection.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                connection.connect((address, int(port)))
            poller.register(connection, select.EPOLLOUT)
            begun[connection.fileno()] = (connection, now)
            due = max(due + interval, now)
            for late in [number for number, (_, since) in begun.items() if since + _PATIENCE < now]:
                begun.pop(late)[0].close()
        for number, event in poller.poll(max(0.0, due - time.monotonic())):
            connection = begun[number][0]
            ended = _advance(poller, connection, event)
            if ended is not None:
                begun.pop(number)[0].close()
                if ended:
                    completed.append(time.monotonic_ns())
    json.dump(completed, sys.stdout)
    sys.stdout.flush()


def _advance(poller: select.epoll, connection: socket.socket, event: int) -> bool | None:
    """Take the next step of a request; return whether it is complete (True) or broken (False), None if it goes on."""
    try:
        if event & select.EPOLLOUT:
            connection.send(_REQUEST)
            poller.modify(connection, select.EPOLLIN)
            return None
        return True if not connection.recv(4096) else None
    except OSError:
        return False


if __name__ == "__main__":
    main(*sys.argv[1:])
