"""Ask a segment again and again who has an address, by ARP; tell at the end who answered when.

Run with `python -I -S` inside a client: INTERFACE MAC SOURCE TARGET MICROSECONDS. Prints "ready", and when it is told
to stop, one line of JSON: for every answer the time that the kernel received it (CLOCK_MONOTONIC, ns) and whose it is.
"""

import json
import select
import signal
import socket
import struct
import sys
import time

__all__: list[str] = []

_ETH_P_ARP = 0x0806
_SO_TIMESTAMPNS = 35
_SO_RCVBUFFORCE = 33
_ROOM = 8 << 20
_TIMESPEC = struct.Struct("qq")
_ARP = struct.pack("!HHBB", 1, 0x0800, 6, 4)


def main(interface: str, mac: str, source: str, target: str, microseconds: str) -> None:
    """Ask until SIGTERM or SIGINT."""
    running = True

    def stop(*_: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    station, asked = bytes.fromhex(mac.replace(":", "")), socket.inet_aton(target)
    question = b"\xff" * 6 + station + struct.pack("!H", _ETH_P_ARP) + _ARP + b"\x00\x01" + station
    question += socket.inet_aton(source) + bytes(6) + asked
    answers: list[tuple[int, str]] = []
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as opened:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)
        opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        opened.bind((interface, _ETH_P_ARP))
        opened.setblocking(False)
        print("ready", flush=True)
        interval = int(microseconds) / 1e6
        due = time.monotonic()
        while running:
            now = time.monotonic()
            if now >= due:
                opened.send(question)
                due = max(due + interval, now)
            select.select([opened], [], [], max(0.0, due - time.monotonic()))
            answers += _received(opened, station, asked)
    json.dump(answers, sys.stdout)
    sys.stdout.flush()


def _received(opened: socket.socket, station: bytes, asked: bytes) -> list[tuple[int, str]]:
    """Return the answers that wait: replies to us that say who has the address."""
    found: list[tuple[int, str]] = []
    while True:
        try:
            frame, ancillary, _, _ = opened.recvmsg(256, 64)
        except BlockingIOError:
            return found
        if frame[:6] == station and frame[14:22] == _ARP + b"\x00\x02" and frame[28:32] == asked:
            seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
            # The kernel stamps frames with the time of day; both clocks are read at once, so that a step does no harm.
            behind = time.time_ns() - time.monotonic_ns()
            found.append((seconds * 1_000_000_000 + nanoseconds - behind, frame[22:28].hex(":")))


if __name__ == "__main__":
    main(*sys.argv[1:])
