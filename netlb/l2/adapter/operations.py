"""What announces as `Operations` of the reconcile engine: an address, and the interfaces that it is wanted on."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from netlb.errors import DataplaneError, NetlbError
from netlb.l2.announces import Announces
from netlb.l2.burst import ROUNDS
from netlb.net import Address

__all__ = ["EitherWay", "InKernel", "L2Operations", "Way", "Where"]

Where = frozenset[str] | None
"""Names of interfaces; None stands for every interface in use."""
_NOT_ASKED: Where = frozenset()
"""What nobody wants."""


@dataclass(frozen=True, slots=True)
class Way:
    """How an address is wanted."""

    interfaces: Where
    by_kernel: bool | None = False
    """Whether an interface has the address, so that the kernel answers, not netlb; None: both, which nobody wants."""


class InKernel(Protocol):
    """Keeps addresses on interfaces; `netlb.l2.adapter.kernel.KernelAddresses` does."""

    def held(self) -> Mapping[Address, frozenset[str]]:
        """Return every address that is wanted there, and the names of the interfaces that have it now."""
        ...

    def announce(self, addresses: Iterable[Address], rounds: int) -> None:
        """Announce addresses anew where they are; with 0 rounds, no more."""
        ...

    async def observe(self) -> Mapping[Address, Where]:
        """See `netlb.reconcile.Operations`."""
        ...

    async def apply(self, changes: Mapping[Address, Where]) -> Mapping[Address, Exception]:
        """See `netlb.reconcile.Operations`."""
        ...

    async def prune(self, keys: Collection[Address]) -> Mapping[Address, Exception]:
        """See `netlb.reconcile.Operations`."""
        ...


class L2Operations:
    """Keeps an announcer's addresses as they are wanted. What an earlier program left in it is there when it begins."""

    def __init__(self, announcer: Announces) -> None:
        self._announcer = announcer
        self._asked: dict[Address, Where] = {}

    async def observe(self) -> Mapping[Address, Where]:
        """Return what is held, in the terms in which it was asked for; what nobody asked for yet is asked for anew."""
        return {address: self._asked.get(address, _NOT_ASKED) for address in self._announcer.held()}

    async def apply(self, changes: Mapping[Address, Where]) -> Mapping[Address, Exception]:
        """Hold addresses: all at once, and one by one if the kernel refuses one of them."""
        try:
            await self._hold(changes)
        except (DataplaneError, ValueError):
            failures: dict[Address, Exception] = {}
            for address, where in changes.items():
                try:
                    await self._hold({address: where})
                except NetlbError as error:
                    failures[address] = error
                except ValueError as error:
                    failures[address] = NetlbError(str(error))
            return failures
        return {}

    async def prune(self, keys: Collection[Address]) -> Mapping[Address, Exception]:
        """Release addresses; they are silent when this returns. What could never be held is silent already."""
        held = self._announcer.held()
        await self._announcer.release_many([address for address in keys if address in held])
        for address in keys:
            self._asked.pop(address, None)
        return {}

    async def _hold(self, changes: Mapping[Address, Where]) -> None:
        await self._announcer.hold_many(dict(changes.items()))
        self._asked.update(changes)


class EitherWay:
    """An announcer and addresses of the kernel under one engine: each address is announced one way or the other.

    One that changes its way is announced the new way before it is no more announced the old way.
    """

    def __init__(self, announcer: Announces, kernel: InKernel) -> None:
        self._announcer = announcer
        self._replying = L2Operations(announcer)
        self._kernel = kernel

    def held(self) -> Mapping[Address, frozenset[str]]:
        """Return every address that is wanted, and the names of the interfaces on which it is answered for now."""
        held = dict(self._announcer.held())
        for address, names in self._kernel.held().items():
            held[address] = held.get(address, frozenset()) | names
        return held

    async def announce(self, addresses: Collection[Address], rounds: int = ROUNDS) -> None:
        """Announce addresses anew where they are held, or with 0 rounds no more; TransientError without a responder."""
        self._kernel.announce(addresses, rounds)
        await self._announcer.announce(self._announcer.held().keys() & set(addresses), rounds=rounds)

    async def observe(self) -> Mapping[Address, Way]:
        """Return what is there, what an earlier process has left included."""
        replying, resident = await self._replying.observe(), await self._kernel.observe()
        return {
            **{address: Way(where) for address, where in replying.items()},
            **{address: Way(where, None if address in replying else True) for address, where in resident.items()},
        }

    async def apply(self, changes: Mapping[Address, Way]) -> Mapping[Address, Exception]:
        """Announce addresses."""
        failures: dict[Address, Exception] = {}
        for new, old in ((self._replying, self._kernel), (self._kernel, self._replying)):
            some = {key: way.interfaces for key, way in changes.items() if bool(way.by_kernel) is (new is self._kernel)}
            if some:
                failures |= await new.apply(some)
                failures |= await old.prune([address for address in some if address not in failures])
        return failures

    async def prune(self, keys: Collection[Address]) -> Mapping[Address, Exception]:
        """Announce addresses no more; they are silent when this returns."""
        return {**await self._kernel.prune(keys), **await self._replying.prune(keys)}
