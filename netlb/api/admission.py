"""Which pools are admitted: no address may belong to two of them.

The pool that is in force stays; then the older one (`metadata.creationTimestamp`) comes first, then the order of
names. A pool that is refused keeps its last good version, if that overlaps nobody.
"""

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from netlb.api.meta import Record
from netlb.api.v1alpha1 import AddressPool
from netlb.findings import Finding, ObjectRef
from netlb.net import AddressRange
from netlb.reasons import ManifestProblem

__all__ = ["AdmittedPools", "Candidate", "admit_pools"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A native record, the object that declares it, and where."""

    origin: str
    subject: ObjectRef
    record: Record


@dataclass(frozen=True, slots=True)
class AdmittedPools:
    """The pools that are in force from now on, and what is wrong with the others."""

    admitted: tuple[AddressPool, ...]
    findings: tuple[Finding, ...]
    unread: frozenset[ObjectRef]
    """Pools that are refused, and of which no earlier version is in force."""


class _Claims:
    """Ranges that belong to somebody, none of which overlap."""

    def __init__(self) -> None:
        self._ranges: list[AddressRange] = []
        self._owners: list[AddressPool] = []

    def owner(self, spans: Iterable[AddressRange]) -> AddressPool | None:
        """Return whose range one of these overlaps, if any."""
        for span in spans:
            index = bisect_left(self._ranges, span)
            for neighbour in (index - 1, index):
                if 0 <= neighbour < len(self._ranges) and self._ranges[neighbour].overlaps(span):
                    return self._owners[neighbour]
        return None

    def add(self, pool: AddressPool) -> None:
        for span in pool.spec.spans:
            index = bisect_left(self._ranges, span)
            self._ranges.insert(index, span)
            self._owners.insert(index, pool)


def admit_pools(candidates: Iterable[Candidate], in_force: Mapping[ObjectRef, Record]) -> AdmittedPools:
    """Admit the pools among the candidates, as far as they do not overlap."""
    pools = [(one, one.record) for one in candidates if isinstance(one.record, AddressPool)]
    pools.sort(key=lambda pair: _seniority(pair[1], in_force))
    claims = _Claims()
    admitted: list[AddressPool] = []
    findings: list[Finding] = []
    unread: set[ObjectRef] = set()
    for candidate, pool in pools:
        other = claims.owner(pool.spec.spans)
        if other is None:
            claims.add(pool)
            admitted.append(pool)
            continue
        findings.append(
            Finding(
                origin=candidate.origin,
                subject=candidate.subject,
                field="spec.addresses" if candidate.subject == pool.ref else "",  # a foreign kind has other fields
                reason=ManifestProblem.OVERLAPPING_POOLS,
                problem=f"the pool overlaps pool {other.metadata.name!r}",
                remedy="give every address to one pool only",
            )
        )
        last_good = in_force.get(pool.ref)
        if isinstance(last_good, AddressPool) and claims.owner(last_good.spec.spans) is None:
            claims.add(last_good)
            admitted.append(last_good)
        else:
            unread.add(pool.ref)
    return AdmittedPools(tuple(admitted), tuple(findings), frozenset(unread))


def _seniority(pool: AddressPool, in_force: Mapping[ObjectRef, Record]) -> tuple[bool, str, str]:
    # Without a time, as in a directory of manifests, a pool counts as younger than all that have one.
    return pool != in_force.get(pool.ref), pool.metadata.creation_timestamp or "~", pool.metadata.name
