"""Send datagrams to several addresses at once, again and again; tell at the end which were answered when.

Run with `python -I -S` inside a pod: PORT MICROSECONDS ADDRESS... Prints "ready", and when it is told to stop, one line
of JSON: by address, for every datagram when it was sent and when its answer came (CLOCK_MONOTONIC, ns), or null.
"""

import contextlib
import json
import select
import signal
import socket
import struct
import sys
import time

__all__: list[str] = []

_NUMBER = struct.Struct("!Q")
_LINGER = 0.3  # seconds for the last answers


def main(port: str, microseconds: str, *addresses: str) -> None:
    """Ask until SIGTERM or SIGINT."""
    running = True

    def stop(*_: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    poller = select.epoll()
    opened: dict[int, tuple[socket.socket, list[list[int | None]]]] = {}
    asked: dict[str, list[list[int | None]]] = {address: [] for address in addresses}
    for address in addresses:
        one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        one.connect((address, int(port)))
        one.setblocking(False)
        poller.register(one, select.EPOLLIN)
        opened[one.fileno()] = one, asked[address]

    def receive(patience: float) -> None:
        for number, _ in poller.poll(patience):
            one, answers = opened[number]
            with contextlib.suppress(OSError):  # an unreachable address is an answer that is missing
                answers[_NUMBER.unpack_from(one.recv(2048))[0]][1] = time.monotonic_ns()

    interval = int(microseconds) / 1e6
    print("ready", flush=True)
    due = time.monotonic()
    while running:
        now = time.monotonic()
        if now >= due:
            for one, answers in opened.values():
                answers.append([time.monotonic_ns(), None])
                with contextlib.suppress(OSError):
                    one.send(_NUMBER.pack(len(answers) - 1))
            due = max(due + interval, now)
        receive(max(0.0, due - time.monotonic()))
    end = time.monotonic() + _LINGER
    while (left := end - time.monotonic()) > 0:
        receive(left)
    json.dump(asked, sys.stdout)
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
