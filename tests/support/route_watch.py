"""Every change of a router's kernel table as it happens, in one order with BFD packets that reach the router."""

import os
import select
import socket
import struct
import threading
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from types import TracebackType
from typing import Any, Self

from pyroute2.netlink.rtnl.marshal import MarshalRtnl

from netlb.testing.lab import Host
from netlb.testing.lab.capture import open_packet_socket
from tests.support.routers import next_hops

__all__ = ["Heard", "RouteWatch", "Sent"]

_GROUPS = 0x40 | 0x400  # RTMGRP_IPV4_ROUTE and RTMGRP_IPV6_ROUTE
_APPEND = 0x800  # NLM_F_APPEND
_ROOM = 8 * 1024 * 1024
_ETH_P_IP = 0x0800
_SO_RCVBUFFORCE = 33
_BFD = 3784


@dataclass(frozen=True, slots=True)
class Sent:
    """A prefix is sent to other next hops than before; none: there is no route."""

    at: float
    prefix: str
    hops: frozenset[str]


@dataclass(frozen=True, slots=True)
class Heard:
    """A BFD packet has come."""

    at: float
    source: IPv4Address


class RouteWatch:
    """Looks from `with` on, in a thread; times are of the monotonic clock, at which the thread was told."""

    def __init__(self, router: Host, prefixes: Iterable[str]) -> None:
        self._router = router
        self._prefixes = tuple(prefixes)
        self._hops: dict[str, frozenset[str]] = {}
        self._marshal = MarshalRtnl()
        self._seen: list[Sent | Heard] = []
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        self._routes = self._router.inside(_open_netlink)
        self._packets = self._router.inside(lambda: open_packet_socket("eth0", _ETH_P_IP))
        self._wake, self._waker = os.pipe()
        # What has changed meanwhile is told after this, too: once more the same.
        self._hops = {prefix: frozenset(next_hops(self._router, prefix)) for prefix in self._prefixes}
        self._thread = threading.Thread(target=self._look, name=f"routes of {self._router.name}")
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._waker)
        self._thread.join()
        os.close(self._wake)
        self._routes.close()
        self._packets.close()

    def mark(self) -> int:
        """Return a place in the order of all that is seen: what has happened is before it."""
        with self._changed:
            return len(self._seen)

    def since(self, mark: int) -> list[Sent | Heard]:
        """Return what has been seen since a mark."""
        with self._changed:
            return self._seen[mark:]

    def now(self) -> dict[str, frozenset[str]]:
        """Return where each prefix is sent."""
        with self._changed:
            return dict(self._hops)

    def _look(self) -> None:
        while True:
            ready, _, _ = select.select([self._wake, self._routes.fileno(), self._packets.fileno()], [], [])
            now = time.monotonic()
            with self._changed:
                # All packets first: what came before a change is never counted as after it.
                for frame in self._frames():
                    if _is_bfd(frame) and frame[30:34] == self._router.ipv4.packed:
                        self._seen.append(Heard(now, IPv4Address(frame[26:30])))
                if self._routes.fileno() in ready:
                    for message in self._marshal.parse(self._routes.recv(1 << 20)):
                        self._take(now, message)
            if self._wake in ready:
                return

    def _frames(self) -> Iterable[bytes]:
        with suppress(BlockingIOError):
            while True:
                yield self._packets.recv(65536, socket.MSG_DONTWAIT)

    def _take(self, now: float, message: Any) -> None:
        destination = message.get_attr("RTA_DST")
        if destination is None:
            return
        prefix = f"{ip_address(destination)}/{message['dst_len']}"
        if prefix not in self._prefixes:
            return
        told = frozenset(_hops(message))
        before = self._hops[prefix]
        if message["event"] == "RTM_DELROUTE":
            after = before - told
        else:
            after = before | told if message["header"]["flags"] & _APPEND else told
        if after != before:
            self._hops[prefix] = after
            self._seen.append(Sent(now, prefix, after))


def _open_netlink() -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)
    opened.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _ROOM)
    opened.bind((0, _GROUPS))
    return opened


def _is_bfd(frame: bytes) -> bool:
    """Over one hop (RFC 5881), without options."""
    return frame[14] == 0x45 and frame[23] == socket.IPPROTO_UDP and struct.unpack_from("!H", frame, 36)[0] == _BFD


def _hops(message: Any) -> Iterable[str]:
    several = message.get_attr("RTA_MULTIPATH")
    for hop in several or [message]:
        gateway = hop.get_attr("RTA_GATEWAY") or (hop.get_attr("RTA_VIA") or {}).get("addr")
        if gateway is not None:
            yield str(ip_address(gateway))
