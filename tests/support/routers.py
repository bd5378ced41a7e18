"""What every router of a lab is to a test: nodes are its neighbours, and what they announce is in its tables.

`tests.support.frr`, `bird` and `exabgp` each have one.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any, Protocol

from netlb.net import Address, Family, family_of
from netlb.testing.lab import Host

__all__ = ["ASN", "Learned", "Neighbor", "Router", "counter", "kernel_routes", "next_hops", "own_address"]

ASN = 65000
"""The routers' autonomous system, where a test needs no other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Neighbor:
    """A node, or all nodes of a prefix, as a router is configured for them."""

    address: Address | IPv4Network | IPv6Network
    asn: int
    password: str = ""
    families: tuple[Family, ...] = (Family.IPV4, Family.IPV6)
    source: Address | None = None
    """Our end of the session; None: our address on the segment."""
    hops: int = 1
    """How far away it may be."""
    ttl_security: bool = False
    """Whether packets from further away are dropped (RFC 5082)."""
    limit: int = 0
    """More prefixes of a family end the session; 0: no limit."""
    hold_time: int = 9
    """Seconds; keepalives are sent three times as often."""
    bfd: int = 0
    """Milliseconds between packets; 0: no BFD. FRR alone has it here."""
    bfd_multiplier: int = 3
    """So many of them may be missing."""

    @property
    def family(self) -> Family:
        """That of the session."""
        dynamic = isinstance(self.address, IPv4Network | IPv6Network)
        return family_of(self.address.network_address if dynamic else self.address)  # type: ignore[arg-type,union-attr]


@dataclass(frozen=True, slots=True, kw_only=True)
class Learned:
    """A path as a router has it. What a router shows that it was not told (LOCAL_PREF of eBGP) is not here."""

    next_hop: str
    as_path: tuple[int, ...] = ()
    med: int | None = None
    local_pref: int | None = None
    communities: frozenset[str] = frozenset()
    large_communities: frozenset[str] = frozenset()


class Router(Protocol):
    """One implementation of BGP on a host of a lab."""

    host: Host

    def peer_with(self, *neighbors: Neighbor, asn: int = ASN) -> None:
        """Have exactly these neighbours from now on, and forget whatever was learned from others."""

    def established(self, address: Address) -> bool:
        """Whether there is a session with a node."""

    def learned(self, prefix: str) -> list[Learned]:
        """Return the paths to a prefix, chosen or not, by their next hops."""

    def count(self, family: Family) -> int:
        """Return how many prefixes were learned."""

    def reset(self) -> None:
        """End every session by a notification."""

    def reboot(self) -> None:
        """Lose everything at once, as when the power goes; start again with the same configuration."""


def own_address(host: Host, neighbor: Neighbor) -> Address:
    """Return a router's end of a session."""
    return neighbor.source or (host.ipv4 if neighbor.family is Family.IPV4 else host.ipv6)


def next_hops(host: Host, prefix: str) -> set[str]:
    """Return the gateways of the kernel's route to a prefix; none if there is no route, or it leads nowhere."""
    family = "-6" if ":" in prefix else "-4"
    listed = json.loads(host.run(["ip", family, "-json", "route", "show", prefix]).stdout or "[]")
    hops = [hop for route in listed for hop in route.get("nexthops", [route])]
    return {_gateway(hop) for hop in hops if "gateway" in hop or "via" in hop}


def kernel_routes(host: Host, family: Family, protocols: Collection[str] = ("bgp", "bird")) -> set[str]:
    """Return the prefixes in the kernel's table that came by BGP."""
    option = "-4" if family is Family.IPV4 else "-6"
    listed = json.loads(host.run(["ip", option, "-json", "route", "show"]).stdout or "[]")
    return {route["dst"] for route in listed if route.get("protocol") in protocols}


def counter(host: Host, name: str) -> int:
    """Return one of the kernel's counters for a host (`TCPMD5Failure` and others of `nstat`), by its name alone."""
    lines = host.run(["cat", "/proc/net/netstat", "/proc/net/snmp"]).stdout.splitlines()
    for names, values in zip(lines[::2], lines[1::2], strict=True):
        found = dict(zip(names.split()[1:], values.split()[1:], strict=True))
        if name in found:
            return int(found[name])
    raise KeyError(name)


def _gateway(hop: dict[str, Any]) -> str:
    """An IPv4 prefix may have an IPv6 next hop (RFC 8950), which is written as `via inet6 ADDRESS`."""
    return str(ip_address(hop["gateway"] if "gateway" in hop else hop["via"]["host"]))
