"""What one Service asks of IPAM: read from its spec and its annotations, under every name they go by."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from netlb.api import keys
from netlb.api.core import Service
from netlb.findings import ObjectRef
from netlb.ipam.sharing import Sharing
from netlb.net import Address, Family, family_of, parse_address

__all__ = ["Request", "read_request"]

_OTHER = {Family.IPV4: Family.IPV6, Family.IPV6: Family.IPV4}
_FAMILIES = {str(family): family for family in Family}
_EMPTY: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One Service's wish. ValueError from `read_request` says why a Service has none that can be read."""

    service: ObjectRef
    families: tuple[Family, ...]
    """One address of each, the primary family first."""
    prefers: bool = False
    """True: one of the families alone will do (ipFamilyPolicy PreferDualStack)."""
    addresses: tuple[Address, ...] = ()
    """Exactly these, if any are named: one of each family, IPv4 first."""
    pool: str | None = None
    """Only this pool, if one is named."""
    sharing: Sharing | None = None
    """On what terms the Service shares its addresses, if it does."""
    labels: Mapping[str, str] = field(default_factory=lambda: _EMPTY)
    """The Service's own, by which pools may select it."""


def read_request(service: Service) -> Request:
    """Read what a Service asks for; ValueError names the field that cannot be understood."""
    annotations, spec = service.metadata.annotations, service.spec
    addresses = _explicit_addresses(service) if annotations or spec.load_balancer_ip else ()
    families, prefers = _families(service, addresses)
    if addresses and {family_of(address) for address in addresses} != set(families):
        raise ValueError(
            f"the Service is of {' and '.join(families)}, and asks for {', '.join(map(str, addresses))}; "
            "name one address of each family"
        )
    pool = keys.annotation(annotations, keys.POOL) if annotations else None
    return Request(
        service=service.ref,
        families=families,
        prefers=prefers,
        addresses=addresses,
        pool=pool[1] if pool and pool[1] else None,
        sharing=_sharing(service, addresses) if annotations else None,
        labels=service.metadata.labels,
    )


def _explicit_addresses(service: Service) -> tuple[Address, ...]:
    annotated = keys.annotation(service.metadata.annotations, keys.ADDRESSES)
    field, text = "spec.loadBalancerIP", service.spec.load_balancer_ip
    parts = [text] if text else []  # it is one address: only an annotation may list several
    if annotated and annotated[1].strip():
        if text and annotated[0] not in keys.BEFORE_LOAD_BALANCER_IP:
            raise ValueError(f"{field} and {annotated[0]} are both set; remove one of them")
        field, parts = annotated[0], annotated[1].split(",")
    addresses: list[Address] = []
    for part in parts:
        try:
            addresses.append(parse_address(part.strip()))
        except ValueError as error:
            raise ValueError(f"{field}: {error}") from None
    if len({address.version for address in addresses}) < len(addresses):
        raise ValueError(f"{field}: name one address, or one of each family")
    return tuple(sorted(addresses, key=lambda address: address.version))


def _families(service: Service, addresses: tuple[Address, ...]) -> tuple[tuple[Family, ...], bool]:
    """Return the families, the primary one first, and whether one of them alone will do."""
    spec = service.spec
    policy = spec.ip_family_policy
    cluster_ips = spec.cluster_ips or ((spec.cluster_ip,) if spec.cluster_ip else ())
    if "None" in cluster_ips:
        raise ValueError("spec.clusterIP is None: a headless Service has no use for an address")
    recorded: tuple[Family, ...] = ()
    if cluster_ips:
        try:
            recorded = tuple(dict.fromkeys(family_of(parse_address(text)) for text in cluster_ips))
        except ValueError as error:
            raise ValueError(f"spec.clusterIPs: {error}") from None
    families = recorded or tuple(dict.fromkeys(map(_FAMILIES.__getitem__, spec.ip_families)))
    if not families:
        families = tuple(map(family_of, addresses)) or (Family.IPV4,)
    if policy == "SingleStack":
        return families[:1], False
    # Without an API server nobody has written down which families a dual-stack Service has: it has both.
    if policy is not None and len(families) == 1 and not recorded and not addresses:
        families = (families[0], _OTHER[families[0]])
    if policy == "RequireDualStack" and len(families) == 1:
        raise ValueError(
            f"spec.ipFamilyPolicy is RequireDualStack, and the Service is of {families[0]} only; "
            "give it a cluster IP, and an address, of each family"
        )
    return families, policy == "PreferDualStack" and len(families) == 2 and not addresses


def _sharing(service: Service, addresses: tuple[Address, ...]) -> Sharing | None:
    """Return the terms of sharing; MetalLB's backend key is the selector with policy Local, and empty otherwise."""
    annotations, spec = service.metadata.annotations, service.spec
    annotated = keys.annotation(annotations, keys.SHARE_KEY)
    key, joins_only = (annotated[1], annotated[0] in keys.JOINS_ONLY) if annotated else ("", False)
    if not key and addresses and keys.OPENELB_ADDRESS in annotations:
        # OpenELB asks nobody: two Services that pin one address share it. Both of them say so, which is consent.
        key = f"{keys.OPENELB_ADDRESS}={','.join(map(str, addresses))}"
    if not key:
        return None
    local = spec.external_traffic_policy == "Local"
    return Sharing(
        key=key,
        ports=frozenset((port.protocol, port.port) for port in spec.ports),
        backend=",".join(f"{name}={value}" for name, value in sorted(spec.selector.items())) if local else "",
        joins_only=joins_only,
    )
