"""MetalLB's configuration of v0.11: one ConfigMap, translated into native kinds.

The grammar is read as strictly as MetalLB reads it: an unknown key, a pool without addresses or two pools
that overlap refuse the whole configuration, so that nobody runs on half of what they wrote. Pools of both
protocols are translated; BGP sessions and their advertisements are checked, and reported as not served.
"""

from collections.abc import Mapping
from itertools import combinations, pairwise
from typing import Literal

import msgspec

from netlb.api.convert import convert, without_nulls
from netlb.api.core import ConfigMap
from netlb.api.dialects.base import Compatibility, Foreign, Translated, Translation
from netlb.api.documents import parse_value
from netlb.api.meta import ObjectMeta, Record
from netlb.api.v1alpha1 import AddressPool, AddressPoolSpec, L2Advertisement, L2AdvertisementSpec
from netlb.api.v1alpha1.base import U32, duration_seconds
from netlb.errors import ConfigError
from netlb.findings import Finding, ObjectRef, Severity
from netlb.net import AddressRange, is_station, parse_address, parse_prefix, parse_range
from netlb.reasons import ManifestProblem

__all__ = ["KINDS", "translate"]

_KEY = "config"


class _Strict(msgspec.Struct, frozen=True, kw_only=True, rename="kebab", forbid_unknown_fields=True):
    """Base of the grammar: kebab-case keys, none of them unknown."""


class _Expression(_Strict, frozen=True, kw_only=True):
    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()


class _NodeSelector(_Strict, frozen=True, kw_only=True):
    match_labels: dict[str, str] = {}
    match_expressions: tuple[_Expression, ...] = ()


class _Peer(_Strict, frozen=True, kw_only=True):
    my_asn: int
    peer_asn: int
    peer_address: str
    source_address: str = ""
    peer_port: int = 179
    hold_time: str = "90s"
    router_id: str = ""
    node_selectors: tuple[_NodeSelector, ...] = ()
    password: str = ""

    def __post_init__(self) -> None:
        for field, asn in (("my-asn", self.my_asn), ("peer-asn", self.peer_asn)):
            if not 0 < asn <= U32:
                raise ValueError(f"{field}: an autonomous system number is from 1 to {U32}")
        if not 0 <= self.peer_port <= 0xFFFF:
            raise ValueError("peer-port: a port is from 0 to 65535")
        for field, text in (
            ("peer-address", self.peer_address),
            ("source-address", self.source_address),
            ("router-id", self.router_id),
        ):
            if text or field == "peer-address":
                try:
                    parse_address(text)
                except ValueError as error:
                    raise ValueError(f"{field}: {error}") from None
        seconds = duration_seconds(self.hold_time)
        if seconds is None:
            raise ValueError(f"hold-time: {self.hold_time!r} is not a duration such as 90s or 1m30s")
        if 0 < int(seconds) < 3:
            raise ValueError("hold-time: BGP allows 0 or at least 3 seconds (RFC 4271 section 4.2)")


class _BGPAdvertisement(_Strict, frozen=True, kw_only=True):
    aggregation_length: int = 32
    localpref: int = 0
    communities: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 0 <= self.aggregation_length <= 32:
            raise ValueError("aggregation-length: a prefix length is from 0 to 32")
        if not 0 <= self.localpref <= U32:
            raise ValueError(f"localpref: a preference is from 0 to {U32}")


class _Pool(_Strict, frozen=True, kw_only=True):
    name: str
    protocol: Literal["bgp", "layer2"]
    addresses: tuple[str, ...]
    avoid_buggy_ips: bool = False
    auto_assign: bool = True
    bgp_advertisements: tuple[_BGPAdvertisement, ...] = ()

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("name: a pool needs a name")
        if not self.addresses:
            raise ValueError("addresses: a pool needs at least one prefix or range")
        for index, text in enumerate(self.addresses):
            try:
                _range(text)
            except ValueError as error:
                raise ValueError(f"addresses[{index}]: {error}") from None
        if self.bgp_advertisements and self.protocol != "bgp":
            raise ValueError("bgp-advertisements: only a pool with protocol bgp has them")
        # v0.11 compares with every prefix that the entries expand to, IPv6 included.
        longest = max(length for text in self.addresses for length in _range(text).prefix_lengths())
        for index, advertisement in enumerate(self.bgp_advertisements):
            if advertisement.aggregation_length < longest:
                raise ValueError(
                    f"bgp-advertisements[{index}]: aggregation-length {advertisement.aggregation_length} is "
                    f"shorter than a prefix of the pool (/{longest})"
                )


