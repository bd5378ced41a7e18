"""Who gets which address.

Rules of this file:
1. Whoever holds an address that may still be held keeps it; holders come before anyone new.
2. A request that changed is served anew; if that fails the Service keeps what it had.
3. Nothing is released because something could not be read.
4. The same input gives the same result on every machine: Services in order of namespace and name, pools in
   order of name, ranges as written, the lowest free address first.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from netlb.api.snapshot import Holding
from netlb.api.v1alpha1 import AddressPool
from netlb.findings import ObjectRef
from netlb.ipam.request import Request
from netlb.ipam.space import Space
from netlb.net import Address, Family, family_of
from netlb.reasons import Refusal

__all__ = ["Allocation", "PoolUsage", "Refused", "Result", "allocate"]


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a Service's request was not served, with what each pool that was asked had to say."""

    reason: Refusal
    message: str
    by_pool: Mapping[str, Refusal] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Allocation:
    """The addresses that a Service holds from now on, IPv4 first."""

    addresses: tuple[Address, ...]
    pool: str
    """Empty only while the pool cannot be read."""
    refused: Refused | None = None
    """Set where these are the addresses from before, because what is asked for now was refused."""


@dataclass(frozen=True, slots=True)
class PoolUsage:
    """Addresses of one pool and family; exact integers of any size."""

    size: int
    held: int

    @property
    def free(self) -> int:
        """Addresses that nobody holds."""
        return self.size - self.held


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome for every Service that asked or held something."""

    allocations: Mapping[ObjectRef, Allocation]
    refusals: Mapping[ObjectRef, Refused]
    """Services that have no address."""
    usage: Mapping[str, Mapping[Family, PoolUsage]]


def allocate(
    pools: Mapping[str, AddressPool],
    requests: Mapping[ObjectRef, Request | Refused],
    holdings: Mapping[ObjectRef, Holding],
    *,
    pools_certain: bool = True,
    reserved: frozenset[ObjectRef] = frozenset(),
    served_protocols: frozenset[str] = frozenset({"layer2"}),
) -> Result:
    """Serve all requests.

    A request that could not be read comes as a `Refused`. `reserved` names holders of unknown standing (their
    manifest cannot be read): they keep what they hold. With `pools_certain` false, so does everyone whose
    address is in none of `pools`. `served_protocols` are those that something announces: pools of others give
    nothing.
    """
    allocator = _Allocator(pools, pools_certain=pools_certain, served_protocols=served_protocols)
    allocations: dict[ObjectRef, Allocation] = {}
    refusals: dict[ObjectRef, Refused] = {}
    for ref in sorted(holdings):
        if ref in requests or ref in reserved:
            kept = allocator.restore(holdings[ref], unconditionally=ref in reserved)
            if kept:
                allocations[ref] = kept
    for ref in sorted(requests):
        request = requests[ref]
        had = allocations.get(ref)
        if isinstance(request, Refused):
            outcome: Allocation | Refused = request
        elif had and _satisfies(had, request):
            continue
        else:
            outcome = allocator.serve(request, had)
        if isinstance(outcome, Allocation):
            allocations[ref] = outcome
        elif had:
            allocations[ref] = Allocation(had.addresses, had.pool, outcome)
        else:
            refusals[ref] = outcome
    return Result(allocations, refusals, allocator.usage())


def _satisfies(had: Allocation, request: Request) -> bool:
    return (
        tuple(family_of(address) for address in had.addresses) == request.families
        and (not request.addresses or had.addresses == request.addresses)
        and (request.pool is None or had.pool in (request.pool, ""))
    )


class _Allocator:
    """The state of one run: what is free in each pool, and what is held outside of them."""

    def __init__(
        self, pools: Mapping[str, AddressPool], *, pools_certain: bool, served_protocols: frozenset[str]
    ) -> None:
        self._pools = {name: pools[name].spec for name in sorted(pools)}
        self._spaces = {name: Space(spec) for name, spec in self._pools.items()}
        self._pools_certain = pools_certain
        self._served_protocols = served_protocols
        self._stray: set[Address] = set()

    def usage(self) -> dict[str, dict[Family, PoolUsage]]:
        return {
            name: {family: PoolUsage(space.size(family), space.held(family)) for family in Family}
            for name, space in self._spaces.items()
        }

    def restore(self, holding: Holding, *, unconditionally: bool) -> Allocation | None:
        """Let a holder keep its addresses, if all of them still come from one pool."""
        addresses = tuple(sorted(holding.addresses, key=lambda address: address.version))
        if not addresses or any(self._is_held(address) for address in addresses):
            return None
        for name, space in self._spaces.items():
            if all(space.is_free(address) and space.gives(address) for address in addresses):
                if not self._serves(name):
                    return None
                self._take(addresses)
                return Allocation(addresses, name)
        known = any(address in space for address in addresses for space in self._spaces.values())
        if unconditionally or not (self._pools_certain or known):
            self._take(addresses)
            reason = Refused(Refusal.INCOMPLETE_VIEW, "kept while some manifests cannot be read")
            return Allocation(addresses, holding.pool, reason)
        return None

    def serve(self, request: Request, had: Allocation | None) -> Allocation | Refused:
        """Find addresses for a request; what its Service has is among them where it will do, and stays if not."""
        held = had.addresses if had else ()
        self._give_back(held)
        outcome = self._find(request, held, had.pool if had else "")
        self._take(outcome.addresses if isinstance(outcome, Allocation) else held)
        return outcome

    def _find(self, request: Request, held: Sequence[Address], held_pool: str) -> Allocation | Refused:
        if request.pool is not None and request.pool not in self._spaces:
            return Refused(Refusal.UNKNOWN_POOL, f"there is no pool {request.pool!r}")
        # The pool that the Service has an address of comes first: what is held should stay.
        names = [request.pool] if request.pool is not None else sorted(self._spaces, key=lambda name: name != held_pool)
        if not names:
            return Refused(Refusal.NO_POOL, "no pool is declared")
        by_pool: dict[str, Refusal] = {}
        for name in names:
            found = self._from_pool(name, request, held)
            if isinstance(found, Refusal):
                by_pool[name] = found
                continue
            return Allocation(found, name)
        return _refused(request, by_pool)

    def _from_pool(self, name: str, request: Request, held: Sequence[Address]) -> tuple[Address, ...] | Refusal:
        space = self._spaces[name]
        if request.addresses:
            if not all(address in space for address in request.addresses):
                return Refusal.ADDRESS_NOT_IN_POOL
            if not all(space.gives(address) for address in request.addresses):
                return Refusal.BUGGY_ADDRESS
        elif request.pool is None and not self._pools[name].auto_assign:
            return Refusal.NOT_AUTO_ASSIGNED
        if not self._serves(name):
            return Refusal.PROTOCOL_NOT_SERVED
        if request.addresses:
            free = all(space.is_free(address) for address in request.addresses)
            return request.addresses if free else Refusal.ADDRESS_IN_USE
        if not all(space.size(family) for family in request.families):
            return Refusal.FAMILY_MISSING
        kept = {family_of(address): address for address in held if space.gives(address)}
        found = [kept.get(family) or space.lowest(family) for family in request.families]
        if None in found:
            return Refusal.POOL_EXHAUSTED
        return tuple(address for address in found if address is not None)

    def _serves(self, name: str) -> bool:
        protocol = self._pools[name].protocol
        return protocol is None or protocol in self._served_protocols

    def _take(self, addresses: Sequence[Address]) -> None:
        """Mark addresses as held: in the pool that gives them, or as strays that no known pool gives."""
        for address in addresses:
            spaces = [space for space in self._spaces.values() if space.gives(address)]
            for space in spaces:
                space.take(address)
            if not spaces:
                self._stray.add(address)

    def _give_back(self, addresses: Sequence[Address]) -> None:
        self._stray.difference_update(addresses)
        for address in addresses:
            for space in self._spaces.values():
                if space.gives(address):
                    space.give_back(address)

    def _is_held(self, address: Address) -> bool:
        return address in self._stray or any(
            space.gives(address) and not space.is_free(address) for space in self._spaces.values()
        )


# The most telling reason first, where several pools refused for several reasons.
_TELLING = (
    Refusal.ADDRESS_IN_USE,
    Refusal.BUGGY_ADDRESS,
    Refusal.POOL_EXHAUSTED,
    Refusal.PROTOCOL_NOT_SERVED,
    Refusal.FAMILY_MISSING,
    Refusal.NOT_AUTO_ASSIGNED,
    Refusal.ADDRESS_NOT_IN_POOL,
)


def _refused(request: Request, by_pool: Mapping[str, Refusal]) -> Refused:
    reason = next(reason for reason in _TELLING if reason in by_pool.values())
    pools = ", ".join(name for name, refusal in by_pool.items() if refusal is reason)
    wanted = ", ".join(map(str, request.addresses))
    families = " and ".join(request.families)
    match reason:
        case Refusal.ADDRESS_IN_USE:
            message = f"{wanted} of pool {pools} is held by another Service"
        case Refusal.BUGGY_ADDRESS:
            message = f"pool {pools} avoids addresses that end in .0 or .255, such as {wanted}"
        case Refusal.POOL_EXHAUSTED:
            message = f"no {families} address is free in pool {pools}"
        case Refusal.PROTOCOL_NOT_SERVED:
            message = f"addresses of pool {pools} would not be announced: its protocol is not served"
        case Refusal.FAMILY_MISSING:
            message = f"pool {pools} has no addresses of {families}"
        case Refusal.NOT_AUTO_ASSIGNED:
            message = f"pool {pools} serves explicit requests only (autoAssign: false)"
        case _:
            message = f"{wanted} is not in pool {pools}"
    return Refused(reason, message, by_pool)
