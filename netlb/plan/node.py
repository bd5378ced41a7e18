"""Snapshot to NodePlan: what one node announces, and why it does not announce the rest."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from netlb.api.core import Service
from netlb.api.keys import GROUP
from netlb.api.meta import LabelSelector, selects
from netlb.api.snapshot import Snapshot
from netlb.api.v1alpha1 import AddressPool, Announce, L2Advertisement
from netlb.findings import Finding, ObjectRef
from netlb.net import Address
from netlb.plan.owners import NOBODY, Willing, elect
from netlb.plan.places import Places
from netlb.plan.segment import Watched, plan_segment
from netlb.plan.validate import advertises, validate
from netlb.reasons import Silence

__all__ = ["AnnouncedAddress", "NodePlan", "SilentAddress", "plan_node"]


@dataclass(frozen=True, slots=True)
class AnnouncedAddress:
    """An address that this node answers for."""

    services: tuple[ObjectRef, ...]
    interfaces: frozenset[str] | None
    """Names of the interfaces to answer on; None: every interface that the speaker uses."""
    announce: Announce = "reply"
    """By whom it is answered; `address` with no interfaces means the one whose subnet it is in."""


@dataclass(frozen=True, slots=True)
class SilentAddress:
    """An address that a Service holds and this node does not answer for."""

    reason: Silence
    owner: str | None = None
    """The node that does, if any."""


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
    planner = _Planner(snapshot, node, ready_only)
    sharers: dict[Address, list[ObjectRef]] = {}
    for ref in sorted(snapshot.holdings):
        service = snapshot.services.get(ref)
        if service and service.spec.type == "LoadBalancer":
            for address in snapshot.holdings[ref].addresses:
                sharers.setdefault(address, []).append(ref)
    claims: dict[Address, dict[ObjectRef, Willing]] = {}
    silent: dict[ObjectRef, dict[Address, SilentAddress]] = {}
    groups: set[tuple[str, frozenset[str]]] = set()
    for address, refs in sharers.items():
        for ref in refs:
            verdict = planner.judge(ref, address)
            if isinstance(verdict, SilentAddress):
                silent.setdefault(ref, {})[address] = verdict
            else:
                claims.setdefault(address, {})[ref] = verdict
                groups.add((verdict.profile, verdict.nodes))
    announced: dict[Address, AnnouncedAddress] = {}
    for address, elected in elect(claims, dead - {node}, holders).items():
        willing = claims[address]
        if elected == node:
            announced[address] = AnnouncedAddress(tuple(willing), *planner.how(willing.values()))
        else:
            reason = Silence.NOT_OWNER if elected else Silence.NO_CANDIDATE
            for ref in willing:
                silent.setdefault(ref, {})[address] = SilentAddress(reason, elected)
    return NodePlan(
        node,
        announced,
        {ref: silent[ref] for ref in sorted(silent)},
        validate(snapshot),
        *plan_segment(snapshot, node, groups),
    )


class _Planner:
    """Answers for one node; what is the same for many addresses is worked out once."""

    def __init__(self, snapshot: Snapshot, node: str, ready_only: bool) -> None:
        self._snapshot = snapshot
        self._node = node
        self._places = Places(snapshot, ready_only=ready_only)
        self._covered: dict[str, frozenset[str]] = {}
        self._preferred: dict[str, Mapping[str, int]] = {}

    def judge(self, ref: ObjectRef, address: Address) -> Willing | SilentAddress:
        """Return the nodes that may announce an address for a Service, or why none may."""
        service, pool = self._snapshot.services[ref], self._places.pool_of(address)
        advertisements = self._advertisements(service, pool) if pool else ()
        if not pool or not advertisements:
            return SilentAddress(Silence.NO_ADVERTISEMENT)
        nodes = self._places.nodes(service, pool)
        if isinstance(nodes, Silence):
            return SilentAddress(nodes)
        nodes &= frozenset().union(*(self._nodes(record) for record in advertisements))
        if not nodes:
            return SilentAddress(Silence.NO_CANDIDATE)
        places = self._preferences(advertisements)
        return Willing(nodes, advertisements, pool.spec.bfd_profile, _group(service, advertisements), places)

    def how(self, willing: Iterable[Willing]) -> tuple[frozenset[str] | None, Announce]:
        """Return the interfaces on which this node announces an address, None: all; and by whom it is answered."""
        mine = [record for one in willing for record in one.advertisements if self._node in self._nodes(record)]
        by: Announce = "address" if any(record.spec.announce == "address" for record in mine) else "reply"
        if any(not record.spec.interfaces for record in mine):
            return None, by
        return frozenset(name for record in mine for name in record.spec.interfaces), by

    def _advertisements(self, service: Service, pool: AddressPool) -> tuple[L2Advertisement, ...]:
        return tuple(
            record
            for record in self._snapshot.l2_advertisements.values()
            if advertises(record, pool) and selects(record.spec.service_selectors, service.metadata.labels)
        )

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
