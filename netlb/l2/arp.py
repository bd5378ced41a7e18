"""ARP for IPv4 on Ethernet: the packet of RFC 826, and the gratuitous forms of RFC 5227.

The codec refuses every other hardware and protocol type. What an answer to a request should be is decided in
`netlb.l2.responder`; here is only how it is written.
"""

import struct
from dataclasses import dataclass
from typing import Self

from netlb.l2.ethernet import ARP, BROADCAST, MINIMUM_FRAME

__all__ = [
    "HEADER",
    "LENGTH",
    "PADDING",
    "REPLY",
    "REQUEST",
    "UNSPECIFIED",
    "ArpPacket",
    "gratuitous",
    "probe",
    "reply_head",
]

REQUEST = 1
REPLY = 2
UNSPECIFIED = bytes(4)
"""The sender address of a station that only asks whether it may have the target (RFC 5227 section 1.1)."""

HEADER = ARP + struct.pack("!HHBB", 1, 0x0800, 6, 4)
"""Bytes 12 to 20 of every frame we read or write: ARP, hardware Ethernet, protocol IPv4, lengths 6 and 4."""

_FRAME = struct.Struct("!6s6s8sH6s4s6s4s")
LENGTH = _FRAME.size
PADDING = bytes(MINIMUM_FRAME - LENGTH)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArpPacket:
    """One ARP packet and the Ethernet header it travels in."""

    destination: bytes
    """MAC address that the frame is sent to."""
    source: bytes
    """MAC address that the frame is sent from."""
    operation: int
    sender_mac: bytes
    sender_address: bytes
    target_mac: bytes
    target_address: bytes

    def encode(self) -> bytes:
        """Return the frame, padded to Ethernet's minimum."""
        return (
            _FRAME.pack(
                self.destination,
                self.source,
                HEADER,
                self.operation,
                self.sender_mac,
                self.sender_address,
                self.target_mac,
                self.target_address,
            )
            + PADDING
        )

    @classmethod
    def decode(cls, frame: bytes) -> Self:
        """Read a frame, ignoring what follows the packet; ValueError where it is not ARP for IPv4 on Ethernet."""
        if len(frame) < LENGTH:
            raise ValueError(f"{len(frame)} bytes are too few for ARP")
        destination, source, header, operation, sender_mac, sender, target_mac, target = _FRAME.unpack_from(frame)
        if header != HEADER:
            raise ValueError(f"not ARP for IPv4 on Ethernet: {header.hex()}")
        return cls(
            destination=destination,
            source=source,
            operation=operation,
            sender_mac=sender_mac,
            sender_address=sender,
            target_mac=target_mac,
            target_address=target,
        )


def reply_head(mac: bytes) -> bytes:
    """Return the part that all replies of one station share: bytes 6 to 28, from source to sender MAC address."""
    return mac + HEADER + REPLY.to_bytes(2, "big") + mac


def gratuitous(mac: bytes, address: bytes) -> tuple[bytes, bytes]:
    """Return the two frames that tell a segment where `address` lives now: a request and a reply.

    Some stations update their tables from the one form only, some from the other. Sender and target address are
    the same and the target MAC address is broadcast, as in MetalLB.
    """
    request, reply = (
        _FRAME.pack(BROADCAST, mac, HEADER, operation, mac, address, BROADCAST, address) + PADDING
        for operation in (REQUEST, REPLY)
    )
    return request, reply


def probe(mac: bytes, address: bytes) -> bytes:
    """Return the frame that asks all stations whether one of them has `address` (RFC 5227 section 2.1.1).

    It names no sender address, so that nobody's table is changed by it.
    """
    return ArpPacket(
        destination=BROADCAST,
        source=mac,
        operation=REQUEST,
        sender_mac=mac,
        sender_address=UNSPECIFIED,
        target_mac=bytes(6),
        target_address=address,
    ).encode()
