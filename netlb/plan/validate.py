"""What is wrong between objects that are each in order by themselves. Pure; also behind `netlb check`."""

from collections.abc import Iterator

from netlb.api.meta import selects
from netlb.api.snapshot import Snapshot
from netlb.api.v1alpha1 import AddressPool, BGPAdvertisement, L2Advertisement
from netlb.findings import Finding, ObjectRef, Severity
from netlb.plan.timers import unusable_profiles
from netlb.reasons import ManifestProblem

__all__ = ["advertises", "unreadable_request", "validate"]


def validate(snapshot: Snapshot) -> tuple[Finding, ...]:
    """Return every finding of the snapshot: those of its objects, then those between them."""
    return (
        *snapshot.findings,
        *_advertisements_of_unknown_pools(snapshot),
        *_pools_nobody_announces(snapshot),
        *_announced_two_ways(snapshot),
        *unusable_profiles(snapshot),
    )


def advertises(advertisement: L2Advertisement | BGPAdvertisement, pool: AddressPool) -> bool:
    """Say whether an advertisement selects a pool: by name or by label; without either, every pool."""
    spec = advertisement.spec
    if not spec.ip_address_pools and not spec.ip_address_pool_selectors:
        return True
    return pool.metadata.name in spec.ip_address_pools or (
        bool(spec.ip_address_pool_selectors) and selects(spec.ip_address_pool_selectors, pool.metadata.labels)
    )


def _advertisements_of_unknown_pools(snapshot: Snapshot) -> Iterator[Finding]:
    for advertisement in _advertisements(snapshot):
        for index, name in enumerate(advertisement.spec.ip_address_pools):
            if name not in snapshot.pools:
                yield Finding(
                    subject=advertisement.ref,
                    field=f"spec.ipAddressPools[{index}]",
                    reason=ManifestProblem.UNKNOWN_POOL,
                    problem=f"there is no pool {name!r}",
                    remedy="declare an AddressPool of this name, or correct the name",
                    severity=Severity.WARNING,
                )


def _pools_nobody_announces(snapshot: Snapshot) -> Iterator[Finding]:
    for pool in snapshot.pools.values():
        if not any(advertises(record, pool) for record in _advertisements(snapshot)):
            yield Finding(
                subject=pool.ref,
                reason=ManifestProblem.UNADVERTISED_POOL,
                problem="no L2Advertisement or BGPAdvertisement selects the pool, so nobody announces its addresses",
                remedy="declare one; without any field it selects every pool",
                severity=Severity.WARNING,
            )


def _announced_two_ways(snapshot: Snapshot) -> Iterator[Finding]:
    """Find advertisements that have no say in how the addresses of a pool are announced, though they speak of it."""
    records = snapshot.l2_advertisements.values()
    putting = [record for record in records if record.spec.announce == "address"]
    for record in records:
        for pool in snapshot.pools.values() if record.spec.announce == "reply" else ():
            other = next((each for each in putting if _overlap(record, each, pool, snapshot)), None)
            if other is not None:
                yield Finding(
                    subject=record.ref,
                    field="spec.announce",
                    reason=ManifestProblem.MIXED_ANNOUNCEMENT,
                    problem=f"{other.ref} says `announce: address` for pool {pool.metadata.name!r}, and that counts",
                    remedy="let both say the same, or let them select different pools, Services or nodes",
                    severity=Severity.WARNING,
                )
                break


def _overlap(one: L2Advertisement, other: L2Advertisement, pool: AddressPool, snapshot: Snapshot) -> bool:
    """Say whether two advertisements are for sure about the same addresses of a pool on some node."""
    services = [record.spec.service_selectors for record in (one, other)]
    return (
        advertises(one, pool)
        and advertises(other, pool)
        and (services[0] == services[1] or () in services)
        and any(
            selects(one.spec.node_selectors, node.metadata.labels)
            and selects(other.spec.node_selectors, node.metadata.labels)
            for node in snapshot.nodes.values()
        )
    )


def _advertisements(snapshot: Snapshot) -> Iterator[L2Advertisement | BGPAdvertisement]:
    yield from snapshot.l2_advertisements.values()
    yield from snapshot.bgp_advertisements.values()


def unreadable_request(service: ObjectRef, problem: str) -> Finding:
    """Return the finding about a Service whose request cannot be read."""
    return Finding(
        subject=service,
        reason=ManifestProblem.INVALID_OBJECT,
        problem=problem,
        remedy="correct the Service; it keeps the address that it has",
    )
