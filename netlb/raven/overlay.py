"""Addresses on the overlay of a site: Raven's, but that no two nodes of a site have the same."""

from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import IPv4Address, IPv6Address

from netlb.net import Address
from netlb.raven.dataplane import Numbers
from netlb.raven.model import Node

__all__ = ["Station", "stations"]


@dataclass(frozen=True, slots=True)
class Station:
    """A node as it is known on the overlay."""

    underlay: Address
    mac: str
    address4: IPv4Address
    address6: IPv6Address

    @property
    def addresses(self) -> tuple[Address, Address]:
        """Its address of each family."""
        return self.address4, self.address6


def stations(nodes: Iterable[Node], numbers: Numbers) -> dict[str, Station]:
    """Return the stations of a site by node; nodes without an address of their own are left out.

    As with Raven, 192.168.1.1 is 240.192.168.1.1 cut to its last octets, 240.168.1.1, and its MAC address aa:0f and
    those four. Of two nodes for which that is the same, as of 10.0.0.5 and 172.0.0.5, the later one by name takes the
    next address that is free. The link-local address is that of the MAC (RFC 4291 appendix A).
    """
    network = numbers.overlay_network
    taken = {int(numbers.next_hop4)}
    found: dict[str, Station] = {}
    for node in sorted(nodes, key=lambda node: node.name):
        if (underlay := node.underlay) is None:
            continue
        host = _wish(underlay) % network.num_addresses
        while (number := int(network.network_address) + host) in taken:
            host = (host + 1) % network.num_addresses
        taken.add(number)
        address4 = IPv4Address(number)
        mac = ":".join((numbers.mac_prefix, *(f"{octet:02x}" for octet in address4.packed)))
        found[node.name] = Station(underlay, mac, address4, _link_local(mac))
    return found


def _wish(underlay: Address) -> int:
    packed = underlay.packed if underlay.version == 4 else sha256(underlay.packed).digest()[:4]
    return int.from_bytes(packed, "big")


def _link_local(mac: str) -> IPv6Address:
    octets = bytes.fromhex(mac.replace(":", ""))
    interface = bytes((octets[0] ^ 2, *octets[1:3], 0xFF, 0xFE, *octets[3:]))
    return IPv6Address(b"\xfe\x80" + bytes(6) + interface)
