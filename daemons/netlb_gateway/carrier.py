"""Makes a data plane true, in an order in which packets find a way at any time.

Who takes over has its tunnels ready before its routes lead into them. Who gives up goes on for a moment, in which the
others turn to its successor; then its routes lead there, and its tunnels end last.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import replace
from ipaddress import IPv4Address
from typing import Any, Final, Protocol, Self

from netlb.errors import NetlbError
from netlb.net import Address
from netlb.raven.backend import Backend, Part, parts
from netlb.raven.dataplane import DataPlane, Numbers, Role
from netlb.raven.events import Change
from netlb.raven.keys import Keys
from netlb.raven.node import Local
from netlb.raven.objects import Key, Value, objects
from netlb.reconcile import Operations, Reconciler

__all__ = ["LINGER", "Carrier", "InTurn", "Inner", "Kernel"]

LINGER: Final = 0.2
"""Seconds for which an endpoint that is no longer active goes on: so long, at most, do others take to turn away."""
_PATIENCE: Final = 2.0
"""Seconds for one half before the other one is begun all the same."""
_AGAIN: Final = 1.0
"""Seconds after which it is looked again whether there is room to begin."""
_REFRESH: Final = 60.0
"""Seconds between two looks at what is there, in case that a change was not told."""


class Kernel(Operations[Key, Value], Protocol):
    """Routes, rules and the overlay; `netlb.raven.adapter.KernelOperations` is one."""

    async def __aenter__(self) -> Self:
        """Begin."""
        ...

    async def __aexit__(self, *_: object) -> None:
        """End; nothing is removed."""
        ...

    async def local(self, underlay: Address | None) -> Local:
        """Return what only the node itself knows."""
        ...

    async def taken(self, keys: Iterable[Key]) -> NetlbError | None:
        """Return why one of these devices or rules cannot be ours; None if all can."""
        ...

    def changes(self) -> AsyncIterator[frozenset[Change]]:
        """Yield what has changed without us."""
        ...


class InTurn:
    """A kernel that is asked one thing at a time, as it has to be."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._turn = asyncio.Lock()

    async def observe(self) -> Mapping[Key, Value]:
        """See `Operations`."""
        async with self._turn:
            return await self._kernel.observe()

    async def apply(self, changes: Mapping[Key, Value]) -> Mapping[Key, Exception]:
        """See `Operations`."""
        async with self._turn:
            return await self._kernel.apply(changes)

    async def prune(self, keys: Collection[Key]) -> Mapping[Key, Exception]:
        """See `Operations`."""
        async with self._turn:
            return await self._kernel.prune(keys)

    async def local(self, underlay: Address | None) -> Local:
        """See `Kernel`."""
        async with self._turn:
            return await self._kernel.local(underlay)

    async def taken(self, keys: Iterable[Key]) -> NetlbError | None:
        """See `Kernel`."""
        async with self._turn:
            return await self._kernel.taken(keys)


Inner = Operations[str, IPv4Address]
"""The address inside the tunnels, by device."""


