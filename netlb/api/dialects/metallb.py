"""MetalLB's objects (`metallb.io`, since v0.13), translated into native kinds.

MetalLB refuses its whole configuration for one mistake; here the object with the mistake is refused alone. Mistakes
inside an object are found when it is decoded, those between objects here. Of objects that contradict each other the
youngest is refused.
"""

from collections.abc import Mapping
from typing import ClassVar, Literal

import msgspec

from netlb.api import v1alpha1
from netlb.api.dialects import metallb_bgp
from netlb.api.dialects.base import Compatibility, Foreign, Translated, Translation
from netlb.api.dialects.metallb_bgp import LegacyBGPAdvertisement
from netlb.api.dialects.metallb_conflicts import Declared, conflicts
from netlb.api.dialects.metallb_rules import (
    MetalLBRecord,
    check_aggregation,
    check_entries,
    check_selectors,
)
from netlb.api.meta import LabelSelector, ObjectMeta, Record
from netlb.api.v1alpha1.base import Spec, check_bounds
from netlb.findings import ObjectRef

__all__ = ["KINDS", "translate"]


class IPAddressPoolSpec(Spec, frozen=True, kw_only=True):
    """Spec of an IPAddressPool."""

    addresses: tuple[str, ...]
    auto_assign: bool = True
    avoid_buggy_ips: bool = msgspec.field(default=False, name="avoidBuggyIPs")
    service_allocation: v1alpha1.ServiceAllocation | None = None

    def __post_init__(self) -> None:
        check_entries("addresses", self.addresses)
        if allocation := self.service_allocation:
            check_selectors("serviceAllocation.namespaceSelectors", allocation.namespace_selectors)
            check_selectors("serviceAllocation.serviceSelectors", allocation.service_selectors)
        self.native()

    def native(self) -> v1alpha1.AddressPoolSpec:
        """Return the same in native terms; ValueError names the field that cannot be said."""
        return v1alpha1.AddressPoolSpec(
            addresses=self.addresses,
            auto_assign=self.auto_assign,
            avoid_buggy_ips=self.avoid_buggy_ips,
            sharing="cluster",
            service_allocation=self.service_allocation,
        )


class IPAddressPool(MetalLBRecord, frozen=True, kw_only=True):
    """Which addresses there are."""

    spec: IPAddressPoolSpec

    def native(self) -> tuple[Record, ...]:
        return (v1alpha1.AddressPool(metadata=self.cluster_wide, spec=self.spec.native()),)


class LegacyAddressPoolSpec(Spec, frozen=True, kw_only=True):
    """Spec of an AddressPool (v1beta1, gone since MetalLB 0.14): a pool that says how it is announced."""

    protocol: Literal["layer2", "bgp"]
    addresses: tuple[str, ...]
    auto_assign: bool = True
    bgp_advertisements: tuple[LegacyBGPAdvertisement, ...] = ()

    def __post_init__(self) -> None:
        check_entries("addresses", self.addresses)
        if self.bgp_advertisements and self.protocol != "bgp":
            raise ValueError("bgpAdvertisements: only a pool with protocol bgp has them")
        pool = self.native()
        for index, advertisement in enumerate(self.bgp_advertisements):
            try:
                check_aggregation(advertisement.native(()), pool)
            except ValueError as error:
                raise ValueError(f"bgpAdvertisements[{index}].{error}") from None

    def native(self) -> v1alpha1.AddressPoolSpec:
        """Return the pool in native terms; ValueError names the field that cannot be said."""
        return v1alpha1.AddressPoolSpec(
            addresses=self.addresses, auto_assign=self.auto_assign, sharing="cluster", protocol=self.protocol
        )


class LegacyAddressPool(MetalLBRecord, frozen=True, kw_only=True):
    """An AddressPool of v1beta1."""

    KIND: ClassVar[str] = "AddressPool"

    spec: LegacyAddressPoolSpec

    def native(self) -> tuple[Record, ...]:
        name, since = self.metadata.name, self.metadata.creation_timestamp
        # To MetalLB's selectors it has no labels: they look at IPAddressPools only.
        pool = v1alpha1.AddressPool(metadata=ObjectMeta(name=name, creation_timestamp=since), spec=self.spec.native())
        if self.spec.protocol == "layer2":
            spec = v1alpha1.L2AdvertisementSpec(ip_address_pools=(name,))
            return pool, v1alpha1.L2Advertisement(metadata=ObjectMeta(name=f"addresspool-{name}"), spec=spec)
        advertisements = self.spec.bgp_advertisements or (LegacyBGPAdvertisement(),)
        return (
            pool,
            *(
                v1alpha1.BGPAdvertisement(
                    metadata=ObjectMeta(name=f"addresspool-{name}-{number}"), spec=advertisement.native((name,))
                )
                for number, advertisement in enumerate(advertisements, start=1)
            ),
        )


