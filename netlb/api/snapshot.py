"""Everything that was declared, at one moment, as one frozen value: the only input of planning."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from netlb.api import keys
from netlb.api.calico import BlockAffinity
from netlb.api.core import EndpointSlice, Namespace, Node, Service
from netlb.api.reports import GatewayNodeReport
from netlb.api.v1alpha1 import (
    AddressPool,
    BFDProfile,
    BGPAdvertisement,
    BGPConfiguration,
    BGPPeer,
    Community,
    Gateway,
    L2Advertisement,
)
from netlb.findings import Finding, ObjectRef
from netlb.net import Address

__all__ = ["EVERYTHING", "Holding", "Serving", "Snapshot"]

_NOTHING: Mapping[Any, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Holding:
    """The addresses that a Service holds, as its status says."""

    addresses: tuple[Address, ...]
    pool: str = ""
    """The pool they came from; empty when unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Serving:
    """Which Services of type LoadBalancer are ours to serve."""

    classes: frozenset[str] = frozenset({keys.LOAD_BALANCER_CLASS, *keys.PURELB_CLASSES})
    """Values of `spec.loadBalancerClass`."""
    classless: bool = True
    """Whether Services without a class are; those with OpenELB's mark always are."""

    def serves(self, service: Service) -> bool:
        """Say whether a Service is ours to serve."""
        if service.spec.type != "LoadBalancer":
            return False
        if service.spec.load_balancer_class:
            return service.spec.load_balancer_class in self.classes
        return self.classless or service.metadata.annotations.get(keys.OPENELB_MARK) == "openelb"


EVERYTHING = Serving()
"""What is served unless told otherwise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The declared objects that are in force, and what is known to be missing from them."""

    services: Mapping[ObjectRef, Service] = field(default_factory=lambda: _NOTHING)
    endpoint_slices: Mapping[ObjectRef, tuple[EndpointSlice, ...]] = field(default_factory=lambda: _NOTHING)
    """By the Service that they belong to, in order of their names."""
    nodes: Mapping[str, Node] = field(default_factory=lambda: _NOTHING)
    namespaces: Mapping[str, Namespace] = field(default_factory=lambda: _NOTHING)
    pools: Mapping[str, AddressPool] = field(default_factory=lambda: _NOTHING)
    l2_advertisements: Mapping[str, L2Advertisement] = field(default_factory=lambda: _NOTHING)
    bgp_configurations: Mapping[str, BGPConfiguration] = field(default_factory=lambda: _NOTHING)
    bgp_peers: Mapping[str, BGPPeer] = field(default_factory=lambda: _NOTHING)
    bgp_advertisements: Mapping[str, BGPAdvertisement] = field(default_factory=lambda: _NOTHING)
    communities: Mapping[str, Community] = field(default_factory=lambda: _NOTHING)
    bfd_profiles: Mapping[str, BFDProfile] = field(default_factory=lambda: _NOTHING)
    gateways: Mapping[str, Gateway] = field(default_factory=lambda: _NOTHING)
    gateway_nodes: Mapping[str, GatewayNodeReport] = field(default_factory=lambda: _NOTHING)
    """What nodes say of themselves, for the nodes of other sites."""
    block_affinities: Mapping[str, BlockAffinity] = field(default_factory=lambda: _NOTHING)
    """Which prefixes Calico has given to which node."""
    passwords: Mapping[tuple[str, str], str] = field(default_factory=lambda: _NOTHING, repr=False)
    """What Secrets of type kubernetes.io/basic-auth hold, by namespace and name."""
    holdings: Mapping[ObjectRef, Holding] = field(default_factory=lambda: _NOTHING)
    """By Service, also of Services that are not declared (any more)."""
    serving: Serving = EVERYTHING
    findings: tuple[Finding, ...] = ()
    """What was wrong with single objects and files."""
    unread: frozenset[ObjectRef] = frozenset()
    """Objects that were declared, could not be read, and have no earlier version to stand in."""
    files_missing: bool = False
    """True while some file could not be read and had not been read before: anything may be in it."""

    def may_exist(self, ref: ObjectRef) -> bool:
        """Say whether an object that is not in the snapshot may nevertheless be declared."""
        return self.files_missing or ref in self.unread

    @property
    def pools_certain(self) -> bool:
        """False while a pool may be declared that is not in the snapshot."""
        return not self.files_missing and not any(ref.kind in _POOL_KINDS for ref in self.unread)


# The kinds that a pool can come from.
_POOL_KINDS = frozenset({"AddressPool", "ConfigMap", "Eip", "IPAddressPool", "ServiceGroup"})
