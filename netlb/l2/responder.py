"""The answering machine of one interface: a frame comes in, a verdict and perhaps an answer come out.

Rules, which the kernel follows for addresses of its own:

1. Only an address that is held is answered for, always with this interface's MAC address and straight to the
   asker's, so that the asker itself need not be resolved.
2. What another station says of an address held here is a conflict (RFC 5227 section 2.4). It is reported and not
   answered: when an address moves between our own nodes, the new owner's announcements look just like one.
   Stations of ours, on any interface of this node, are not "another".
3. An advertisement that answers a solicitation overrides what the asker knew, since one node owns an address.
4. A probe for a duplicate (RFC 4862) is answered to all nodes, so that the prober gives the address up.
5. Whatever the bytes are, nothing is raised.

A VLAN tag is taken off by the kernel before a packet socket sees the frame, and only the kernel can tell that no
such VLAN exists here; `netlb.l2.filters` stops those frames. Tagged bytes that arrive all the same are judged here.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from netlb.l2 import arp, ndp
from netlb.l2.ethernet import ARP, IPV6, QINQ, VLAN
from netlb.reasons import FrameVerdict

__all__ = ["AddressCounters", "Claim", "Reaction", "Responder"]

Reaction = tuple[FrameVerdict, bytes | None]
"""What the frame was, and the frame to send back."""

_ANSWERED = FrameVerdict.ANSWERED
_CONFLICT = FrameVerdict.CONFLICT
_MALFORMED = FrameVerdict.MALFORMED
_NOT_A_QUESTION = FrameVerdict.NOT_A_QUESTION
_NOT_FOR_US = FrameVerdict.NOT_FOR_US
_NOT_HELD = FrameVerdict.NOT_HELD
_OFF_LINK = FrameVerdict.OFF_LINK

_ARP_REQUEST = arp.REQUEST.to_bytes(2, "big")
_ARP_REPLY = arp.REPLY.to_bytes(2, "big")
_UNSPECIFIED = ndp.UNSPECIFIED
_ICMPV6 = 58
_MOST_CLAIMS = 64
_NO_VLAN = frozenset((control << 8).to_bytes(2, "big") for control in range(0, 256, 16))
"""Tag control fields that give a priority and name no VLAN."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Another station said that it has an address which is held here."""

    address: bytes
    mac: bytes


class AddressCounters:
    """What happened to one address on one interface since it was held; frames, never reset."""

    __slots__ = ("gratuitous", "requests", "responses")

    def __init__(self) -> None:
        self.requests = 0
        self.responses = 0
        self.gratuitous = 0


class _Advertised(AddressCounters):
    """An IPv6 address and all of its advertisement that does not depend on the asker."""

    __slots__ = ("address", "body", "words")

    def __init__(self, address: bytes, link_option: bytes) -> None:
        super().__init__()
        self.address = address
        self.body = address + link_option
        # The sum behind the checksum with the source, length, type, override flag and target, without destination.
        fixed = 2 * int.from_bytes(address, "big") + int.from_bytes(link_option, "big")
        self.words = fixed + 24 + len(link_option) + _ICMPV6 + (ndp.ADVERTISEMENT << 24) + (0x20 << 24)


