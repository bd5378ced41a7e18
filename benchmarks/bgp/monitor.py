"""Follow a kernel's routing table, and say when as many routes are there as one waits for.

Run with `python -I -S` inside a router: PREFIX. On standard input comes `until N`, which is answered as soon as N
routes of 32 bits under PREFIX (16 bits, as 10.64) are there, or `again N`, which waits until they are fewer first. An
answer is a line of JSON: when the kernel's last message came (CLOCK_MONOTONIC, ns), and how many came meanwhile.
"""

import json
import os
import select
import socket
import struct
import sys
import time

__all__: list[str] = []

_RTMGRP_IPV4_ROUTE = 0x40
_SO_RCVBUFFORCE = 33
_ROOM = 64 << 20
_NEWROUTE, _DELROUTE = 24, 25
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_RTA_DST = 1


class Table:
    """The routes under a prefix, as the kernel tells of them."""

    def __init__(self, prefix: bytes) -> None:
        self._prefix = prefix
        self.routes: set[bytes] = set()
        self.changes = 0
        self.last = 0

    def hear(self, data: bytes, now: int) -> None:
        """Take in what the kernel said at once."""
        at = 0
        while at + 16 <= len(data):
            length, kind, *_ = _HEADER.unpack_from(data, at)
            if kind in (_NEWROUTE, _DELROUTE) and data[at + 17] == 32:
                self._change(_destination(data, at + 28, at + length), kind == _NEWROUTE, now)
            at += (length + 3) & ~3

    def _change(self, destination: bytes, added: bool, now: int) -> None:
        if destination[:2] != self._prefix:
            return
        if added:
            self.routes.add(destination)
        else:
            self.routes.discard(destination)
        self.changes += 1
        self.last = now


def _destination(data: bytes, at: int, end: int) -> bytes:
    while at + 4 <= end:
        length, kind = _ATTRIBUTE.unpack_from(data, at)
        if kind == _RTA_DST:
            return data[at + 4 : at + length]
        at += (max(length, 4) + 3) & ~3
    return b""


def main(prefix: str) -> None:
    """Follow until standard input ends."""
    table = Table(bytes(map(int, prefix.split("."))))
    wanted: int | None = None
    fewer_first = False
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as kernel:
        kernel.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)
        kernel.bind((0, _RTMGRP_IPV4_ROUTE))
        print("ready", flush=True)
        while True:
            readable, _, _ = select.select([kernel.fileno(), 0], [], [])
            if kernel.fileno() in readable:
                table.hear(kernel.recv(1 << 17), time.monotonic_ns())
            if 0 in readable:
                command = os.read(0, 4096).decode().split()
                if not command:
                    return
                fewer_first, wanted, table.changes = command[0] == "again", int(command[1]), 0
            if wanted is not None and len(table.routes) < wanted:
                fewer_first = False
            if wanted is not None and not fewer_first and len(table.routes) == wanted:
                print(json.dumps({"at": table.last, "changes": table.changes}), flush=True)
                wanted = None


if __name__ == "__main__":
    main(sys.argv[1])
