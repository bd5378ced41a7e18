"""Who answers for many addresses, asked all at once and over and over: a record of what was seen at what time."""

import itertools
import select
import socket
import threading
import time
from collections.abc import Collection, Mapping
from ipaddress import IPv4Address, ip_address
from types import TracebackType
from typing import NamedTuple, Self

from netlb.testing.lab import Host
from netlb.testing.lab.capture import open_packet_socket
from netlb.testing.lab.question import ETH_P_ARP, ETH_P_IPV6, arp_request, neighbor_solicitation
from tests.support.waiting import eventually

__all__ = ["Look", "RollCall", "Seen", "Settled"]

Seen = Mapping[str, frozenset[str]]
"""By address, the MAC addresses of those who answered."""

_WINDOW = 0.03
"""Seconds for the answers to come; those that come later count in the next look."""
_PAUSE = 0.02
_SURE = 8
"""Looks in a row that must show the same."""
_INTERFACE = "eth0"


class Look(NamedTuple):
    """What was seen at one time."""

    asked: float
    """time.monotonic() just before the questions were sent."""
    seen: Seen


class Settled(NamedTuple):
    """What was seen until all was as expected, in seconds."""

    disorder: float
    """For how long there was an address for which nobody, or more than one, answered."""
    right: float
    """Until those answered who are expected to, for good."""
    delay: float
    """How much later than due the latest of the looks was: the machine had no time for the asker, nor for others."""


class RollCall:
    """Asks as one host of the segment, by frames that its kernel knows nothing of; a context manager."""

    def __init__(self, asker: Host, addresses: Collection[str]) -> None:
        self._asker = asker
        self._addresses = {ip_address(address).packed: address for address in addresses}
        self._looks: list[Look] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="roll call")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._thread.join()

    def since(self, begun: float) -> list[Look]:
        """Return the looks that began at that time or later."""
        looks = self._looks
        at = len(looks)
        while at and looks[at - 1].asked >= begun:
            at -= 1
        return looks[at:]

    def settles(self, begun: float, expected: Seen, what: str, within: float) -> Settled:
        """Wait until each address has the answers expected, time and again; tell what was seen from `begun` on."""

        def wrong() -> dict[str, frozenset[str]]:
            last = self.since(begun)[-1:]
            return {a: macs for look in last for a, macs in look.seen.items() if macs != expected[a]}

        def settled() -> bool:
            looks = self.since(begun)
            return len(looks) >= _SURE and all(look.seen == expected for look in looks[-_SURE:])

        try:
            eventually(settled, what, within)
        except AssertionError as error:
            raise AssertionError(f"{error}: {wrong()}") from None
        looks = self.since(begun)
        bad = [look.asked for look in looks if look.seen != expected]
        return Settled(_disorder(looks), bad[-1] - begun if bad else 0.0, _delay(looks))

    def _run(self) -> None:
        frames = [
            arp_request(self._asker.mac, self._asker.ipv4, address)
            if isinstance(address, IPv4Address)
            else neighbor_solicitation(self._asker.mac, self._asker.ipv6, address)
            for address in map(ip_address, self._addresses.values())
        ]
        with (
            self._asker.inside(lambda: open_packet_socket(_INTERFACE, ETH_P_ARP)) as arp,
            self._asker.inside(lambda: open_packet_socket(_INTERFACE, ETH_P_IPV6)) as nd,
        ):
            for sock in (arp, nd):
                sock.setblocking(False)
            while not self._stopping.is_set():
                asked = time.monotonic()
                for frame in frames:
                    (arp if frame[12:14] == b"\x08\x06" else nd).send(frame)
                self._looks.append(Look(asked, self._answers([arp, nd], asked + _WINDOW)))
                self._stopping.wait(_PAUSE)

    def _answers(self, sockets: list[socket.socket], until: float) -> Seen:
        found: dict[str, set[str]] = {address: set() for address in self._addresses.values()}
        while True:
            left = until - time.monotonic()
            # What waits when the time is over came in time: it is this thread that was not let run.
            for sock in select.select(sockets, [], [], max(0.0, left))[0]:
                for _ in range(len(found)):
                    try:
                        frame = sock.recv(2048)
                    except BlockingIOError:
                        break
                    if (claim := self._claim(frame)) is not None:
                        found[claim[0]].add(claim[1])
            if left <= 0:
                break
        return {address: frozenset(macs) for address, macs in found.items()}

    def _claim(self, frame: bytes) -> tuple[str, str] | None:
        """Return whose an address is, as a frame tells the asker: RFC 826, and RFC 4861 section 4.4."""
        if frame[12:14] == b"\x08\x06":
            told = frame[20:22] == b"\x00\x02" and frame[38:42] == self._asker.ipv4.packed
            address, mac = frame[28:32], frame[22:28]
        else:
            told = len(frame) >= 86 and frame[54] == 136 and frame[38:54] == self._asker.ipv6.packed
            address, mac = frame[62:78], frame[80:86]
        return (self._addresses[address], mac.hex(":")) if told and address in self._addresses else None


def _delay(looks: list[Look]) -> float:
    """Return by how much two looks were farther apart than they should be, at most."""
    gaps = [after.asked - look.asked for look, after in itertools.pairwise(looks)]
    return max(0.0, max(gaps, default=0.0) - _WINDOW - _PAUSE)


def _disorder(looks: list[Look]) -> float:
    """Return for how long not exactly one answered for each address; each look counts until the next."""
    pairs = itertools.pairwise(looks)
    return sum(
        (after.asked - look.asked for look, after in pairs if any(len(macs) != 1 for macs in look.seen.values())), 0.0
    )
