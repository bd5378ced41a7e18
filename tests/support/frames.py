"""Frames on a lab's wire, told apart byte by byte: RFC 826 and RFC 4861 section 4.3, without the code under test."""

from collections.abc import Callable
from ipaddress import ip_address

from netlb.testing.lab import Host

__all__ = ["asks", "mac_bytes"]


def mac_bytes(host: Host) -> bytes:
    """Return a host's MAC address as it stands in frames."""
    return bytes.fromhex(host.mac.replace(":", ""))


def asks(host: Host, address: str) -> Callable[[bytes], bool]:
    """Match the ARP requests and neighbour solicitations by which a host asks for an address."""
    station, target = mac_bytes(host), ip_address(address)

    def matches(frame: bytes) -> bool:
        if frame[6:12] != station:
            return False
        if target.version == 4:
            return frame[12:14] == b"\x08\x06" and frame[20:22] == b"\x00\x01" and frame[38:42] == target.packed
        return frame[12:14] == b"\x86\xdd" and frame[20] == 58 and frame[54] == 135 and frame[62:78] == target.packed

    return matches
