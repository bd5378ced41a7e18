"""Sockets for hellos: one for each of this node's addresses that they are sent from."""

import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from typing import Final, cast

from netlb.errors import DataplaneError
from netlb.net import Address, parse_address
from netlb.raven.hello import Hello, decode, encode

__all__ = ["HelloSocket"]

_IP_MTU_DISCOVER: Final = 10
_IP_PMTUDISC_PROBE: Final = 3
_CONTROL: Final = 0xC0
"""DSCP CS6, as BFD has."""


class HelloSocket(asyncio.DatagramProtocol):
    """Sends hellos from one address, and hears those that are sent to it.

    Without that address it cannot be opened, so that nothing leaves by another way. Packets are never fragmented, so
    one that does not fit is not sent. `hear` is called with the sender's address, the hello, and the octets of the
    datagram.
    """

    def __init__(self, local: Address, port: int, hear: Callable[[Address, Hello, int], None]) -> None:
        self.local = local
        self._port = port
        self._hear = hear
        self._transport: asyncio.DatagramTransport | None = None

    async def open(self) -> None:
        """Begin to hear; DataplaneError if the port is taken, or the address is not there."""
        family = socket.AF_INET if self.local.version == 4 else socket.AF_INET6
        sock = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        try:
            if family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _IP_PMTUDISC_PROBE)
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, _CONTROL)
            else:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _CONTROL)
            sock.bind((str(self.local), self._port))
            await asyncio.get_running_loop().create_datagram_endpoint(lambda: self, sock=sock)
        except OSError as error:
            sock.close()
            operation = f"hear hellos on {self.local}, UDP port {self._port}"
            raise DataplaneError(operation, error.errno or errno.EIO) from error

    def send(self, to: Address, hello: Hello, size: int = 0) -> None:
        """Send a hello of at least so many octets; one that cannot be sent is lost, as the way may lose it."""
        if self._transport is not None:
            with suppress(OSError):
                self._transport.sendto(encode(hello, size), (str(to), self._port))

    def close(self) -> None:
        """Hear nothing any more."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take over the transport."""
        self._transport = cast(asyncio.DatagramTransport, transport)  # 3.11 does not say so of its own

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Pass a hello on; anything else is dropped."""
        hello = decode(data)
        if hello is not None:
            self._hear(parse_address(addr[0]), hello, len(data))

    def error_received(self, exc: Exception) -> None:
        """Nothing: an ICMP error of an earlier datagram, which is lost."""
