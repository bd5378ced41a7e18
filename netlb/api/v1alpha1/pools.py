"""AddressPool: which addresses there are, and who may have them."""

from functools import lru_cache
from typing import Literal

import msgspec

from netlb.api.meta import LabelSelector
from netlb.api.v1alpha1.base import Native, Spec, check_distinct, check_ranges
from netlb.net import NO_STATION, Address, AddressRange, first_overlap, is_station, parse_range, subtract

__all__ = ["AddressPool", "AddressPoolSpec", "NetBoxSource", "PoolSource", "ServiceAllocation"]


class ServiceAllocation(Spec, frozen=True, kw_only=True):
    """Who may have a pool's addresses. It binds requests for the pool or for one of its addresses, too."""

    priority: int = 0
    """Pools with a serviceAllocation are tried first, the lowest number of them before the others, and 0 last."""
    namespaces: tuple[str, ...] = ()
    """Namespaces whose Services may. With neither namespaces nor namespaceSelectors, all of them."""
    namespace_selectors: tuple[LabelSelector, ...] = ()
    """Namespaces by their labels; added to those named."""
    service_selectors: tuple[LabelSelector, ...] = ()
    """Services by their own labels; none: every Service of those namespaces."""

    def __post_init__(self) -> None:
        check_distinct("namespaces", self.namespaces)
        check_distinct("namespaceSelectors", self.namespace_selectors)
        check_distinct("serviceSelectors", self.service_selectors)


class NetBoxSource(Spec, frozen=True, kw_only=True):
    """NetBox keeps the addresses: each one is reserved there before it is given, and released there after."""

    url: str
    """Where NetBox is, as in https://netbox.example.com."""
    token_file: str
    """A file on the controller's machine that holds the API token."""
    vrf: str = ""
    """Name of the VRF that the prefixes are in; empty: the global table."""
    ca_file: str = ""
    """A file with the certificates to trust; empty: the system's."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("https://", "http://")):
            raise ValueError(f"url: {self.url!r} is not a URL that begins with https://")
        if not self.token_file:
            raise ValueError("tokenFile: NetBox asks for a token; name the file that holds it")


class PoolSource(Spec, frozen=True, kw_only=True):
    """A system that keeps a pool's addresses."""

    netbox: NetBoxSource
    """NetBox, the system of record for addresses."""


class AddressPoolSpec(Spec, frozen=True, kw_only=True):
    """Which addresses a pool holds and who may have them."""

    addresses: tuple[str, ...]
    """Addresses, prefixes and ranges of either family, in the order in which they are given out."""
    exclude: tuple[str, ...] = ()
    """Addresses, prefixes and ranges that are never given, though `addresses` holds them."""
    auto_assign: bool = True
    """False: only Services that ask for the pool, or for one of its addresses, are served."""
    auto_assign_namespaces: tuple[str, ...] = ()
    """Where autoAssign is false: namespaces whose Services are served without asking all the same."""
    avoid_buggy_ips: bool = msgspec.field(default=False, name="avoidBuggyIPs")
    """True: IPv4 addresses that end in .0 or .255 are never given."""
    disabled: bool = False
    """True: no address is given any more; Services keep those that they have."""
    sharing: Literal["namespace", "cluster"] = "namespace"
    """Whether Services of different namespaces may share an address, if their sharing keys agree."""
    protocol: Literal["layer2", "bgp"] | None = None
    """How the addresses are meant to be announced; absent: by whatever advertisement selects the pool."""
    service_allocation: ServiceAllocation | None = None
    """Who may have the addresses; absent: every Service."""
    node_pools: tuple[str, ...] = ()
    """Node pools (label `apps.openyurt.io/nodepool`) whose nodes may announce the addresses; none: every node."""
    bfd_profile: str = ""
    """Name of the BFDProfile by which speakers that may announce the addresses watch each other; empty: 100 ms, 3
    times. There is one session to a pair of nodes: of several pools, the profile counts that notices a death first."""
    source: PoolSource | None = None
    """The system that keeps the addresses; absent: netlb keeps them."""

    def __post_init__(self) -> None:
        if not self.addresses:
            raise ValueError("addresses: a pool needs at least one address, prefix or range")
        for index, span in enumerate(check_ranges("addresses", self.addresses)):
            if not is_station(span):
                raise ValueError(f"addresses[{index}]: {span} holds no address that a single station can have")
        if overlap := first_overlap([parse_range(text) for text in self.addresses]):
            raise ValueError(f"addresses: {overlap[0]} and {overlap[1]} overlap within the pool")
        check_ranges("exclude", self.exclude)
        if not self.spans:
            raise ValueError("exclude: nothing is left of the pool's addresses")
        check_distinct("nodePools", self.node_pools)
        if self.source is not None and (self.exclude or self.avoid_buggy_ips):
            raise ValueError(
                "source: it chooses the addresses; reserve there what is not to be given, and leave exclude "
                "and avoidBuggyIPs out"
            )
        check_distinct("autoAssignNamespaces", self.auto_assign_namespaces)
        if self.auto_assign and self.auto_assign_namespaces:
            raise ValueError(
                "autoAssignNamespaces: with autoAssign, Services of every namespace are served without asking; "
                "set autoAssign to false, or leave this out"
            )

    @property
    def spans(self) -> tuple[AddressRange, ...]:
        """`addresses` without `exclude`, in the order in which they are given out."""
        return _spans(self.addresses, self.exclude)

    def excludes(self, address: Address) -> bool:
        """Say whether an address is one of `addresses` that `exclude` takes out."""
        return any(address in parse_range(text) for text in self.exclude) and any(
            address in parse_range(text) for text in self.addresses
        )


@lru_cache(maxsize=4096)
def _spans(addresses: tuple[str, ...], exclude: tuple[str, ...]) -> tuple[AddressRange, ...]:
    excluded = [*NO_STATION, *map(parse_range, exclude)]
    return tuple(span for text in addresses for span in subtract(parse_range(text), excluded))


class AddressPool(Native, frozen=True, kw_only=True):
    """A set of addresses that Services of type LoadBalancer are given."""

    spec: AddressPoolSpec
