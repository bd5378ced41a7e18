"""How large a packet may be. All in octets, and about the packets of pods."""

from collections.abc import Iterable

from netlb.net import Family

__all__ = ["ANY", "IPV6_MINIMUM", "WIREGUARD", "for_family", "overlay_mtu", "smallest", "tunnel_mtu"]

IPV6_MINIMUM = 1280
"""No link for IPv6 may take less (RFC 8200 section 5)."""

_VXLAN = {Family.IPV4: 50, Family.IPV6: 70}
"""Outer IP header, UDP, VXLAN, inner Ethernet (RFC 7348)."""
WIREGUARD = 80
"""Outer IP header, UDP, and WireGuard's header and tag: 80 over IPv6, and 60 over IPv4. A peer may move from one to the
other, so room is left for both."""
ANY = 0xFFFF
"""What a device takes that takes packets of any length: no packet is longer (RFC 791 section 3.1)."""


def tunnel_mtu(underlay: int, declared: int | None, overhead: int = WIREGUARD, widest: int = ANY) -> int:
    """Return the MTU of the tunnels of an endpoint: what was declared, or what its interface leaves.

    `overhead` is what a packet grows by, `widest` what the device takes at most, whatever was declared.
    """
    return min(declared or max(underlay - overhead, 0), widest)


def overlay_mtu(underlay: int, family: Family, tunnel: int) -> int:
    """Return the MTU of the overlay: no more than the tunnels take.

    A packet is taken out of the overlay before it goes into a tunnel, so the two do not add up.
    """
    return min(max(underlay - _VXLAN[family], 0), tunnel)


def smallest(own: int, declared: Iterable[int | None]) -> int:
    """Return the MTU of a way: its narrowest part, as far as anybody has said how wide it is."""
    return min([own, *(mtu for mtu in declared if mtu)])


def for_family(mtu: int, family: Family) -> int:
    """Return an MTU as a route of a family can have it: for IPv6 the outer packets are fragmented if need be."""
    return max(mtu, IPV6_MINIMUM) if family is Family.IPV6 else mtu
