"""Who is in a lab of sites, and what each is called. Pure.

Site number n, counted from 1, has the LAN 198.51.(99+n).0/24 where its addresses are public, 192.168.(10n).0/24 where
they are private, and fd00:c0:n::/64; its router is .1 and its first node .11. Node k of it has the pods
10.244.(10n+k).0/24 and fd00:244:(10n+k)::/64: itself is .1, its pod .2. IPv6 addresses are written with the decimal
digits of the IPv4 ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from netlb.testing.lab.layout import check_name

__all__ = ["PODS_IPV4", "PODS_IPV6", "POD_MTU", "Nat", "NodePlace", "SitePlace", "mac", "places"]

PODS_IPV4 = IPv4Network("10.244.0.0/16")
PODS_IPV6 = IPv6Network("fd00:244::/32")
"""The pods of all sites, as the cluster's CNI and kube-proxy know them."""
POD_MTU = 1450
"""What a VXLAN of the CNI leaves of 1500."""


class Nat(Enum):
    """What a site's router does to packets that leave, of IPv4; of IPv6 it only refuses what comes in unasked."""

    NONE = "none"
    """It routes: the LAN is reachable from everywhere."""
    MASQUERADE = "masquerade"
    """It gives them its own address, and keeps ports where it can; nothing comes in unasked."""
    SYMMETRIC = "symmetric"
    """As before, with another port for each destination."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SitePlace:
    """A site: a router and the LAN behind it."""

    name: str
    number: int
    public: bool
    """Whether its LAN has public addresses."""
    lan4: IPv4Network
    lan6: IPv6Network
    nodes: tuple["NodePlace", ...] = ()

    @property
    def gateway4(self) -> IPv4Address:
        """The router on the LAN."""
        return self.lan4[1]

    @property
    def gateway6(self) -> IPv6Address:
        """The router on the LAN."""
        return self.lan6[1]

    @property
    def outer4(self) -> IPv4Interface:
        """The router's address outside."""
        return IPv4Interface(f"203.0.113.{4 * self.number + 2}/30")

    @property
    def outer6(self) -> IPv6Interface:
        """The router's address outside."""
        return IPv6Interface(f"fd00:b0:{self.number}::2/64")

    @property
    def inner4(self) -> IPv4Interface:
        """What the internet has on the link to the router."""
        return IPv4Interface(f"203.0.113.{4 * self.number + 1}/30")

    @property
    def inner6(self) -> IPv6Interface:
        """What the internet has on the link to the router."""
        return IPv6Interface(f"fd00:b0:{self.number}::1/64")


@dataclass(frozen=True, slots=True, kw_only=True)
class NodePlace:
    """A node, and its one pod."""

    name: str
    site: str
    ipv4: IPv4Interface
    ipv6: IPv6Interface
    pods4: IPv4Network
    pods6: IPv6Network

    @property
    def pod(self) -> str:
        """The pod's name."""
        return f"{self.name}-pod"

    def mac(self, prefix: str) -> str:
        """A MAC of the node's: two octets, and its IPv4 address."""
        return mac(prefix, self.ipv4.ip)


def mac(prefix: str, address: IPv4Address) -> str:
    """Return a MAC: two octets, and an IPv4 address."""
    return ":".join([prefix, *(f"{octet:02x}" for octet in address.packed)])


def places(sites: Mapping[str, int], public: Sequence[str] = ()) -> tuple[SitePlace, ...]:
    """Return the sites, each with so many nodes; `public` names those whose addresses are public."""
    return tuple(_site(check_name(name), number, count, name in public)
                 for number, (name, count) in enumerate(sites.items(), start=1))  # fmt: skip


def _site(name: str, number: int, count: int, public: bool) -> SitePlace:
    if not 1 <= number <= 20 or not 1 <= count <= 9:
        raise ValueError(f"a lab has at most 20 sites of 1 to 9 nodes, not site {number} of {count}")
    lan4 = IPv4Network(f"198.51.{99 + number}.0/24" if public else f"192.168.{10 * number}.0/24")
    lan6 = IPv6Network(f"fd00:c0:{number}::/64")
    nodes = tuple(
        NodePlace(
            name=check_name(f"{name}{place}"),
            site=name,
            ipv4=IPv4Interface((lan4[10 + place], 24)),
            ipv6=IPv6Interface((lan6[int(str(10 + place), 16)], 64)),
            pods4=IPv4Network(f"10.244.{10 * number + place}.0/24"),
            pods6=IPv6Network(f"fd00:244:{10 * number + place}::/64"),
        )
        for place in range(1, count + 1)
    )
    return SitePlace(name=name, number=number, public=public, lan4=lan4, lan6=lan6, nodes=nodes)
