"""What one node has to have so that its site reaches others, as values: the whole of it, comparable, without secrets.

The private key and the key that all share are not here: whoever makes the tunnel's device has them.
"""

from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv4Network, IPv6Address

from netlb.net import Address, Family
from netlb.raven.mesh import Link, Peer
from netlb.raven.model import Prefix

__all__ = [
    "DataPlane",
    "Forwarding",
    "Neighbour",
    "Numbers",
    "Overlay",
    "Role",
    "Route",
    "RouteKind",
    "Rule",
    "Tunnel",
    "WayTo",
]


_OVERLAY = IPv4Network("240.0.0.0/8")
_NEXT_HOP4 = IPv4Address("240.255.255.254")
_INNER = IPv4Network("241.0.0.0/8")
_NEXT_HOP6 = IPv6Address("fe80::ffff")


def _within(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name}: {value} is not from {low} to {high}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Numbers:
    """Names and numbers of what is made in the kernel; the defaults are Raven's where it has them. All nodes need the
    same.

    ValueError says which cannot be, in the words `field: problem`.
    """

    protocol: int = 107
    """The protocol (RTPROT) of our routes and rules, by which they are known as ours."""
    overlay_table: int = 9027
    tunnel_table: int = 9028
    overlay_priority: int = 100
    """Of the rule for the overlay's table."""
    tunnel_priority: int = 101
    overlay_device: str = "raven0"
    tunnel_device: str = "raven-wg0"
    vni: int = 200
    vxlan_port: int = 4472
    bfd_port: int = 4784
    """The port of BFD sessions over several hops (RFC 5883), with which nodes of a site watch each other, and endpoints
    through their tunnels."""
    hello_port: int = 4785
    """The port on which nodes tell each other what they see (`netlb.raven.hello`)."""
    mac_prefix: str = "aa:0f"
    overlay_network: IPv4Network = _OVERLAY
    """Where nodes have their addresses on the overlay; seen nowhere else."""
    next_hop4: IPv4Address = _NEXT_HOP4
    """Stands for the active endpoint, whoever that is: when it changes, a neighbour entry changes, and no route."""
    next_hop6: IPv6Address = _NEXT_HOP6
    inner_network: IPv4Network = _INNER
    """Where endpoints have their addresses inside the tunnels; seen nowhere else."""
    nft_table: str = "raven"

    def __post_init__(self) -> None:
        _within("protocol", self.protocol, 5, 255)
        for name in ("overlay_table", "tunnel_table"):
            _within(name, getattr(self, name), 256, 0xFFFFFFFF)
        for name in ("overlay_priority", "tunnel_priority"):
            _within(name, getattr(self, name), 1, 32765)
        _within("vni", self.vni, 1, 0xFFFFFF)
        for name in ("vxlan_port", "bfd_port", "hello_port"):
            _within(name, getattr(self, name), 1, 65535)
        if len({self.vxlan_port, self.bfd_port, self.hello_port}) < 3:
            raise ValueError("hello_port: VXLAN, BFD and hellos need a port each")
        if self.overlay_table == self.tunnel_table:
            raise ValueError("tunnel_table: it is the overlay's")
        if self.overlay_priority >= self.tunnel_priority:
            raise ValueError("tunnel_priority: its rule comes behind the overlay's")
        for name in ("overlay_device", "tunnel_device"):
            if not 1 <= len(getattr(self, name)) <= 15:
                raise ValueError(f"{name}: an interface's name has 1 to 15 characters")
        if self.overlay_device == self.tunnel_device:
            raise ValueError("tunnel_device: it is the overlay's")
        if self.next_hop4 not in self.overlay_network:
            raise ValueError("next_hop4: it is outside overlay_network")
        if self.inner_network.overlaps(self.overlay_network):
            raise ValueError("inner_network: it overlaps overlay_network")
        if self.inner_network.prefixlen > 16:
            raise ValueError("inner_network: it is too small; give a /16 or larger")
        octets = self.mac_prefix.split(":")
        if len(octets) != 2 or any(len(octet) != 2 or set(octet) - set("0123456789abcdef") for octet in octets):
            raise ValueError("mac_prefix: write two octets, as in aa:0f")
        if int(octets[0], 16) & 1:
            raise ValueError("mac_prefix: it is one of multicast addresses")


class Role(StrEnum):
    """What a node is to its site."""

    NONE = "none"
    """It is in no site."""
    MEMBER = "member"
    """Its traffic to other sites goes through another node."""
    STANDBY = "standby"
    """A member that is ready to take over."""
    GATEWAY = "gateway"
    """It holds tunnels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """The VXLAN device between the nodes of a site (RFC 7348), without learning."""

    device: str
    vni: int
    port: int
    local: Address
    """The node's own address, the source of its packets."""
    mac: str
    addresses: tuple[Address, ...]
    """The node's addresses on the device, of the families that are in use: /32 and /64, scope link."""
    mtu: int


@dataclass(frozen=True, slots=True, order=True)
class Forwarding:
    """A permanent entry of the overlay's forwarding database: frames to this MAC go to this node."""

    mac: str
    station: Address


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A permanent neighbour on the overlay."""

    address: Address
    mac: str


class RouteKind(StrEnum):
    """What a route says of packets."""

    UNICAST = "unicast"
    UNREACHABLE = "unreachable"
    """Stays where the way is gone, so that nothing leaves in clear text by another one."""
    THROW = "throw"
    """Not by this table: what carries the tunnels and the overlay must not go through them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route of ours."""

    prefix: Prefix
    table: int
    kind: RouteKind = RouteKind.UNICAST
    device: str = ""
    via: Address | None = None
    """The next hop, which is on the device without being in any of its prefixes (onlink); None: everything is on the
    link."""
    source: Address | None = None
    """For packets of the node itself that have chosen none."""
    mtu: int = 0
    """0: none said."""
    metric: int = 0
    """0: none said."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule of ours: where packets are looked up."""

    family: Family
    priority: int
    table: int
    incoming: str = ""
    """Only packets that came in over this device; empty: all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tunnel:
    """The WireGuard device of an endpoint; the key that all share is used with every peer."""

    device: str
    port: int
    mtu: int
    peers: tuple[Peer, ...]
    address: IPv4Address | None = None
    """The endpoint's own address on the device (/32, scope link); None: it has none."""


@dataclass(frozen=True, slots=True)
class WayTo:
    """How another site is reached from here, endpoint by endpoint; for people and for status."""

    site: str
    endpoint: str
    """Empty where the site has none that is active."""
    link: Link


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlane:
    """Everything of ours that one node has."""

    node: str
    role: Role = Role.NONE
    site: str = ""
    gateway: str = ""
    """The endpoint that the node's traffic goes through; empty: none, or itself in no site."""
    overlay: Overlay | None = None
    forwarding: tuple[Forwarding, ...] = ()
    neighbours: tuple[Neighbour, ...] = ()
    tunnel: Tunnel | None = None
    routes: tuple[Route, ...] = ()
    rules: tuple[Rule, ...] = ()
    nft: str = ""
    """The whole of our nftables table as `nft -f` takes it; empty: there is none."""
    ways: tuple[WayTo, ...] = ()
