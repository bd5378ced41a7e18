"""What ARP and neighbour discovery share about Ethernet: constants, and the shape of a MAC address."""

__all__ = [
    "ARP",
    "BROADCAST",
    "IPV6",
    "MAC_LENGTH",
    "MINIMUM_FRAME",
    "QINQ",
    "VLAN",
    "format_mac",
    "is_group",
    "parse_mac",
]

MAC_LENGTH = 6
BROADCAST = b"\xff" * MAC_LENGTH
MINIMUM_FRAME = 60
"""Bytes of the shortest Ethernet frame without its checksum; a switch may drop shorter ones."""

ARP = b"\x08\x06"
IPV6 = b"\x86\xdd"
VLAN = b"\x81\x00"
QINQ = b"\x88\xa8"


def is_group(mac: bytes) -> bool:
    """Tell whether the MAC address names many stations (multicast or broadcast)."""
    return bool(mac[0] & 1)


def format_mac(mac: bytes) -> str:
    """Write a MAC address the usual way, as in `02:00:5e:00:53:01`."""
    return mac.hex(":")


def parse_mac(text: str) -> bytes:
    """Read a MAC address written with colons; ValueError where it is not one of 6 bytes."""
    mac = bytes.fromhex(text.replace(":", ""))
    if len(mac) != MAC_LENGTH:
        raise ValueError(f"not a MAC address of 6 bytes: {text!r}")
    return mac
