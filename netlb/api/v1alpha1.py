"""The native kinds, `netlb.io/v1alpha1`. Fields follow MetalLB's names, so that its users know them.

Unlike Kubernetes' kinds these are ours, so an unknown field is an error: a misspelt `autoAsign` must not
hand out addresses that were meant to be kept.
"""

from typing import Literal

import msgspec

from netlb.api.meta import LabelSelector, Record
from netlb.net import AddressRange, first_overlap, is_station, parse_range

__all__ = [
    "API_VERSION",
    "AddressPool",
    "AddressPoolSpec",
    "L2Advertisement",
    "L2AdvertisementSpec",
]

API_VERSION = "netlb.io/v1alpha1"


class AddressPoolSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Which addresses a pool holds and who may have them."""

    addresses: tuple[str, ...]
    """Addresses, prefixes and ranges of either family, in the order in which they are given out."""
    auto_assign: bool = True
    """False: only Services that ask for the pool, or for one of its addresses, are served."""
    avoid_buggy_ips: bool = msgspec.field(default=False, name="avoidBuggyIPs")
    """True: IPv4 addresses that end in .0 or .255 are never given."""
    protocol: Literal["layer2", "bgp"] | None = None
    """How the addresses are meant to be announced; absent: by whatever advertisement selects the pool."""

    def __post_init__(self) -> None:
        if not self.addresses:
            raise ValueError("addresses: a pool needs at least one address, prefix or range")
        for index, text in enumerate(self.addresses):
            try:
                usable = is_station(parse_range(text))
            except ValueError as error:
                raise ValueError(f"addresses[{index}]: {error}") from None
            if not usable:
                raise ValueError(f"addresses[{index}]: {text} holds no address that a single station can have")
        if overlap := first_overlap(self.ranges):
            raise ValueError(f"addresses: {overlap[0]} and {overlap[1]} overlap within the pool")

    @property
    def ranges(self) -> tuple[AddressRange, ...]:
        """`addresses`, parsed."""
        return tuple(parse_range(text) for text in self.addresses)


class AddressPool(Record, frozen=True, kw_only=True):
    """A set of addresses that Services of type LoadBalancer are given."""

    spec: AddressPoolSpec


class L2AdvertisementSpec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Which addresses are announced by ARP and NDP, by which nodes, on which interfaces."""

    ip_address_pools: tuple[str, ...] = ()
    """Names of pools. With no name and no selector, every pool is selected."""
    ip_address_pool_selectors: tuple[LabelSelector, ...] = ()
    """Pools by their labels; added to those named."""
    node_selectors: tuple[LabelSelector, ...] = ()
    """Nodes that may announce; none: every node."""
    service_selectors: tuple[LabelSelector, ...] = ()
    """Services that are announced, by their labels; none: every Service."""
    interfaces: tuple[str, ...] = ()
    """Names of interfaces; none: every interface that the speaker uses."""

    def __post_init__(self) -> None:
        for names, field in ((self.ip_address_pools, "ipAddressPools"), (self.interfaces, "interfaces")):
            if len(set(names)) < len(names):
                raise ValueError(f"{field}: the same name stands there twice")


class L2Advertisement(Record, frozen=True, kw_only=True):
    """Announce the addresses of pools on the local segment, by ARP (RFC 826) and NDP (RFC 4861)."""

    spec: L2AdvertisementSpec = L2AdvertisementSpec()
