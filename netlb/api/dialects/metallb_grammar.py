"""The grammar of MetalLB's ConfigMap: what may stand in it, and each part of it in native terms.

Of v0.11 and v0.12 at once. Where they contradict each other v0.12 counts: one advertisement or community twice is an
error, a range may have one address, and aggregates are compared with the widest prefix of each entry, by family.
"""

import re
from collections.abc import Iterator
from itertools import combinations, pairwise
from typing import Any, Literal, get_args

import msgspec

from netlb.api.dialects.metallb_rules import check_aggregation, check_entries, parse_entry, whole_seconds
from netlb.api.documents import Plain
from netlb.api.meta import LabelSelector, LabelSelectorRequirement
from netlb.api.v1alpha1 import AddressPoolSpec, BFDProfileSpec, BGPAdvertisementSpec, BGPPeerSpec
from netlb.api.v1alpha1.base import U32, check_bounds, check_distinct, is_community

__all__ = ["Config", "Pool", "as_meant"]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """Base of the grammar: kebab-case keys, none of them unknown."""


class _Expression(_Strict, frozen=True, kw_only=True):
    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.native()

    def native(self) -> LabelSelectorRequirement:
        return LabelSelectorRequirement(key=self.key, operator=self.operator, values=self.values)


class _NodeSelector(_Strict, frozen=True, kw_only=True):
    match_labels: dict[str, str] = {}
    match_expressions: tuple[_Expression, ...] = ()

    def native(self) -> LabelSelector:
        expressions = tuple(expression.native() for expression in self.match_expressions)
        return LabelSelector(match_labels=self.match_labels, match_expressions=expressions)


class _Peer(_Strict, frozen=True, kw_only=True):
    my_asn: int
    peer_asn: int
    peer_address: str
    source_address: str = ""
    peer_port: int = 179
    hold_time: str = ""
    keepalive_time: str = ""
    router_id: str = ""
    node_selectors: tuple[_NodeSelector, ...] = ()
    password: str = ""
    bfd_profile: str = ""
    ebgp_multihop: bool = False

    def __post_init__(self) -> None:
        if not self.peer_address:
            raise ValueError("peer-address: a peer needs an address")
        try:
            self.native()
        except ValueError as error:
            raise ValueError(_kebab(str(error))) from None

    def native(self) -> BGPPeerSpec:
        selectors: list[LabelSelector] = []
        for selector in self.node_selectors:
            if (native := selector.native()) not in selectors:
                selectors.append(native)
        return BGPPeerSpec(
            my_asn=self.my_asn,
            peer_asn=self.peer_asn,
            peer_address=self.peer_address,
            source_address=self.source_address,
            peer_port=self.peer_port or 179,
            hold_time=whole_seconds(self.hold_time or "90s"),
            keepalive_time=whole_seconds(self.keepalive_time),
            router_id=self.router_id,
            node_selectors=tuple(selectors),
            password=self.password,
            bfd_profile=self.bfd_profile,
            ebgp_multi_hop=self.ebgp_multihop,
        )


class _BGPAdvertisement(_Strict, frozen=True, kw_only=True):
    aggregation_length: int | None = None
    aggregation_length_v6: int | None = None
    localpref: int | None = None
    communities: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_bounds("aggregation-length", self.aggregation_length, 1, 32)
        check_bounds("aggregation-length-v6", self.aggregation_length_v6, 1, 128)
        check_bounds("localpref", self.localpref, 0, U32)
        check_distinct("communities", self.communities)

    def native(self, pool: str) -> BGPAdvertisementSpec:
        return BGPAdvertisementSpec(
            ip_address_pools=(pool,),
            aggregation_length=32 if self.aggregation_length is None else self.aggregation_length,
            aggregation_length_v6=128 if self.aggregation_length_v6 is None else self.aggregation_length_v6,
            local_pref=self.localpref or None,
            communities=self.communities,
        )


class Pool(_Strict, frozen=True, kw_only=True):
    """One entry of `address-pools`."""

    name: str
    protocol: Literal["bgp", "layer2"]
    addresses: tuple[str, ...]
    avoid_buggy_ips: bool = False
    auto_assign: bool = True
    bgp_advertisements: tuple[_BGPAdvertisement, ...] = ()

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name: a pool needs a name")
        check_entries("addresses", self.addresses)
        if self.bgp_advertisements and self.protocol != "bgp":
            raise ValueError("bgp-advertisements: only a pool with protocol bgp has them")
        check_distinct("bgp-advertisements", self.bgp_advertisements)
        pool = self.native()
        for index, advertisement in enumerate(self.advertisements):
            try:
                check_aggregation(advertisement, pool)
            except ValueError as error:
                raise ValueError(f"bgp-advertisements[{index}].{_kebab(str(error))}") from None

    def native(self) -> AddressPoolSpec:
        """Return the pool in native terms."""
        return AddressPoolSpec(
            addresses=self.addresses,
            auto_assign=self.auto_assign,
            avoid_buggy_ips=self.avoid_buggy_ips,
            sharing="cluster",
            protocol=self.protocol,
        )

    @property
    def advertisements(self) -> Iterator[BGPAdvertisementSpec]:
        """How the pool is announced by BGP; where nothing is said, by one advertisement with all defaults."""
        if self.protocol == "bgp":
            for advertisement in self.bgp_advertisements or (_BGPAdvertisement(),):
                yield advertisement.native(self.name)


