"""Finding what one Service asks for, among what is free, what it may share, and what the sources have reserved."""

from collections.abc import Sequence
from itertools import chain

from netlb.findings import ObjectRef
from netlb.ipam.ledger import Ledger
from netlb.ipam.pools import Pool, Pools
from netlb.ipam.request import Request
from netlb.ipam.result import Allocation, Refused
from netlb.ipam.source import Claim
from netlb.ipam.words import refused
from netlb.net import Address, Family, family_of, to_address
from netlb.reasons import Refusal

__all__ = ["Finder"]

_Found = dict[Family, tuple[Address, str]]


class Finder:
    """Looks, and changes nothing but its notes of what is to be reserved at the sources."""

    def __init__(self, pools: Pools, ledger: Ledger) -> None:
        self.pools = pools
        self.ledger = ledger
        self.claims: dict[ObjectRef, list[tuple[str, Claim, Address | None]]] = {}
        """By Service: the pool, the claim, and the address that is wanted, or None for any."""

    def _claim(self, ref: ObjectRef, pool: Pool, family: Family, address: Address | None) -> None:
        self.claims.setdefault(ref, []).append((pool.name, Claim(ref, family), address))

    def claim_held(self, ref: ObjectRef, held: Allocation) -> None:
        """Claim what a Service holds at the sources of its pools."""
        if not self.pools.have_sources:
            return
        for address, name in zip(held.addresses, held.pools, strict=True):
            if name and (pool := self.pools.by_name[name]).spec.source:
                self._claim(ref, pool, family_of(address), address)

    def find(self, ref: ObjectRef, request: Request, had: Allocation | None) -> Allocation | Refused:
        """Find what a Service asks for; what it has is among it where it will do."""
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

    def tried(self, request: Request, had: Allocation | None) -> int:
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
        pools = self.tried(request, had)
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
        for pool in chain(self.pools.members(pools & homes), self.pools.members(pools & ~homes)):
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
        if ref in self.claims:
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


def _satisfies(had: Allocation, request: Request) -> bool:
    if request.addresses:
        families_agree = had.addresses == request.addresses
    else:
        families_agree = len(had.addresses) == len(request.families) and {
            family_of(address) for address in had.addresses
        } == set(request.families)
    return families_agree and (request.pool is None or all(pool in (request.pool, "") for pool in had.pools))
