"""Frames that a responder must get right, each with what it must make of them.

There is one table for both responders: the process, and the BPF program in front of it, which answers the plain ones
itself and leaves all others to the process. It is used on each of them alone, and over veth pairs and bridges where
kernel, socket filter and process have their say as well. There only whether an answer comes can be seen.
"""

from dataclasses import dataclass, replace
from ipaddress import ip_address

from netlb.l2 import arp, ndp
from netlb.l2.ethernet import BROADCAST
from netlb.reasons import FrameVerdict as V

NODE = bytes.fromhex("02005e005301")
ASKER = bytes.fromhex("02005e005302")
OTHER = bytes.fromhex("02005e0053ff")
MULTICAST = bytes.fromhex("01005e000001")

HELD4 = ip_address("192.0.2.10").packed
HELD6 = ip_address("2001:db8::c0:ffee").packed
FREE4 = ip_address("192.0.2.99").packed
FREE6 = ip_address("2001:db8::99").packed
TWIN6 = ip_address("2001:db8:1::c0:ffee").packed
ASKER4 = ip_address("192.0.2.1").packed
ASKER6 = ip_address("2001:db8::1").packed
LINK_LOCAL = ip_address("fe80::cafe").packed
NONCE = (14, b"abcdef")
SOURCE = (ndp.SOURCE_LINK_ADDRESS, ASKER)

REQUEST = arp.ArpPacket(
    destination=BROADCAST,
    source=ASKER,
    operation=arp.REQUEST,
    sender_mac=ASKER,
    sender_address=ASKER4,
    target_mac=bytes(6),
    target_address=HELD4,
)
SOLICITATION = ndp.NeighborSolicitation(
    destination_mac=ndp.group_mac(ndp.solicited_node(HELD6)),
    source_mac=ASKER,
    source=ASKER6,
    destination=ndp.solicited_node(HELD6),
    target=HELD6,
    options=(SOURCE,),
)
PROBE = replace(SOLICITATION, source=ndp.UNSPECIFIED, options=())
REACHABILITY = replace(SOLICITATION, destination_mac=NODE, destination=HELD6)
CLAIM = ndp.NeighborAdvertisement(
    destination_mac=ndp.ALL_NODES_MAC,
    source_mac=OTHER,
    source=HELD6,
    destination=ndp.ALL_NODES,
    target=HELD6,
    override=True,
    options=((ndp.TARGET_LINK_ADDRESS, OTHER),),
)


@dataclass(frozen=True)
class Crafted:
    """One frame, what is to be made of it, and whether it is so plain that the fast path answers it."""

    name: str
    frame: bytes
    verdict: V
    plain: bool = False

    @property
    def is_arp(self) -> bool:
        return self.name.startswith("arp")

    @property
    def answered(self) -> bool:
        return self.verdict is V.ANSWERED


def ask(**fields: object) -> bytes:
    return replace(REQUEST, **fields).encode()  # type: ignore[arg-type]


def solicit(base: ndp.NeighborSolicitation = SOLICITATION, **fields: object) -> bytes:
    return replace(base, **fields).encode()  # type: ignore[arg-type]


def tagged(frame: bytes, control: int, ethertype: int = 0x8100) -> bytes:
    return frame[:12] + ethertype.to_bytes(2, "big") + control.to_bytes(2, "big") + frame[12:]


def patched(frame: bytes, offset: int, value: bytes) -> bytes:
    return frame[:offset] + value + frame[offset + len(value) :]


def summed(frame: bytes) -> bytes:
    """Put the right checksum on a message that was patched."""
    blank = patched(frame, 56, bytes(2))
    return patched(blank, 56, ndp.checksum(blank[22:38], blank[38:54], blank[54:]).to_bytes(2, "big"))


def resized(frame: bytes, length: int) -> bytes:
    """Let the IPv6 header speak of a message of that length, and put on the checksum that would be right for it."""
    blank = patched(patched(frame, 18, length.to_bytes(2, "big")), 56, bytes(2))
    words = int.from_bytes(blank[22 : 54 + length], "big") + length + 58
    return patched(blank, 56, (-words % 0xFFFF).to_bytes(2, "big"))


A = Crafted