class _BFDProfile(_Strict, frozen=True, kw_only=True):
    name: str
    receive_interval: int = 300
    transmit_interval: int = 300
    detect_multiplier: int = 3
    echo_interval: int = 50
    echo_mode: bool = False
    passive_mode: bool = False
    minimum_ttl: int | None = None

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name: a profile needs a name")
        try:
            self.native()
        except ValueError as error:
            raise ValueError(_kebab(str(error))) from None

    def native(self) -> BFDProfileSpec:
        """Return the profile in native terms."""
        return BFDProfileSpec(
            receive_interval=self.receive_interval,
            transmit_interval=self.transmit_interval,
            detect_multiplier=self.detect_multiplier,
            echo_interval=self.echo_interval,
            echo_mode=self.echo_mode,
            passive_mode=self.passive_mode,
            minimum_ttl=self.minimum_ttl,
        )


class Config(_Strict, frozen=True, kw_only=True):
    """The whole configuration."""

    peers: tuple[_Peer, ...] = ()
    bgp_communities: dict[str, str] = {}
    address_pools: tuple[Pool, ...] = ()
    bfd_profiles: tuple[_BFDProfile, ...] = ()

    def __post_init__(self) -> None:
        profiles = [profile.name for profile in self.bfd_profiles]
        check_distinct("bfd-profiles", profiles)
        for index, peer in enumerate(self.peers):
            if peer.bfd_profile and peer.bfd_profile not in profiles:
                raise ValueError(f"peers[{index}].bfd-profile: there is no {peer.bfd_profile!r} under bfd-profiles")
        check_distinct("peers", [peer.native() for peer in self.peers])
        for name, value in self.bgp_communities.items():
            if not _is_number_pair(value):
                raise ValueError(f"bgp-communities: {name!r} is {value!r}; write two numbers, as in 65000:100")
        for pool in self.address_pools:
            for advertisement in pool.bgp_advertisements:
                for text in advertisement.communities:
                    if text not in self.bgp_communities and not _is_number_pair(text):
                        raise ValueError(
                            f"address-pools: pool {pool.name!r} uses community {text!r}, which is no "
                            "number:number and no name under bgp-communities"
                        )
        for one, other in combinations(self.address_pools, 2):
            if one.name == other.name:
                raise ValueError(f"address-pools: two pools are named {one.name!r}")
        entries = sorted((parse_entry(text), pool.name) for pool in self.address_pools for text in pool.addresses)
        for (lower, one_name), (upper, other_name) in pairwise(entries):
            if lower.overlaps(upper):
                raise ValueError(f"address-pools: {lower} of pool {one_name!r} overlaps {upper} of pool {other_name!r}")


def as_meant(value: Any, kind: Any = Config) -> Any:
    """Replace values without quotes: where the grammar has text by their text, as Go does, else by what they mean."""
    match value:
        case Plain():
            return value.text if kind is str else value.value
        case list():
            return [as_meant(inner, next(iter(get_args(kind)), None)) for inner in value]
        case dict() if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
            kinds = {field.encode_name: field.type for field in msgspec.structs.fields(kind)}
            return {_text(key): as_meant(inner, kinds.get(_text(key))) for key, inner in value.items()}
        case dict():
            return {_text(key): as_meant(inner, str) for key, inner in value.items()}
    return value


def _text(key: Any) -> Any:
    return key.text if isinstance(key, Plain) else key


def _is_number_pair(text: str) -> bool:
    return is_community(text) and not text.startswith("large:")


_CAMEL = re.compile(r"\b[a-z]+(?:[A-Z]+[a-z0-9]*)+\b")
_HUMP = re.compile(r"(?<=[a-z])(?=[A-Z])")


def _kebab(message: str) -> str:
    """Say the names of native fields as the ConfigMap does."""
    kebab = _CAMEL.sub(lambda name: _HUMP.sub("-", name[0]).lower(), message)
    return kebab.replace("ebgp-multi-hop", "ebgp-multihop")
