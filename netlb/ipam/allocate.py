"""Who gets which address.

Rules of this file:
1. Whoever holds an address that may still be held keeps it; holders come before anyone new.
2. A request that changed is served anew; if that fails the Service keeps what it had.
3. Nothing is released because something could not be read.
4. The same input gives the same result on every machine: Services that ask for an address first, then in order of
   namespace and name, pools in the order of `Pools`, ranges as written, the lowest free address first. A Service with
   a sharing key joins an address of that key before it takes one of its own.
5. The families of one Service come from one pool; where no pool has both, each comes from the first pool that has it.
6. It does not matter in how many steps the input came: what is settled is what one step would keep.
"""

from collections.abc import Iterable, Mapping, Sequence
from operator import attrgetter
from typing import TypeVar

from immutables import Map, MapMutation

from netlb.api.snapshot import Holding
from netlb.findings import ObjectRef
from netlb.ipam.finder import Finder
from netlb.ipam.ledger import Ledger
from netlb.ipam.pools import Pool, Pools
from netlb.ipam.request import Request
from netlb.ipam.result import Allocation, PoolUsage, Refused, Result
from netlb.ipam.source import Claim
from netlb.net import Address, Family, family_of
from netlb.reasons import Refusal

__all__ = ["Allocator", "allocate"]

_T = TypeVar("_T")


def allocate(
    pools: Pools,
    requests: Mapping[ObjectRef, Request | Refused],
    holdings: Mapping[ObjectRef, Holding],
    *,
    pools_certain: bool = True,
    reserved: frozenset[ObjectRef] = frozenset(),
) -> "Allocator":
    """Serve all requests, and return the allocator for further changes.

    A request that could not be read comes as a `Refused`. `reserved` names holders of unknown standing (their
    manifest cannot be read): they keep what they hold. With `pools_certain` false, so does everyone whose
    address is in none of the pools.
    """
    allocator = Allocator(pools, pools_certain=pools_certain)
    for ref in sorted(reserved & holdings.keys()):
        allocator.reserve(ref, holdings[ref])
    allocator.requests.update(requests)
    for ref in sorted(holdings.keys() & requests.keys()):
        allocator.restore(ref, holdings[ref].addresses)
    allocator.settle(requests)
    return allocator