CRAFTED = [
    A("arp broadcast request", ask(), V.ANSWERED, plain=True),
    A("arp unicast request to us", ask(destination=NODE), V.ANSWERED, plain=True),
    A("arp probe of RFC 5227, sender 0.0.0.0", ask(sender_address=bytes(4)), V.ANSWERED, plain=True),
    A("arp padded to 1400 bytes", ask().ljust(1400, b"\0"), V.ANSWERED),
    A("arp not padded at all", ask()[:42], V.ANSWERED, plain=True),
    A("arp tagged with VLAN 0, a priority only", tagged(ask(), 0x6000), V.ANSWERED),
    A("arp sender MAC address unlike the frame's", ask(sender_mac=OTHER), V.ANSWERED, plain=True),
    A("arp unicast request to another station", ask(destination=OTHER), V.NOT_FOR_US),
    A("arp in VLAN 10", tagged(ask(), 10), V.NOT_FOR_US),
    A("arp in VLAN 10 of a provider's tag", tagged(ask(), 10, 0x88A8), V.NOT_FOR_US),
    A("arp tagged twice with VLAN 0", tagged(tagged(ask(), 0x6000), 0), V.ANSWERED),
    A("arp in a frame as long as can be", ask().ljust(1514, b"\0"), V.ANSWERED),
    A("arp in VLAN 10 in VLAN 20 of a provider", tagged(tagged(ask(), 10), 20, 0x88A8), V.NOT_FOR_US),
    A("arp cut to the Ethernet header", ask()[:14], V.MALFORMED),
    A("arp cut to 30 bytes", ask()[:30], V.MALFORMED),
    A("arp cut to 41 bytes", ask()[:41], V.MALFORMED),
    A("arp hardware type 6", patched(ask(), 14, b"\0\6"), V.MALFORMED),
    A("arp protocol type IPv6", patched(ask(), 16, b"\x86\xdd"), V.MALFORMED),
    A("arp hardware length 8", patched(ask(), 18, b"\10"), V.MALFORMED),
    A("arp protocol length 16", patched(ask(), 19, b"\20"), V.MALFORMED),
    A("arp sender MAC address broadcast", ask(sender_mac=BROADCAST), V.MALFORMED),
    A("arp sender MAC address multicast", ask(sender_mac=MULTICAST), V.MALFORMED),
    A("arp reverse request", ask(operation=3), V.NOT_A_QUESTION),
    A("arp operation 257", ask(operation=0x0101), V.NOT_A_QUESTION),
    A("arp reply about somebody else", ask(operation=2), V.NOT_A_QUESTION),
    A("arp for an address that is free", ask(target_address=FREE4), V.NOT_HELD),
    A("arp gratuitous request, foreign", ask(sender_mac=OTHER, sender_address=HELD4), V.CONFLICT),
    A("arp gratuitous reply, foreign", ask(sender_mac=OTHER, sender_address=HELD4, operation=2), V.CONFLICT),
    A("arp request sent from our address", ask(sender_address=HELD4, target_address=ASKER4), V.CONFLICT),
    A("arp gratuitous of our own", ask(sender_mac=NODE, sender_address=HELD4), V.NOT_A_QUESTION),
    A("ns multicast", solicit(), V.ANSWERED, plain=True),
    A("ns multicast without source option", solicit(options=()), V.ANSWERED),
    A("ns multicast from a link-local address", solicit(source=LINK_LOCAL), V.ANSWERED, plain=True),
    A("ns nonce, then source option", solicit(options=(NONCE, SOURCE)), V.ANSWERED),
    A("ns reachability probe", solicit(REACHABILITY), V.ANSWERED, plain=True),
    A("ns reachability probe without source option", solicit(REACHABILITY, options=()), V.ANSWERED),
    A("ns duplicate address probe", solicit(PROBE), V.ANSWERED),
    A("ns duplicate address probe with nonce", solicit(PROBE, options=(NONCE,)), V.ANSWERED),
    A("ns tagged with VLAN 0, a priority only", tagged(solicit(), 0x6000), V.ANSWERED),
    A("ns padded behind its end", solicit() + bytes(40), V.ANSWERED),
    A("ns in a frame as long as can be", solicit(options=(SOURCE, *[(200, bytes(238))] * 5)), V.ANSWERED),
    A("ns duplicate address probe with source option", solicit(PROBE, options=(SOURCE,)), V.MALFORMED),
    A("ns duplicate address probe not to the group", solicit(PROBE, destination=ndp.ALL_NODES), V.MALFORMED),
    A("ns from a multicast address", solicit(source=ndp.ALL_NODES), V.MALFORMED),
    A("ns hop limit 64", solicit(hop_limit=64), V.OFF_LINK),
    A("ns code 1", summed(patched(solicit(), 55, b"\1")), V.MALFORMED),
    A("ns wrong checksum", patched(solicit(), 56, b"\x12\x34"), V.MALFORMED),
    A("ns option of length zero", summed(patched(solicit(), 79, b"\0")), V.MALFORMED),
    A("ns option longer than the message", summed(patched(solicit(), 79, b"\2")), V.MALFORMED),
    A("ns source option multicast", solicit(options=((1, MULTICAST),)), V.MALFORMED),
    A("ns target multicast", solicit(target=ip_address("ff02::1:2").packed), V.MALFORMED),
    A("ns cut to 60 bytes", solicit()[:60], V.MALFORMED),
    A("ns cut behind the target", solicit()[:78], V.MALFORMED),
    A("ns of a length without the target", resized(solicit(), 8), V.MALFORMED),
    A("ns of a length beyond the frame", resized(solicit(), 40), V.MALFORMED),
    A("ns of a length that is not made of eights", resized(solicit(), 28), V.MALFORMED),
    A("ns to another station", solicit(REACHABILITY, destination_mac=OTHER), V.NOT_FOR_US),
    A("ns to another address of ours", solicit(REACHABILITY, destination=FREE6), V.NOT_FOR_US),
    A("ns in VLAN 10", tagged(solicit(), 10), V.NOT_FOR_US),
    A("ns in VLAN 10 of a provider's tag", tagged(solicit(), 10, 0x88A8), V.NOT_FOR_US),
    A("ns for an address that is free", solicit(target=FREE6), V.NOT_HELD),
    A("ns for an address with our low 32 bits", solicit(target=TWIN6), V.NOT_HELD),
    A("echo request", summed(patched(solicit(), 54, b"\x80")), V.NOT_A_QUESTION),
    A("udp in IPv6", patched(solicit(), 20, b"\x11"), V.NOT_A_QUESTION),
    A("na claims our address", CLAIM.encode(), V.CONFLICT),
    A("na claims our address without option", replace(CLAIM, options=()).encode(), V.CONFLICT),
    A("na of our own", replace(CLAIM, options=((2, NODE),)).encode(), V.NOT_A_QUESTION),
    A("na solicited and to all nodes", replace(CLAIM, solicited=True).encode(), V.MALFORMED),
    A("na hop limit 1", replace(CLAIM, hop_limit=1).encode(), V.OFF_LINK),
    A("na for an address that is free", replace(CLAIM, target=FREE6).encode(), V.NOT_HELD),
]
