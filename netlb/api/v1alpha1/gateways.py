"""Gateway: a site, and the nodes that are its ends of the tunnels to the other sites."""

import re
from typing import Literal

import msgspec

from netlb.api.meta import LabelSelector
from netlb.api.v1alpha1.base import Native, Spec, check_bounds, check_prefixes, check_stations

__all__ = ["Gateway", "GatewayEndpoint", "GatewaySpec", "NatType"]

NatType = Literal["full-cone", "restricted-cone", "port-restricted-cone", "symmetric"]

# 32 octets in base64: the last digit but one carries four bits.
_KEY = re.compile(r"[A-Za-z0-9+/]{42}[AEIMQUYcgkosw048]=")


class GatewayEndpoint(Spec, frozen=True, kw_only=True):
    """A node of the site that can hold the tunnels."""

    node_name: str
    """The node; one of the site's."""
    priority: int = 0
    """Which endpoint is preferred: the highest number first, then the order of the list."""
    under_nat: bool = msgspec.field(default=False, name="underNAT")
    """True: nobody outside can open a tunnel to the node; the node opens all of its own, and keeps them open."""
    nat_type: NatType | None = None
    """How the NAT in front of the node behaves (RFC 3489 section 5). Two sites behind NATs that suit each other are
    connected directly where publicIPs and publicPort of both are given; absent: through a hub."""
    public_ips: tuple[str, ...] = msgspec.field(default=(), name="publicIPs")
    """Addresses at which others reach the node, one of each family at most; none: the ExternalIPs of the Node, else its
    InternalIPs, and with underNAT nothing."""
    port: int = 51820
    """The UDP port on which the node listens."""
    public_port: int | None = None
    """The UDP port at which others reach it; absent: the same as port."""
    public_key: str = ""
    """The node's public key (WireGuard's, in base64); what the node itself publishes counts more."""

    def __post_init__(self) -> None:
        if not self.node_name:
            raise ValueError("nodeName: it is empty")
        check_bounds("priority", self.priority, 0, 255)
        check_bounds("port", self.port, 1, 65535)
        check_bounds("publicPort", self.public_port, 1, 65535)
        check_stations("publicIPs", self.public_ips)
        if self.public_key and not _KEY.fullmatch(self.public_key):
            raise ValueError("publicKey: it is not a key of 32 octets; write what `wg pubkey` prints")


class GatewaySpec(Spec, frozen=True, kw_only=True):
    """One site: its nodes reach each other, and other sites through its endpoints."""

    node_selector: LabelSelector | None = None
    """Nodes of the site, beside those whose label `raven.openyurt.io/gateway` is this Gateway's name."""
    endpoints: tuple[GatewayEndpoint, ...] = ()
    """The nodes that can hold the tunnels; without any, the site is cut off from the others."""
    replicas: int = 1
    """How many endpoints are active at a time. They share the site's nodes among them; 0: no tunnels."""
    hub: Literal["auto", "always", "never"] = "auto"
    """Whether the site carries traffic between two sites that cannot reach each other, as behind NATs. The sites that
    say always come first, then of the others the oldest one."""
    backend: Literal["auto", "kernel", "userspace", "ipsec"] = "auto"
    """What the tunnels are made of, where netlb-gateway is not told otherwise (`--backend`): WireGuard in the kernel,
    WireGuard in a process of its own, or IPsec; auto: one of the first two. It is read when netlb-gateway starts. Sites
    that reach each other need all WireGuard or all IPsec."""
    mtu: int | None = None
    """The largest packet, in octets, that fits into the site's tunnels; absent: worked out from the interface of each
    endpoint. Give it where a provider's network takes less and does not say so."""
    keepalive: int = 15
    """Seconds after which an endpoint behind a NAT says something in a silent tunnel; 0: never."""
    revertive: bool = False
    """True: an endpoint that is preferred takes over from the active one when it comes back."""
    hold_down: int = 30
    """Seconds for which an endpoint that was lost must be back before it is preferred to others again; repeated losses
    make it longer."""
    extra_source_cidrs: tuple[str, ...] = msgspec.field(default=(), name="extraSourceCIDRs")
    """Prefixes beside those of the pods that the active endpoint reaches, and that other sites reach through it."""
    node_addresses: bool = False
    """Whether other sites reach the InternalIPs of the site's nodes, too; they must be unique among such sites."""

    def __post_init__(self) -> None:
        names = [endpoint.node_name for endpoint in self.endpoints]
        for index, name in enumerate(names):
            if (first := names.index(name)) < index:
                raise ValueError(f"endpoints[{index}].nodeName: the same node as endpoints[{first}]")
        check_bounds("replicas", self.replicas, 0, 16)
        check_bounds("mtu", self.mtu, 1280, 65535)
        check_bounds("keepalive", self.keepalive, 0, 65535)
        check_bounds("holdDown", self.hold_down, 0, 3600)
        check_prefixes("extraSourceCIDRs", self.extra_source_cidrs)


class Gateway(Native, frozen=True, kw_only=True):
    """Connect the nodes of a site to those of other sites through encrypted tunnels, as OpenYurt's Raven does."""

    spec: GatewaySpec = GatewaySpec()
