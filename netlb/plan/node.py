"""Snapshot to NodePlan: what one node announces, and why it does not announce the rest."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from netlb.api.core import Service
from netlb.api.meta import selects
from netlb.api.snapshot import Snapshot
from netlb.api.v1alpha1 import AddressPool, L2Advertisement
from netlb.findings import Finding, ObjectRef
from netlb.l2.election import owner
from netlb.net import Address
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
    snapshot: Snapshot, node: str, dead: frozenset[str] = frozenset(), *, ready_only: bool = False
) -> NodePlan:
    """Plan one node. Pure: nodes that see the same snapshot, and the same nodes dead, agree on every owner.

    `ready_only`: nodes that are not ready announce nothing (see `netlb.topology.eligible_nodes`).
    """
    planner = _Planner(snapshot, node, ready_only)
    holders: dict[Address, list[ObjectRef]] = {}
    for ref in sorted(snapshot.holdings):
        service = snapshot.services.get(ref)
        if service and service.spec.type == "LoadBalancer":
            for address in snapshot.holdings[ref].addresses:
                holders.setdefault(address, []).append(ref)
    announced: dict[Address, AnnouncedAddress] = {}
    silent: dict[ObjectRef, dict[Address, SilentAddress]] = {}
    groups: set[tuple[str, frozenset[str]]] = set()
    for address, refs in holders.items():
        verdicts = {ref: planner.judge(ref, address) for ref in refs}
        willing = {ref: verdict for ref, verdict in verdicts.items() if not isinstance(verdict, SilentAddress)}
        elected = _owner(address, willing, dead - {node})
        groups.update((one.profile, one.nodes) for one in willing.values())
        for ref, verdict in verdicts.items():
            if isinstance(verdict, SilentAddress):
                silent.setdefault(ref, {})[address] = verdict
            elif elected != node:
                reason = Silence.NOT_OWNER if elected else Silence.NO_CANDIDATE
                silent.setdefault(ref, {})[address] = SilentAddress(reason, elected)
        if willing and elected == node:
            announced[address] = AnnouncedAddress(tuple(willing), planner.interfaces(willing.values()))
    return NodePlan(
        node,
        announced,
        {ref: silent[ref] for ref in sorted(silent)},
        validate(snapshot),
        *plan_segment(snapshot, node, groups),
    )


@dataclass(frozen=True, slots=True)
class _Willing:
    """The nodes that may announce an address for one Service, and the advertisements that say so."""

    nodes: frozenset[str]
    advertisements: tuple[L2Advertisement, ...]
    profile: str
    """The BFDProfile that the pool names, or nothing."""


def _owner(address: Address, willing: Mapping[ObjectRef, _Willing], dead: frozenset[str]) -> str | None:
    """Elect one living node for all Services that share an address: one that will do for each of them, if any will."""
    sets = [one.nodes - dead for one in willing.values()]
    return owner(str(address), frozenset.intersection(*sets) or frozenset.union(*sets)) if sets else None


class _Planner:
    """Answers for one node; what is the same for many addresses is worked out once."""

    def __init__(self, snapshot: Snapshot, node: str, ready_only: bool) -> None:
        self._snapshot = snapshot
        self._node = node
        self._places = Places(snapshot, ready_only=ready_only)
        self._covered: dict[str, frozenset[str]] = {}

    def judge(self, ref: ObjectRef, address: Address) -> _Willing | SilentAddress:
        """Return the nodes that may announce an address for a Service, or why none may."""
        service, pool = self._snapshot.services[ref], self._places.pool_of(address)
        advertisements = self._advertisements(service, pool) if pool else ()
        if not pool or not advertisements:
            return SilentAddress(Silence.NO_ADVERTISEMENT)
        nodes = self._places.nodes(service, pool)
        if isinstance(nodes, Silence):
            return SilentAddress(nodes)
        nodes &= frozenset().union(*(self._nodes(record) for record in advertisements))
        return _Willing(nodes, advertisements, pool.spec.bfd_profile) if nodes else SilentAddress(Silence.NO_CANDIDATE)

    def interfaces(self, willing: Iterable[_Willing]) -> frozenset[str] | None:
        """Return the interfaces on which this node announces an address; None: all."""
        mine = [record for one in willing for record in one.advertisements if self._node in self._nodes(record)]
        if any(not record.spec.interfaces for record in mine):
            return None
        return frozenset(name for record in mine for name in record.spec.interfaces)

    def _advertisements(self, service: Service, pool: AddressPool) -> tuple[L2Advertisement, ...]:
        return tuple(
            record
            for record in self._snapshot.l2_advertisements.values()
            if advertises(record, pool) and selects(record.spec.service_selectors, service.metadata.labels)
        )

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
