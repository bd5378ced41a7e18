"""UDP sockets for control packets (RFC 5881 section 4, RFC 5883 section 4). Errors are plain OSErrors here."""

import errno
import socket
from collections.abc import Iterator
from functools import lru_cache
from struct import Struct
from typing import Final

from netlb.bfd.packet import LONGEST
from netlb.bfd.sessions import Arrival, SessionPath

__all__ = [
    "MULTIHOP_PORT",
    "SINGLE_HOP_PORT",
    "arrivals",
    "destination",
    "is_here",
    "open_receiver",
    "open_sender",
    "source_address",
]

SINGLE_HOP_PORT: Final = 3784
MULTIHOP_PORT: Final = 4784
_FIRST_SOURCE_PORT: Final = 49152
_SOURCE_PORTS: Final = 65536 - _FIRST_SOURCE_PORT
_MOST_TRIES: Final = 64

_IP_PKTINFO: Final = 8
_IP_RECVTTL: Final = 12
_PKTINFO4: Final = Struct("=I4s4s")
_PKTINFO6: Final = Struct("=16sI")
_INT: Final = Struct("=i")
_ANCILLARY: Final = socket.CMSG_SPACE(_PKTINFO6.size) + socket.CMSG_SPACE(_INT.size)
_RECEIVE_BUFFER: Final = 1 << 20
"""Bytes: what comes in while the process stands still is not lost, since it would look like a failure."""
_MOST_DATAGRAMS: Final = 4096
"""Taken in at a time: whoever sends more cannot keep us from seeing that another has fallen silent."""
_NETWORK_CONTROL: Final = 0xC0
"""DSCP CS6, as routers mark their control traffic."""
_TC_PRIO_CONTROL: Final = 7


def open_receiver(family: socket.AddressFamily, port: int) -> socket.socket:
    """Open a socket that receives control packets on all addresses of a family, with all that `arrivals` needs."""
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
            sock.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        sock.bind(("", port))
    except OSError:
        sock.close()
        raise
    return sock


def arrivals(sock: socket.socket, *, multihop: bool, longest: int = LONGEST) -> Iterator[tuple[bytes, Arrival]]:
    """Yield the datagrams that wait in a receiver, at most 4,096."""
    family = sock.family
    for _ in range(_MOST_DATAGRAMS):
        try:
            data, ancillary, _, sender = sock.recvmsg(longest + 1, _ANCILLARY)
        except BlockingIOError:
            return
        except OSError:  # of an earlier datagram, and told once
            continue
        yield data, _arrival(family, sender[0], tuple(ancillary), multihop)


@lru_cache(maxsize=1024)  # a peer's packets come in the same way again and again
def _arrival(
    family: socket.AddressFamily, sender: str, ancillary: tuple[tuple[int, int, bytes], ...], multihop: bool
) -> Arrival:
    interface, ttl, local = 0, 0, b""
    for level, kind, value in ancillary:
        if level == socket.IPPROTO_IP:
            if kind == _IP_PKTINFO:
                interface, _, local = _PKTINFO4.unpack(value)
            elif kind == socket.IP_TTL:
                (ttl,) = _INT.unpack(value)
        elif kind == socket.IPV6_PKTINFO:
            local, interface = _PKTINFO6.unpack(value)
        elif kind == socket.IPV6_HOPLIMIT:
            (ttl,) = _INT.unpack(value)
    return Arrival(socket.inet_pton(family, sender), local, interface, ttl, multihop)


def open_sender(path: SessionPath, first_try: int) -> socket.socket:
    """Open the socket that a session sends from: its own port of 49152 to 65535, TTL 255, bound to its interface.

    `first_try`, any number, chooses the port that is tried first. OSError where the address is not this node's.
    """
    family = socket.AF_INET if len(path.local) == 4 else socket.AF_INET6
    sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    try:
        if family == socket.AF_INET:
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 255)
            sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _NETWORK_CONTROL)
        else:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 255)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _NETWORK_CONTROL)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_PRIORITY, _TC_PRIO_CONTROL)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)  # nobody reads it; the kernel's least is kept
        if path.interface:
            _bind_to_interface(sock, path.interface)
        for attempt in range(_MOST_TRIES):
            port = _FIRST_SOURCE_PORT + (first_try + attempt) % _SOURCE_PORTS
            try:
                sock.bind(_sockaddr(path.local, port, path.interface))
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE or attempt == _MOST_TRIES - 1:
                    raise
    except OSError:
        sock.close()
        raise
    return sock


def destination(path: SessionPath) -> tuple[str, int] | tuple[str, int, int, int]:
    """Return where the packets of a session go, for `sendto`."""
    return _sockaddr(path.peer, MULTIHOP_PORT if path.multihop else SINGLE_HOP_PORT, path.interface)


def source_address(peer: bytes, interface: int) -> bytes:
    """Return the address that the kernel would send from; OSError where it knows no way to the peer."""
    family = socket.AF_INET if len(peer) == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        if interface:
            _bind_to_interface(sock, interface)
        sock.connect(_sockaddr(peer, SINGLE_HOP_PORT, interface))
        return socket.inet_pton(family, sock.getsockname()[0])


def is_here(address: bytes) -> bool:
    """Say whether an address is on this machine, as far as the kernel can tell."""
    family = socket.AF_INET if len(address) == 4 else socket.AF_INET6
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.bind(_sockaddr(address, 0, 0))
    except OSError as error:
        return error.errno not in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}
    return True


def _bind_to_interface(sock: socket.socket, interface: int) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, socket.if_indextoname(interface).encode() + b"\0")


def _sockaddr(address: bytes, port: int, interface: int) -> tuple[str, int] | tuple[str, int, int, int]:
    if len(address) == 4:
        return socket.inet_ntop(socket.AF_INET, address), port
    scope = interface if address[0] == 0xFE and address[1] & 0xC0 == 0x80 else 0
    return socket.inet_ntop(socket.AF_INET6, address), port, 0, scope
