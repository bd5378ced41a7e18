"""PureLB's ServiceGroup as it is written (`purelb.io/v2`), and the reading of one group by itself."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from netlb.api.convert import convert
from netlb.api.dialects.base import Foreign
from netlb.api.meta import Record
from netlb.api.v1alpha1.base import Spec
from netlb.errors import ConfigError
from netlb.findings import Finding
from netlb.net import (
    NO_STATION,
    AddressRange,
    Family,
    first_overlap,
    parse_address,
    parse_prefix,
    parse_range,
    subtract,
)
from netlb.reasons import ManifestProblem

__all__ = ["Group", "ServiceGroup", "read_group"]


_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class ServiceGroup(Record, frozen=True, kw_only=True):
    """A pool. Its spec is read where the group counts: in PureLB's own namespace."""

    spec: dict[str, Any]


class Block(Spec, frozen=True, kw_only=True):
    """`v2.AddressPool`: a range of addresses."""

    pool: str
    """A prefix, whose host bits say where it begins, or `first-last`; never a bare address."""
    subnet: str
    """The prefix of the network that the addresses are in."""
    aggregation: str = ""
    """`/n`: remote addresses are announced as part of prefixes of this length. `default` or empty: of the subnet's."""


class Remote(Spec, frozen=True, kw_only=True):
    """Addresses that are routed to the nodes."""

    v4pool: Block | None = None
    v6pool: Block | None = None
    v4pools: tuple[Block, ...] = ()
    v6pools: tuple[Block, ...] = ()
    multi_pool: bool = False
    balance_pools: bool = False


class Local(Remote, frozen=True, kw_only=True):
    """Addresses of the nodes' own segment."""

    skip_ipv6_dad: bool = msgspec.field(default=False, name="skipIPv6DAD")


