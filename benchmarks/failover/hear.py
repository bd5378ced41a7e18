"""Hear a segment's gratuitous ARP; tell at the end who announced which address first when.

Run with `python -I -S` inside a client: INTERFACE. Prints "ready", and when it is told to stop, one line of JSON: by
MAC address and address (as a number) the time that the kernel received the first frame (CLOCK_MONOTONIC, ns), and how
many frames there were by MAC address. The socket's own drops are told as "lost".
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
_SOL_PACKET, _PACKET_STATISTICS = 263, 6
_ROOM = 256 << 20
_TIMESPEC = struct.Struct("qq")


def main(interface: str) -> None:
    """Hear until SIGTERM or SIGINT."""
    running = True

    def stop(*_: object) -> None:
        nonlocal running
        running = False

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    first: dict[str, dict[int, int]] = {}
    frames: dict[str, int] = {}
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as opened:
        opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)
        opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        opened.bind((interface, _ETH_P_ARP))
        opened.setblocking(False)
        behind = time.time_ns() - time.monotonic_ns()
        print("ready", flush=True)
        while running:
            select.select([opened], [], [], 0.2)
            _hear(opened, behind, first, frames)
        _, lost = struct.unpack("II", opened.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
    json.dump({"first": first, "frames": frames, "lost": lost}, sys.stdout)
    sys.stdout.flush()


def _hear(opened: socket.socket, behind: int, first: dict[str, dict[int, int]], frames: dict[str, int]) -> None:
    """Take in what waits: frames of which sender and target are the same."""
    while True:
        try:
            frame, ancillary, _, _ = opened.recvmsg(128, 64)
        except BlockingIOError:
            return
        if frame[28:32] == frame[38:42] and frame[28:32] != bytes(4):
            who = frame[22:28].hex(":")
            seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
            at = seconds * 1_000_000_000 + nanoseconds - behind
            first.setdefault(who, {}).setdefault(int.from_bytes(frame[28:32], "big"), at)
            frames[who] = frames.get(who, 0) + 1


if __name__ == "__main__":
    main(*sys.argv[1:])