class PreferredNodeSelector(Spec, frozen=True, kw_only=True):
    """Nodes that announce rather than others; on MetalLB's main branch only."""

    weight: int
    preference: LabelSelector

    def __post_init__(self) -> None:
        check_bounds("weight", self.weight, 1, 100)


class L2AdvertisementSpec(Spec, frozen=True, kw_only=True):
    """Spec of an L2Advertisement."""

    ip_address_pools: tuple[str, ...] = ()
    ip_address_pool_selectors: tuple[LabelSelector, ...] = ()
    node_selectors: tuple[LabelSelector, ...] = ()
    interfaces: tuple[str, ...] = ()
    service_selectors: tuple[LabelSelector, ...] = ()
    preferred_node_selectors: tuple[PreferredNodeSelector, ...] = ()

    def __post_init__(self) -> None:
        check_selectors("ipAddressPoolSelectors", self.ip_address_pool_selectors)
        check_selectors("nodeSelectors", self.node_selectors)
        check_selectors("serviceSelectors", self.service_selectors)
        self.native()

    def native(self) -> v1alpha1.L2AdvertisementSpec:
        """Return the same in native terms; ValueError names the field that cannot be said."""
        return v1alpha1.L2AdvertisementSpec(
            ip_address_pools=self.ip_address_pools,
            ip_address_pool_selectors=self.ip_address_pool_selectors,
            node_selectors=self.node_selectors,
            interfaces=tuple(dict.fromkeys(self.interfaces)),  # the one list in which MetalLB takes a name twice
            service_selectors=self.service_selectors,
        )


class L2Advertisement(MetalLBRecord, frozen=True, kw_only=True):
    """What is announced by ARP and NDP; without any, nothing is, here as there."""

    spec: L2AdvertisementSpec = L2AdvertisementSpec()

    def native(self) -> tuple[Record, ...]:
        return (v1alpha1.L2Advertisement(metadata=self.cluster_wide, spec=self.spec.native()),)

    def unhonoured(self) -> tuple[tuple[str, str, str], ...]:
        if not self.spec.preferred_node_selectors:
            return ()
        problem = "no node is preferred: the owner of an address is the first of its candidates by SHA-256"
        return (("spec.preferredNodeSelectors", problem, "choose nodes by nodeSelectors, or remove it"),)


KINDS: Mapping[tuple[str, str], type[Record]] = {
    ("metallb.io/v1beta1", "IPAddressPool"): IPAddressPool,
    ("metallb.io/v1beta1", "AddressPool"): LegacyAddressPool,
    ("metallb.io/v1beta1", "L2Advertisement"): L2Advertisement,
    **metallb_bgp.KINDS,
}


def translate(objects: Mapping[ObjectRef, Foreign], compatibility: Compatibility) -> Translation:
    """Translate the objects of MetalLB's namespace; those elsewhere are not read, and said so."""
    declared = sorted(
        (
            Declared(foreign.origin, foreign.record)
            for foreign in objects.values()
            if isinstance(foreign.record, MetalLBRecord)
        ),
        key=lambda each: each.seniority,
    )
    namespace = compatibility.metallb_namespace
    here = [each for each in declared if each.record.metadata.namespace == namespace]
    findings = [
        Foreign(each.origin, each.record).warning(
            "metadata.namespace",
            f"MetalLB's objects are read from namespace {namespace!r} only",
            f"move it to namespace {namespace!r}, or remove it",
        )
        for each in declared
        if each.record.metadata.namespace != namespace
    ]
    refused = conflicts(here)
    accepted = [each for each in here if each.record.ref not in refused]
    findings.extend(
        Foreign(each.origin, each.record).warning(*what) for each in accepted for what in each.record.unhonoured()
    )
    return Translation(
        records=tuple(Translated(record, each.record.ref) for each in accepted for record in each.record.native()),
        findings=tuple(findings),
        refused=refused,
    )