class _Config(_Strict, frozen=True, kw_only=True):
    peers: tuple[_Peer, ...] = ()
    bgp_communities: dict[str, str] = {}
    address_pools: tuple[_Pool, ...] = ()

    def __post_init__(self) -> None:
        for first, second in combinations(self.peers, 2):
            if first == second:
                raise ValueError("peers: two peers are identical")
        for name, value in self.bgp_communities.items():
            if not _is_community(value):
                raise ValueError(f"bgp-communities: {name!r} is {value!r}; write two numbers, as in 65000:100")
        for pool in self.address_pools:
            for advertisement in pool.bgp_advertisements:
                for text in advertisement.communities:
                    if text not in self.bgp_communities and not _is_community(text):
                        raise ValueError(
                            f"address-pools: pool {pool.name!r} uses community {text!r}, which is no "
                            "number:number and no name under bgp-communities"
                        )
        for one, other in combinations(self.address_pools, 2):
            if one.name == other.name:
                raise ValueError(f"address-pools: two pools are named {one.name!r}")
        entries = sorted((_range(text), pool.name) for pool in self.address_pools for text in pool.addresses)
        for (lower, one_name), (upper, other_name) in pairwise(entries):
            if lower.overlaps(upper):
                raise ValueError(f"address-pools: {lower} of pool {one_name!r} overlaps {upper} of pool {other_name!r}")


KINDS = {("v1", "ConfigMap"): ConfigMap}


def translate(objects: Mapping[ObjectRef, Foreign], compatibility: Compatibility) -> Translation:
    """Translate MetalLB's ConfigMap `config`; it is refused as a whole if any part of it is invalid."""
    ref = ObjectRef("ConfigMap", compatibility.metallb_namespace, "config")
    foreign = objects.get(ref)
    if foreign is None or not isinstance(foreign.record, ConfigMap):
        return Translation()
    try:
        return _translate(foreign.record, foreign.origin)
    except ConfigError as error:
        return Translation(refused={ref: error.finding})


def _translate(config_map: ConfigMap, origin: str) -> Translation:
    subject = config_map.ref
    text = config_map.data.get(_KEY)
    if text is None:
        raise ConfigError(
            Finding(
                origin=origin,
                subject=subject,
                field=f"data.{_KEY}",
                reason=ManifestProblem.INVALID_OBJECT,
                problem="the field is required and missing",
                remedy=f"put MetalLB's configuration under the key {_KEY!r}",
            )
        )
    value = parse_value(text, f"{origin}: {subject}: data.{_KEY}")
    config = convert(
        {} if value is None else without_nulls(value), _Config, subject=subject, origin=origin, field=f"data.{_KEY}"
    )
    records: list[Record] = []
    for pool in config.address_pools:
        records.append(
            AddressPool(
                metadata=ObjectMeta(name=pool.name),
                spec=AddressPoolSpec(
                    addresses=tuple(text.strip() for text in pool.addresses),
                    auto_assign=pool.auto_assign,
                    avoid_buggy_ips=pool.avoid_buggy_ips,
                    protocol=pool.protocol,
                ),
            )
        )
        if pool.protocol == "layer2":
            records.append(
                L2Advertisement(
                    metadata=ObjectMeta(name=pool.name),
                    spec=L2AdvertisementSpec(ip_address_pools=(pool.name,)),
                )
            )
    findings: tuple[Finding, ...] = ()
    if config.peers:
        findings = (
            Finding(
                origin=origin,
                subject=subject,
                field=f"data.{_KEY}.peers",
                reason=ManifestProblem.NOT_HONOURED,
                problem="BGP peers are read and not served by this version",
                remedy="keep them for a version that speaks BGP, or remove them",
                severity=Severity.WARNING,
            ),
        )
    return Translation(records=tuple(Translated(record, subject) for record in records), findings=findings)


def _range(text: str) -> AddressRange:
    """Parse one entry of `addresses`: a prefix or a range, never a bare address."""
    if "-" not in text and "/" not in text:
        raise ValueError(f"{text!r} is neither a prefix nor a range; write {text}/32 or {text}-{text}")
    span = parse_range(text) if "-" in text else parse_prefix(text)
    if not is_station(span):
        raise ValueError(f"{text} holds no address that a single station can have")
    return span


def _is_community(text: str) -> bool:
    """Say whether a text is `u16:u16` (RFC 1997)."""
    halves = text.split(":")
    return len(halves) == 2 and all(half.isascii() and half.isdecimal() and int(half) <= 0xFFFF for half in halves)
