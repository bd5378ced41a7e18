"""The door for declared objects: origins hand in documents, snapshots come out.

Rules of this file:
1. An object that cannot be honoured is reported, and its last good version stays in force.
2. An origin (a file) that cannot be read, or holds something that cannot even be named, is reported, and all that
   it declared before stays in force.
3. What has no earlier version is recorded as unread, so that nobody concludes that it was deleted.
4. Foreign dialects are translated here; nothing behind this door knows where an object came from.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from netlb.api import keys
from netlb.api.core import ConfigMap, EndpointSlice, Namespace, Node, Service
from netlb.api.decode import decode, identify
from netlb.api.dialects import metallb
from netlb.api.documents import Document
from netlb.api.meta import Record
from netlb.api.snapshot import Holding, Snapshot
from netlb.api.v1alpha1 import AddressPool, L2Advertisement
from netlb.errors import ConfigError
from netlb.findings import Finding, ObjectRef
from netlb.reasons import ManifestProblem

__all__ = ["Intake"]

R = TypeVar("R", bound=Record)


@dataclass(frozen=True, slots=True)
class _Declared:
    """One document, decoded: a record, or a finding and the name of what could not be read."""

    origin: str
    ref: ObjectRef | None
    record: Record | None = None
    finding: Finding | None = None


class Intake:
    """Collects what origins declare and remembers the last good version of every object. No I/O."""

    def __init__(self, metallb_config: ObjectRef = metallb.CONFIG_MAP) -> None:
        self._metallb_config = metallb_config
        self._origins: dict[str, tuple[_Declared, ...]] = {}
        self._whole: set[str] = set()
        self._unreadable: dict[str, Finding] = {}
        self._in_force: dict[ObjectRef, Record] = {}

    def declare(self, origin: str, documents: Sequence[Document]) -> None:
        """Replace what an origin declares."""
        decoded = tuple(_decode(document) for document in documents if self._concerns_us(identify(document)))
        nameless = next((one.finding for one in decoded if one.finding and one.ref is None), None)
        if nameless:
            # It may be any object that the origin declared before, with its name misspelt.
            self._unreadable[origin] = nameless
            self._origins.setdefault(origin, tuple(one for one in decoded if one.ref))
        else:
            self._unreadable.pop(origin, None)
            self._origins[origin] = decoded
            self._whole.add(origin)

    def unreadable(self, origin: str, finding: Finding) -> None:
        """Note that an origin cannot be read; what it declared before stays."""
        self._unreadable[origin] = finding

    def withdraw(self, origin: str) -> None:
        """Forget an origin that is gone."""
        self._origins.pop(origin, None)
        self._unreadable.pop(origin, None)
        self._whole.discard(origin)

    def _concerns_us(self, ref: ObjectRef | None) -> bool:
        """ConfigMaps hold anything; only the one with MetalLB's configuration is read."""
        return ref is None or ref.kind != "ConfigMap" or ref == self._metallb_config

    @property
    def origins(self) -> frozenset[str]:
        """Every origin that has declared something or could not be read."""
        return frozenset(self._origins) | frozenset(self._unreadable)

    def snapshot(self, holdings: Mapping[ObjectRef, Holding]) -> Snapshot:
        """Return what is in force now; `holdings` says which Service holds which addresses."""
        findings = [self._unreadable[origin] for origin in sorted(self._unreadable)]
        chosen = self._choose(findings)
        unread = {declared.ref for declared in chosen.values() if declared.ref and declared.record is None}
        admitted = {ref: declared.record for ref, declared in chosen.items() if declared.record is not None}
        native = self._translate(chosen, admitted, findings, unread)
        pools = self._admit_pools(native, findings, unread)
        records = [record for _, record in native.values() if not isinstance(record, AddressPool)] + list(
            pools.values()
        )
        config_maps = {ref: record for ref, record in admitted.items() if isinstance(record, ConfigMap)}
        self._in_force = config_maps | {record.ref: record for record in records}
        return Snapshot(
            services={record.ref: record for record in _of(Service, records)},
            endpoint_slices=_by_service(_of(EndpointSlice, records)),
            nodes=_by_name(_of(Node, records)),
            namespaces=_by_name(_of(Namespace, records)),
            pools=_by_name(pools.values()),
            l2_advertisements=_by_name(_of(L2Advertisement, records)),
            holdings=holdings,
            findings=tuple(findings),
            unread=frozenset(ref for ref in unread if ref not in self._in_force),
            files_missing=any(origin not in self._whole for origin in self._unreadable),
        )

    def _choose(self, findings: list[Finding]) -> dict[ObjectRef, _Declared]:
        """Pick one declaration for each object: the first by origin, or its last good version."""
        chosen: dict[ObjectRef, _Declared] = {}
        for origin in sorted(self._origins):
            for declared in self._origins[origin]:
                if declared.finding:
                    findings.append(declared.finding)
                if declared.ref is None:
                    continue
                if first := chosen.get(declared.ref):
                    findings.append(
                        Finding(
                            origin=declared.origin,
                            subject=declared.ref,
                            reason=ManifestProblem.DUPLICATE_OBJECT,
                            problem=f"the object is declared in {first.origin} already, and that one counts",
                            remedy="remove one of the two",
                        )
                    )
                    continue
                record = declared.record or self._in_force.get(declared.ref)
                chosen[declared.ref] = _Declared(declared.origin, declared.ref, record)
        return chosen

    def _translate(
        self,
        chosen: Mapping[ObjectRef, _Declared],
        admitted: dict[ObjectRef, Record],
        findings: list[Finding],
        unread: set[ObjectRef],
    ) -> dict[ObjectRef, tuple[str, Record]]:
        """Return native records with their origins; `admitted` keeps the last ConfigMap that was good."""
        native = {
            ref: (chosen[ref].origin, record) for ref, record in admitted.items() if not isinstance(record, ConfigMap)
        }
        config_map = admitted.get(self._metallb_config)
        if not isinstance(config_map, ConfigMap):
            return native
        origin = chosen[self._metallb_config].origin
        try:
            translation = metallb.translate(config_map, origin)
        except ConfigError as error:
            findings.append(error.finding)
            last_good = self._in_force.get(self._metallb_config)
            if not isinstance(last_good, ConfigMap):
                del admitted[self._metallb_config]
                unread.add(self._metallb_config)
                return native
            admitted[self._metallb_config] = last_good
            translation = metallb.translate(last_good, origin)
        findings.extend(translation.findings)
        for record in translation.records:
            if record.ref in native:
                findings.append(
                    Finding(
                        origin=origin,
                        subject=record.ref,
                        reason=ManifestProblem.DUPLICATE_OBJECT,
                        problem=f"the object is declared in {native[record.ref][0]} too, and that one counts",
                        remedy="rename or remove one of the two",
                    )
                )
            else:
                native[record.ref] = (origin, record)
        return native

    def _admit_pools(
        self,
        native: Mapping[ObjectRef, tuple[str, Record]],
        findings: list[Finding],
        unread: set[ObjectRef],
    ) -> dict[ObjectRef, AddressPool]:
        """Keep the pools free of overlaps: what is in force comes first, then the order of names."""
        candidates = [
            (record != self._in_force.get(ref), ref, origin, record)
            for ref, (origin, record) in native.items()
            if isinstance(record, AddressPool)
        ]
        pools: dict[ObjectRef, AddressPool] = {}
        for _, ref, origin, pool in sorted(candidates, key=lambda candidate: candidate[:2]):
            other = _overlapping(pool, pools.values())
            if other is None:
                pools[ref] = pool
                continue
            findings.append(
                Finding(
                    origin=origin,
                    subject=ref,
                    field="spec.addresses",
                    reason=ManifestProblem.OVERLAPPING_POOLS,
                    problem=f"the pool overlaps pool {other.metadata.name!r}",
                    remedy="give every address to one pool only",
                )
            )
            last_good = self._in_force.get(ref)
            if isinstance(last_good, AddressPool) and _overlapping(last_good, pools.values()) is None:
                pools[ref] = last_good
            else:
                unread.add(ref)
        return pools


