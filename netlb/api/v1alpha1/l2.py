"""L2Advertisement: what is announced on the local segment, by which nodes."""

from typing import Literal

from netlb.api.meta import LabelSelector
from netlb.api.v1alpha1.base import Native, Spec, check_distinct

__all__ = ["Announce", "L2Advertisement", "L2AdvertisementSpec"]

Announce = Literal["reply", "address"]
"""Whether the speaker answers for an address, or an interface has it and the kernel answers."""


class L2AdvertisementSpec(Spec, frozen=True, kw_only=True):
    """Which addresses are announced by ARP and NDP, by which nodes, on which interfaces."""

    ip_address_pools: tuple[str, ...] = ()
    """Names of pools. With no name and no selector, every pool is selected."""
    ip_address_pool_selectors: tuple[LabelSelector, ...] = ()
    """Pools by their labels; added to those named."""
    node_selectors: tuple[LabelSelector, ...] = ()
    """Nodes that may announce; none: every node."""
    preferred_node_selectors: tuple[LabelSelector, ...] = ()
    """Of the nodes that may announce, those that are preferred: by the first that selects them, in this order."""
    group: str = ""
    """Name of a group: all addresses that are announced so, by this and others of the same group, are on one node."""
    revertive: bool = True
    """False: an address stays with the node that announces it, for as long as it can, when a better one comes."""
    service_selectors: tuple[LabelSelector, ...] = ()
    """Services that are announced, by their labels; none: every Service."""
    interfaces: tuple[str, ...] = ()
    """Names of interfaces; none: every interface that the speaker uses."""
    announce: Announce = "reply"
    """reply: the speaker answers; address: an interface of the owner has the address, so that it can be pinged and used
    by local sockets. It is put on the interfaces named, or else on the one whose subnet it is in."""

    def __post_init__(self) -> None:
        check_distinct("ipAddressPools", self.ip_address_pools)
        check_distinct("ipAddressPoolSelectors", self.ip_address_pool_selectors)
        check_distinct("nodeSelectors", self.node_selectors)
        check_distinct("preferredNodeSelectors", self.preferred_node_selectors)
        check_distinct("serviceSelectors", self.service_selectors)
        check_distinct("interfaces", self.interfaces)


class L2Advertisement(Native, frozen=True, kw_only=True):
    """Announce the addresses of pools on the local segment, by ARP (RFC 826) and NDP (RFC 4861)."""

    spec: L2AdvertisementSpec = L2AdvertisementSpec()
