"""Snapshot to NodePlan: what one node announces, and why it does not announce the rest."""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import partial
from operator import is_
from types import MappingProxyType
from typing import Any

from netlb.api.core import Service
from netlb.api.keys import GROUP
from netlb.api.meta import LabelSelector, selects
from netlb.api.snapshot import Snapshot
from netlb.api.v1alpha1 import AddressPool, Announce, L2Advertisement
from netlb.findings import Finding, ObjectRef
from netlb.l2.election import owner, owns
from netlb.net import Address
from netlb.plan.owners import NOBODY, Claims, Willing, contest, elect
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
    announce: Announce = "reply"
    """By whom it is answered; `address` with no interfaces means the one whose subnet it is in."""
    stays: bool = False
    """Whether it stays on this node when a better one comes."""


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
    snapshot: Snapshot,
    node: str,
    dead: frozenset[str] = frozenset(),
    *,
    ready_only: bool = False,
    holders: Mapping[Address, frozenset[str]] = NOBODY,
) -> NodePlan:
    """Plan one node. Pure: nodes that see the same snapshot, nodes dead and holders agree on every owner.

    `ready_only`: nodes that are not ready announce nothing (see `netlb.topology.eligible_nodes`). `holders`: who says
    that it announces an address now, which counts where an advertisement is not revertive.
    """
    return NodePlanner(node, ready_only=ready_only).plan(snapshot, dead, holders=holders)


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
        self._grouped: dict[Address, Claims] = {}
        """Of addresses that are elected for together, who may announce them."""
        self._rivals: Counter[_Rivals] = Counter()
        """Who may announce the same, and how many addresses."""
        self._counted: dict[Address, tuple[_Rivals, ...]] = {}
        """By address, what it adds to that."""
        self._present: Mapping[Address, frozenset[str]] = NOBODY
        self._regrouped = True
        self._segment = Segment({}, {})
        self._findings: tuple[Finding, ...] = ()

    def plan(
        self,
        snapshot: Snapshot,
        dead: frozenset[str] = frozenset(),
        touched: Collection[ObjectRef] | None = None,
        *,
        holders: Mapping[Address, frozenset[str]] = NOBODY,
    ) -> NodePlan:
        """Plan the node as of this snapshot, with these nodes dead, and these holders (see `plan_node`).

        `touched` names the Services in which it differs from the snapshot before, where the caller knows.
        """
        last, self._last = self._last, snapshot
        others, before, self._present = dead - {self._node}, self._present, dict(holders)
        moved: Iterable[Address] = ()
        if last is None or others != self._dead or not _same_ground(last, snapshot):
            self._dead = others
            self._begin(snapshot)
            touched = snapshot.holdings.keys()
        else:
            touched = _differing(last, snapshot) if touched is None else touched
            moved = [each for each in {*before, *holders} if before.get(each) != holders.get(each)]
        self._judge.follow(snapshot)
        self._step(snapshot, touched, moved)
        if self._regrouped:
            self._segment, self._regrouped = plan_segment(snapshot, self._node, self._rivals), False
        return NodePlan(self._node, dict(self._l2), Silences(dict(self._outcomes)), self._findings, *self._segment)

    def _begin(self, snapshot: Snapshot) -> None:
        """Know nothing but what does not depend on single Services."""
        self._judge = _Judge(snapshot, self._node, self._ready_only)
        self._findings = validate(snapshot)
        self._regrouped = True
        for known in (self._held, self._holders, self._l2, self._outcomes, self._rivals, self._counted, self._grouped):
            known.clear()

    def _step(self, snapshot: Snapshot, touched: Iterable[ObjectRef], moved: Iterable[Address]) -> None:
        """Work out again what these Services hold, or held, and these addresses."""
        concerned: dict[Address, None] = dict.fromkeys(each for each in moved if each in self._holders)
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
        for address, elected in elect(self._grouped, self._dead, self._present).items():
            outcome = SilentAddress(Silence.NOT_OWNER, elected) if elected else _NOBODY
            self._settle(address, self._grouped[address], None if elected == self._node else outcome)

    def _drop_holder(self, address: Address, ref: ObjectRef) -> None:
        left = tuple(holder for holder in self._holders[address] if holder != ref)
        if left:
            self._holders[address] = left
        else:
            del self._holders[address]

    def _decide(self, address: Address) -> None:
        """Work out who announces an address, and why this node does not."""
        verdicts = {ref: self._judge.judge(ref, address) for ref in self._holders.get(address, ())}
        claims = {ref: verdict for ref, verdict in verdicts.items() if isinstance(verdict, Willing)}
        self._count(address, tuple(self._judge.rivals(one) for one in claims.values()))
        for ref, verdict in verdicts.items():
            self._note(ref, address, verdict if isinstance(verdict, SilentAddress) else None)
        self._grouped.pop(address, None)
        if any(one.group for one in claims.values()):
            self._grouped[address] = claims
        elif claims:
            nodes, places = contest([claims], self._dead, self._present.get(address, frozenset()))
            outcome: Outcome | None = self._judge.alike(nodes) or _NOBODY
            if self._node in nodes and owns(self._node, str(address), nodes, places):
                outcome = None
            elif places and nodes:
                outcome = SilentAddress(Silence.NOT_OWNER, partial(owner, str(address), nodes, places))
            self._settle(address, claims, outcome)
        else:
            self._l2.pop(address, None)

    def _settle(self, address: Address, claims: Claims, outcome: Outcome | None) -> None:
        """Note who announces an address: this node, or why it does not."""
        for ref in claims:
            self._note(ref, address, outcome)
        if outcome is None:
            stays = not all(one.revertive for one in claims.values())
            self._l2[address] = AnnouncedAddress(tuple(claims), *self._judge.how(claims.values()), stays)
        else:
            self._l2.pop(address, None)

    def _note(self, ref: ObjectRef, address: Address, outcome: Outcome | None) -> None:
        """Note why a Service's address is not announced here, or that there is no reason."""
        noted = tuple(entry for entry in self._outcomes.pop(ref, ()) if entry[0] != address)
        if outcome is not None:
            noted += ((address, outcome),)
        if noted:
            self._outcomes[ref] = noted

    def _count(self, address: Address, rivals: tuple["_Rivals", ...]) -> None:
        before = self._counted.pop(address, ())
        if before != rivals:
            self._regrouped |= not self._rivals.keys() >= set(rivals)
            self._rivals.update(rivals)
            for one in before:
                self._rivals[one] -= 1
                if not self._rivals[one]:
                    del self._rivals[one]
                    self._regrouped = True
        if rivals:
            self._counted[address] = rivals


