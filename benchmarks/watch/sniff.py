"""Watch an interface for events on their way to a client, and for gratuitous ARP; tell at the end what passed when.

Run with `python -I -S` inside the API server's host: INTERFACE PORT. Prints "ready", and when it is told to stop, one
line of JSON: for every mark in what the port sends, the time that the kernel first sent it; for every gratuitous ARP,
the time that the kernel received it and the address. Both are stamped by one kernel on one interface (ns).
"""

import json
import re
import select
import signal
import socket
import struct
import sys

__all__: list[str] = []

_ETH_P_ALL = 0x0003
_SO_TIMESTAMPNS = 35
_SO_RCVBUFFORCE = 33
_ROOM = 64 << 20
_TIMESPEC = struct.Struct("qq")
_MARK = re.compile(rb"mark-[0-9]+")


def main(interface: str, port: str) -> None:
    """Watch until SIGTERM or SIGINT."""
    running = True

    def stop(*_: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    source = struct.pack("!H", int(port))
    events: dict[str, int] = {}
    frames: list[tuple[int, str]] = []
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as opened:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)
        opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        opened.bind((interface, _ETH_P_ALL))
        opened.setblocking(False)
        print("ready", flush=True)
        while running:
            select.select([opened], [], [], 0.2)  # a signal that comes just before must not be missed
            while True:
                try:
                    frame, ancillary, _, _ = opened.recvmsg(1 << 17, 64)
                except BlockingIOError:
                    break
                seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
                when = seconds * 1_000_000_000 + nanoseconds
                if frame[12:14] == b"\x08\x06":
                    if frame[28:32] == frame[38:42]:
                        frames.append((when, socket.inet_ntoa(frame[28:32])))
                elif frame[12:14] == b"\x08\x00" and frame[23] == 6 and frame[34:36] == source:
                    for mark in _MARK.findall(frame, 54):
                        events.setdefault(mark.decode(), when)
    json.dump({"events": events, "frames": frames}, sys.stdout)
    sys.stdout.flush()


if __name__ == "__main__":
    main(*sys.argv[1:])
