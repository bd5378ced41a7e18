"""The door for declared objects: origins hand in documents, snapshots come out.

Rules of this file:
1. An object that cannot be honoured is reported, and its last good version stays in force.
2. An origin (a file) that cannot be read, or holds something that cannot even be named, is reported, and all that
   it declared before stays in force.
3. What has no earlier version is recorded as unread, so that nobody concludes that it was deleted.
4. Foreign dialects are translated here; nothing behind this door knows where an object came from.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from typing import TypeVar

from netlb.api import keys
from netlb.api.admission import admit_pools
from netlb.api.calico import BlockAffinity
from netlb.api.core import EndpointSlice, Namespace, Node, Secret, Service, without_annotations
from netlb.api.decode import decode, identify
from netlb.api.dialects import DEFAULT, DIALECTS, FOREIGN, KINDS, KINDS_OF, Compatibility
from netlb.api.documents import Document
from netlb.api.holdings import read_holding
from netlb.api.meta import Record
from netlb.api.reports import GatewayNodeStatus
from netlb.api.snapshot import EVERYTHING, Holding, Serving, Snapshot
from netlb.api.translation import names_only, translate_all
from netlb.api.v1alpha1 import (
    AddressPool,
    BFDProfile,
    BGPAdvertisement,
    BGPConfiguration,
    BGPPeer,
    Community,
    Gateway,
    L2Advertisement,
)
from netlb.errors import ConfigError
from netlb.findings import Finding, ObjectRef
from netlb.reasons import ManifestProblem

__all__ = ["Counterpart", "Intake"]

R = TypeVar("R", bound=Record)

_MANY = frozenset({Service.kind(), EndpointSlice.kind()})
"""Kinds of which there are thousands, and of which no object says anything about another one."""


@dataclass(frozen=True, slots=True)
class _Declared:
    """One document, decoded: a record, or a finding and the name of what could not be read."""

    origin: str
    ref: ObjectRef | None
    record: Record | None = None
    finding: Finding | None = None


@dataclass(frozen=True, slots=True)
class Counterpart:
    """A foreign object that is in force, and the native records that say the same."""

    origin: str
    subject: ObjectRef
    records: tuple[Record, ...]
    """None for an object that only changes what others become, as PureLB's LBNodeAgent does."""


