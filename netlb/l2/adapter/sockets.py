"""Packet sockets with filters, and memberships of IPv6 multicast groups. Errors are plain OSErrors here."""

import errno
import socket
import struct
from array import array
from itertools import chain

from netlb.l2.filters import Program, nothing

__all__ = ["Memberships", "attach", "link_local", "open_packet_socket", "overrun"]

_SO_ATTACH_FILTER = 26
_SO_RCVBUFFORCE = 33
_SOL_PACKET = 263
_PACKET_STATISTICS = 6
_LINK = 0x20
"""IPV6_ADDR_LINKLOCAL of the kernel: a scope."""
_UNUSABLE = 0x48
"""IFA_F_TENTATIVE and IFA_F_DADFAILED of linux/if_addr.h."""
_RECEIVE_BUFFER = 1 << 20
"""Bytes. With much more, an overloaded node answers too late to be of use; with the default it loses more."""


def attach(sock: socket.socket, program: Program) -> None:
    """Let the socket receive only what the program passes; what was attached is replaced in one step."""
    code = array("B", struct.pack("HBBI" * len(program), *chain.from_iterable(program)))
    address, _ = code.buffer_info()
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program), address))


def open_packet_socket(index: int, ethertype: bytes) -> socket.socket:
    """Open a non-blocking packet socket on one interface that receives nothing until a filter lets it.

    It is made for no protocol and bound to one only after the filter is there: no frame gets in between.
    """
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
    try:
        attach(sock, nothing())
        try:
            sock.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        except PermissionError:  # without CAP_NET_ADMIN the kernel's net.core.rmem_max is the bound
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        sock.bind((socket.if_indextoname(index), int.from_bytes(ethertype, "big")))
    except OSError:
        sock.close()
        raise
    return sock


def overrun(sock: socket.socket) -> int:
    """Return how many frames found the receive buffer full since the last call."""
    _, dropped = struct.unpack("II", sock.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, 8))
    return int(dropped)


def link_local(index: int) -> bytes:
    """Return an interface's link-local IPv6 address; empty while it has none that it may use."""
    try:
        with open("/proc/net/if_inet6", encoding="ascii") as file:  # noqa: PTH123 - pathlib takes long to load
            lines = file.read().splitlines()
    except OSError:  # a kernel without IPv6
        return b""
    for line in lines:
        address, number, _, scope, flags, _ = line.split()
        if int(number, 16) == index and int(scope, 16) == _LINK and not int(flags, 16) & _UNUSABLE:
            return bytes.fromhex(address)
    return b""


class Memberships:
    """The multicast groups joined on one interface.

    Groups are joined on plain UDP sockets, since only that sends the reports (MLD) which a snooping switch needs.
    A socket takes some 2,300 groups (`net.core.optmem_max`); a further one is opened when it is full.
    """

    def __init__(self, index: int) -> None:
        self._index = struct.pack("@i", index)
        self._sockets: list[socket.socket] = []
        self._joined: dict[bytes, socket.socket] = {}

    def join(self, group: bytes) -> None:
        """Become a member of the group."""
        if not self._sockets:
            self._sockets.append(_udp())
        try:
            self._join(self._sockets[-1], group)
        except OSError as error:
            if error.errno not in {errno.ENOMEM, errno.ENOBUFS}:
                raise
            self._sockets.append(_udp())
            self._join(self._sockets[-1], group)

    def leave(self, group: bytes) -> None:
        """Be a member no more; that the interface has gone is no error."""
        sock = self._joined.pop(group)
        try:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_LEAVE_GROUP, group + self._index)
        except OSError as error:
            if error.errno not in {errno.ENODEV, errno.EADDRNOTAVAIL}:
                raise

    def close(self) -> None:
        """Leave all groups."""
        for sock in self._sockets:
            sock.close()
        self._sockets.clear()
        self._joined.clear()

    def _join(self, sock: socket.socket, group: bytes) -> None:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group + self._index)
        self._joined[group] = sock


def _udp() -> socket.socket:
    return socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
