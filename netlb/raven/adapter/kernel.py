"""The kernel as `Operations` of the reconcile engine: which object is made when, and what becomes of it."""

import asyncio
import contextlib
import errno
from collections.abc import AsyncIterator, Awaitable, Collection, Iterable, Mapping
from typing import Self

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from netlb.errors import DataplaneError, NetlbError, TransientError
from netlb.net import Address
from netlb.raven.adapter.devices import Devices
from netlb.raven.adapter.errors import SOON, missing, refused, words_of
from netlb.raven.adapter.local import read_local
from netlb.raven.adapter.netlink import Exchange, open_netlink
from netlb.raven.adapter.routes import Routes
from netlb.raven.adapter.rules import Rules
from netlb.raven.adapter.tables import Tables
from netlb.raven.adapter.watch import Watch
from netlb.raven.dataplane import Numbers, Route, RouteKind
from netlb.raven.events import Change, Ears
from netlb.raven.node import Local
from netlb.raven.objects import (
    AddressKey,
    Device,
    DeviceKey,
    ForwardingKey,
    Key,
    NeighbourKey,
    RouteKey,
    RuleKey,
    TableKey,
    Value,
)
from netlb.raven.ruleset import Ruleset

__all__ = ["KernelOperations", "cleanup"]


class KernelOperations:
    """Keeps the objects of a data plane in the network namespace in which it is opened.

    Use it with `async with`: sockets are opened at its beginning (DataplaneError if netlink does not serve) and closed
    at its end; nothing in the kernel is removed by that. One caller at a time, as the engine is.
    """

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers
        self._other_devices = {numbers.tunnel_device}
        self._guarded = False
        """Whether our nftables table was there when it was last looked or made."""
        self._watch = Watch(Ears(numbers))

    async def __aenter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            try:
                packed = stack.enter_context(open_netlink(brief=True))
                general = stack.enter_context(open_netlink())
                self._route = AsyncIPRoute(use_socket=general)
                stack.callback(self._route.close)
                await self._route.setup_endpoint()
                stack.callback(self._watch.close)
                self._watch.open([opened.getsockname()[0] for opened in (packed, general)])
            except OSError as error:
                raise DataplaneError("open netlink", error.errno or errno.EIO) from error
            self._devices = Devices(self._route, self._numbers)
            self._rules = Rules(self._route, self._numbers)
            self._routes = Routes(Exchange(packed), self._numbers)
            self._tables = Tables(self._numbers.nft_table)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stack.close()

    async def observe(self) -> Mapping[Key, Value]:
        """Return every object of ours that is there, whoever of us made it."""
        async with _Errors("observe"), asyncio.TaskGroup() as group:
            tables = group.create_task(self._tables.observe())
            found, overlay = await self._devices.observe()
            self._watch.ears.overlay = overlay
            names = {index: name for name, index in (await self._indices(self._other_devices)).items()}
            if overlay:
                names[overlay] = self._numbers.overlay_device
            routes, rules = self._routes.observe(names), await self._rules.observe()
        self._guarded = bool(tables.result())
        return {**found, **routes, **rules, **tables.result()}

    async def apply(self, changes: Mapping[Key, Value]) -> Mapping[Key, Exception]:
        """Make objects, or change them into these; return failures by key, in the kernel's words.

        What guards and what leads out comes before what leads in: the nftables table, the device and what it carries,
        routes, and then rules. Without our table the device is not made. Routes that say unreachable come before all:
        with the table packets keep the addresses of pods, and must not leave in clear text until their routes are
        there. What is there in their place and is not ours stays, and is the failure (`ForeignStateError`).
        """
        routes = {key: each for key, each in changes.items() if isinstance(key, RouteKey) and isinstance(each, Route)}
        closed = {key: route for key, route in routes.items() if route.kind is RouteKind.UNREACHABLE}
        failures = await self._apply_routes(closed)
        for key, value in changes.items():
            if isinstance(key, TableKey) and isinstance(value, Ruleset):
                self._guarded = False
                await _try(failures, key, self._tables.apply(key, value))
                self._guarded = key not in failures
        for key, value in changes.items():
            if isinstance(key, DeviceKey) and isinstance(value, Device):
                if self._guarded:
                    await _try(failures, key, self._devices.apply_device(key, value))
                else:
                    # VXLAN has no authentication: without the table everybody could send into it.
                    failures[key] = TransientError(f"{key}: waits for the nftables table", SOON)
        if carried := [key for key in changes if isinstance(key, AddressKey | ForwardingKey | NeighbourKey)]:
            index = await self._carrier()
            for key in carried:
                if index is None:
                    failures[key] = missing(key, key.device)
                else:
                    await _try(failures, key, self._devices.carry(index, key, changes[key]))
        failures |= await self._apply_routes({key: route for key, route in routes.items() if key not in closed})
        for key in changes:
            if isinstance(key, RuleKey):
                await _try(failures, key, self._rules.apply(key))
        return failures

    async def prune(self, keys: Collection[Key]) -> Mapping[Key, Exception]:
        """Remove objects of ours, in the reverse order; return failures by key.

        Where the nftables table goes, all goes: then it is removed before rules and routes, and the device that it
        guards before it, or packets with the addresses of pods would leave in clear text in the meantime.
        """
        failures: dict[Key, Exception] = {}
        tables = [key for key in keys if isinstance(key, TableKey)]
        if tables:
            await self._prune_device(keys, failures)
        for table in tables:
            self._guarded = False
            await _try(failures, table, self._tables.prune(table))
        for key in keys:
            if isinstance(key, RuleKey):
                await _try(failures, key, self._rules.prune(key))
        if routes := [key for key in keys if isinstance(key, RouteKey)]:
            async with _Errors("remove routes"):
                failures |= await self._routes.prune(routes)
        if not tables:
            await self._prune_device(keys, failures)
        if carried := [key for key in keys if isinstance(key, AddressKey | ForwardingKey | NeighbourKey)]:
            index = await self._carrier()
            for key in carried:
                if index is not None:  # or else what it carried has gone with it
                    await _try(failures, key, self._devices.drop(index, key))
        return failures

    async def _prune_device(self, keys: Collection[Key], failures: dict[Key, Exception]) -> None:
        for key in keys:
            if isinstance(key, DeviceKey):
                await _try(failures, key, self._devices.prune_device())

    async def taken(self, keys: Iterable[Key]) -> NetlbError | None:
        """Return why one of these devices or rules cannot be ours, as long as another one has its place; else None."""
        failures: dict[Key, Exception] = {}
        for key in keys:
            if isinstance(key, DeviceKey):
                await _try(failures, key, self._devices.refuse_device(key))
            elif isinstance(key, RuleKey):
                await _try(failures, key, self._rules.refuse(key))
        return next((error for error in failures.values() if isinstance(error, NetlbError)), None)

    async def local(self, underlay: Address | None, watched: Collection[Address] = ()) -> Local:
        """Return what only the node itself knows.

        `underlay` is its address within the site: the interface that has it carries overlay and tunnels; where none
        has it, it is the one of the default route. `watched` is passed on.
        """
        async with _Errors("read the node's addresses"):
            return await read_local(self._route, self._numbers, underlay, watched)

    def changes(self) -> AsyncIterator[frozenset[Change]]:
        """Yield what has changed without these operations since it was last asked; never ends by itself.

        Some of what they do themselves comes back, too, as what goes with a device that is removed: observing once more
        finds nothing to do.
        """
        return self._watch.changes()

    async def _apply_routes(self, routes: Mapping[RouteKey, Route]) -> dict[Key, Exception]:
        if not routes:
            return {}
        names = {route.device for route in routes.values() if route.device}
        self._other_devices |= names - {self._numbers.overlay_device}
        async with _Errors("make routes"):
            indices = await self._indices(names - {self._numbers.overlay_device})
            if self._numbers.overlay_device in names and (index := await self._devices.carrier()) is not None:
                indices[self._numbers.overlay_device] = index
            return await self._routes.apply(routes, indices)

    async def _carrier(self) -> int | None:
        async with _Errors("find the overlay's device"):
            return await self._devices.carrier()

    async def _indices(self, names: Iterable[str]) -> dict[str, int]:
        """Return the indices of devices that are there."""
        found = {name: await self._devices.index_of(name) for name in names}
        return {name: index for name, index in found.items() if index is not None}


