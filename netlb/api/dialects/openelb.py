"""OpenELB's pools: `network.kubesphere.io` Eip, translated into native kinds.

Read as OpenELB v0.6 reads them: its webhook's checks refuse an Eip here, too. What the Eip is for says who may have
its addresses: the default one (by its mark) serves everyone, one that is bound to namespaces serves those, and any
other only who asks for it. The fence of a bound Eip also binds Services that ask for it, which OpenELB takes on trust.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import msgspec

from netlb.api.dialects.base import Compatibility, Foreign, Translated, Translation
from netlb.api.meta import LabelSelector, ObjectMeta, Record
from netlb.api.v1alpha1 import (
    AddressPool,
    AddressPoolSpec,
    BGPAdvertisement,
    BGPAdvertisementSpec,
    L2Advertisement,
    L2AdvertisementSpec,
    ServiceAllocation,
)
from netlb.api.v1alpha1.base import Spec
from netlb.errors import ConfigError
from netlb.findings import Finding, ObjectRef
from netlb.net import NO_STATION, AddressRange, Family, parse_address, parse_range, subtract
from netlb.reasons import ManifestProblem

__all__ = ["DEFAULT_MARK", "KINDS", "Eip", "EipSpec", "EipV1Alpha1", "translate"]

DEFAULT_MARK = "eip.openelb.kubesphere.io/is-default-eip"
"""Annotation: the Eip for Services that ask for nothing. The allocator wants exactly "true"."""
_MARK_FIELD = f"metadata.annotations[{DEFAULT_MARK}]"


class EipSpec(Spec, frozen=True, kw_only=True):
    """`v1alpha2.EipSpec`."""

    address: str
    """One address, a prefix (bits behind its length are cleared) or `first-last`; its ends are handed out, too."""
    protocol: Literal["", "bgp", "layer2", "vip"] = ""
    """Empty: bgp."""
    interface: str = ""
    """Name of an interface, or `can_reach:ADDRESS`: the one of the kernel's route to that address."""
    disable: bool = False
    using_known_ips: bool = msgspec.field(default=False, name="usingKnownIPs")
    """OpenELB declares it and reads it nowhere; neither do we."""
    priority: int = 0
    """Among Eips bound to a namespace the lowest number comes first, 0 included."""
    namespaces: tuple[str, ...] = ()
    namespace_selector: dict[str, str] | None = None
    """Labels of a namespace, all of which must match; added to those named."""


class Eip(Record, frozen=True, kw_only=True):
    """`network.kubesphere.io/v1alpha2 Eip`; its status, where OpenELB keeps its allocations, is not read."""

    NAMESPACED: ClassVar[bool] = False

    spec: EipSpec


class EipV1Alpha1Spec(Spec, frozen=True, kw_only=True):
    """`v1alpha1.EipSpec`: before interfaces and namespaces."""

    address: str
    protocol: Literal["", "bgp", "layer2"] = ""
    disable: bool = False
    using_known_ips: bool = msgspec.field(default=False, name="usingKnownIPs")


class EipV1Alpha1(Record, frozen=True, kw_only=True):
    """`network.kubesphere.io/v1alpha1 Eip`."""

    NAMESPACED: ClassVar[bool] = False
    KIND: ClassVar[str] = "Eip"

    spec: EipV1Alpha1Spec


