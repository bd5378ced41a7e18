"""Snapshot to NodePlan: what one node announces, and why it does not announce the rest."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from operator import is_
from types import MappingProxyType

from netlb.api.core import Service
from netlb.api.meta import selects
from netlb.api.snapshot import Snapshot
from netlb.api.v1alpha1 import AddressPool, L2Advertisement
from netlb.findings import Finding, ObjectRef
from netlb.l2.election import owns
from netlb.net import Address
from netlb.plan.places import Places
from netlb.plan.segment import Segment, Watched, plan_segment
from netlb.plan.silent import Outcome, Silences, SilentAddress
from netlb.plan.validate import advertises, validate
from netlb.reasons import Silence

__all__ = ["AnnouncedAddress", "NodePlan", "NodePlanner", "SilentAddress", "plan_node"]


@dataclass(frozen=True, slots=True)
class AnnouncedAddress:
    """An address that this node answers for."""

    services: tuple[ObjectRef, ...]
    interfaces: frozenset[str] | None
    """Names of the interfaces to answer on; None: every interface that the speaker uses."""


@dataclass(frozen=True, slots=True)
class NodePlan:
    """The desired state of one node: the whole of what its speaker makes true."""

    node: str
    l2: Mapping[Address, AnnouncedAddress]
    silent: Mapping[ObjectRef, Mapping[Address, SilentAddress]]
    findings: tuple[Finding, ...]
    peers: Mapping[str, Watched] = field(default_factory=lambda: MappingProxyType({}))
    """The other nodes whose life this node watches, and how: those that may own what it may own, or some of them."""
    watchers: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    """Where they are too many for each to watch all: who watches whom."""


def plan_node(
    snapshot: Snapshot, node: str, dead: frozenset[str] = frozenset(), *, ready_only: bool = False
) -> NodePlan:
    """Plan one node. Pure: nodes that see the same snapshot, and the same nodes dead, agree on every owner.

    `ready_only`: nodes that are not ready announce nothing (see `netlb.topology.eligible_nodes`).
    """
    return NodePlanner(node, ready_only=ready_only).plan(snapshot, dead)


class NodePlanner:
    """Plans snapshot after snapshot, and works out again only what Services and their endpoints have changed.

    Planning in steps gives what planning at once gives.
    """

    def __init__(self, node: str, *, ready_only: bool = False) -> None:
        self._node = node
        self._ready_only = ready_only
        self._last: Snapshot | None = None
        self._dead = frozenset[str]()
        self._judge = _Judge(Snapshot(), node, ready_only)
        self._held: dict[ObjectRef, tuple[Address, ...]] = {}
        self._holders: dict[Address, tuple[ObjectRef, ...]] = {}
        self._l2: dict[Address, AnnouncedAddress] = {}
        self._outcomes: dict[ObjectRef, tuple[tuple[Address, Outcome], ...]] = {}
        self._groups: Counter[_Group] = Counter()
        """Who may announce the same, and how many addresses."""
        self._counted: dict[Address, tuple[_Group, ...]] = {}
        """By address, what it adds to that."""
        self._regrouped = True
        self._segment = Segment({}, {})
        self._findings: tuple[Finding, ...] = ()

    def plan(
        self,
        snapshot: Snapshot,
        dead: frozenset[str] = frozenset(),
        touched: Collection[ObjectRef] | None = None,
    ) -> NodePlan:
        """Plan the node as of this snapshot, with these nodes dead.

        `touched` names the Services in which it differs from the snapshot before, where the caller knows.
        """
        last, self._last = self._last, snapshot
        if last is None or dead - {self._node} != self._dead or not _same_ground(last, snapshot):
            self._begin(snapshot, dead - {self._node})
            touched = snapshot.holdings.keys()
        elif touched is None:
            touched = _differing(last, snapshot)
        self._judge.follow(snapshot)
        self._step(snapshot, touched)
        if self._regrouped:
            self._segment, self._regrouped = plan_segment(snapshot, self._node, self._groups), False
        return NodePlan(self._node, dict(self._l2), Silences(dict(self._outcomes)), self._findings, *self._segment)

    def _begin(self, snapshot: Snapshot, dead: frozenset[str]) -> None:
        """Know nothing but what does not depend on single Services."""
        self._dead = dead
        self._judge = _Judge(snapshot, self._node, self._ready_only)
        self._findings = validate(snapshot)
        self._regrouped = True
        for known in (self._held, self._holders, self._l2, self._outcomes, self._groups, self._counted):
            known.clear()

    def _step(self, snapshot: Snapshot, touched: Iterable[ObjectRef]) -> None:
        """Work out again what these Services hold, or held."""
        concerned: dict[Address, None] = {}
        for ref in sorted(touched):
            service = snapshot.services.get(ref)
            held: tuple[Address, ...] = ()
            if service and service.spec.type == "LoadBalancer" and ref in snapshot.holdings:
                held = snapshot.holdings[ref].addresses
            before = self._held.pop(ref, ())
            if held:
                self._held[ref] = held
            concerned.update(dict.fromkeys((*before, *held)))
            for address in before:
                if address not in held:
                    self._drop_holder(address, ref)
            for address in held:
                holders = self._holders.get(address, ())
                if ref not in holders:
                    self._holders[address] = tuple(sorted((*holders, ref))) if holders else (ref,)
            self._outcomes.pop(ref, None)
        for address in concerned:
            self._decide(address)

    def _drop_holder(self, address: Address, ref: ObjectRef) -> None:
        left = tuple(holder for holder in self._holders[address] if holder != ref)
        if left:
            self._holders[address] = left
        else:
            del self._holders[address]

    def _decide(self, address: Address) -> None:
        """Work out who announces an address, and why this node does not."""
        refs = self._holders.get(address, ())
        verdicts = {ref: self._judge.judge(ref, address) for ref in refs}
        willing = {ref: verdict for ref, verdict in verdicts.items() if isinstance(verdict, _Willing)}
        candidates = self._living(willing.values())
        elected = self._node in candidates and owns(self._node, str(address), candidates)
        self._count(address, tuple(one.group for one in willing.values()))
        for ref, verdict in verdicts.items():
            others = tuple(entry for entry in self._outcomes.pop(ref, ()) if entry[0] != address)
            if isinstance(verdict, SilentAddress):
                others += ((address, verdict),)
            elif not elected:
                others += ((address, candidates or _NOBODY),)
            if others:
                self._outcomes[ref] = others
        if elected:
            self._l2[address] = AnnouncedAddress(tuple(willing), self._judge.interfaces(willing.values()))
        else:
            self._l2.pop(address, None)

    def _living(self, willing: Iterable["_Willing"]) -> frozenset[str]:
        """Return the living nodes of whom one is elected for all: those that will do for each of them, if any will."""
        sets = [one.nodes - self._dead if self._dead else one.nodes for one in willing]
        if len(sets) < 2:
            return sets[0] if sets else frozenset()
        return frozenset.intersection(*sets) or frozenset.union(*sets)

    def _count(self, address: Address, groups: tuple["_Group", ...]) -> None:
        before = self._counted.pop(address, ())
        if before != groups:
            self._regrouped |= not self._groups.keys() >= set(groups)
            self._groups.update(groups)
            for group in before:
                self._groups[group] -= 1
                if not self._groups[group]:
                    del self._groups[group]
                    self._regrouped = True
        if groups:
            self._counted[address] = groups


_Group = tuple[str, frozenset[str]]
"""The BFDProfile that a pool names, or nothing, and nodes that may announce the same."""


@dataclass(frozen=True, slots=True, eq=False)
class _Willing:
    """The nodes that may announce an address for one Service, and the advertisements that say so."""

    group: _Group
    advertisements: tuple[L2Advertisement, ...]

    @property
    def nodes(self) -> frozenset[str]:
        """The nodes."""
        return self.group[1]


class _Judge:
    """Answers for one node; what is the same for many addresses is worked out once."""

    def __init__(self, snapshot: Snapshot, node: str, ready_only: bool) -> None:
        self._snapshot = snapshot
        self._node = node
        self._places = Places(snapshot, ready_only=ready_only)
        self._covered: dict[str, frozenset[str]] = {}
        self._advertised: dict[str, tuple[L2Advertisement, ...]] = {}
        self._willing: dict[tuple[str, tuple[str, ...], frozenset[str]], _Willing | SilentAddress] = {}

    def follow(self, snapshot: Snapshot) -> None:
        """Answer for a snapshot that differs in Services, endpoints and holdings alone."""
        self._snapshot = snapshot
        self._places.follow(snapshot)
        if len(self._willing) > _MOST_WILLING:
            self._willing.clear()

    def judge(self, ref: ObjectRef, address: Address) -> _Willing | SilentAddress:
        """Return the nodes that may announce an address for a Service, or why none may."""
        service, pool = self._snapshot.services[ref], self._places.pool_of(address)
        advertisements = self._advertisements(service, pool) if pool else ()
        if not pool or not advertisements:
            return _UNADVERTISED
        nodes = self._places.nodes(service, pool)
        if isinstance(nodes, Silence):
            return _SILENT[nodes]
        key = (pool.metadata.name, tuple(record.metadata.name for record in advertisements), nodes)
        if key not in self._willing:
            covered = nodes & frozenset().union(*(self._nodes(record) for record in advertisements))
            group = (pool.spec.bfd_profile, covered)
            self._willing[key] = _Willing(group, advertisements) if covered else _NOBODY
        return self._willing[key]

    def interfaces(self, willing: Iterable[_Willing]) -> frozenset[str] | None:
        """Return the interfaces on which this node announces an address; None: all."""
        mine = [record for one in willing for record in one.advertisements if self._node in self._nodes(record)]
        if any(not record.spec.interfaces for record in mine):
            return None
        return frozenset(name for record in mine for name in record.spec.interfaces)

    def _advertisements(self, service: Service, pool: AddressPool) -> tuple[L2Advertisement, ...]:
        name = pool.metadata.name
        if name not in self._advertised:
            every = self._snapshot.l2_advertisements.values()
            self._advertised[name] = tuple(record for record in every if advertises(record, pool))
        found = self._advertised[name]
        if not any(record.spec.service_selectors for record in found):
            return found
        return tuple(record for record in found if selects(record.spec.service_selectors, service.metadata.labels))

    def _nodes(self, advertisement: L2Advertisement) -> frozenset[str]:
        """Return the nodes that an advertisement selects."""
        name = advertisement.metadata.name
        if name not in self._covered:
            self._covered[name] = frozenset(
                node
                for node, record in self._snapshot.nodes.items()
                if selects(advertisement.spec.node_selectors, record.metadata.labels)
            )
        return self._covered[name]


def _same_ground(one: Snapshot, other: Snapshot) -> bool:
    """Say whether two snapshots differ in Services, endpoints and holdings at most; passwords have no part in this."""
    return all(getattr(one, name) is getattr(other, name) for name in _GROUND)


def _differing(one: Snapshot, other: Snapshot) -> set[ObjectRef]:
    """Return the Services of which something is not the very same in both."""
    found: set[ObjectRef] = set()
    for before, after in (
        (one.services, other.services),
        (one.endpoint_slices, other.endpoint_slices),
        (one.holdings, other.holdings),
    ):
        if before is not after:
            found.update(_differing_in(before, after))
    return found


def _differing_in(one: Mapping[ObjectRef, object], other: Mapping[ObjectRef, object]) -> Iterable[ObjectRef]:
    yield from one.keys() - other.keys()
    same = map(is_, map(one.get, other), other.values())
    yield from (ref for ref, unchanged in zip(other, same, strict=True) if not unchanged)


_GROUND = {each.name for each in fields(Snapshot)} - {"services", "endpoint_slices", "holdings", "passwords"}
_MOST_WILLING = 1 << 16
_UNADVERTISED = SilentAddress(Silence.NO_ADVERTISEMENT)
_NOBODY = SilentAddress(Silence.NO_CANDIDATE)
_SILENT = {reason: SilentAddress(reason) for reason in Silence}