class Allocator:
    """The outcome so far, and what it takes to change it step by step. No I/O, not thread-safe."""

    def __init__(self, pools: Pools, *, pools_certain: bool = True) -> None:
        self.pools = pools
        self.requests: dict[ObjectRef, Request | Refused] = {}
        self.allocations: dict[ObjectRef, Allocation] = {}
        self.refusals: dict[ObjectRef, Refused] = {}
        self.ledger = Ledger(pools, self.requests.get)
        self.finder = Finder(pools, self.ledger)
        self._pools_certain = pools_certain
        self._waiting: set[ObjectRef] = set()
        self._result = Result(Map(), Map(), {}, {})

    def result(self, changed: Iterable[ObjectRef]) -> Result:
        """Return the outcome for everybody, as a value that later changes leave alone.

        `changed` names all Services whose outcome may have changed since the last call.
        """
        allocations, refusals = self._result.allocations.mutate(), self._result.refusals.mutate()
        for ref in changed:
            _publish(allocations, ref, self.allocations.get(ref))
            _publish(refusals, ref, self.refusals.get(ref))
        usage: dict[str, Mapping[Family, PoolUsage]] = {pool.name: pool.usage() for pool in self.pools.ordered}
        claims: dict[str, dict[Claim, Address | None]] = {}
        for wanted in self.finder.claims.values():
            for pool, claim, address in wanted:
                claims.setdefault(pool, {})[claim] = address
        self._result = Result(allocations.finish(), refusals.finish(), usage, claims)
        return self._result

    def reserve(self, ref: ObjectRef, holding: Holding) -> None:
        """Let a holder of unknown standing keep what it holds."""
        pools = tuple(pool.name if (pool := self.pools.find(address)) else "" for address in holding.addresses)
        self.ledger.take(ref, holding.addresses)
        self.allocations[ref] = Allocation(holding.addresses, pools, _INCOMPLETE)
        self.finder.claim_held(ref, self.allocations[ref])

    def restore(self, ref: ObjectRef, addresses: Sequence[Address]) -> None:
        """Let a holder keep those of its addresses that it may still hold."""
        kept: list[Address] = []
        pools: list[str] = []
        if len(addresses) > 1:
            addresses = sorted(dict.fromkeys(addresses), key=attrgetter("version"))
        for address in addresses:
            pool = self.pools.find(address)
            if self._may_keep(ref, address, pool):
                kept.append(address)
                pools.append(pool.name if pool else "")
        if kept:
            self.ledger.take(ref, kept)
            self.allocations[ref] = Allocation(tuple(kept), tuple(pools), None if all(pools) else _INCOMPLETE)

    def change(self, ref: ObjectRef, request: Request | Refused | None) -> None:
        """Take note of a request that is new, different, or gone; `settle` serves it."""
        freed, stirred = self.ledger.freed, set(self.ledger.stirred)
        before, had = self.requests.get(ref), self.allocations.pop(ref, None)
        self.refusals.pop(ref, None)
        self.finder.claims.pop(ref, None)
        self._waiting.discard(ref)
        if had:
            self.ledger.give_back(ref, had.addresses)
        if request is None:
            self.requests.pop(ref, None)
            return
        self.requests[ref] = request
        if had:
            self.restore(ref, had.addresses)
            kept = self.allocations.get(ref)
            if kept and kept.addresses == had.addresses and _sharing(before) == _sharing(request):
                self.ledger.freed, self.ledger.stirred = freed, stirred

    def settle(self, refs: Iterable[ObjectRef]) -> frozenset[ObjectRef]:
        """Serve these Services, and whoever waits for what they gave up; return all that were served.

        It ends: who has got what it asked for never moves, and every further turn serves at least one more.
        """
        served: set[ObjectRef] = set()
        queue = {ref for ref in refs if ref in self.requests}
        while True:
            freed, self.ledger.freed = self.ledger.freed, 0
            stirred, self.ledger.stirred = self.ledger.stirred, set()
            if freed or stirred:  # who waits has its turn among those who come new, by name
                queue.update(ref for ref in self._waiting if self._hopes(ref, freed, stirred))
            if not queue:
                return frozenset(served)
            asking = {ref for ref in queue if self._asks(ref)}
            for ref in (*sorted(asking), *sorted(queue - asking)):
                self._serve(ref)
            served |= queue
            queue = set()

    def _asks(self, ref: ObjectRef) -> bool:
        """Say whether a Service asks for an address: it comes before those whom any address will do."""
        request = self.requests[ref]
        return isinstance(request, Request) and bool(request.addresses)

    def _may_keep(self, ref: ObjectRef, address: Address, pool: Pool | None) -> bool:
        if pool is None:
            if self._pools_certain or self.pools.excluding(address):
                return False
        elif int(address) not in pool.spaces[family_of(address)]:
            return False
        else:
            request = self.requests[ref]
            if isinstance(request, Request) and self.pools.takes_back(pool, request):
                return False
        return self.ledger.in_the_way(ref, address, pool, restoring=True) is None

    def _hopes(self, ref: ObjectRef, freed: int, stirred: set[str]) -> bool:
        """Say whether a waiting Service may get more now that something has changed in these pools."""
        request = self.requests[ref]
        if isinstance(request, Refused):
            return False
        if request.sharing and request.sharing.key in stirred:
            return True
        if request.addresses:
            return any((pool := self.pools.find(address)) and freed >> pool.number & 1 for address in request.addresses)
        return bool(freed & self.finder.tried(request, self.allocations.get(ref)))

    def _serve(self, ref: ObjectRef) -> None:
        request, had = self.requests[ref], self.allocations.get(ref)
        self.finder.claims.pop(ref, None)
        outcome = request if isinstance(request, Refused) else self.finder.find(ref, request, had)
        self.refusals.pop(ref, None)
        if isinstance(outcome, Allocation):
            if had is None:
                self.ledger.take(ref, outcome.addresses)
            elif outcome.addresses != had.addresses:
                self.ledger.take(ref, [address for address in outcome.addresses if address not in had.addresses])
                self.ledger.give_back(ref, [address for address in had.addresses if address not in outcome.addresses])
            self.allocations[ref] = outcome
            partial = isinstance(request, Request) and len(outcome.addresses) < len(request.families)
            waits = partial or outcome.refused is not None
        else:
            if had:
                self.allocations[ref] = Allocation(had.addresses, had.pools, outcome)
            else:
                self.refusals[ref] = outcome
            waits = True
        if ref in self.allocations:
            self.finder.claim_held(ref, self.allocations[ref])
        if waits:
            self._waiting.add(ref)
        else:
            self._waiting.discard(ref)


_INCOMPLETE = Refused(Refusal.INCOMPLETE_VIEW, "kept while some manifests cannot be read")


def _publish(outcomes: MapMutation[ObjectRef, _T], ref: ObjectRef, outcome: _T | None) -> None:
    if outcome is None:
        outcomes.pop(ref, None)
    else:
        outcomes[ref] = outcome


def _sharing(request: Request | Refused | None) -> object:
    return request.sharing if isinstance(request, Request) else None