def _decode(document: Document) -> _Declared:
    try:
        record = decode(document)
    except ConfigError as error:
        return _Declared(document.origin, identify(document), finding=error.finding)
    return _Declared(document.origin, record.ref if record else None, record)


def _of(kind: type[R], records: Iterable[Record]) -> list[R]:
    return [record for record in records if isinstance(record, kind)]


def _by_name(records: Iterable[R]) -> dict[str, R]:
    return {record.metadata.name: record for record in records}


def _by_service(slices: Iterable[EndpointSlice]) -> dict[ObjectRef, tuple[EndpointSlice, ...]]:
    grouped: dict[ObjectRef, list[EndpointSlice]] = {}
    for endpoint_slice in sorted(slices, key=lambda record: record.ref):
        if name := endpoint_slice.metadata.labels.get(keys.SERVICE_NAME_LABEL):
            service = ObjectRef("Service", endpoint_slice.metadata.namespace, name)
            grouped.setdefault(service, []).append(endpoint_slice)
    return {service: tuple(members) for service, members in grouped.items()}


def _overlapping(pool: AddressPool, others: Iterable[AddressPool]) -> AddressPool | None:
    for other in others:
        if any(mine.overlaps(theirs) for mine in pool.spec.ranges for theirs in other.spec.ranges):
            return other
    return None
