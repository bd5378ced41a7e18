"""What interfaces have, and how the kernel answers for it: asked now, once."""

import errno
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from netlb.errors import DataplaneError
from netlb.l2 import addrmsg
from netlb.l2.addrmsg import InterfaceAddress, Kind

__all__ = ["arp_ignore", "interface_names", "local_addresses"]

_CONF: Final = Path("/proc/sys/net/ipv4/conf")
_CHUNK: Final = 1 << 16


def local_addresses() -> list[InterfaceAddress]:
    """Return the addresses of all interfaces; DataplaneError where netlink does not serve."""
    found: list[InterfaceAddress] = []
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
            sock.send(addrmsg.encode_list(1))
            while True:
                for message in addrmsg.decode(sock.recv(_CHUNK)):
                    if message.kind in {Kind.DONE, Kind.ERROR}:
                        return found
                    if message.address is not None:
                        found.append(message.address)
    except OSError as error:
        raise DataplaneError("list the addresses of this node", error.errno or errno.EIO) from error


def interface_names() -> dict[int, str]:
    """Return the names of all interfaces by index."""
    return dict(socket.if_nameindex())


def arp_ignore(interfaces: Iterable[str]) -> dict[str, int]:
    """Return which questions the kernel leaves unanswered, by interface (ip-sysctl: the larger value of two counts)."""
    every = _setting("all")
    return {name: max(every, _setting(name)) for name in interfaces}


def _setting(name: str) -> int:
    try:
        return int((_CONF / name / "arp_ignore").read_text())
    except (OSError, ValueError):  # the interface is gone
        return 0
