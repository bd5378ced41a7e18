"""Where an address may be announced, by whatever protocol: its pool, and the nodes that take its traffic."""

from bisect import bisect_right

from netlb.api.core import Service
from netlb.api.snapshot import Snapshot
from netlb.api.v1alpha1 import AddressPool
from netlb.net import Address, AddressRange, family_of
from netlb.reasons import Silence
from netlb.topology import NodePools, candidates, eligible_nodes, node_pool

__all__ = ["Places"]

# Above the last address of any range: a range that begins at the wanted address sorts before the search key.
_ABOVE_ALL = 1 << 128


class Places:
    """Answers for one snapshot; what is the same for many addresses is worked out once."""

    def __init__(self, snapshot: Snapshot, *, ready_only: bool, also: frozenset[str] = frozenset()) -> None:
        """Take the nodes that are eligible (see `eligible_nodes`), and those in `also`, as places."""
        self._snapshot = snapshot
        self._eligible = eligible_nodes(snapshot.nodes, ready_only=ready_only) | also
        self._ranges = sorted((span, name) for name, pool in snapshot.pools.items() for span in pool.spec.spans)
        self._node_pools = NodePools(snapshot.nodes)
        self._members: dict[str, frozenset[str]] = {}

    def follow(self, snapshot: Snapshot) -> None:
        """Answer for a snapshot that differs in Services and their endpoints alone."""
        self._snapshot = snapshot

    def pool_of(self, address: Address) -> AddressPool | None:
        """Find the pool by the address itself: a pool that was renamed must not interrupt anybody."""
        value = AddressRange(family_of(address), int(address), _ABOVE_ALL)
        index = bisect_right(self._ranges, (value, "")) - 1
        if index < 0 or address not in self._ranges[index][0]:
            return None
        return self._snapshot.pools[self._ranges[index][1]]

    def nodes(self, service: Service, pool: AddressPool) -> frozenset[str] | Silence:
        """Return the nodes that may attract a Service's traffic with an address of a pool, or why none may."""
        slices = self._snapshot.endpoint_slices.get(service.ref, ())
        nodes = candidates(service, slices, self._eligible, self._node_pools)
        if isinstance(nodes, Silence):
            return nodes
        if pool.spec.node_pools:
            nodes &= self._in_node_pools(pool)
        return nodes or Silence.NO_CANDIDATE

    def _in_node_pools(self, pool: AddressPool) -> frozenset[str]:
        """Return the nodes of the node pools that a pool of addresses is bound to."""
        name = pool.metadata.name
        if name not in self._members:
            self._members[name] = frozenset(
                node for node, record in self._snapshot.nodes.items() if node_pool(record) in pool.spec.node_pools
            )
        return self._members[name]
