"""One pool's source as `Operations` of the reconcile engine: a claim, and the address that is wanted for it, or any."""

from collections.abc import Callable, Collection, Mapping

from netlb.errors import NetlbError
from netlb.ipam.leases import Leases
from netlb.ipam.source import AddressNotServedError, AddressSource, AddressTakenError, Claim, NoAddressLeftError
from netlb.net import Address

__all__ = ["LeaseOperations"]

_NOTHING_THERE = (AddressNotServedError, AddressTakenError, NoAddressLeftError)


class LeaseOperations:
    """Keeps what is reserved at a source as it is wanted, and tells what is reserved after every call."""

    def __init__(self, source: AddressSource, on_leases: Callable[[Leases], None]) -> None:
        self._source = source
        self._on_leases = on_leases
        self._held: dict[Claim, Address] = {}
        self._refused: dict[Claim, str] = {}
        self._any: set[Claim] = set()
        """Claims for which any address was asked, and is therefore as wanted."""

    async def observe(self) -> Mapping[Claim, Address | None]:
        """Return what is reserved in our name, in the terms in which it was asked for."""
        try:
            self._held = dict(await self._source.leases())
        except NetlbError as error:
            self._tell(error)
            raise
        self._tell()
        return {claim: None if claim in self._any else address for claim, address in self._held.items()}

    async def apply(self, changes: Mapping[Claim, Address | None]) -> Mapping[Claim, Exception]:
        """Reserve addresses; return what failed."""
        failures: dict[Claim, Exception] = {}
        problem: NetlbError | None = None
        for claim, wanted in changes.items():
            if wanted is None:
                self._any.add(claim)
            else:
                self._any.discard(claim)
                if self._held.get(claim) == wanted:
                    continue
            try:
                self._held[claim] = await self._lease(claim, wanted)
                self._refused.pop(claim, None)
            except NetlbError as error:
                failures[claim] = error
                if isinstance(error, _NOTHING_THERE):
                    self._refused[claim] = str(error)
                else:
                    problem = error
        self._tell(problem)
        return failures

    async def prune(self, keys: Collection[Claim]) -> Mapping[Claim, Exception]:
        """Give addresses back; return what failed."""
        failures: dict[Claim, Exception] = {}
        problem: NetlbError | None = None
        for claim in keys:
            self._refused.pop(claim, None)
            self._any.discard(claim)
            try:
                await self._source.release(claim)
                self._held.pop(claim, None)
            except NetlbError as error:
                failures[claim] = error
                problem = error
        self._tell(problem)
        return failures

    async def _lease(self, claim: Claim, wanted: Address | None) -> Address:
        address = await self._source.lease(claim, wanted)
        if wanted is None or address == wanted:
            return address
        await self._source.release(claim)  # a claim keeps what it has until it is released
        self._held.pop(claim, None)
        return await self._source.lease(claim, wanted)

    def _tell(self, problem: NetlbError | None = None) -> None:
        self._on_leases(Leases(dict(self._held), dict(self._refused), "" if problem is None else str(problem)))
