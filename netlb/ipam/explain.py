"""Why a Service has, or has not, an address of each pool."""

from dataclasses import dataclass

from netlb.findings import ObjectRef
from netlb.ipam.allocate import Allocator
from netlb.ipam.pools import Pool
from netlb.ipam.request import Request
from netlb.ipam.result import Refused
from netlb.ipam.source import Claim
from netlb.ipam.words import refused
from netlb.net import family_of
from netlb.reasons import Refusal

__all__ = ["Verdict", "explain"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one pool says to a Service's request."""

    pool: str
    refused: Refused | None
    """Why it gives no address; None if it gave one, or would."""


def explain(allocator: Allocator, ref: ObjectRef) -> tuple[Verdict, ...]:
    """Return what each pool says, in the order in which they are tried; nothing for a request that cannot be read."""
    request = allocator.requests.get(ref)
    if not isinstance(request, Request):
        return ()
    return tuple(Verdict(pool.name, _verdict(allocator, ref, request, pool)) for pool in allocator.pools.ordered)


def _verdict(allocator: Allocator, ref: ObjectRef, request: Request, pool: Pool) -> Refused | None:
    held = allocator.allocations.get(ref)
    if held and pool.name in held.pools and (held.refused is None or not request.addresses):
        return None
    if request.pool not in (None, pool.name):
        return refused(Refusal.NOT_REQUESTED, request, [pool.name])
    if request.addresses:
        return _explicit(allocator, ref, request, pool)
    if closed := allocator.pools.refusal(pool, request):
        return refused(closed, request, [pool.name])
    if request.pool is None and not allocator.pools.serves_unasked(pool, request):
        return refused(Refusal.NOT_AUTO_ASSIGNED, request, [pool.name])
    if pool.spec.source:
        return _by_source(allocator, ref, request, pool)
    enough = 1 if request.prefers else len(request.families)
    lacking = [family for family in request.families if not pool.spaces[family].size]
    if len(request.families) - len(lacking) < enough:
        return refused(Refusal.FAMILY_MISSING, request, [pool.name], what=" and ".join(lacking))
    full = [family for family in request.families if not pool.spaces[family].has_free()]
    if len(request.families) - len(full) < enough:
        return refused(Refusal.POOL_EXHAUSTED, request, [pool.name], what=" and ".join(full))
    return None


def _by_source(allocator: Allocator, ref: ObjectRef, request: Request, pool: Pool) -> Refused | None:
    for family in request.families:
        leased = allocator.pools.leased(pool, Claim(ref, family))
        if isinstance(leased, Refusal):
            return refused(leased, request, [pool.name], what=family)
    return None


def _explicit(allocator: Allocator, ref: ObjectRef, request: Request, pool: Pool) -> Refused | None:
    for address in request.addresses:
        what = str(address)
        if allocator.pools.find(address) is not pool:
            excluded = pool.spec.excludes(address)
            reason = Refusal.ADDRESS_EXCLUDED if excluded else Refusal.ADDRESS_NOT_IN_POOL
            return refused(reason, request, [pool.name], what=what)
        why, holder = allocator.finder.refusal(ref, request, address, pool)
        if why:
            return refused(why, request, [pool.name], what=what, holder=holder)
    families = {family_of(address) for address in request.addresses}
    return None if families == set(request.families) else refused(Refusal.FAMILY_MISSING, request, [pool.name])
