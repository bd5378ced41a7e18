"""A program at an interface's clsact qdisc, where the kernel has no tcx (before Linux 6.6): a few rtnetlink messages.

It is written out, and not pyroute2's, since it must be the responder's process that does it: it has the program, and
netlink libraries take longer to load than all else there. Such a filter outlives a process that is killed; its
successor puts its own in that place, and until then the lease of the program keeps it from answering.
"""

import contextlib
import errno
import os
import socket
import struct
from typing import Final

__all__ = ["attach_clsact", "detach_clsact"]

_NEWQDISC, _NEWTFILTER, _DELTFILTER = 36, 44, 45
_REQUEST, _ACK, _EXCLUSIVE, _CREATE, _REPLACE = 0x1, 0x4, 0x200, 0x400, 0x100
_KIND, _OPTIONS = 1, 2
_BPF_FD, _BPF_NAME, _BPF_FLAGS, _DIRECT_ACTION = 6, 7, 8, 1
_CLSACT, _INGRESS, _QDISC = 0xFFFFFFF1, 0xFFFFFFF2, 0xFFFF0000
_ALL_PROTOCOLS = 0x0300
"""ETH_P_ALL in network byte order."""
_TCMSG = "=BxxxiIII"
"""Family, interface, handle, parent, and priority with protocol."""
_PRIORITY: Final = 110
_HANDLE: Final = 0x6E6C62
"""Ours alone, so that nobody's filter is replaced or deleted but our own of an earlier process."""


def attach_clsact(program: int, index: int) -> None:
    """Attach a program to what comes in on an interface; OSError. What a predecessor left there is replaced."""
    with contextlib.suppress(FileExistsError):
        head = struct.pack(_TCMSG, 0, index, _QDISC, _CLSACT, 0)
        _ask(_NEWQDISC, _CREATE | _EXCLUSIVE, head + _attribute(_KIND, b"clsact\0"))
    options = (
        _attribute(_BPF_FD, struct.pack("=I", program))
        + _attribute(_BPF_NAME, b"netlb\0")
        + _attribute(_BPF_FLAGS, struct.pack("=I", _DIRECT_ACTION))
    )
    _filter(_NEWTFILTER, _CREATE | _REPLACE, index, _attribute(_OPTIONS, options))


def detach_clsact(index: int) -> None:
    """Take the filter away; that it, or the interface, is gone is no error. The qdisc stays: others may use it."""
    try:
        _filter(_DELTFILTER, 0, index, b"")
    except OSError as error:
        if error.errno not in {errno.ENOENT, errno.ENODEV, errno.EINVAL}:
            raise


def _filter(kind: int, flags: int, index: int, options: bytes) -> None:
    head = struct.pack(_TCMSG, 0, index, _HANDLE, _INGRESS, _PRIORITY << 16 | _ALL_PROTOCOLS)
    _ask(kind, flags, head + _attribute(_KIND, b"bpf\0") + options)


def _ask(kind: int, flags: int, body: bytes) -> None:
    head = struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | _ACK | flags, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as route:
        route.send(head + body)
        answer = route.recv(8192)
    failed = -struct.unpack_from("=i", answer, 16)[0]
    if failed:
        raise OSError(failed, os.strerror(failed))


def _attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)
