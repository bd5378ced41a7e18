"""Addresses on real interfaces: the interface watch, the responder process, and the process's successor if it dies."""

import asyncio
import errno
from collections.abc import Callable, Collection, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from ipaddress import ip_address
from typing import Final, Self

from netlb.errors import DataplaneError, NetlbError, TransientError
from netlb.l2 import control
from netlb.l2.adapter.interfaces import LinkWatch
from netlb.l2.adapter.probes import ProbeRounds
from netlb.l2.adapter.process import ResponderProcess
from netlb.l2.adapter.reading import holdings_of, stats_of
from netlb.l2.announces import (
    Conflict,
    Event,
    FastPath,
    FastPathRefused,
    InterfaceAppeared,
    InterfaceRefused,
    InterfaceVanished,
    Stats,
    Stranger,
    WorkerDied,
    WorkerRestarted,
    parse_station,
    parse_wanted,
)
from netlb.l2.burst import ROUNDS
from netlb.l2.ethernet import format_mac
from netlb.l2.holdings import Holdings, Wanted
from netlb.l2.interfaces import DEFAULT_EXCLUDE, Interface, Selection
from netlb.l2.probe import RFC_TIMINGS, ProbeTimings
from netlb.net import Address
from netlb.worker.adapter.shelter import Shelter
from netlb.worker.terms import Terms

__all__ = ["PATIENCE", "WORKER", "Announcer"]

WORKER: Final = "responder"
"""Its process, among those of a program that outlive it."""

PATIENCE: Final = 10.0
"""Seconds for which an event loop may stand still: as long as with BFD, which tells the others at the same time."""

_LONGEST_BACKOFF: Final = 5.0
_SETTLED: Final = 60.0
"""Seconds after which a responder process that dies is restarted at once again."""
_NO_IPV6: Final = {errno.EINVAL, errno.ENODEV, errno.EADDRNOTAVAIL}
"""What joining a group says on a link that is gone or carries no IPv6 (its MTU is under 1280): not held there."""


