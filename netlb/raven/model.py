"""Sites, their nodes and their endpoints, as values: what was declared and is in order, without where it came from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from ipaddress import IPv4Network, IPv6Network
from types import MappingProxyType
from typing import Any

from netlb.net import Address, Family, family_of
from netlb.reasons import Idle

__all__ = [
    "Claim",
    "ClaimKind",
    "Election",
    "Endpoint",
    "Hub",
    "Nat",
    "Node",
    "Prefix",
    "Site",
    "TunnelProtocol",
    "family_of_prefix",
]

Prefix = IPv4Network | IPv6Network

_NOTHING: Mapping[Any, Any] = MappingProxyType({})


def family_of_prefix(prefix: Prefix) -> Family:
    """Return the family of a prefix."""
    return Family.IPV4 if prefix.version == 4 else Family.IPV6


class Nat(StrEnum):
    """How the NAT in front of an endpoint behaves (RFC 3489 section 5)."""

    UNKNOWN = "unknown"
    FULL_CONE = "full-cone"
    RESTRICTED_CONE = "restricted-cone"
    PORT_RESTRICTED_CONE = "port-restricted-cone"
    SYMMETRIC = "symmetric"


class TunnelProtocol(StrEnum):
    """What tunnels speak; both ends of one need the same."""

    WIREGUARD = "wireguard"
    IPSEC = "ipsec"


class Hub(StrEnum):
    """Whether a site carries traffic between others."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class ClaimKind(IntEnum):
    """Where a prefix comes from; of two that overlap, the one of the lower number is right."""

    BLOCK = 0
    """Calico gave it to the node."""
    POD_CIDR = 1
    """The cluster gave it to the node."""
    NODE = 2
    """The node's own address."""
    EXTRA = 3
    """Somebody wrote it down."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A prefix that a site says is its own."""

    prefix: Prefix
    kind: ClaimKind


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a site."""

    name: str
    addresses: tuple[Address, ...] = ()
    """Its addresses within the site (InternalIP), one of each family at most."""
    claims: tuple[Claim, ...] = ()
    ready: bool = True
    """What the cluster says of it; who watches the node itself knows better."""

    @property
    def underlay(self) -> Address | None:
        """The address at which the site's other nodes send it packets of the overlay; IPv4 if it has one."""
        return min(self.addresses, key=lambda address: address.version, default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A node that can hold the site's tunnels."""

    site: str
    node: str
    key: str = ""
    """Its public key (WireGuard's, base64); empty: nobody knows it yet."""
    nat: Nat | None = None
    """None: it is reachable from outside."""
    addresses: tuple[Address, ...] = ()
    """Where others see it, one of each family at most; behind a NAT only if somebody said so."""
    families: frozenset[Family] = frozenset(Family)
    """The families in which it can send."""
    port: int = 51820
    """Where it listens (UDP)."""
    public_port: int | None = None
    """Where others see that port; None: nobody said so."""
    priority: int = 0
    """The highest is preferred."""
    protocol: TunnelProtocol | None = None
    """What its tunnels speak; None: nobody has said so yet."""

    def address(self, family: Family) -> Address | None:
        """Return its outside address of a family."""
        return next((address for address in self.addresses if family_of(address) is family), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A Gateway: nodes that reach each other, and the endpoints through which they reach other sites."""

    name: str
    age: str = ""
    """When it was declared: the order of texts is the order of times; empty sorts last."""
    nodes: Mapping[str, Node] = field(default_factory=lambda: _NOTHING)
    """By name, in the order of the names."""
    endpoints: tuple[Endpoint, ...] = ()
    """In the order in which they were declared."""
    extra: tuple[Prefix, ...] = ()
    """Prefixes that the first active endpoint reaches beside those of the nodes."""
    replicas: int = 1
    hub: Hub = Hub.AUTO
    mtu: int | None = None
    """The largest packet for its tunnels, in octets; None: by the interface."""
    keepalive: int = 15
    """Seconds; 0: none."""
    revertive: bool = False
    hold_down: float = 30.0
    """Seconds."""

    @property
    def seniority(self) -> tuple[str, str]:
        """What orders sites: the oldest first, then by name."""
        return self.age or "~", self.name

    def endpoint(self, node: str) -> Endpoint | None:
        """Return the endpoint on a node."""
        return next((endpoint for endpoint in self.endpoints if endpoint.node == node), None)


@dataclass(frozen=True, slots=True)
class Election:
    """Which endpoints of a site hold its tunnels."""

    active: tuple[str, ...] = ()
    """By the names of their nodes, the preferred one first: it also has what belongs to no node."""
    standby: tuple[str, ...] = ()
    """Those that could take over, in the order in which they would."""
    idle: Mapping[str, Idle] = field(default_factory=lambda: _NOTHING)
    """Those that could not, and why."""
