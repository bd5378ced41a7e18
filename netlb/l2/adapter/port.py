"""One interface in the responder's process: its two packet sockets, its table of addresses, its groups."""

import errno
import socket
from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from itertools import chain, islice
from typing import TYPE_CHECKING

from netlb.l2 import filters
from netlb.l2.adapter.sockets import Memberships, attach, open_packet_socket, overrun
from netlb.l2.ethernet import ARP, IPV6
from netlb.l2.groups import SolicitedNodeGroups
from netlb.l2.responder import Reaction, Responder

if TYPE_CHECKING:
    from netlb.l2.adapter.fastpath import FastPath

__all__ = ["Port"]

_LARGEST_FRAME = 2048
"""Bytes that are read of a frame; no question is longer."""
_MOST_FRAMES = 64
"""Frames read from one socket before the others have their turn."""


class Port:
    """Receives, judges and answers on one interface; a link that is down or gone is no error here.

    Where there is a fast path, an address is held here first and there last, and released in the other order; what it
    answers never comes to the sockets. So a request has one answer at most at any time.
    """

    def __init__(
        self, index: int, mac: bytes, own_macs: AbstractSet[bytes], overhear: Callable[[int, bytes], None]
    ) -> None:
        """Open the sockets, with filters that pass nothing yet; OSError if there is no such interface.

        While addresses are probed, `overhear` is given each frame after it was answered, with the index.
        """
        self.index = index
        self.mac = mac
        self.responder = Responder(mac, own_macs)
        self.unsent = 0
        self.fastpath: FastPath | None = None
        """What answers in front of the sockets."""
        self._overrun = 0
        self._groups = SolicitedNodeGroups()
        self._memberships = Memberships(index)
        self._overhear = overhear
        self._probed: set[bytes] = set()
        self._stale: set[socket.socket] = set()
        self.arp = open_packet_socket(index, ARP)
        try:
            self.nd = open_packet_socket(index, IPV6)
        except OSError:
            self.arp.close()
            raise

    def close(self) -> None:
        """Close all sockets, and leave the groups with them."""
        if self.fastpath is not None:
            self.fastpath.close()
        self.arp.close()
        self.nd.close()
        self._memberships.close()

    def accelerate(self, fastpath: "FastPath") -> None:
        """Let a fast path, which is attached and closed with the rest, answer for what is held."""
        self.fastpath = fastpath
        fastpath.hold((*self.responder.ipv4, *self.responder.ipv6))
        fastpath.listen(self._probed)

    def drain_arp(self) -> None:
        """Answer the ARP requests that wait."""
        self._drain(self.arp, self.responder.receive_arp)

    def drain_nd(self) -> None:
        """Answer the neighbour solicitations that wait."""
        self._drain(self.nd, self.responder.receive_nd)

    def announce(self, address: bytes, frame: bytes) -> None:
        """Send a gratuitous frame for a held address."""
        counters = self.responder.counters(address)
        if counters is not None and self._send(self._socket(address), frame):
            counters.gratuitous += 1

    def hold(self, addresses: Iterable[bytes]) -> tuple[list[bytes], tuple[tuple[bytes, int], ...]]:
        """Hold addresses; return those that were not held before, and those refused, each with its errno."""
        listening, refused = self._listen(addresses)
        held = [address for address in listening if self.responder.hold(address)]
        self._stale.update(self._socket(address) for address in held)
        if self.fastpath is not None:
            self.fastpath.hold(held)
        return held, refused

    def release(self, addresses: Iterable[bytes]) -> None:
        """Hold the addresses no more; those that were not held are passed over.

        OSError where the kernel does not take them out of the fast path: then they are held still.
        """
        addresses = list(addresses)
        if self.fastpath is not None:
            self.fastpath.drop(addresses)
            self.fastpath.listen(self._probed.intersection(addresses))
        for address in addresses:
            if self.responder.release(address):
                self._stale.add(self._socket(address))
            self._listen_no_more(address)

    def probe(self, addresses: Iterable[bytes]) -> tuple[list[bytes], tuple[tuple[bytes, int], ...]]:
        """Overhear what concerns the addresses from now on; return them, and those refused, each with its errno."""
        probed, refused = self._listen(addresses)
        self._probed.update(probed)
        self._stale.update(map(self._socket, probed))
        if self.fastpath is not None:
            self.fastpath.listen(probed)
        self.renew_filters()
        return probed, refused

    def send_probe(self, address: bytes, frame: bytes) -> bool:
        """Ask for an address; False if the frame could not be sent."""
        return self._send(self._socket(address), frame)

    def end_probe(self, address: bytes) -> None:
        """Overhear what concerns the address no more."""
        self._probed.discard(address)
        self._listen_no_more(address)
        if self.fastpath is not None:
            self.fastpath.listen_no_more(address)
        self._stale.add(self._socket(address))
        if not self._probed:  # till then a frame too many costs less than a filter for each address that ends
            self.renew_filters()

    def renew_filters(self) -> None:
        """Attach filters for what is held and probed now, where that has changed."""
        if self.arp in self._stale:
            probed = {address for address in self._probed if len(address) == 4}
            self._attach(self.arp, self.responder.ipv4 | probed, filters.arp_filter)
        if self.nd in self._stale:
            probed = {address for address in self._probed if len(address) == 16}
            self._attach(self.nd, self.responder.ipv6 | probed, filters.nd_filter)
        self._stale.clear()

    def overrun(self) -> int:
        """Return how many frames were lost because a receive buffer was full."""
        self._overrun += overrun(self.arp) + overrun(self.nd)
        return self._overrun

    def counters(self, start: int, most: int) -> Iterator[tuple[bytes, int, int, int]]:
        """Yield held addresses from that number on, each with its requests, responses and gratuitous frames."""
        for address in islice(chain(self.responder.ipv4, self.responder.ipv6), start, start + most):
            counters = self.responder.counters(address)
            if counters is not None:
                fast = self.fastpath.answered(address) if self.fastpath is not None else 0
                yield address, counters.requests + fast, counters.responses + fast, counters.gratuitous

    def _socket(self, address: bytes) -> socket.socket:
        return self.arp if len(address) == 4 else self.nd

    def _listen(self, addresses: Iterable[bytes]) -> tuple[list[bytes], tuple[tuple[bytes, int], ...]]:
        """Join the groups of addresses; return those that can be listened for, and those refused."""
        listening: list[bytes] = []
        refused: list[tuple[bytes, int]] = []
        for address in addresses:
            group = self._groups.add(address)
            if group is not None:
                try:
                    self._memberships.join(group)
                except OSError as error:
                    self._groups.discard(address)
                    refused.append((address, error.errno or errno.EIO))
                    continue
            listening.append(address)
        return listening, tuple(refused)

    def _listen_no_more(self, address: bytes) -> None:
        """Leave the group of an address, unless it is held or probed still."""
        if address in self._probed or self.responder.counters(address) is not None:
            return
        group = self._groups.discard(address)
        if group is not None:
            self._memberships.leave(group)

    def _attach(
        self, sock: socket.socket, addresses: AbstractSet[bytes], build: Callable[..., filters.Program]
    ) -> None:
        try:
            attach(sock, build(addresses))
        except OSError as error:
            if error.errno != errno.ENOMEM:
                raise
            attach(sock, build(addresses, limit=0))  # net.core.optmem_max has no room for the list

    def _drain(self, sock: socket.socket, judge: Callable[[bytes], Reaction]) -> None:
        for _ in range(_MOST_FRAMES):
            try:
                frame = sock.recv(_LARGEST_FRAME)
            except OSError:  # nothing more waits, or the link went down
                return
            _, answer = judge(frame)
            if answer is not None:
                self._send(sock, answer)
            if self._probed:
                self._overhear(self.index, frame)

    def _send(self, sock: socket.socket, frame: bytes) -> bool:
        try:
            sock.send(frame)
        except OSError:  # the queue is full, or the link is down: the asker asks again
            self.unsent += 1
            return False
        return True
