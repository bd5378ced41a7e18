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
from netlb.ipam.ledger import Ledger
from netlb.ipam.pools import Pool, Pools
from netlb.ipam.request import Request
from netlb.ipam.result import Allocation, PoolUsage, Refused, Result
from netlb.ipam.source import Claim
from netlb.ipam.words import refused
from netlb.net import Address, Family, family_of, to_address
from netlb.reasons import Refusal

__all__ = ["Allocator", "allocate"]

_T = TypeVar("_T")
_Found = dict[Family, tuple[Address, str]]


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
        self._pools_certain = pools_certain
        self._waiting: set[ObjectRef] = set()
        self._claims: dict[ObjectRef, list[tuple[str, Claim, Address | None]]] = {}
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
        for wanted in self._claims.values():
            for pool, claim, address in wanted:
                claims.setdefault(pool, {})[claim] = address
        self._result = Result(allocations.finish(), refusals.finish(), usage, claims)
        return self._result

    def reserve(self, ref: ObjectRef, holding: Holding) -> None:
        """Let a holder of unknown standing keep what it holds."""
        pools = tuple(pool.name if (pool := self.pools.find(address)) else "" for address in holding.addresses)
        self.ledger.take(ref, holding.addresses)
        self.allocations[ref] = Allocation(holding.addresses, pools, _INCOMPLETE)
        self._claim_held(ref)

    def restore(self, ref: ObjectRef, addresses: Iterable[Address]) -> None:
        """Let a holder keep those of its addresses that it may still hold."""
        kept: list[Address] = []
        pools: list[str] = []
        for address in sorted(dict.fromkeys(addresses), key=attrgetter("version")):
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
        self._claims.pop(ref, None)
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
            # Who asks for an address comes before those whom any address will do.
            for ref in sorted(queue, key=lambda ref: (not self._asks(ref), ref)):
                self._serve(ref)
            served |= queue
            queue = set()

    def _asks(self, ref: ObjectRef) -> bool:
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
        return bool(freed & self._tried(request, self.allocations.get(ref)))

    def _serve(self, ref: ObjectRef) -> None:
        request, had = self.requests[ref], self.allocations.get(ref)
        self._claims.pop(ref, None)
        outcome = request if isinstance(request, Refused) else self._find(ref, request, had)
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
        self._claim_held(ref)
        if waits:
            self._waiting.add(ref)
        else:
            self._waiting.discard(ref)

    def _claim(self, ref: ObjectRef, pool: Pool, family: Family, address: Address | None) -> None:
        self._claims.setdefault(ref, []).append((pool.name, Claim(ref, family), address))

    def _claim_held(self, ref: ObjectRef) -> None:
        """Claim what a Service holds at the sources of its pools."""
        if not self.pools.have_sources or (held := self.allocations.get(ref)) is None:
            return
        for address, name in zip(held.addresses, held.pools, strict=True):
            if name and (pool := self.pools.by_name[name]).spec.source:
                self._claim(ref, pool, family_of(address), address)

    def _find(self, ref: ObjectRef, request: Request, had: Allocation | None) -> Allocation | Refused:
        if had and _satisfies(had, request):
            incomplete = not all(had.pools)
            return had if incomplete or had.refused is None else Allocation(had.addresses, had.pools)
        if request.pool is not None and request.pool not in self.pools.by_name:
            return refused(Refusal.UNKNOWN_POOL, request)
        if request.addresses:
            return self._explicit(ref, request, had)
        found: _Found = {
            family_of(address): (address, pool)
            for address, pool in (reversed(list(zip(had.addresses, had.pools, strict=True))) if had else ())
            if family_of(address) in request.families and request.pool in (None, pool)
        }
        missing = [family for family in request.families if family not in found]
        more = self._missing(ref, request, had, missing) if missing else {}
        if isinstance(more, Refused):
            if not (found and request.prefers):
                return more
            more = {}
        found |= more
        ordered = sorted(found.values(), key=lambda pair: pair[0].version)
        return Allocation(tuple(address for address, _ in ordered), tuple(pool for _, pool in ordered))

    def _explicit(self, ref: ObjectRef, request: Request, had: Allocation | None) -> Allocation | Refused:
        pools = []
        for address in request.addresses:
            pool = self.pools.find(address)
            if pool is None or request.pool not in (None, pool.name):
                excluding = self.pools.excluding(address)
                reason = Refusal.ADDRESS_EXCLUDED if excluding else Refusal.ADDRESS_NOT_IN_POOL
                where = [excluding.name] if excluding else [request.pool] if request.pool else []
                return refused(reason, request, where, what=str(address))
            pools.append(pool)
        found: list[tuple[Refusal, ObjectRef | None, Address, Pool]] = []
        for address, pool in zip(request.addresses, pools, strict=True):
            if not (had and address in had.addresses):
                why, holder = self.refusal(ref, request, address, pool)
                if why:
                    found.append((why, holder, address, pool))
        if not found:
            return Allocation(request.addresses, tuple(pool.name for pool in pools))
        if all(why in (Refusal.AWAITING_SOURCE, Refusal.SOURCE_EXHAUSTED) for why, *_ in found):
            for _, _, address, pool in found:
                self._claim(ref, pool, family_of(address), address)
        # First what nobody else's leaving would mend: it is the same whoever holds what at the moment.
        why, holder, address, pool = min(found, key=lambda one: one[1] is not None)
        return refused(why, request, [pool.name], what=str(address), holder=holder)

    def refusal(
        self, ref: ObjectRef, request: Request, address: Address, pool: Pool
    ) -> tuple[Refusal | None, ObjectRef | None]:
        """Return why a pool does not give one of its addresses to a Service that asks for it, and who holds it."""
        if int(address) not in pool.spaces[family_of(address)]:
            return Refusal.BUGGY_ADDRESS, None
        if closed := self.pools.refusal(pool, request):
            return closed, None
        bound = self._bound(ref, request, (family_of(address),), 1 << pool.number)
        if bound and address not in bound:
            return Refusal.SHARING_KEY_ELSEWHERE, next(one for one in self.ledger.holders(bound[0]) if one != ref)
        if in_the_way := self.ledger.in_the_way(ref, address, pool):
            return in_the_way
        if pool.spec.source:
            leased = self.pools.leased(pool, Claim(ref, family_of(address)))
            if leased != address:
                return (leased if isinstance(leased, Refusal) else Refusal.AWAITING_SOURCE), None
        return None, None

    def _tried(self, request: Request, had: Allocation | None) -> int:
        """Return the set of the pools that are tried for a Service which names no address."""
        if request.pool is not None:
            pool = self.pools.by_name.get(request.pool)
            return 0 if pool is None or self.pools.refusal(pool, request) else 1 << pool.number
        return self.pools.candidates(request) | self._homes(request, had)

    def _homes(self, request: Request, had: Allocation | None) -> int:
        """Return the set of the pools that a Service has an address of, and may have another one of."""
        homes = {name for name in had.pools if name} if had else set()
        return sum(
            1 << pool.number for name in homes if not self.pools.refusal(pool := self.pools.by_name[name], request)
        )

    def _missing(
        self, ref: ObjectRef, request: Request, had: Allocation | None, families: Sequence[Family]
    ) -> _Found | Refused:
        """Find an address of each of the families: from one pool, or else from several, or else the half of it."""
        pools = self._tried(request, had)
        homes = self._homes(request, had) & pools
        if len(families) == 2 and (together := self._from_one(ref, request, families, homes, pools)):
            return together
        found: _Found = {}
        for family in families:
            one = self._from_one(ref, request, (family,), homes, pools)
            if isinstance(one, Refused):
                return one
            found |= one or {}
        if len(found) == len(families) or (request.prefers and found):
            return found
        return self._why(ref, request, pools, [family for family in families if family not in found])

    def _from_one(
        self, ref: ObjectRef, request: Request, families: Sequence[Family], homes: int, pools: int
    ) -> _Found | Refused | None:
        """Find an address of each of the families in one pool: one with the sharing key, at home, or the first."""
        if request.sharing:
            joined = self._joining(ref, request, families, pools)
            if joined or self._bound(ref, request, families, pools):
                return joined
        for family in families:
            pools &= self.pools.open(family)
        for pool in self.pools.members(pools & homes or pools):
            found = self._offered(ref, request, families, pool)
            if found:
                return found
        return None

    def _offered(
        self, ref: ObjectRef, request: Request, families: Sequence[Family], pool: Pool
    ) -> _Found | Refused | None:
        """Return the addresses that an open pool gives, or that it has to ask its source for them."""
        if not pool.spec.source:
            return {family: (self._lowest(pool, family), pool.name) for family in families}
        leased = {family: self.pools.leased(pool, Claim(ref, family)) for family in families}
        for family in families:
            if isinstance(leased[family], Refusal):
                self._claim(ref, pool, family, None)
        if Refusal.SOURCE_EXHAUSTED in leased.values():
            return None
        if Refusal.AWAITING_SOURCE in leased.values():
            return refused(Refusal.AWAITING_SOURCE, request, [pool.name], what=" and ".join(families))
        return {family: (address, pool.name) for family, address in leased.items() if not isinstance(address, Refusal)}

    @staticmethod
    def _lowest(pool: Pool, family: Family) -> Address:
        value = pool.spaces[family].lowest()
        if value is None:
            raise AssertionError(f"pool {pool.name} counts as open and has no {family} address")
        return to_address(family, value)

    def _joining(self, ref: ObjectRef, request: Request, families: Sequence[Family], pools: int) -> _Found | None:
        """Find a pool with an address that the Service may share, and addresses of the other families beside it."""
        joins: dict[int, dict[Family, list[tuple[int, Address]]]] = {}
        for address in self.ledger.shared(request.sharing.key if request.sharing else ""):
            pool = self.pools.find(address)
            if pool and pools >> pool.number & 1 and not self.ledger.in_the_way(ref, address, pool):
                position = pool.spaces[family_of(address)].order(int(address))
                joins.setdefault(pool.number, {}).setdefault(family_of(address), []).append((position, address))
        for number in sorted(joins):
            pool = self.pools.ordered[number]
            found: _Found = {}
            for family in families:
                if family in joins[number]:
                    found[family] = min(joins[number][family])[1], pool.name
                elif self._bound(ref, request, (family,), 1 << number):
                    break
                elif (value := pool.spaces[family].lowest()) is not None:
                    found[family] = to_address(family, value), pool.name
            if len(found) == len(families) and any(family in joins[number] for family in families):
                return found
        return None

    def _bound(self, ref: ObjectRef, request: Request, families: Sequence[Family], pools: int) -> list[Address]:
        """Return the addresses that others hold in these pools under the Service's key, if it gets no second one."""
        sharing = request.sharing
        if sharing is None or not sharing.joins_only:
            return []
        found = (one for one in self.ledger.shared(sharing.key) if family_of(one) in families)
        others = (one for one in found if self.ledger.holders(one) != [ref])
        # The pool of an address that is in none cannot be read: it may be one of these.
        return sorted(
            (one for one in others if (pool := self.pools.find(one)) is None or pools >> pool.number & 1), key=str
        )

    def _why(self, ref: ObjectRef, request: Request, pools: int, families: Sequence[Family]) -> Refused:
        """Return why the pools that were tried have not given addresses of these families."""
        if not self.pools.ordered:
            return refused(Refusal.NO_POOL, request)
        for address in self._bound(ref, request, families, pools):
            pool = self.pools.find(address)
            way = self.ledger.in_the_way(ref, address, pool)
            if way and pool:
                return refused(way[0], request, [pool.name], what=str(address), holder=way[1])
        if not pools:
            return self._closed(request)
        stocked = {family: pools & self.pools.stocked(family) for family in families}
        reason, where, what = Refusal.POOL_EXHAUSTED, stocked[families[0]] | stocked[families[-1]], list(families)
        if lacking := [family for family in families if not stocked[family]]:
            reason, where, what = Refusal.FAMILY_MISSING, pools, lacking
        if ref in self._claims:
            reason = Refusal.SOURCE_EXHAUSTED
        return refused(reason, request, (pool.name for pool in self.pools.members(where)), what=" and ".join(what))

    def _closed(self, request: Request) -> Refused:
        """Return the most telling reason of the pools, none of which serves the Service at all."""
        asked = [self.pools.by_name[request.pool]] if request.pool is not None else self.pools.ordered
        reasons: dict[Refusal, list[str]] = {}
        for pool in asked:
            reason = self.pools.refusal(pool, request) or Refusal.NOT_AUTO_ASSIGNED
            reasons.setdefault(reason, []).append(pool.name)
        telling = next(reason for reason in _TELLING if reason in reasons)
        return refused(telling, request, reasons[telling])


# The reason that is nearest to serving the Service first, where several pools refused for several reasons.
_TELLING = (
    Refusal.NO_NODE,
    Refusal.POOL_DISABLED,
    Refusal.NOT_AUTO_ASSIGNED,
    Refusal.SERVICE_NOT_SELECTED,
    Refusal.NAMESPACE_NOT_ADMITTED,
)

_INCOMPLETE = Refused(Refusal.INCOMPLETE_VIEW, "kept while some manifests cannot be read")


def _publish(outcomes: MapMutation[ObjectRef, _T], ref: ObjectRef, outcome: _T | None) -> None:
    if outcome is None:
        outcomes.pop(ref, None)
    else:
        outcomes[ref] = outcome


def _sharing(request: Request | Refused | None) -> object:
    return request.sharing if isinstance(request, Request) else None


def _satisfies(had: Allocation, request: Request) -> bool:
    if request.addresses:
        families_agree = had.addresses == request.addresses
    else:
        families_agree = len(had.addresses) == len(request.families) and {
            family_of(address) for address in had.addresses
        } == set(request.families)
    return families_agree and (request.pool is None or all(pool in (request.pool, "") for pool in had.pools))