async def cleanup(numbers: Numbers) -> Mapping[Key, Exception | None]:
    """Remove everything of ours but for the tunnels' device, also what a process left that was killed.

    Return what was there by key, with what went wrong; None: it is gone.
    """
    async with KernelOperations(numbers) as kernel:
        there = list(await kernel.observe())
        failures = await kernel.prune(there)
        return {key: failures.get(key) for key in there}


class _Errors(contextlib.AbstractAsyncContextManager[None]):
    """Turns what pyroute2, sockets and codecs raise into ours, for a whole operation."""

    def __init__(self, operation: str) -> None:
        self._operation = operation

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        while isinstance(error, ExceptionGroup):
            error = error.exceptions[0]
        match error:
            case NetlinkError():
                number, words = words_of(error)
                raise DataplaneError(f"{self._operation}: {words}", number) from error
            case OSError():
                raise DataplaneError(self._operation, error.errno or errno.EIO) from error
            case ValueError():
                raise DataplaneError(f"{self._operation}: {error}", errno.EBADMSG) from error
            case NetlbError():
                raise error


async def _try(failures: dict[Key, Exception], key: Key, making: Awaitable[object]) -> None:
    """Await one object's making or removal; its fault does not stop the others."""
    try:
        await making
    except NetlinkError as error:
        failures[key] = refused(key, words_of(error))
    except NetlbError as error:
        failures[key] = error
    except OSError as error:
        failures[key] = DataplaneError(str(key), error.errno or errno.EIO)
