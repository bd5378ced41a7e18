"""The pools of one allocation: which pool an address is of, whom a pool serves, and in which order pools are tried.

Pools are numbered in the order in which they are tried, and sets of pools are the bits of an integer: the first pool
that will do is the lowest bit of an intersection, however many pools there are.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Final

from netlb.api.meta import selects
from netlb.api.v1alpha1 import AddressPool, AddressPoolSpec
from netlb.ipam.leases import Leases
from netlb.ipam.request import Request
from netlb.ipam.result import PoolUsage
from netlb.ipam.source import Claim
from netlb.ipam.space import Space
from netlb.net import Address, AddressRange, Family
from netlb.reasons import Refusal

__all__ = ["NO_LEASES", "Pool", "Pools"]


NO_LEASES: Final[Mapping[str, Leases]] = MappingProxyType({})
"""What is known of sources where there are none."""
_NOTHING = Leases()


class Pool:
    """One pool: its number, what it says, and its addresses of each family."""

    __slots__ = ("name", "number", "spaces", "spec")

    def __init__(self, number: int, name: str, spec: AddressPoolSpec) -> None:
        self.number = number
        self.name = name
        self.spec = spec
        self.spaces = {family: Space(family, spec.spans, avoid_buggy=spec.avoid_buggy_ips) for family in Family}

    def usage(self) -> dict[Family, PoolUsage]:
        """Count the addresses of each family."""
        return {family: PoolUsage(space.size, space.held) for family, space in self.spaces.items()}


class Pools:
    """All pools. Pools with a serviceAllocation come first, by priority, 0 last; then the order of names."""

    def __init__(
        self,
        pools: Mapping[str, AddressPool],
        namespaces: Mapping[str, Mapping[str, str]],
        unreachable: frozenset[str] = frozenset(),
        leases: Mapping[str, Leases] = NO_LEASES,
        is_unread: Callable[[str], bool] = lambda _: False,
    ) -> None:
        """Begin with all addresses free.

        `namespaces` gives the labels of each namespace, `is_unread` says of one whether its labels cannot be read;
        `unreachable` names the pools that no node could announce; `leases` are those of the pools that have a source.
        """
        names = sorted(pools, key=lambda name: (*_rank(pools[name].spec), name))
        self.ordered = [Pool(number, name, pools[name].spec) for number, name in enumerate(names)]
        self.by_name = {pool.name: pool for pool in self.ordered}
        self._namespaces = namespaces
        self._unreachable = unreachable
        self._leases = leases
        self._is_unread = is_unread
        self.have_sources = any(pool.spec.source for pool in self.ordered)
        self._by_labels = any(
            pool.spec.service_allocation and pool.spec.service_allocation.service_selectors for pool in self.ordered
        )
        self._open = dict.fromkeys(Family, 0)
        self._stocked = dict.fromkeys(Family, 0)
        for pool in self.ordered:
            for family, space in pool.spaces.items():
                if space.size:
                    self._stocked[family] |= 1 << pool.number
                    self._open[family] |= 1 << pool.number
        self._firsts: dict[Family, list[int]] = {}
        self._spans: dict[Family, list[tuple[AddressRange, Pool]]] = {}
        for family in Family:
            spans = sorted(
                ((span, pool) for pool in self.ordered for span in pool.spec.spans if span.family is family),
                key=lambda pair: pair[0].first,
            )
            self._spans[family] = spans
            self._firsts[family] = [span.first for span, _ in spans]
        self._candidates: dict[object, int] = {}

    def find(self, address: Address) -> Pool | None:
        """Return the pool that an address is of, whether it would be given or not."""
        family, value = (Family.IPV4 if address.version == 4 else Family.IPV6), int(address)
        index = bisect_right(self._firsts[family], value) - 1
        if index < 0:
            return None
        span, pool = self._spans[family][index]
        return pool if value <= span.last else None

    def excluding(self, address: Address) -> Pool | None:
        """Return the pool whose `addresses` hold an address that its `exclude` takes out."""
        return next((pool for pool in self.ordered if pool.spec.excludes(address)), None)

    def leased(self, pool: Pool, claim: Claim) -> Address | Refusal:
        """Return the address that a pool's source has reserved for a claim, or why there is none."""
        leases = self._leases.get(pool.name, _NOTHING)
        address = leases.held.get(claim)
        if address is not None and self.find(address) is pool and int(address) in pool.spaces[claim.family]:
            return address
        return Refusal.SOURCE_EXHAUSTED if claim in leases.refused else Refusal.AWAITING_SOURCE

    def refusal(self, pool: Pool, request: Request) -> Refusal | None:
        """Return why a pool gives a Service nothing new, whatever it asks for, or None."""
        if pool.spec.disabled:
            return Refusal.POOL_DISABLED
        return self.fence(pool, request) or (Refusal.NO_NODE if pool.name in self._unreachable else None)

    def fence(self, pool: Pool, request: Request) -> Refusal | None:
        """Return why a Service may not have addresses of a pool, or None."""
        allocation = pool.spec.service_allocation
        if allocation is None:
            return None
        if allocation.namespaces or allocation.namespace_selectors:
            namespace = request.service.namespace
            labels = {"kubernetes.io/metadata.name": namespace, **self._namespaces.get(namespace, {})}
            if namespace not in allocation.namespaces and not any(
                selector.matches(labels) for selector in allocation.namespace_selectors
            ):
                return Refusal.NAMESPACE_NOT_ADMITTED
        return None if selects(allocation.service_selectors, request.labels) else Refusal.SERVICE_NOT_SELECTED

    def takes_back(self, pool: Pool, request: Request) -> bool:
        """Say whether a Service may not even keep addresses of a pool, as far as that can be known."""
        allocation = pool.spec.service_allocation
        if allocation is None:
            return False
        reason = self.fence(pool, request)
        return reason is not None and not (
            reason is Refusal.NAMESPACE_NOT_ADMITTED
            and allocation.namespace_selectors
            and self._is_unread(request.service.namespace)
        )

    def candidates(self, request: Request) -> int:
        """Return the set of the pools that serve a Service which names none."""
        labels = frozenset(request.labels.items()) if self._by_labels else None
        key = (request.service.namespace, labels)
        found = self._candidates.get(key)
        if found is None:
            found = sum(
                1 << pool.number
                for pool in self.ordered
                if self.serves_unasked(pool, request) and self.refusal(pool, request) is None
            )
            self._candidates[key] = found
        return found

    def serves_unasked(self, pool: Pool, request: Request) -> bool:
        """Say whether a pool serves a Service that does not ask for it."""
        return pool.spec.auto_assign or request.service.namespace in pool.spec.auto_assign_namespaces

    def open(self, family: Family) -> int:
        """Return the set of the pools that have a free address of a family."""
        return self._open[family]

    def stocked(self, family: Family) -> int:
        """Return the set of the pools that have addresses of a family, free or not."""
        return self._stocked[family]

    def members(self, pools: int) -> Iterator[Pool]:
        """Yield the pools of a set, in the order in which they are tried."""
        while pools:
            lowest = pools & -pools
            yield self.ordered[lowest.bit_length() - 1]
            pools ^= lowest

    def take(self, pool: Pool, family: Family, value: int) -> None:
        """Mark an address of a pool as held; one that the pool would not give (any more) is nothing to it."""
        space = pool.spaces[family]
        if space.take(value) and not space.has_free():
            self._open[family] &= ~(1 << pool.number)

    def give_back(self, pool: Pool, family: Family, value: int) -> None:
        """Mark a held address of a pool as free."""
        if pool.spaces[family].give_back(value):
            self._open[family] |= 1 << pool.number


def _rank(spec: AddressPoolSpec) -> tuple[bool, bool, int]:
    """Sort pools with a serviceAllocation before the others, by priority; 0 is the last of them (MetalLB's rule)."""
    allocation = spec.service_allocation
    if allocation is None:
        return True, False, 0
    return False, allocation.priority == 0, allocation.priority
