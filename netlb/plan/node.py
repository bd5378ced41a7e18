"""Snapshot to NodePlan: what one node announces, and why it does not announce the rest."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass

from netlb.api.core import Service
from netlb.api.meta import selects
from netlb.api.snapshot import Holding, Snapshot
from netlb.api.v1alpha1 import AddressPool, L2Advertisement
from netlb.findings import Finding, ObjectRef
from netlb.ipam import is_served
from netlb.l2.election import owner
from netlb.net import Address, AddressRange, family_of
from netlb.plan.validate import advertises, validate
from netlb.reasons import Silence
from netlb.topology import candidates, eligible_nodes

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


def plan_node(snapshot: Snapshot, node: str) -> NodePlan:
    """Plan one node. Pure: all nodes that see the same snapshot agree on every owner without a word."""
    planner = _Planner(snapshot, node)
    announced: dict[Address, AnnouncedAddress] = {}
    silent: dict[ObjectRef, dict[Address, SilentAddress]] = {}
    for ref in sorted(snapshot.services):
        if not is_served(snapshot.services[ref]):
            continue
        for address in snapshot.holdings.get(ref, Holding(())).addresses:
            verdict = planner.judge(ref, address)
            if isinstance(verdict, SilentAddress):
                silent.setdefault(ref, {})[address] = verdict
                continue
            shared = announced.get(address)
            announced[address] = AnnouncedAddress(
                (*(shared.services if shared else ()), ref),
                _union(shared.interfaces, verdict) if shared else verdict,
            )
    return NodePlan(node, announced, silent, validate(snapshot))


class _Planner:
    """Answers for one node; what is the same for many addresses is worked out once."""

    def __init__(self, snapshot: Snapshot, node: str) -> None:
        self._snapshot = snapshot
        self._node = node
        self._eligible = eligible_nodes(snapshot.nodes)
        self._ranges = sorted((span, name) for name, pool in snapshot.pools.items() for span in pool.spec.spans)
        self._covered: dict[str, frozenset[str]] = {}

    def judge(self, ref: ObjectRef, address: Address) -> frozenset[str] | SilentAddress | None:
        """Return the interfaces on which this node announces an address (None: all), or why it does not."""
        service = self._snapshot.services[ref]
        advertisements = self._advertisements(service, address)
        if not advertisements:
            return SilentAddress(Silence.NO_ADVERTISEMENT)
        nodes = candidates(service, self._snapshot.endpoint_slices.get(ref, ()), self._eligible)
        if isinstance(nodes, Silence):
            return SilentAddress(nodes)
        elected = owner(str(address), nodes & frozenset().union(*(self._nodes(record) for record in advertisements)))
        if elected is None:
            return SilentAddress(Silence.NO_CANDIDATE)
        if elected != self._node:
            return SilentAddress(Silence.NOT_OWNER, elected)
        mine = [record for record in advertisements if self._node in self._nodes(record)]
        if any(not record.spec.interfaces for record in mine):
            return None
        return frozenset(name for record in mine for name in record.spec.interfaces)

    def _advertisements(self, service: Service, address: Address) -> list[L2Advertisement]:
        pool = self._pool_of(address)
        return [
            record
            for record in self._snapshot.l2_advertisements.values()
            if pool is not None
            and advertises(record, pool)
            and selects(record.spec.service_selectors, service.metadata.labels)
        ]

    def _pool_of(self, address: Address) -> AddressPool | None:
        """Find the pool by the address itself: a pool that was renamed must not interrupt anybody."""
        value = AddressRange(family_of(address), int(address), _ABOVE_ALL)
        index = bisect_right(self._ranges, (value, "")) - 1
        if index < 0 or address not in self._ranges[index][0]:
            return None
        return self._snapshot.pools[self._ranges[index][1]]

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


# Above the last address of any range: a range that begins at the wanted address sorts before the search key.
_ABOVE_ALL = 1 << 128


def _union(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    return None if one is None or other is None else one | other