KINDS: Mapping[tuple[str, str], type[Record]] = {
    ("network.kubesphere.io/v1alpha2", "Eip"): Eip,
    ("network.kubesphere.io/v1alpha1", "Eip"): EipV1Alpha1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Read:
    """An Eip in which nothing is wrong."""

    foreign: Foreign
    spec: EipSpec
    span: AddressRange
    interfaces: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()

    @property
    def metadata(self) -> ObjectMeta:
        return self.foreign.record.metadata

    @property
    def mark(self) -> str:
        return self.metadata.annotations.get(DEFAULT_MARK, "")

    @property
    def bound(self) -> bool:
        return bool(self.spec.namespaces) or self.spec.namespace_selector is not None


def translate(objects: Mapping[ObjectRef, Foreign], _compatibility: Compatibility) -> Translation:
    """Translate all Eips; one that is wrong is refused alone."""
    eips: list[_Read] = []
    refused: dict[ObjectRef, Finding] = {}
    for ref in sorted(objects):
        foreign = objects[ref]
        try:
            match foreign.record:
                case Eip(spec=spec):
                    eips.append(_read(foreign, spec))
                case EipV1Alpha1(spec=spec):
                    eips.append(_read_v1alpha1(foreign, spec))
        except ConfigError as error:
            refused[ref] = error.finding
    default = _default(eips)
    return Translation(
        records=tuple(
            Translated(record, eip.foreign.record.ref) for eip in eips for record in _records(eip, eip is default)
        ),
        findings=tuple(finding for eip in eips for finding in (*eip.findings, *_doubts(eip, default))),
        refused=refused,
    )


def _read(foreign: Foreign, spec: EipSpec) -> _Read:
    """Make the checks of OpenELB's webhook and speaker; ConfigError says which one fails."""
    span = _span(foreign, spec.address)
    findings: list[Finding] = []
    interfaces: tuple[str, ...] = ()
    if spec.protocol == "vip":
        findings.append(
            foreign.warning(
                "spec.protocol",
                "no keepalived is run: one node answers by ARP and NDP for all addresses of this interface",
                "write layer2, which spreads the addresses over the nodes",
            )
        )
    if spec.protocol in ("layer2", "vip"):
        if not spec.interface:
            raise ConfigError(
                foreign.error(
                    "spec.interface",
                    f"protocol {spec.protocol} needs an interface",
                    "name the interface on which the addresses are announced",
                )
            )
        if ":" not in spec.interface:
            interfaces = (spec.interface,)
        else:
            findings.append(_unresolved(foreign, spec.interface))
    return _Read(foreign=foreign, spec=spec, span=span, interfaces=interfaces, findings=tuple(findings))


def _read_v1alpha1(foreign: Foreign, spec: EipV1Alpha1Spec) -> _Read:
    span = _span(foreign, spec.address)
    if span.family is not Family.IPV4:
        raise ConfigError(
            foreign.error(
                "spec.address",
                f"an Eip of v1alpha1 holds IPv4 addresses, and {spec.address} is IPv6",
                "write apiVersion: network.kubesphere.io/v1alpha2",
                ManifestProblem.INVALID_RANGE,
            )
        )
    return _Read(
        foreign=foreign,
        spec=EipSpec(address=spec.address, protocol=spec.protocol, disable=spec.disable),
        span=span,
    )


def _span(foreign: Foreign, text: str) -> AddressRange:
    try:
        return _stations(text)
    except ValueError as error:
        finding = foreign.error(
            "spec.address",
            str(error),
            "write an address, a prefix (192.0.2.0/24) or a range (192.0.2.10-192.0.2.20)",
            ManifestProblem.INVALID_RANGE,
        )
        raise ConfigError(finding) from None


def _stations(text: str) -> AddressRange:
    span = parse_range(text)
    if not subtract(span, NO_STATION):
        raise ValueError(f"{text} holds no address that a single station can have")
    return span


def _unresolved(foreign: Foreign, interface: str) -> Finding:
    """Return the warning for an interface that each node would have to look up in its routes."""
    how, _, target = interface.partition(":")
    problem = "" if how == "can_reach" else f"{interface!r} is neither the name of an interface nor can_reach:ADDRESS"
    try:
        parse_address(target)
    except ValueError as error:
        problem = problem or str(error)
    if problem:
        remedy = "name the interface on which the addresses are announced"
        raise ConfigError(foreign.error("spec.interface", problem, remedy))
    return foreign.warning(
        "spec.interface",
        f"which interface reaches {target} is not looked up, so the addresses are announced on every interface",
        "name the interface, or limit the speaker to it with --interface",
    )


def _default(eips: Sequence[_Read]) -> _Read | None:
    """Return the Eip whose mark counts: one that gives addresses, then the older one, then by name."""
    marked = [eip for eip in eips if eip.mark == "true"]
    return min(
        marked,
        key=lambda eip: (eip.spec.disable, eip.metadata.creation_timestamp or "~", eip.metadata.name),
        default=None,
    )


def _doubts(eip: _Read, default: _Read | None) -> list[Finding]:
    """Return what the mark of the default Eip does not bring about."""
    if eip is default and eip.bound:
        return [
            eip.foreign.warning(
                "spec.namespaces" if eip.spec.namespaces else "spec.namespaceSelector",
                "the Eip is the default, so it serves every namespace, its own ones after the Eips bound to them",
                f"remove the namespaces, or the annotation {DEFAULT_MARK}",
            )
        ]
    if eip.mark == "true" and default is not None and eip is not default:
        return [
            eip.foreign.warning(
                _MARK_FIELD,
                f"{default.foreign.record.ref} is the default already, so this mark has no effect",
                "remove the annotation from one of the two",
            )
        ]
    if eip.mark != "true" and eip.mark.lower() == "true":
        return [
            eip.foreign.warning(
                _MARK_FIELD,
                f"the mark is {eip.mark!r}, which OpenELB's allocator does not take, so the Eip is not the default",
                'write "true", or remove the annotation',
            )
        ]
    return []


def _records(eip: _Read, is_default: bool) -> tuple[Record, Record]:
    spec, name = eip.spec, eip.metadata.name
    layer2 = spec.protocol in ("layer2", "vip")
    pool = AddressPool(
        metadata=ObjectMeta(name=name, labels=eip.metadata.labels, creation_timestamp=eip.metadata.creation_timestamp),
        spec=AddressPoolSpec(
            addresses=(str(eip.span),),
            auto_assign=is_default or eip.bound,
            disabled=spec.disable,
            sharing="cluster",
            protocol="layer2" if layer2 else "bgp",
            service_allocation=_allocation(spec) if eip.bound and not is_default else None,
        ),
    )
    metadata = ObjectMeta(name=name)
    if layer2:
        announced = L2AdvertisementSpec(ip_address_pools=(name,), interfaces=eip.interfaces)
        if spec.protocol == "vip":  # keepalived has one master for all addresses of an interface, and nopreempt
            announced = msgspec.structs.replace(announced, group=f"openelb-vip-{spec.interface}", revertive=False)
        return pool, L2Advertisement(metadata=metadata, spec=announced)
    return pool, BGPAdvertisement(metadata=metadata, spec=BGPAdvertisementSpec(ip_address_pools=(name,)))


def _allocation(spec: EipSpec) -> ServiceAllocation:
    selector = spec.namespace_selector
    return ServiceAllocation(
        # OpenELB's 0 comes first, ours last.
        priority=spec.priority + 1 if spec.priority >= 0 else spec.priority,
        namespaces=tuple(dict.fromkeys(spec.namespaces)),
        namespace_selectors=() if selector is None else (LabelSelector(match_labels=selector),),
    )
