"""Send datagrams to an address from many ports by turns, and tell at the end who answered which.

Run with `python -I -S` inside a client: ADDRESS PORT FLOWS MICROSECONDS. A router spreads the flows over the nodes by
their ports. Prints "ready", and when it is told to stop, one line of JSON: for every datagram when it was sent
(CLOCK_MONOTONIC, ns) and the name of the node that answered, or null.
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


def main(address: str, port: str, flows: str, microseconds: str) -> None:
    """Send until SIGTERM or SIGINT."""
    running = True

    def stop(*_: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    sockets = []
    poller = select.epoll()
    for _ in range(int(flows)):
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.connect((address, int(port)))
        opened.setblocking(False)
        poller.register(opened, select.EPOLLIN)
        sockets.append(opened)
    by_number = {opened.fileno(): opened for opened in sockets}
    sent: list[int] = []
    answered: dict[int, str] = {}

    def receive(patience: float) -> None:
        for number, _ in poller.poll(patience):
            with contextlib.suppress(OSError):  # an unreachable address is an answer that is missing
                datagram = by_number[number].recv(2048)
                answered[_NUMBER.unpack_from(datagram)[0]] = datagram[_NUMBER.size :].decode()

    interval = int(microseconds) / 1e6
    print("ready", flush=True)
    due = time.monotonic()
    while running:
        now = time.monotonic()
        if now >= due:
            sent.append(time.monotonic_ns())
            with contextlib.suppress(OSError):
                sockets[len(sent) % len(sockets)].send(_NUMBER.pack(len(sent) - 1))
            due = max(due + interval, now)
        receive(max(0.0, due - time.monotonic()))
    end = time.monotonic() + _LINGER
    while (left := end - time.monotonic()) > 0:
        receive(left)
    json.dump([(at, answered.get(number)) for number, at in enumerate(sent)], sys.stdout)
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
