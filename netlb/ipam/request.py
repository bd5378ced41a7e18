"""What one Service asks of IPAM: read from its spec and its annotations, under every name they go by."""

from dataclasses import dataclass

from netlb.api import keys
from netlb.api.core import Service
from netlb.findings import ObjectRef
from netlb.net import Address, Family, family_of, parse_address

__all__ = ["Request", "is_served", "read_request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One Service's wish. ValueError from `read_request` says why a Service has none that can be read."""

    service: ObjectRef
    families: tuple[Family, ...]
    """One address of each is needed, all from one pool."""
    addresses: tuple[Address, ...] = ()
    """Exactly these, if any are named: one of each family."""
    pool: str | None = None
    """Only this pool, if one is named."""


def is_served(service: Service) -> bool:
    """Say whether a Service is ours to serve: type LoadBalancer, of our class or of none."""
    return service.spec.type == "LoadBalancer" and service.spec.load_balancer_class in (
        "",
        keys.LOAD_BALANCER_CLASS,
    )


def read_request(service: Service) -> Request:
    """Read what a Service asks for; ValueError names the field that cannot be understood."""
    addresses = _explicit_addresses(service)
    families = _families(service) or tuple(family_of(address) for address in addresses) or (Family.IPV4,)
    if addresses and {family_of(address) for address in addresses} != set(families):
        raise ValueError(
            f"the Service is of {' and '.join(families)}, and asks for {', '.join(map(str, addresses))}; "
            "name one address of each family"
        )
    pool = keys.annotation(service.metadata.annotations, keys.POOL)
    return Request(
        service=service.ref,
        families=tuple(sorted(families)),
        addresses=tuple(sorted(addresses, key=lambda address: address.version)),
        pool=pool[1] if pool and pool[1] else None,
    )


def _explicit_addresses(service: Service) -> list[Address]:
    annotated = keys.annotation(service.metadata.annotations, keys.ADDRESSES)
    field, text = "spec.loadBalancerIP", service.spec.load_balancer_ip
    if annotated and annotated[1].strip():
        if text:
            raise ValueError(f"{field} and {annotated[0]} are both set; remove one of them")
        field, text = annotated
    addresses: list[Address] = []
    for part in filter(None, (part.strip() for part in text.split(","))):
        try:
            addresses.append(parse_address(part))
        except ValueError as error:
            raise ValueError(f"{field}: {error}") from None
    if len({address.version for address in addresses}) < len(addresses):
        raise ValueError(f"{field}: name one address, or one of each family")
    return addresses


def _families(service: Service) -> tuple[Family, ...]:
    """Return the families that the API server recorded, or nothing where there is no API server."""
    spec = service.spec
    cluster_ips = spec.cluster_ips or ((spec.cluster_ip,) if spec.cluster_ip else ())
    if "None" in cluster_ips:
        raise ValueError("spec.clusterIP is None: a headless Service has no use for an address")
    if spec.ip_families:
        return tuple(dict.fromkeys(Family(family) for family in spec.ip_families))
    try:
        return tuple(dict.fromkeys(family_of(parse_address(text)) for text in cluster_ips))
    except ValueError as error:
        raise ValueError(f"spec.clusterIPs: {error}") from None
