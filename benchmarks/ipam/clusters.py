"""Clusters to plan: pools, and Services that hold, or want, addresses of them."""

from collections.abc import Iterable, Mapping

from netlb.api.core import Service, ServicePort, ServiceSpec
from netlb.api.meta import ObjectMeta
from netlb.api.snapshot import Holding, Snapshot
from netlb.api.v1alpha1 import AddressPool, AddressPoolSpec
from netlb.findings import ObjectRef
from netlb.ipam import Allocator, Pools, Request, allocate, read_request
from netlb.net import Family, parse_range, to_address

__all__ = ["POOLS", "allocator", "holdings", "service", "snapshot"]


def _pools(*addresses: str) -> dict[str, AddressPool]:
    return {
        f"pool-{number:04}": AddressPool(
            metadata=ObjectMeta(name=f"pool-{number:04}"), spec=AddressPoolSpec(addresses=(prefix,))
        )
        for number, prefix in enumerate(addresses)
    }


POOLS: Mapping[str, tuple[Family, Mapping[str, AddressPool]]] = {
    "a /24": (Family.IPV4, _pools("192.168.0.0/24")),
    "a /8": (Family.IPV4, _pools("10.0.0.0/8")),
    "a /64": (Family.IPV6, _pools("fd00::/64")),
    "1,000 of /28": (Family.IPV4, _pools(*(f"172.{16 + n // 256}.{n % 256}.0/28" for n in range(1000)))),
}
"""By what a table calls them: the family, and the pools."""


def service(number: int, family: Family, *, requested: str = "") -> Service:
    """Make the Service of that number, in one of a hundred namespaces."""
    return Service(
        metadata=ObjectMeta(name=f"service-{number:06}", namespace=f"namespace-{number % 100:02}"),
        spec=ServiceSpec(
            type="LoadBalancer",
            ports=(ServicePort(port=80),),
            ip_families=(family.value,),
            load_balancer_ip=requested,
        ),
    )


def holdings(pools: Mapping[str, AddressPool], family: Family, held: int, *, every: int) -> dict[ObjectRef, Holding]:
    """Let the first Services hold addresses: every so-manieth of the pools', in order."""
    numbers = (
        value
        for pool in pools.values()
        for text in pool.spec.addresses
        for value in range(parse_range(text).first, parse_range(text).last + 1, every)
    )
    return {
        service(number, family).ref: Holding((to_address(family, value),))
        for number, value in zip(range(held), numbers, strict=False)
    }


def allocator(
    pools: Mapping[str, AddressPool], family: Family, held: Mapping[ObjectRef, Holding]
) -> tuple[Allocator, list[Request]]:
    """Return an allocator with so many holders, and the requests of them."""
    requests = [read_request(service(number, family)) for number in range(len(held))]
    return allocate(Pools(pools, {}), {request.service: request for request in requests}, held), requests


def snapshot(pools: Mapping[str, AddressPool], services: Iterable[Service]) -> Snapshot:
    """Return a snapshot of that."""
    return Snapshot(pools=pools, services={each.ref: each for each in services})