class Carrier:
    """Keeps kernel and tunnels as wanted.

    `on_status` is called whenever one of them has come further, `on_made` when the node is something else to its site.
    """

    def __init__(
        self,
        kernel: Kernel,
        backend: Backend | None,
        inner: Inner,
        keys: Keys | None,
        numbers: Numbers,
        *,
        on_status: Callable[[], None],
        on_made: Callable[[], None],
        on_bug: Callable[[str, Exception], None],
    ) -> None:
        """Without a backend there are no tunnels, and must be none wanted."""
        self._numbers = numbers
        self._in_turn = InTurn(kernel)
        self._keys = keys
        self.backend = backend
        self._on_status, self._on_made = on_status, on_made
        self._progress = asyncio.Event()
        told: Any = {"on_status": lambda _: self._progressed(), "on_bug": on_bug, "refresh_interval": _REFRESH}
        self.kernel: Reconciler[Key, Value] = Reconciler("kernel", self._in_turn, **told)
        self.inner: Reconciler[str, IPv4Address] = Reconciler("inner", inner, **told)
        self.tunnels: Reconciler[str, Part] | None = Reconciler("tunnels", backend, **told) if backend else None
        if backend is not None:
            backend.watch(self._tunnel_lost)
        self._wanted: DataPlane | None = None
        self._guard: tuple[DataPlane, DataPlane] | None = None
        """What is to be there until something is wanted, and what may be wanted then."""
        self._guards = False
        """Whether it is there: nothing of an earlier process was."""
        self._made: DataPlane | None = None
        self.obstacle: NetlbError | None = None
        """Why nothing is begun: another one, as Raven's agent, has the place of a rule or of the overlay."""
        self._news = asyncio.Event()
        self._idle = asyncio.Event()

    @property
    def made(self) -> DataPlane | None:
        """The last data plane that was carried out, as far as that succeeds; None: none yet."""
        return self._made

    @property
    def halves(self) -> "tuple[Reconciler[Any, Any], ...]":
        """All that works here."""
        return (self.kernel, self.inner, *((self.tunnels,) if self.tunnels else ()))

    async def local(self, underlay: Address | None) -> Local:
        """Return what only the node itself knows. Raises NetlbError."""
        local = await self._in_turn.local(underlay)
        if self.backend is None:
            return local
        return replace(local, overhead=self.backend.overhead, widest=self.backend.widest)

    def want(self, plane: DataPlane) -> None:
        """Make this true."""
        if plane != self._wanted:
            self._wanted = plane
            self._idle.clear()
            self._news.set()

    def guard(self, guard: DataPlane, plane: DataPlane) -> None:
        """Make `guard` true until something is wanted, which may be `plane`, if there is room for that.

        Something of an earlier process stays: it leads somewhere, and guards as well.
        """
        if (guard, plane) != self._guard and self._wanted is None:
            self._guard = guard, plane
            self._news.set()

    def is_settled(self) -> bool:
        """Whether what is wanted last, and nothing else of ours, is there."""
        return self._idle.is_set() and self.obstacle is None and all(half.is_settled() for half in self.halves)

    def problem(self) -> str | None:
        """Return what keeps things from being as wanted: the first failure; without tunnels other things fail, too."""
        if self.obstacle is not None:
            return str(self.obstacle)
        for half in (*self.halves[2:], *self.halves[:2]):
            if half.blind():
                return f"{half.name}: {half.blind()}"
            for key, status in half.statuses().items():
                if status.message:
                    return f"{half.name} {key}: {status.message}".replace("  ", " ")
        return None

    def rekeyed(self, keys: Keys) -> None:
        """Use other keys."""
        self._keys = keys
        if self.backend is not None and self.tunnels is not None:
            self.backend.use(keys)
            self.tunnels.refresh()

    def refresh(self) -> None:
        """Look at what is there: something has changed without us."""
        for half in self.halves:
            half.refresh()
        if self.obstacle is not None:
            self._news.set()

    async def settled(self) -> None:
        """Wait until everything is there, or as long as it is worth to wait."""
        await self._idle.wait()
        await asyncio.gather(*(self._tried(half) for half in self.halves))

    async def remove(self) -> None:
        """Remove everything; `run` must go on meanwhile."""
        self.want(DataPlane(node=self._wanted.node if self._wanted else ""))
        await self._idle.wait()
        if self.tunnels is not None:
            self.tunnels.want({})
        await self.settled()

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.kernel.run())
            group.create_task(self.inner.run())
            if self.tunnels is not None:
                group.create_task(self.tunnels.run())
            while True:
                await self._news.wait()
                self._news.clear()
                if self._wanted is not None:
                    await self._make(self._wanted)
                elif self._guard is not None:
                    await self._close(*self._guard)
                if not self._news.is_set():
                    self._idle.set()

    async def _make(self, plane: DataPlane) -> None:
        before = self._made
        if before is None and await self._found(plane) is None:
            return
        if before is not None and before.role is Role.GATEWAY and plane.role is not Role.GATEWAY:
            with suppress(TimeoutError):
                async with asyncio.timeout(LINGER):
                    await self._news.wait()
                    return  # there is a newer one
            self.kernel.want(objects(plane, self._numbers))
            await self._tried(self.kernel)
            await self._make_tunnels(plane)
        else:
            await self._make_tunnels(plane)
            self.kernel.want(objects(plane, self._numbers))
        if plane.tunnel is not None and plane.tunnel.address is not None:
            # Last: as long as it is not there, nothing is sent to others' such addresses, whatever way is open.
            await self._tried(self.kernel)
            self.inner.want({plane.tunnel.device: plane.tunnel.address})
        self._made = plane
        if before is None or before.role is not plane.role:
            self._on_made()

    async def _close(self, guard: DataPlane, plane: DataPlane) -> None:
        found = {} if self._guards else await self._found(plane)
        if found is not None and not found:
            self._guards = True
            self.kernel.want(objects(guard, self._numbers))

    async def _found(self, plane: DataPlane) -> Mapping[Key, Value] | None:
        """Return what is there of ours; None: do not begin, beside another one that has our rules or our overlay, whose
        routes ours would be among. Where something of ours is there already, each object is seen to by itself."""
        before, found = self.obstacle, None
        try:
            found = await self._in_turn.observe()
            self.obstacle = None if found else await self._in_turn.taken(objects(plane, self._numbers))
        except NetlbError as error:
            self.obstacle = error
        if self.obstacle is None:
            return found
        asyncio.get_running_loop().call_later(_AGAIN, self._news.set)
        if before is None:
            self._on_status()
        return None

    async def _make_tunnels(self, plane: DataPlane) -> None:
        tunnel = plane.tunnel
        if tunnel is None or tunnel.address is None:
            self.inner.want({})
        if self.tunnels is not None:
            wanted = parts(tunnel, self._keys) if tunnel is not None and self._keys is not None else {}
            self.tunnels.want(wanted)
            await self._tried(self.tunnels)

    def _tunnel_lost(self) -> None:
        """The device may have gone, with its address and its routes."""
        if self.tunnels is not None:
            self.tunnels.lost()
        self.refresh()

    async def _tried(self, half: Reconciler[Any, Any]) -> None:
        """Wait until one half is as wanted, or has failed in some part: that must not hold up the other one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                while not half.is_settled() and not half.counts().errors:
                    self._progress.clear()
                    await self._progress.wait()

    def _progressed(self) -> None:
        self._progress.set()
        self._on_status()