class Announcer:
    """Holds addresses on this node's interfaces; see `netlb.l2.announces.Announces` for what that promises.

    Used as `async with Announcer() as announcer`. Leaving the context makes every address silent. Changes are made
    one after the other, in the order of the calls.
    """

    def __init__(
        self,
        *,
        interfaces: Collection[str] = (),
        exclude: Sequence[str] = DEFAULT_EXCLUDE,
        fastpath: FastPath = FastPath.AUTO,
        patience: float = PATIENCE,
        shelter: Shelter | None = None,
        on_event: Callable[[Event], None] | None = None,
    ) -> None:
        """Take part on the named interfaces alone, or on all but those that match an expression in `exclude`.

        When the event loop has stood still for `patience` seconds, every address is silent until it goes on. With a
        shelter its time counts, and the responder lives on for as long when this program dies: a process that the
        shelter has is taken over with all that it holds, which is held here then, where it is held there.
        `on_event` is called from the event loop and must neither wait nor raise.
        """
        self.restarts = 0
        self._selection = Selection(interfaces, exclude)
        self._fastpath = fastpath
        self._shelter = shelter
        self._patience = patience
        self._slow: FastPathRefused | None = None
        self._emit: Callable[[Event], None] = on_event or (lambda _: None)
        self._holdings = Holdings()
        self._usable: dict[int, Interface] = {}
        self._process: ResponderProcess | None = None
        self._probes = ProbeRounds()
        self._lock = asyncio.Lock()
        self._changes: set[asyncio.Task[None]] = set()
        self._exit = AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start the responder; DataplaneError where it may not open packet sockets, or have a fast path it requires."""
        async with AsyncExitStack() as stack:
            watch = await stack.enter_async_context(LinkWatch())
            stack.push_async_callback(self._stop)
            orphan = self._shelter.take(WORKER) if self._shelter is not None else None
            if orphan is None:
                await self._start()
            else:
                self._process = ResponderProcess.adopt(self._told, orphan)
                await self._resume(watch)
            for link in watch.links.values():
                await self._link_changed(link.index, self._selection.pick(link))
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            for task in (tasks.create_task(self._follow(watch)), tasks.create_task(self._supervise())):
                stack.callback(task.cancel)
            self._exit = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        # The body's own error is not handed to the task group, which would wrap it.
        await self._exit.aclose()

    @property
    def worker_pid(self) -> int | None:
        """Process id of the responder, or None while there is none."""
        process = self._running()
        return process.pid if process is not None else None

    async def hold(self, address: str | Address, interfaces: Collection[str] | None = None) -> None:
        """See Announces."""
        await self.hold_many({address: interfaces})

    async def hold_many(self, wanted: Mapping[str | Address, Collection[str] | None]) -> None:
        """See Announces."""
        await self._finish(self._hold(parse_wanted(wanted)))

    async def release(self, address: str | Address) -> None:
        """See Announces."""
        await self.release_many([address])

    async def release_many(self, addresses: Iterable[str | Address]) -> None:
        """See Announces."""
        await self._finish(self._release([parse_station(address).packed for address in addresses]))

    async def announce(self, addresses: Iterable[str | Address], *, rounds: int = ROUNDS) -> None:
        """See Announces."""
        packed = [parse_station(address).packed for address in addresses]
        async with self._lock:
            process = self._require_process()
            for interface in self._holdings.interfaces():
                for batch in control.batches(packed):
                    await process.announce(interface.index, batch, rounds)

    async def probe(
        self, addresses: Mapping[str | Address, Collection[str] | None], timings: ProbeTimings = RFC_TIMINGS
    ) -> Mapping[Address, Stranger | None]:
        """See Announces."""
        wanted = parse_wanted(addresses)
        async with AsyncExitStack() as stack:
            async with self._lock:
                process = self._require_process()
                await self._open_missing()
                asked = self._holdings.to_probe(wanted)
                waiting = stack.enter_context(self._probes.begin(asked))
                for index, probed in asked.items():
                    for batch in control.by_family(probed):
                        refused = await process.probe(index, batch, timings)
                        self._raise_refused(index, refused)
                        waiting.give_up(index, refused)
            return await waiting.found()

    def held(self) -> Mapping[Address, frozenset[str]]:
        """See Announces."""
        held = self._holdings.held()
        return held if self._running() is not None else dict.fromkeys(held, frozenset[str]())

    def interfaces(self) -> frozenset[Interface]:
        """See Announces."""
        return self._holdings.interfaces() if self._running() is not None else frozenset()

    async def stats(self) -> Stats:
        """See Announces."""
        async with self._lock:
            process = self._require_process()
            return await stats_of(process, self._holdings.interfaces())

    # The process

    def _running(self) -> ResponderProcess | None:
        process = self._process
        return process if process is not None and not process.closed.done() else None

    def _require_process(self) -> ResponderProcess:
        process = self._running()
        if process is None:
            raise TransientError("the responder process is being restarted", retry_after=0.5)
        return process

    async def _start(self) -> None:
        terms = self._shelter.terms(WORKER) if self._shelter is not None else Terms(self._patience)
        self._process = await ResponderProcess.start(self._told, terms)
        self._slow = None
        try:
            await self._accelerate(0, None)
        except NetlbError:
            await self._process.stop()
            raise

    async def _resume(self, watch: LinkWatch) -> None:
        """Learn what a process that was taken over holds, and let it go on where its interfaces are as they were."""
        process = self._require_process()
        await self._accelerate(0, None)
        for index, mac, held in await holdings_of(process):
            link = watch.links.get(index)
            interface = self._selection.pick(link) if link is not None else None
            if interface is None or interface.mac != mac:
                await process.remove_interface(index)
                continue
            before = self._holdings.wanted(held)
            self._holdings.want({each: (before.get(each) or frozenset()) | {interface.name} for each in held})
            self._holdings.opened(interface)
            self._holdings.answers(index, held)
            self._usable[index] = interface
            self._emit(InterfaceAppeared(interface))
        process.decided = not self._holdings.all_wanted()  # of nothing, there is nothing to decide

    async def _accelerate(self, index: int, name: str | None) -> None:
        """Open the fast path of an interface; what is refused for all of them is not tried for each."""
        if self._fastpath is FastPath.OFF or self._slow is not None:
            return
        try:
            await self._require_process().accelerate(index)
        except DataplaneError as error:
            where = f" on {name}" if name is not None else ""
            problem = DataplaneError(f"{error.operation}{where} (CAP_BPF and CAP_NET_ADMIN, Linux 5.8)", error.errno)
            if self._fastpath is FastPath.REQUIRE:
                raise problem from error
            refused = FastPathRefused(name, str(problem))
            if name is None:
                self._slow = refused
            self._emit(refused)

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None and self._shelter is not None and self._shelter.leaves:
            process.leave()
        elif process is not None:
            await process.stop()
        self._probes.lose()
        await asyncio.gather(*self._changes, return_exceptions=True)

    async def _supervise(self) -> None:
        loop = asyncio.get_running_loop()
        backoff = 0.0
        while self._process is not None:
            started = loop.time()
            problem = await asyncio.shield(self._process.closed)
            self._probes.lose()
            self._emit(WorkerDied(problem))
            if loop.time() - started > _SETTLED:
                backoff = 0.0
            while self._running() is None:
                await asyncio.sleep(backoff)
                backoff = min(_LONGEST_BACKOFF, backoff * 2 or 0.1)
                async with self._lock:
                    await self._restart()

    async def _restart(self) -> None:
        for interface in self._holdings.interfaces():
            self._holdings.closed(interface.index)
        try:
            await self._start()
            await self._open_missing()
        except NetlbError as error:
            self._emit(WorkerDied(str(error)))
            return
        self.restarts += 1
        self._emit(WorkerRestarted(self._require_process().pid))

    def _told(self, event: control.ClaimSeen | control.Probed) -> None:
        interface = self._holdings.interface(event.interface)
        if interface is None:
            return
        match event:
            case control.ClaimSeen(_, address, mac):
                self._emit(Conflict(ip_address(address), format_mac(mac), interface.name))
            case control.Probed(index, found):
                for address, mac in found:
                    self._probes.tell(index, address, Stranger(format_mac(mac), interface.name) if mac else None)

    # Interfaces

    async def _follow(self, watch: LinkWatch) -> None:
        async for index, link in watch.changes():
            async with self._lock:
                await self._link_changed(index, self._selection.pick(link) if link is not None else None)

    async def _link_changed(self, index: int, interface: Interface | None) -> None:
        if self._usable.get(index) == interface:
            return
        vanished = self._usable.pop(index, None)
        if vanished is not None:
            opened = self._holdings.closed(index)
            self._probes.interface_closed(index)
            process = self._running()
            if opened is not None and process is not None:
                await self._tolerantly(process.remove_interface(index), vanished)
            self._emit(InterfaceVanished(vanished))
        if interface is not None:
            self._usable[index] = interface
            if self._running() is not None:
                await self._tolerantly(self._open(interface), interface)
            self._emit(InterfaceAppeared(interface))

    async def _tolerantly(self, operation: Coroutine[None, None, None], interface: Interface) -> None:
        """Let a failure on one interface be an event: nobody waits for a result here."""
        try:
            await operation
        except TransientError:
            return  # the process died, and its successor opens what is usable
        except DataplaneError as error:
            if error.errno not in {errno.ENODEV, errno.ENXIO}:  # gone already: its own event follows
                self._emit(InterfaceRefused(interface, str(error)))

    async def _open_missing(self) -> None:
        for interface in list(self._usable.values()):
            if self._holdings.interface(interface.index) is None:
                await self._tolerantly(self._open(interface), interface)

    async def _open(self, interface: Interface) -> None:
        process = self._require_process()
        await process.set_interface(interface.index, interface.mac)
        self._holdings.opened(interface)
        try:
            await self._accelerate(interface.index, interface.name)
            await self._settle(self._holdings.all_wanted(), [interface.index])
        except DataplaneError:
            # Half of an interface would pass for a whole one: closed, it is opened anew by the next `hold`.
            self._holdings.closed(interface.index)
            await process.remove_interface(interface.index)
            raise

    # Addresses

    async def _finish(self, change: Coroutine[None, None, None]) -> None:
        """Carry a change through even if the caller is cancelled: half of one would make `held` a lie."""
        task = asyncio.create_task(change)
        self._changes.add(task)
        task.add_done_callback(self._changes.discard)
        await asyncio.shield(task)

    async def _hold(self, update: Mapping[bytes, Wanted]) -> None:
        async with self._lock:
            self._require_process().decided = True
            await self._open_missing()
            before = self._holdings.wanted(update)
            self._holdings.want(update)
            try:
                await self._settle(update)
            except BaseException:
                self._holdings.unwant(update)
                self._holdings.want(before)
                await self._undo(update)
                raise

    async def _release(self, addresses: Collection[bytes]) -> None:
        async with self._lock:
            self._holdings.unwant(addresses)
            process = self._running()
            if process is not None:
                process.decided = True
                await self._settle(addresses)

    async def _undo(self, addresses: Collection[bytes]) -> None:
        try:
            await self._settle(addresses)
        except NetlbError:
            return  # the first error is the one to tell; `held` shows what is left

    async def _settle(self, addresses: Collection[bytes], indexes: Iterable[int] | None = None) -> None:
        """Make the responder do what is wanted of these addresses, on these interfaces or on all."""
        process = self._require_process()
        if indexes is None:
            indexes = [interface.index for interface in self._holdings.interfaces()]
        steps: list[tuple[bool, int, tuple[bytes, ...]]] = []
        for index in indexes:
            surplus = self._holdings.surplus(index, addresses)
            steps.extend((False, index, batch) for batch in control.batches(surplus))
            missing = self._holdings.missing(index, addresses)
            steps.extend((True, index, batch) for batch in control.by_family(missing))
        for at, (hold, index, batch) in enumerate(steps, start=1):
            more = at < len(steps)
            if hold:
                refused = await process.hold(index, batch, more=more)
                self._holdings.answers(index, (address for address in batch if address not in refused))
                self._raise_refused(index, refused)
            else:
                await process.release(index, batch, more=more)
                self._holdings.silent(index, batch)

    def _raise_refused(self, index: int, refused: Mapping[bytes, int]) -> None:
        for address, number in refused.items():
            if number not in _NO_IPV6:
                interface = self._holdings.interface(index)
                name = interface.name if interface is not None else f"interface {index}"
                raise DataplaneError(f"join the solicited-node group of {ip_address(address)} on {name}", number)
