"""The native kinds, `netlb.io/v1alpha1`. Fields follow MetalLB's names, so that its users know them.

Unlike Kubernetes' kinds these are ours, so an unknown field is an error: a misspelt `autoAsign` must not
hand out addresses that were meant to be kept.
"""

from netlb.api.v1alpha1.bfd import BFDProfile, BFDProfileSpec
from netlb.api.v1alpha1.bgp import (
    AddPaths,
    BGPAdvertisement,
    BGPAdvertisementSpec,
    BGPConfiguration,
    BGPConfigurationSpec,
    BGPPeer,
    BGPPeerSpec,
    Community,
    CommunityAlias,
    CommunitySpec,
    GracefulRestart,
    SecretReference,
)
from netlb.api.v1alpha1.gateways import Gateway, GatewayEndpoint, GatewaySpec
from netlb.api.v1alpha1.l2 import Announce, L2Advertisement, L2AdvertisementSpec
from netlb.api.v1alpha1.pools import AddressPool, AddressPoolSpec, NetBoxSource, PoolSource, ServiceAllocation

__all__ = [
    "API_VERSION",
    "KINDS",
    "AddPaths",
    "AddressPool",
    "AddressPoolSpec",
    "Announce",
    "BFDProfile",
    "BFDProfileSpec",
    "BGPAdvertisement",
    "BGPAdvertisementSpec",
    "BGPConfiguration",
    "BGPConfigurationSpec",
    "BGPPeer",
    "BGPPeerSpec",
    "Community",
    "CommunityAlias",
    "CommunitySpec",
    "Gateway",
    "GatewayEndpoint",
    "GatewaySpec",
    "GracefulRestart",
    "L2Advertisement",
    "L2AdvertisementSpec",
    "NetBoxSource",
    "PoolSource",
    "SecretReference",
    "ServiceAllocation",
]

API_VERSION = "netlb.io/v1alpha1"

KINDS = (AddressPool, BFDProfile, BGPAdvertisement, BGPConfiguration, BGPPeer, Community, Gateway, L2Advertisement)
"""All of them; each is cluster-wide."""