_Rivals = tuple[str, frozenset[str]]
"""The BFDProfile that a pool names, or nothing, and nodes that may announce the same."""


class _Judge:
    """Answers for one node; what is the same for many addresses is worked out once."""

    def __init__(self, snapshot: Snapshot, node: str, ready_only: bool) -> None:
        self._snapshot = snapshot
        self._node = node
        self._places = Places(snapshot, ready_only=ready_only)
        self._covered: dict[str, frozenset[str]] = {}
        self._advertised: dict[str, tuple[L2Advertisement, ...]] = {}
        self._preferred: dict[str, Mapping[str, int]] = {}
        self._willing: dict[tuple[str, tuple[str, ...], str, frozenset[str]], Willing | SilentAddress] = {}
        self._shared: dict[Any, Any] = {}
        """What is equal for many addresses."""

    def follow(self, snapshot: Snapshot) -> None:
        """Answer for a snapshot that differs in Services, endpoints and holdings alone."""
        self._snapshot = snapshot
        self._places.follow(snapshot)
        for known in (self._willing, self._shared):
            if len(known) > _MOST_KNOWN:
                known.clear()

    def rivals(self, willing: Willing) -> _Rivals:
        """Return the nodes that may announce the same as this one."""
        rivals: _Rivals = (willing.profile, willing.nodes)
        shared: _Rivals = self._shared.setdefault(rivals, rivals)
        return shared

    def alike(self, nodes: frozenset[str]) -> frozenset[str]:
        """Return the one of all equal sets that is kept."""
        shared: frozenset[str] = self._shared.setdefault(nodes, nodes)
        return shared

    def judge(self, ref: ObjectRef, address: Address) -> Willing | SilentAddress:
        """Return the nodes that may announce an address for a Service, or why none may."""
        service, pool = self._snapshot.services[ref], self._places.pool_of(address)
        advertisements = self._advertisements(service, pool) if pool else ()
        if not pool or not advertisements:
            return _UNADVERTISED
        nodes = self._places.nodes(service, pool)
        if isinstance(nodes, Silence):
            return _SILENT[nodes]
        group = _group(service, advertisements)
        key = (pool.metadata.name, tuple(record.metadata.name for record in advertisements), group, nodes)
        if key not in self._willing:
            covered = nodes & frozenset().union(*(self._nodes(record) for record in advertisements))
            places = self._preferences(advertisements)
            willing = Willing(covered, advertisements, pool.spec.bfd_profile, group, places)
            self._willing[key] = willing if covered else _NOBODY
        return self._willing[key]

    def how(self, willing: Iterable[Willing]) -> tuple[frozenset[str] | None, Announce]:
        """Return the interfaces on which this node announces an address, None: all; and by whom it is answered."""
        mine = [record for one in willing for record in one.advertisements if self._node in self._nodes(record)]
        by: Announce = "address" if any(record.spec.announce == "address" for record in mine) else "reply"
        if any(not record.spec.interfaces for record in mine):
            return None, by
        return frozenset(name for record in mine for name in record.spec.interfaces), by

    def _advertisements(self, service: Service, pool: AddressPool) -> tuple[L2Advertisement, ...]:
        name = pool.metadata.name
        if name not in self._advertised:
            every = self._snapshot.l2_advertisements.values()
            self._advertised[name] = tuple(record for record in every if advertises(record, pool))
        found = self._advertised[name]
        if not any(record.spec.service_selectors for record in found):
            return found
        return tuple(record for record in found if selects(record.spec.service_selectors, service.metadata.labels))

    def _preferences(self, advertisements: Iterable[L2Advertisement]) -> Mapping[str, int]:
        """Return the places of nodes by the first advertisement that prefers any."""
        for record in advertisements:
            if preferred := record.spec.preferred_node_selectors:
                name = record.metadata.name
                if name not in self._preferred:
                    self._preferred[name] = {
                        node: _place(preferred, each.metadata.labels) for node, each in self._snapshot.nodes.items()
                    }
                return self._preferred[name]
        return {}

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


def _place(preferred: Sequence[LabelSelector], labels: Mapping[str, str]) -> int:
    return next((place for place, selector in enumerate(preferred) if selector.matches(labels)), len(preferred))


def _group(service: Service, advertisements: Iterable[L2Advertisement]) -> str:
    """Return the name of the group that a Service's addresses are in; one that it names itself is its namespace's."""
    if named := service.metadata.annotations.get(GROUP):
        return f"{service.metadata.namespace}/{named}"
    return next((record.spec.group for record in advertisements if record.spec.group), "")


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
_MOST_KNOWN = 1 << 16
_UNADVERTISED = SilentAddress(Silence.NO_ADVERTISEMENT)
_NOBODY = SilentAddress(Silence.NO_CANDIDATE)
_SILENT = {reason: SilentAddress(reason) for reason in Silence}
