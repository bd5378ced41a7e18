"""Who holds what: addresses, their holders, and the keys under which they are shared."""

from bisect import insort
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from netlb.findings import ObjectRef
from netlb.ipam.pools import Pool, Pools
from netlb.ipam.request import Request
from netlb.ipam.result import Refused
from netlb.ipam.sharing import Sharing, conflict
from netlb.net import Address, family_of
from netlb.reasons import Refusal

__all__ = ["Ledger"]


UNKNOWN: Final = Sharing("", frozenset(), "")
"""The terms of a Service whose request cannot be read: nobody has agreed to them."""


class Ledger:
    """Keeps the pools' free space and the holders of every address in step."""

    def __init__(self, pools: Pools, requests: Callable[[ObjectRef], Request | Refused | None]) -> None:
        self._pools = pools
        self._request = requests
        self._holders: dict[Address, list[ObjectRef]] = {}
        self._shared: dict[str, dict[Address, int]] = {}
        self.freed = 0
        """The set of the pools in which addresses were given up, or joined, or ran out, since this was last cleared."""
        self.stirred: set[str] = set()
        """The sharing keys whose addresses changed since this was last cleared."""

    def holders(self, address: Address) -> list[ObjectRef]:
        """Return who holds an address."""
        return self._holders.get(address, [])

    def take(self, ref: ObjectRef, addresses: Iterable[Address]) -> None:
        """Let a Service hold addresses, beside those who share them."""
        key = self._key(ref)
        for address in addresses:
            holders = self._holders.get(address)
            if holders is None:
                self._holders[address] = [ref]
                if pool := self._pools.find(address):
                    self._pools.take(pool, family_of(address), int(address))
                    if not self._pools.open(family_of(address)) >> pool.number & 1:
                        self.freed |= 1 << pool.number  # who waits for the other family now waits for this one, too
            else:
                insort(holders, ref)
                if pool := self._pools.find(address):
                    self.freed |= 1 << pool.number  # who waits for the address now waits for somebody else, too
            if key:
                shared = self._shared.setdefault(key, {})
                shared[address] = shared.get(address, 0) + 1
                self.stirred.add(key)

    def give_back(self, ref: ObjectRef, addresses: Iterable[Address]) -> None:
        """Let a Service hold addresses no more."""
        key = self._key(ref)
        for address in addresses:
            holders = self._holders[address]
            holders.remove(ref)
            if key:
                self._unshare(key, address)
            pool = self._pools.find(address)
            if pool:
                self.freed |= 1 << pool.number
            if holders:
                continue
            del self._holders[address]
            if pool:
                self._pools.give_back(pool, family_of(address), int(address))

    def in_the_way(
        self, ref: ObjectRef, address: Address, pool: Pool | None, *, restoring: bool = False
    ) -> tuple[Refusal, ObjectRef] | None:
        """Return why a Service may not have an address that others hold, and which of them, or None if it may.

        While `restoring`, a request that cannot be read is taken for one that agrees to share with whoever shares,
        and a pool that cannot be read for one that lets namespaces share: both held the address before.
        """
        holders = self._holders.get(address)
        if not holders:
            return None
        mine = self._sharing(ref)
        for other in holders:
            if other == ref:
                continue
            theirs = self._sharing(other)
            if restoring and (mine is UNKNOWN or theirs is UNKNOWN) and (mine and theirs):
                continue
            if pool and pool.spec.source:  # it reserves an address for one Service
                return Refusal.ADDRESS_IN_USE, other
            refusal = conflict(
                mine,
                theirs,
                same_namespace=other.namespace == ref.namespace,
                across=pool.spec.sharing == "cluster" if pool else restoring,
            )
            if refusal:
                return refusal, other
        return None

    def shared(self, key: str) -> Iterator[Address]:
        """Yield the addresses that are held under a sharing key."""
        yield from self._shared.get(key, ())

    def _sharing(self, ref: ObjectRef) -> Sharing | None:
        request = self._request(ref)
        return request.sharing if isinstance(request, Request) else UNKNOWN

    def _key(self, ref: ObjectRef) -> str:
        sharing = self._sharing(ref)
        return sharing.key if sharing else ""

    def _unshare(self, key: str, address: Address) -> None:
        shared = self._shared[key]
        shared[address] -= 1
        if not shared[address]:
            del shared[address]
            if not shared:
                del self._shared[key]
        self.stirred.add(key)
