"""IPv4 datagrams in another station's name."""

import socket
import struct
from ipaddress import IPv4Address

from netlb.testing.lab import Host

__all__ = ["forge"]

_IPPROTO_RAW = 255


def forge(attacker: Host, source: IPv4Address, target: IPv4Address, payload: bytes, ttl: int = 255) -> None:
    """Send a BFD control packet (RFC 5881: to UDP port 3784) from a host as if another had sent it."""
    udp = struct.pack("!HHHH", 49152, 3784, 8 + len(payload), 0) + payload
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, ttl, 17, 0, source.packed, target.packed)
    with attacker.inside(lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, _IPPROTO_RAW)) as sock:
        sock.sendto(header + udp, (str(target), 0))