class GroupSpec(Spec, frozen=True, kw_only=True):
    """`v2.ServiceGroupSpec`; `netbox` is 0.16's, before `external` took its place."""

    local: Local | None = None
    remote: Remote | None = None
    external: dict[str, Any] | None = None
    netbox: dict[str, Any] | None = None
    namespaces: tuple[str, ...] = ()
    enforce_namespaces: bool = False
    namespace_default: bool = False

    def __post_init__(self) -> None:
        if [self.local, self.remote, self.external, self.netbox].count(None) != 3:
            raise ValueError("local: a group is exactly one of local, remote and external")
        for field, flag in (
            ("enforceNamespaces", self.enforce_namespaces),
            ("namespaceDefault", self.namespace_default),
        ):
            if flag and not self.namespaces:
                raise ValueError(f"{field}: without namespaces there is nothing that it could mean")
        for index, name in enumerate(self.namespaces):
            if not _LABEL.fullmatch(name):
                raise ValueError(f"namespaces[{index}]: {name!r} is not the name of a namespace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group in which nothing is wrong."""

    foreign: Foreign
    protocol: Literal["layer2", "bgp"]
    spans: tuple[AddressRange, ...]
    """In PureLB's order: IPv6 first, lists before single pools."""
    namespaces: tuple[str, ...]
    enforce: bool
    namespace_default: bool
    aggregation: dict[Family, int]
    """Lengths of the prefixes that are announced; only for a group that is announced by BGP."""
    findings: tuple[Finding, ...]

    @property
    def name(self) -> str:
        """The group's name, and its pool's."""
        return self.foreign.record.metadata.name


def read_group(foreign: Foreign, declared: dict[str, Any]) -> Group:
    """Read one group; ConfigError says what is wrong with it."""
    spec = convert(declared, GroupSpec, subject=foreign.record.ref, origin=foreign.origin, field="spec")
    ranges: Remote | None = spec.local if spec.local is not None else spec.remote
    if ranges is None:
        raise ConfigError(_external(foreign, "external" if spec.external is not None else "netbox"))
    where = "spec.local" if spec.local is not None else "spec.remote"
    spans: list[AddressRange] = []
    lengths: dict[Family, list[int]] = {}
    for field, family, block in _blocks(ranges):
        span, length = _read_block(foreign, f"{where}.{field}", family, block)
        spans.append(span)
        lengths.setdefault(family, []).append(length)
    if not spans:
        raise ConfigError(foreign.error(where, "the group has no address", "add v4pool or v6pool"))
    if overlap := first_overlap(spans):
        problem = f"{overlap[0]} and {overlap[1]} overlap within the group"
        raise _range_error(foreign, where, problem, "give every address once")
    findings = list(_without_effect(foreign, where, ranges))
    if spec.remote is not None:
        findings += _uneven(foreign, where, lengths)
    return Group(
        foreign=foreign,
        protocol="layer2" if spec.local is not None else "bgp",
        spans=tuple(spans),
        namespaces=tuple(dict.fromkeys(spec.namespaces)),
        enforce=spec.enforce_namespaces,
        namespace_default=spec.namespace_default,
        aggregation={family: max(found) for family, found in lengths.items()},
        findings=tuple(findings),
    )


def _blocks(ranges: Remote) -> Iterator[tuple[str, Family, Block]]:
    for family, plural, blocks, singular, block in (
        (Family.IPV6, "v6pools", ranges.v6pools, "v6pool", ranges.v6pool),
        (Family.IPV4, "v4pools", ranges.v4pools, "v4pool", ranges.v4pool),
    ):
        for index, one in enumerate(blocks):
            yield f"{plural}[{index}]", family, one
        if block is not None:
            yield singular, family, block


_AGGREGATION = re.compile(r"/([1-9][0-9]{0,2})")


def _read_block(foreign: Foreign, field: str, family: Family, block: Block) -> tuple[AddressRange, int]:
    """Return the addresses, and the length of the prefixes in which they are announced by BGP."""
    try:
        span = _range(block.pool)
    except ValueError as error:
        remedy = "write a prefix (192.0.2.0/24) or a range (192.0.2.10-192.0.2.20), also for a single address"
        raise _range_error(foreign, f"{field}.pool", str(error), remedy) from None
    if span.family is not family:
        problem = f"{block.pool} is {span.family}"
        raise _range_error(foreign, f"{field}.pool", problem, f"move it to {'v4' if '4' in span.family else 'v6'}pool")
    try:
        subnet = parse_prefix(block.subnet)
    except ValueError as error:
        remedy = "write the prefix of the network, as in 192.0.2.0/24"
        raise _range_error(foreign, f"{field}.subnet", str(error), remedy) from None
    if subnet.family is not family or not subnet.first <= span.first <= span.last <= subnet.last:
        problem = f"the addresses {block.pool} are not all in {block.subnet}"
        raise _range_error(foreign, f"{field}.subnet", problem, "correct the pool or its subnet")
    length = family.bits - (subnet.size.bit_length() - 1)
    if not length:
        problem = f"{block.subnet} is every address there is, and no network"
        raise _range_error(foreign, f"{field}.subnet", problem, "write the prefix of the network")
    if block.aggregation in ("", "default"):
        return span, length
    matched = _AGGREGATION.fullmatch(block.aggregation)
    if not matched or not 8 <= int(matched[1]) <= family.bits:
        raise ConfigError(
            foreign.error(
                f"{field}.aggregation",
                f"{block.aggregation!r} is not the length of an {family} prefix, from /8 to /{family.bits}",
                f"write default, or a length with its slash, as in /{family.bits}",
            )
        )
    return span, int(matched[1])


def _range(text: str) -> AddressRange:
    """Parse `pool`; host bits of a prefix are kept: they say where the range begins."""
    if "-" in text:
        span = parse_range(text)
    elif "/" in text:
        network = parse_prefix(text)
        span = AddressRange(network.family, int(parse_address(text.partition("/")[0])), network.last)
    else:
        raise ValueError(f"{text!r} is neither a prefix nor a range")
    if not subtract(span, NO_STATION):
        raise ValueError(f"{text} holds no address that a single station can have")
    return span


def _range_error(foreign: Foreign, field: str, problem: str, remedy: str) -> ConfigError:
    return ConfigError(foreign.error(field, problem, remedy, ManifestProblem.INVALID_RANGE))


def _external(foreign: Foreign, field: str) -> Finding:
    return foreign.error(
        f"spec.{field}",
        "PureLB's sidecars and its NetBox client are not run, so the group would have no address",
        "declare an AddressPool of netlb of this name; its `source` names a system that keeps the addresses",
        ManifestProblem.NOT_HONOURED,
    )


def _without_effect(foreign: Foreign, where: str, ranges: Remote) -> Iterator[Finding]:
    if ranges.multi_pool:
        problem = "a Service gets one address of each family, not one of every range"
        yield foreign.warning(f"{where}.multiPool", problem, "declare a Service for each range, or remove it")
    if ranges.balance_pools:
        problem = "the ranges are used up in their order, the lowest address first"
        yield foreign.warning(f"{where}.balancePools", problem, "remove it")
    if isinstance(ranges, Local) and ranges.skip_ipv6_dad:
        problem = "addresses are answered for and put on no interface, so there is no detection to skip"
        yield foreign.warning(f"{where}.skipIPv6DAD", problem, "remove it")


def _uneven(foreign: Foreign, where: str, lengths: dict[Family, list[int]]) -> Iterator[Finding]:
    for family, found in lengths.items():
        if len(set(found)) > 1:
            yield foreign.warning(
                where,
                f"the aggregation of the {family} pools differs; all are announced with the longest, /{max(found)}",
                "give them the same aggregation, or make a group of each",
            )
