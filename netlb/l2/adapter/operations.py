"""The announcer as `Operations` of the reconcile engine: an address, and the interfaces that it is wanted on."""

from collections.abc import Collection, Mapping

from netlb.errors import DataplaneError, NetlbError
from netlb.l2.announces import Announces
from netlb.net import Address

__all__ = ["L2Operations", "Where"]

Where = frozenset[str] | None
"""Names of interfaces; None stands for every interface in use."""
_NOT_ASKED: Where = frozenset()
"""What nobody wants."""


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
