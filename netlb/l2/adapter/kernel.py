"""Addresses that the kernel answers for, as `Operations` of the reconcile engine: PureLB's way to announce.

They are put on interfaces with a mark and a short lifetime, which is renewed for as long as this process works: what a
process that died has left ends by itself, and is recognized and swept by the next one.
"""

import asyncio
import errno
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import Final, Self

from netlb.errors import DataplaneError, NetlbError
from netlb.l2.adapter.rtnetlink import Kernel, Rtnetlink
from netlb.l2.addrmsg import InterfaceAddress, Kind, Message
from netlb.l2.announces import parse_station
from netlb.l2.burst import ROUNDS, GratuitousBurst
from netlb.l2.holdings import Wanted
from netlb.l2.interfaces import DEFAULT_EXCLUDE, Interface, Selection
from netlb.l2.residents import Place, Residents
from netlb.net import Address

__all__ = ["LIFETIME", "KernelAddresses"]

LIFETIME: Final = 10
"""Seconds for which an address stays when nobody renews it."""
_RENEWALS: Final = 3
"""In a lifetime: two may be late or fail."""
_PART: Final = 128
_GONE: Final = {errno.EADDRNOTAVAIL, errno.ENODEV}


class KernelAddresses:
    """Keeps addresses on interfaces as they are wanted.

    Used as `async with KernelAddresses() as addresses`. Leaving the context removes every one of them.
    """

    def __init__(
        self,
        *,
        interfaces: Collection[str] = (),
        exclude: Sequence[str] = DEFAULT_EXCLUDE,
        lifetime: int = LIFETIME,
        on_change: Callable[[], None] | None = None,
        kernel: Callable[[], AbstractAsyncContextManager[Kernel]] = Rtnetlink,
    ) -> None:
        """Use the named interfaces alone, or all but those that match an expression in `exclude`.

        `on_change` is called when something else than this object has changed what is there: then `observe` anew.
        """
        self._selection = Selection(interfaces, exclude)
        self._lifetime = lifetime
        self._on_change = on_change or (lambda: None)
        self._open = kernel
        self._residents = Residents()
        self._burst = GratuitousBurst()
        self._announcing = asyncio.Event()
        self._lock = asyncio.Lock()
        self._marks_stay = False
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """See what is there, and follow it; DataplaneError where the kernel does not say."""
        async with AsyncExitStack() as stack:
            self._kernel = await stack.enter_async_context(self._open())
            stack.push_async_callback(self._remove_all)
            for link in self._kernel.links.values():
                self._link_changed(link.index, self._selection.pick(link))
            self._kernel.follow(self._heard)
            self._residents.listed(self._kernel.addresses())
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            for service in (self._follow_links, self._renew, self._announce):
                stack.callback(tasks.create_task(service()).cancel)
            self._exit = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._exit.aclose()

    def held(self) -> Mapping[Address, frozenset[str]]:
        """Return every address that is wanted here, and the names of the interfaces that have it now."""
        return self._residents.held()

    def announce(self, addresses: Iterable[Address], rounds: int = ROUNDS) -> None:
        """Announce addresses anew where they are; with 0 rounds, no more."""
        self._begin(self._residents.places(list(addresses)), rounds)

    async def observe(self) -> Mapping[Address, Wanted]:
        """Return what is there, also what a process that died has left."""
        async with self._lock:
            self._residents.listed(self._kernel.addresses())
            return self._residents.observed()

    async def apply(self, changes: Mapping[Address, Wanted]) -> Mapping[Address, Exception]:
        """Put addresses where they belong: on the interfaces that are named, or on that whose subnet they are in."""
        async with self._lock:
            failures: dict[Address, Exception] = {}
            for address in changes:
                if (problem := self._refusal(address)) is not None:
                    failures[address] = problem
            self._residents.ask({address: where for address, where in changes.items() if address not in failures})
            fine = [address for address in changes if address not in failures]
            failures |= await self._remove(self._residents.early(fine))
            failures |= await self._add(self._residents.missing(fine))
            return failures | await self._remove(self._residents.surplus(fine))

    async def prune(self, keys: Collection[Address]) -> Mapping[Address, Exception]:
        """Remove addresses; none of them is answered for when this returns."""
        async with self._lock:
            self._residents.ask_no_more(keys)
            return await self._remove(self._residents.surplus(keys))

    # What is done

    def _refusal(self, address: Address) -> NetlbError | None:
        try:
            parse_station(address)
        except ValueError as error:
            return NetlbError(str(error))
        return self._taken(address) if self._residents.foreign(address) else None

    def _taken(self, address: Address) -> NetlbError:
        foreign = self._residents.foreign(address)
        link = self._kernel.links.get(foreign.index) if foreign else None
        return NetlbError(
            f"{address} is on {link.name if link else 'an interface'} of this node already, and netlb has not put it "
            "there; remove it there, or take it out of the pool"
        )

    async def _add(self, places: Sequence[Place]) -> dict[Address, Exception]:
        if not places:
            return {}
        refused = await self._kernel.add(places, self._lifetime, renew=False)
        added = [place for place in places if place not in refused]
        if added and not self._marks_stay:
            await self._require_marks(added)
        for index, address in added:
            self._residents.added(InterfaceAddress(index, address, address, address.max_prefixlen, ours=True))
        self._begin(added)
        return {address: self._why_not_added(index, address, number) for (index, address), number in refused.items()}

    def _why_not_added(self, index: int, address: Address, number: int) -> Exception:
        if number == errno.EEXIST:
            return self._taken(address)
        interface = self._residents.interface(index)
        right = " (CAP_NET_ADMIN)" if number == errno.EPERM else ""
        return DataplaneError(f"put {address} on {interface.name if interface else index}{right}", number)

    async def _require_marks(self, added: Sequence[Place]) -> None:
        """Take back what was added, and raise DataplaneError, where the kernel would not know it again."""
        found = self._kernel.addresses()
        self._residents.listed(found)
        if not {(each.index, each.address) for each in found if each.ours}.issuperset(added):
            await self._kernel.remove(added)
            raise DataplaneError("mark addresses as netlb's (IFA_PROTO, Linux 5.18)", errno.EOPNOTSUPP)
        self._marks_stay = True

    async def _remove(self, places: Sequence[Place]) -> dict[Address, Exception]:
        """Remove addresses that are ours."""
        for index, address in places:
            self._burst.stop(index, address.packed)
        refused = await self._kernel.remove(places)
        failures: dict[Address, Exception] = {}
        for index, address in places:
            number = refused.get((index, address), 0)
            if number and number not in _GONE:
                failures[address] = DataplaneError(f"remove {address} from interface {index}", number)
            else:
                gone = InterfaceAddress(index, address, address, address.max_prefixlen, ours=True)
                self._residents.removed(gone)
        return failures

    async def _remove_all(self) -> None:
        await self.prune(list(self._residents.held()))

    # What happens

    def _heard(self, messages: Sequence[Message] | None) -> None:
        """Take in what happened to addresses; what this object did itself is known already, and no news."""
        news = messages is None
        for message in messages or ():
            if message.address is not None:
                take_in = self._residents.added if message.kind == Kind.ADDED else self._residents.removed
                news |= take_in(message.address)
        if news:
            self._on_change()

    async def _follow_links(self) -> None:
        async for index, link in self._kernel.changes():
            if self._link_changed(index, self._selection.pick(link) if link is not None else None):
                self._on_change()

    def _link_changed(self, index: int, interface: Interface | None) -> bool:
        if not self._residents.link(index, interface):
            return False
        self._burst.remove_interface(index)
        if interface is not None:
            self._burst.set_interface(index, interface.mac)
            self._begin([place for place in self._residents.places() if place[0] == index])
        return True

    async def _renew(self) -> None:
        """Renew everything, part by part; what is not wanted any more when its turn comes is left out."""
        while True:
            await asyncio.sleep(self._lifetime / _RENEWALS)
            places = self._residents.places()
            for start in range(0, len(places), _PART):
                async with self._lock:
                    part = [place for place in places[start : start + _PART] if self._residents.lives(place)]
                    with suppress(NetlbError):  # two more attempts fit in a lifetime; and what ends is put back
                        await self._kernel.add(part, self._lifetime, renew=True)

    # Announcements

    def _begin(self, places: Iterable[Place], rounds: int = ROUNDS) -> None:
        now = asyncio.get_running_loop().time()
        for index, address in places:
            if self._residents.interface(index) is not None:
                self._burst.start(index, [address.packed], now, rounds)
        self._announcing.set()

    async def _announce(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            for index, _, frame in self._burst.frames_to_send(loop.time()):
                interface = self._residents.interface(index)
                if interface is not None:
                    self._kernel.send(interface.name, frame)
            await asyncio.sleep(0)
            self._announcing.clear()
            try:
                async with asyncio.timeout_at(self._burst.next_wakeup()):
                    await self._announcing.wait()
            except TimeoutError:
                pass
