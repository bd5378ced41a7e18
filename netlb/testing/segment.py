"""An Ethernet segment in memory, and the strangers on it: what `netlb.testing.l2.FakeAnnouncer` is plugged into."""

from typing import Protocol

from netlb.l2 import arp, ndp
from netlb.l2.announces import parse_station
from netlb.l2.ethernet import ARP, BROADCAST, format_mac, parse_mac
from netlb.l2.responder import Reaction, Responder
from netlb.net import Address

__all__ = ["Announcing", "FakeSegment", "Port", "judge"]

_ASKER = bytes.fromhex("02000000ffff")
_ASKER_IPV4 = bytes((169, 254, 1, 1))
_ASKER_IPV6 = bytes.fromhex("fe80000000000000000000000000ffff")


class Announcing(Protocol):
    """What a segment asks of an announcer when time goes by."""

    def next_wakeup(self) -> float | None:
        """Return when the next announcement or probe is due."""
        ...

    def transmit(self, now: float) -> None:
        """Send the announcements and probes that are due."""
        ...


class Port(Protocol):
    """What a segment asks of an interface that is plugged in."""

    @property
    def announcer(self) -> Announcing:
        """Whose interface it is."""
        ...

    def receive(self, frame: bytes) -> bytes | None:
        """Take a frame; return what is sent back."""
        ...


class FakeSegment:
    """An Ethernet segment: every frame that is sent reaches every announcer on it."""

    def __init__(self) -> None:
        self.announced: list[bytes] = []
        """The gratuitous frames sent so far, oldest first."""
        self.probed: list[bytes] = []
        """The probes sent so far, oldest first."""
        self.now = 0.0
        """Seconds."""
        self._ports: list[Port] = []
        self._strangers: dict[str, Responder] = {}

    async def who_has(self, address: str | Address) -> list[str]:
        """Ask for an address as another station would; return the MAC addresses that answer, in order."""
        answers = self.send(_question(parse_station(address).packed))
        return sorted(format_mac(answer[6:12]) for answer in answers)

    def send(self, frame: bytes) -> list[bytes]:
        """Send a frame as a station of no announcer; return what is sent back."""
        return self._deliver(frame, sender=None)

    def occupy(self, address: str | Address, mac: str) -> None:
        """Let a station of no announcer have an address, and answer for it from now on."""
        self._strangers.setdefault(mac, Responder(parse_mac(mac))).hold(parse_station(address).packed)

    def vacate(self, address: str | Address) -> None:
        """Let no such station have the address any more."""
        for stranger in self._strangers.values():
            stranger.release(parse_station(address).packed)

    def advance(self, seconds: float) -> None:
        """Let time go by: what is due is announced or asked, each frame at its time."""
        until = self.now + seconds
        announcers = list(dict.fromkeys(port.announcer for port in self._ports))
        while True:
            wakeups = [wakeup for announcer in announcers if (wakeup := announcer.next_wakeup()) is not None]
            if not wakeups or min(wakeups) > until:
                break
            self.now = max(self.now, min(wakeups))
            for announcer in announcers:
                announcer.transmit(self.now)
        self.now = until

    def plug(self, port: Port) -> None:
        """Let an announcer's interface hear this segment."""
        self._ports.append(port)

    def unplug(self, port: Port) -> None:
        """Let it hear the segment no more."""
        self._ports.remove(port)

    def announce(self, frame: bytes, sender: Port) -> None:
        """Send an announcer's gratuitous frame to all others."""
        self.announced.append(frame)
        self._deliver(frame, sender)

    def ask(self, frame: bytes, sender: Port) -> list[bytes]:
        """Send an announcer's probe to all others; return what is sent back."""
        self.probed.append(frame)
        return self._deliver(frame, sender)

    def _deliver(self, frame: bytes, sender: Port | None) -> list[bytes]:
        answers = [port.receive(frame) for port in list(self._ports) if port is not sender]
        answers += [judge(stranger, frame)[1] for stranger in self._strangers.values()]
        return [answer for answer in answers if answer is not None]


def judge(responder: Responder, frame: bytes) -> Reaction:
    """Give a frame to a responder as the kernel would, by its protocol."""
    return responder.receive_arp(frame) if frame[12:14] == ARP else responder.receive_nd(frame)


def _question(address: bytes) -> bytes:
    if len(address) == 4:
        return arp.ArpPacket(
            destination=BROADCAST,
            source=_ASKER,
            operation=arp.REQUEST,
            sender_mac=_ASKER,
            sender_address=_ASKER_IPV4,
            target_mac=bytes(6),
            target_address=address,
        ).encode()
    group = ndp.solicited_node(address)
    return ndp.NeighborSolicitation(
        destination_mac=ndp.group_mac(group),
        source_mac=_ASKER,
        source=_ASKER_IPV6,
        destination=group,
        target=address,
        options=((ndp.SOURCE_LINK_ADDRESS, _ASKER),),
    ).encode()
