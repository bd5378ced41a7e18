"""The sockets by which nodes of a large segment pass on who lives."""

import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from netlb.bfd.adapter.sockets import arrivals, open_receiver
from netlb.bfd.notices import MOST_OCTETS
from netlb.bfd.settings import SINGLE_HOP_TTL
from netlb.errors import DataplaneError
from netlb.net import Address
from netlb.reasons import BfdVerdict

__all__ = ["PORT", "NoticeSockets"]

PORT: Final = 7947
"""UDP."""


class NoticeSockets:
    """A socket for each family that is in use; what comes from farther than the same link is dropped (RFC 5082)."""

    def __init__(self) -> None:
        self.counts: Counter[BfdVerdict] = Counter()
        """Every datagram that came in, once; whoever takes it counts what it makes of it."""
        self.unsent = 0
        """Datagrams that the kernel did not take."""
        self._sockets: dict[int, socket.socket] = {}

    def open(self, families: Iterable[int], watch: Callable[[socket.socket], object]) -> None:
        """Open what is missing of IP versions 4 and 6 and have it watched; DataplaneError where the kernel refuses."""
        for version in set(families) - self._sockets.keys():
            family = socket.AF_INET if version == 4 else socket.AF_INET6
            try:
                sock = open_receiver(family, PORT)
            except OSError as error:
                raise DataplaneError(f"notices: bind UDP port {PORT}", error.errno or 0) from error
            if version == 4:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, SINGLE_HOP_TTL)
            else:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, SINGLE_HOP_TTL)
            self._sockets[version] = sock
            watch(sock)

    def close(self, forget: Callable[[socket.socket], object]) -> None:
        """Close all."""
        for sock in self._sockets.values():
            forget(sock)
            sock.close()
        self._sockets.clear()

    def receive(self, sock: socket.socket) -> Iterator[tuple[bytes, bytes]]:
        """Yield the datagrams that wait, each behind its sender's address (4 or 16 octets)."""
        for data, arrival in arrivals(sock, multihop=False, longest=MOST_OCTETS):
            if arrival.ttl == SINGLE_HOP_TTL:
                yield arrival.source, data
            else:
                self.counts[BfdVerdict.LOW_TTL] += 1

    def send(self, data: bytes, address: Address) -> None:
        """Send a datagram to a node; one that is not taken is lost, as the network may lose it."""
        try:
            self._sockets[address.version].sendto(data, (str(address), PORT))
        except (OSError, KeyError):
            self.unsent += 1