class Intake:
    """Collects what origins declare and remembers the last good version of every object. No I/O."""

    def __init__(
        self,
        compatibility: Compatibility = DEFAULT,
        serving: Serving = EVERYTHING,
    ) -> None:
        """Read the native kinds, and those of the systems that are to be understood."""
        chosen = [system for system in DIALECTS if system in compatibility.systems]
        self._compatibility = compatibility
        self._serving = serving
        self._translators = [translate for system in chosen for translate in DIALECTS[system]]
        self._passed_over = KINDS.keys() - {key for system in chosen for key in KINDS_OF[system]}
        self._foreign_annotations = compatibility.foreign_annotations
        self._origins: dict[str, tuple[_Declared, ...]] = {}
        self._whole: set[str] = set()
        self._unreadable: dict[str, Finding] = {}
        self._in_force: dict[ObjectRef, Record] = {}
        self._translated: set[ObjectRef] = set()
        """Those of them that are in force for a foreign object, and are no earlier version of a native one."""
        self._holdings: dict[str, dict[ObjectRef, Holding]] = {}
        self._counterparts: tuple[Counterpart, ...] = ()
        self._declarations: Counter[ObjectRef] = Counter()
        """How many origins declare an object; more than one is a mistake."""
        self._adopted: dict[ObjectRef, Record] = {}
        """Services and EndpointSlices that came as records, each from an origin of its own."""
        self._before: dict[ObjectRef, Record] = {}
        """What was adopted in place of those that changed since the last snapshot."""
        self._touched: set[ObjectRef] = set()
        self.touched: frozenset[ObjectRef] = frozenset()
        """The Services that were declared anew, or had EndpointSlices that were, before the last snapshot."""
        self._last: Snapshot | None = None
        self._changed: dict[ObjectRef, Record | None] | None = None
        """Services and EndpointSlices that changed since the last snapshot, if nothing else did; None: all may have."""

    def copy(self) -> "Intake":
        """Return an intake of its own that knows the same: to try what something would change."""
        other = copy(self)
        vars(other).update({name: copy(value) for name, value in vars(self).items() if isinstance(value, dict | set)})
        return other

    def declare(self, origin: str, documents: Sequence[Document]) -> None:
        """Replace what an origin declares."""
        decoded = tuple(self._decode(document) for document in documents if self._concerns_us(document))
        nameless = next((one.finding for one in decoded if one.finding and one.ref is None), None)
        if nameless or origin in self._unreadable:
            self._changed = None
        if nameless:
            # It may be any object that the origin declared before, with its name misspelt.
            self._unreadable[origin] = nameless
            if origin not in self._origins:
                self._replace(origin, tuple(one for one in decoded if one.ref))
        else:
            self._unreadable.pop(origin, None)
            self._replace(origin, decoded)
            self._whole.add(origin)
            statuses = (read_holding(document.body) for document in documents if document.body.get("kind") == "Service")
            self._holdings[origin] = dict(filter(None, statuses))

    def adopt(self, origin: str, record: Record) -> None:
        """Let an origin declare one Service or EndpointSlice, that nobody else declares and that is in order."""
        ref = record.ref
        if origin in self._origins or origin in self._unreadable:
            self.withdraw(origin)
        self._dismiss(ref)
        self._adopted[ref] = record
        self._touch(record)
        if self._changed is not None:
            self._changed[ref] = record

    def dismiss(self, ref: ObjectRef) -> None:
        """Forget what was adopted."""
        if self._dismiss(ref) is not None and self._changed is not None:
            self._changed[ref] = None

    def _dismiss(self, ref: ObjectRef) -> Record | None:
        before = self._adopted.pop(ref, None)
        if before is not None:
            self._before.setdefault(ref, before)
            self._touch(before)
        return before

    def _touch(self, record: Record | None) -> None:
        if isinstance(record, Service):
            self._touched.add(record.ref)
        elif isinstance(record, EndpointSlice) and (service := _service_of(record)):
            self._touched.add(service)

    def unreadable(self, origin: str, finding: Finding) -> None:
        """Note that an origin cannot be read; what it declared before stays."""
        self._changed = None
        self._unreadable[origin] = finding

    def withdraw(self, origin: str) -> None:
        """Forget an origin that is gone."""
        if self._unreadable.pop(origin, None):
            self._changed = None
        self._replace(origin, ())
        self._origins.pop(origin, None)
        self._whole.discard(origin)
        self._holdings.pop(origin, None)

    def _replace(self, origin: str, after: tuple[_Declared, ...]) -> None:
        """Let an origin declare this, and note what that changes."""
        before = self._origins.get(origin, ())
        self._origins[origin] = after
        refs = {one.ref for one in (*before, *after) if one.ref}
        for ref in refs:
            if self._dismiss(ref) is not None:
                self._in_force.setdefault(ref, self._before[ref])  # the last good version, whatever is declared now
        repeated = any(self._declarations[ref] > 1 for ref in refs)
        self._declarations.subtract(one.ref for one in before if one.ref)
        self._declarations.update(one.ref for one in after if one.ref)
        for one in (*before, *after):
            self._touch(one.record or (one.ref and self._in_force.get(one.ref)))
        declared = {one.ref for one in after}
        elsewhere = any(self._declarations[ref] != (ref in declared) for ref in refs)
        for ref in refs - declared:
            if not self._declarations[ref]:
                del self._declarations[ref]
        odd = any(one.record is None or one.record.kind() not in _MANY for one in (*before, *after))
        if repeated or elsewhere or odd:
            self._changed = None
        elif self._changed is not None:
            self._changed.update(dict.fromkeys(refs))
            self._changed.update({one.ref: one.record for one in after if one.ref})

    def _concerns_us(self, document: Document) -> bool:
        """ConfigMaps and Secrets hold anything; only MetalLB's configuration, and passwords, are read."""
        if document.body.get("kind") == "Secret" and document.body.get("type") != "kubernetes.io/basic-auth":
            return False
        if (document.body.get("apiVersion"), document.body.get("kind")) in self._passed_over:
            return False
        if document.body.get("kind") != "ConfigMap":
            return True
        ref = identify(document)
        return ref is None or ref[1:] == (self._compatibility.metallb_namespace, "config")

    def _decode(self, document: Document) -> _Declared:
        """Decode a document; of a Service only the annotations that are understood."""
        declared = _decode(document)
        if isinstance(declared.record, Service) and self._foreign_annotations:
            return replace(declared, record=without_annotations(declared.record, self._foreign_annotations))
        return declared

    @property
    def origins(self) -> frozenset[str]:
        """Every origin that has declared something or could not be read."""
        return frozenset(self._origins) | frozenset(self._unreadable)

    def holdings(self) -> dict[ObjectRef, Holding]:
        """Return who holds which addresses by the statuses in the manifests, as in those that kubectl prints."""
        return {ref: holding for origin in sorted(self._holdings) for ref, holding in self._holdings[origin].items()}

    @property
    def counterparts(self) -> tuple[Counterpart, ...]:
        """What the foreign objects in force say in native terms, by the last snapshot, in the order of the files."""
        return self._counterparts

    def snapshot(self, holdings: Mapping[ObjectRef, Holding]) -> Snapshot:
        """Return what is in force now; `holdings` says which Service holds which addresses."""
        if self._last is None or self._changed is None:
            self._last = self._whole_snapshot(holdings)
        elif self._changed:
            self._last = self._next_snapshot(self._last, self._changed, holdings)
        else:
            self._last = self._last if holdings is self._last.holdings else replace(self._last, holdings=holdings)
        self._changed = {}
        self._before = {}
        self.touched, self._touched = frozenset(self._touched), set()
        return self._last

    def _next_snapshot(
        self, last: Snapshot, changed: Mapping[ObjectRef, Record | None], holdings: Mapping[ObjectRef, Holding]
    ) -> Snapshot:
        """Return the snapshot that follows: of the kinds of which there are many, one change costs little."""
        services = dict(last.services)
        slices: dict[ObjectRef, list[EndpointSlice]] = {}
        for ref, record in changed.items():
            before = self._in_force.pop(ref, None) or self._before.get(ref)
            for one in filter(None, (before, record)):
                if isinstance(one, EndpointSlice) and (service := _service_of(one)):
                    kept = (each for each in last.endpoint_slices.get(service, ()) if each.ref not in changed)
                    slices.setdefault(service, [*kept])
            if record is not None and ref not in self._adopted:
                self._in_force[ref] = record
            if isinstance(record, EndpointSlice) and (service := _service_of(record)):
                slices[service].append(record)
            elif isinstance(record, Service):
                services[ref] = record
            else:
                services.pop(ref, None)
        grouped = {**last.endpoint_slices, **_by_service(member for members in slices.values() for member in members)}
        for service, members in slices.items():
            if not members:
                grouped.pop(service, None)
        return replace(last, services=services, endpoint_slices=grouped, holdings=holdings)

    def _whole_snapshot(self, holdings: Mapping[ObjectRef, Holding]) -> Snapshot:
        """Return a snapshot of everything."""
        findings = [self._unreadable[origin] for origin in sorted(self._unreadable)]
        chosen = self._choose(findings)
        unread = {declared.ref for declared in chosen.values() if declared.ref and declared.record is None}
        admitted = {ref: declared.record for ref, declared in chosen.items() if declared.record is not None}
        origins = {ref: declared.origin for ref, declared in chosen.items()}
        native, translated = translate_all(
            origins,
            admitted,
            in_force=self._in_force,
            compatibility=self._compatibility,
            translators=self._translators,
            findings=findings,
            unread=unread,
        )
        pools = admit_pools(native, self._in_force)
        findings.extend(pools.findings)
        unread |= pools.unread
        missing = {one.record.metadata.name for one in native if isinstance(one.record, AddressPool)} - {
            pool.metadata.name for pool in pools.admitted
        }
        records = [
            one.record
            for one in native
            if not isinstance(one.record, AddressPool)
            and not (one.subject != one.record.ref and names_only(one.record, missing))
        ]
        foreign = [record for record in admitted.values() if isinstance(record, FOREIGN)]
        self._counterparts = tuple(
            Counterpart(chosen[record.ref].origin, record.ref, tuple(translated.get(record.ref, ())))
            for record in foreign
        )
        self._in_force = {record.ref: record for record in (*foreign, *records, *pools.admitted)}
        self._translated = {one.record.ref for one in native if one.subject != one.record.ref}
        services = {record.ref: record for record in _of(Service, records)}
        services |= {ref: record for ref, record in self._adopted.items() if isinstance(record, Service)}
        return Snapshot(
            services=services,
            endpoint_slices=_by_service(
                [*_of(EndpointSlice, records), *_of(EndpointSlice, self._adopted.values())], services
            ),
            nodes=_by_name(_of(Node, records)),
            namespaces=_by_name(_of(Namespace, records)),
            pools=_by_name(pools.admitted),
            l2_advertisements=_by_name(_of(L2Advertisement, records)),
            bgp_configurations=_by_name(_of(BGPConfiguration, records)),
            bgp_peers=_by_name(_of(BGPPeer, records)),
            bgp_advertisements=_by_name(_of(BGPAdvertisement, records)),
            communities=_by_name(_of(Community, records)),
            bfd_profiles=_by_name(_of(BFDProfile, records)),
            gateways=_by_name(_of(Gateway, records)),
            gateway_nodes={one.metadata.name: one.status for one in _of(GatewayNodeStatus, records)},
            block_affinities=_by_name(_of(BlockAffinity, records)),
            passwords={
                (secret.metadata.namespace, secret.metadata.name): secret.password
                for secret in _of(Secret, records)
                if secret.password is not None
            },
            holdings=holdings,
            serving=self._serving,
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
                last_good = None if declared.ref in self._translated else self._in_force.get(declared.ref)
                record = declared.record or last_good
                chosen[declared.ref] = _Declared(declared.origin, declared.ref, record)
        return chosen


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


def _by_service(
    slices: Iterable[EndpointSlice], services: Iterable[ObjectRef] = ()
) -> dict[ObjectRef, tuple[EndpointSlice, ...]]:
    """Group EndpointSlices; of the names of these Services no second ones are made."""
    names = {service: service for service in services}
    grouped: dict[ObjectRef, list[EndpointSlice]] = {}
    for endpoint_slice in sorted(slices, key=lambda record: record.ref):
        if service := _service_of(endpoint_slice):
            grouped.setdefault(names.get(service, service), []).append(endpoint_slice)
    return {service: tuple(members) for service, members in grouped.items()}


def _service_of(endpoint_slice: EndpointSlice) -> ObjectRef | None:
    name = endpoint_slice.metadata.labels.get(keys.SERVICE_NAME_LABEL)
    return ObjectRef("Service", endpoint_slice.metadata.namespace, name) if name else None