class Responder:
    """The addresses held on one interface, and the answers given for them."""

    def __init__(self, mac: bytes, own_macs: AbstractSet[bytes] = frozenset()) -> None:
        """Answer as `mac`; `own_macs` is a live view of the MAC addresses of all our interfaces."""
        self.mac = mac
        self.counts: dict[FrameVerdict, int] = dict.fromkeys(FrameVerdict, 0)
        self._own_macs = own_macs
        self._ipv4: dict[bytes, AddressCounters] = {}
        self._ipv6: dict[bytes, _Advertised] = {}
        self._claims: set[Claim] = set()
        self._reply_head = arp.reply_head(mac)
        self._link_option = ndp.encode_option(ndp.TARGET_LINK_ADDRESS, mac)
        self._ipv6_head = mac + IPV6 + b"\x60\x00\x00\x00\x00\x20\x3a\xff"

    @property
    def ipv4(self) -> AbstractSet[bytes]:
        """The IPv4 addresses held now: a live view."""
        return self._ipv4.keys()

    @property
    def ipv6(self) -> AbstractSet[bytes]:
        """The IPv6 addresses held now: a live view."""
        return self._ipv6.keys()

    def hold(self, address: bytes) -> bool:
        """Answer for the address from now on; False if that was so already."""
        if address in self._ipv4 or address in self._ipv6:
            return False
        if len(address) == 4:
            self._ipv4[address] = AddressCounters()
        else:
            self._ipv6[address] = _Advertised(address, self._link_option)
        return True

    def release(self, address: bytes) -> bool:
        """Answer no more; False if the address was not held."""
        ipv4, ipv6 = self._ipv4.pop(address, None), self._ipv6.pop(address, None)
        return ipv4 is not None or ipv6 is not None

    def counters(self, address: bytes) -> AddressCounters | None:
        """Return the counters of a held address."""
        return self._ipv4.get(address) or self._ipv6.get(address)

    def claims(self) -> set[Claim]:
        """Return the conflicts seen since the last call, each once; at most 64 are kept in between."""
        claims, self._claims = self._claims, set()
        return claims

    def receive_arp(self, frame: bytes) -> Reaction:
        """Judge a frame that came as ARP; see the module for the rules."""
        if len(frame) < arp.LENGTH:
            return self._drop(_MALFORMED)
        if frame[12:20] != arp.HEADER:
            return self._other_header(frame, ARP)
        if not frame[0] & 1 and frame[:6] != self.mac:
            return self._drop(_NOT_FOR_US)
        sender_mac = frame[22:28]
        if sender_mac[0] & 1:
            return self._drop(_MALFORMED)
        operation = frame[20:22]
        sender = frame[28:32]
        if sender in self._ipv4 and operation in (_ARP_REQUEST, _ARP_REPLY):
            return self._claimed(sender, sender_mac)
        if operation != _ARP_REQUEST:
            return self._drop(_NOT_A_QUESTION)
        target = frame[38:42]
        counters = self._ipv4.get(target)
        if counters is None:
            return self._drop(_NOT_HELD)
        counters.requests += 1
        counters.responses += 1
        self.counts[_ANSWERED] += 1
        return _ANSWERED, b"".join((sender_mac, self._reply_head, target, sender_mac, sender, arp.PADDING))

    def receive_nd(self, frame: bytes) -> Reaction:
        """Judge a frame that came as IPv6; see the module for the rules."""
        if len(frame) < ndp.SHORTEST:
            return self._drop(_MALFORMED)
        if frame[12:14] != IPV6 or frame[14] >> 4 != 6:
            return self._other_header(frame, IPV6)
        if not frame[0] & 1 and frame[:6] != self.mac:
            return self._drop(_NOT_FOR_US)
        if frame[20] != _ICMPV6 or not ndp.SOLICITATION <= frame[54] <= ndp.ADVERTISEMENT:
            return self._drop(_NOT_A_QUESTION)
        if frame[21] != ndp.HOP_LIMIT:
            return self._drop(_OFF_LINK)
        if frame[55] or frame[62] == 0xFF or frame[22] == 0xFF:
            return self._drop(_MALFORMED)
        held = self._ipv6.get(frame[62:78])
        if held is None:
            return self._drop(_NOT_HELD)
        length = frame[18] << 8 | frame[19]
        end = 54 + length
        if length < 24 or end > len(frame):
            return self._drop(_MALFORMED)
        # Source, destination and message are adjacent: one number, zero modulo 65535 with length and protocol added.
        if (int.from_bytes(frame[22:end], "big") + length + _ICMPV6) % 0xFFFF:
            return self._drop(_MALFORMED)
        if frame[54] == ndp.SOLICITATION:
            return self._solicited(frame, end, held)
        return self._advertised(frame, end, held)

    def _solicited(self, frame: bytes, end: int, held: _Advertised) -> Reaction:
        held.requests += 1
        if end == 86 and frame[78:80] == b"\x01\x01" and not frame[80] & 1:
            link: bytes | None = frame[80:86]
        else:
            try:
                link = ndp.link_address(ndp.parse_options(frame[78:end]), ndp.SOURCE_LINK_ADDRESS)
            except ValueError:
                return self._drop(_MALFORMED)
        source = frame[22:38]
        if source == _UNSPECIFIED:
            if link is not None or not frame.startswith(ndp.SOLICITED_NODE_PREFIX, 38):
                return self._drop(_MALFORMED)
            answer = self._advertise(held, ndp.ALL_NODES_MAC, ndp.ALL_NODES, 0x20)
        else:
            if frame[38] != 0xFF and frame[38:54] != held.address:
                return self._drop(_NOT_FOR_US)
            if link is None:
                link = frame[6:12]
                if link[0] & 1:
                    return self._drop(_MALFORMED)
            answer = self._advertise(held, link, source, 0x60)
        held.responses += 1
        self.counts[_ANSWERED] += 1
        return _ANSWERED, answer

    def _advertise(self, held: _Advertised, mac: bytes, destination: bytes, flags: int) -> bytes:
        words = held.words + int.from_bytes(destination, "big") + ((flags - 0x20) << 24)
        checksum = (-words % 0xFFFF).to_bytes(2, "big")
        head = b"\x88\x00" + checksum + (b"\x60\x00\x00\x00" if flags == 0x60 else b"\x20\x00\x00\x00")
        return b"".join((mac, self._ipv6_head, held.address, destination, head, held.body))

    def _advertised(self, frame: bytes, end: int, held: _Advertised) -> Reaction:
        try:
            link = ndp.link_address(ndp.parse_options(frame[78:end]), ndp.TARGET_LINK_ADDRESS)
        except ValueError:
            return self._drop(_MALFORMED)
        to_group_and_solicited = frame[38] == 0xFF and frame[58] & 0x40
        mac = link or frame[6:12]
        if to_group_and_solicited or mac[0] & 1:
            return self._drop(_MALFORMED)
        return self._claimed(held.address, mac)

    def _claimed(self, address: bytes, mac: bytes) -> Reaction:
        if mac == self.mac or mac in self._own_macs:
            return self._drop(_NOT_A_QUESTION)
        if len(self._claims) < _MOST_CLAIMS:
            self._claims.add(Claim(address, mac))
        return self._drop(_CONFLICT)

    def _other_header(self, frame: bytes, ethertype: bytes) -> Reaction:
        """Judge a frame that does not start as expected: tagged, or not of this protocol at all."""
        at = 12
        while frame[at : at + 2] == VLAN and frame[at + 2 : at + 4] in _NO_VLAN:
            at += 4
        if at > 12 and frame[at : at + 2] == ethertype:
            untagged = frame[:12] + frame[at:]
            return self.receive_arp(untagged) if ethertype == ARP else self.receive_nd(untagged)
        return self._drop(_NOT_FOR_US if frame[at : at + 2] in {VLAN, QINQ} else _MALFORMED)

    def _drop(self, verdict: FrameVerdict) -> Reaction:
        self.counts[verdict] += 1
        return verdict, None
