"""Our routes: those of our protocol number in our tables. Packed by `netlb.raven.rtmsg`, in batches."""

from collections.abc import Collection, Iterable, Mapping
from errno import EEXIST, ENOENT, ESRCH
from functools import partial
from typing import Final

from netlb.raven.adapter.errors import ForeignStateError, missing, refused
from netlb.raven.adapter.netlink import Exchange, Refusal
from netlb.raven.dataplane import Numbers, Route, RouteKind
from netlb.raven.objects import Key, RouteKey, Strange, Value
from netlb.raven.rtmsg import Entry, Flag, decode, delete_route, dump_routes, new_route
from netlb.reasons import Foreign

__all__ = ["Routes"]

_ORDER: Final = {RouteKind.THROW: 0, RouteKind.UNREACHABLE: 1, RouteKind.UNICAST: 2}
"""What keeps packets from going wrong comes before what sends them, and goes after it."""
_UNICAST: Final = 1
_MAKE: Final = int(Flag.CREATE | Flag.EXCLUSIVE)
_CHANGE: Final = int(Flag.CREATE | Flag.REPLACE)


class Routes:
    """The two tables, of both families."""

    def __init__(self, exchange: Exchange, numbers: Numbers) -> None:
        self._exchange = exchange
        self._protocol = numbers.protocol
        self._tables = (numbers.overlay_table, numbers.tunnel_table)
        self._names: Mapping[int, str] = {}
        self._decoded: dict[bytes, Entry] = {}
        """By the octets that they are: what is there again is not decoded again."""
        self._ours: dict[RouteKey, tuple[int, ...]] = {}
        """The types (RTN_*) of our routes, when it was last looked; somebody may have appended some of IPv4."""

    def observe(self, names: Mapping[int, str]) -> dict[Key, Value]:
        """Return our routes; `names` are those of the devices that they may have, by index."""
        if names != self._names:
            self._names = names
            self._decoded.clear()
        return {
            entry.key: entry.route if len(self._ours[entry.key]) == 1 else Strange("several")
            for entry in self._entries()
            if entry.protocol == self._protocol
        }

    async def apply(self, changes: Mapping[RouteKey, Route], indices: Mapping[str, int]) -> dict[Key, Exception]:
        """Make routes or change them; `indices` are those of devices that are there. Failures by key.

        The kernel itself refuses to make what is there already, whoever made it; what is ours is looked at again before
        it is changed.
        """
        failures: dict[Key, Exception] = {}
        fresh: list[tuple[RouteKey, Route]] = []
        known: list[tuple[RouteKey, Route]] = []
        for key, route in sorted(changes.items(), key=lambda item: _ORDER[item[1].kind]):
            if route.device and route.device not in indices:
                failures[key] = missing(key, route.device)
            else:
                (known if key in self._ours else fresh).append((key, route))
        refusals = await self._make(fresh, indices, _MAKE)
        self._ours.update((key, ()) for key, _ in fresh)
        for key, refusal in refusals.items():
            del self._ours[key]
            if refusal[0] == EEXIST:
                known.append((key, changes[key]))
            else:
                failures[key] = refused(key, refusal)
        if known:
            foreign = {entry.key: entry for entry in self._entries() if entry.protocol != self._protocol}
            failures |= {key: _foreign(key, foreign[key]) for key, _ in known if key in foreign}
            own = [item for item in known if item[0] not in foreign]
            # To change one of several under one key would leave the others.
            failures |= await self._remove(key for key, _ in own if len(self._ours.get(key, ())) > 1)
            refusals = await self._make(own, indices, _CHANGE)
            failures |= {key: refused(key, why) for key, why in refusals.items()}
        return failures

    async def prune(self, keys: Collection[RouteKey]) -> dict[Key, Exception]:
        """Remove routes of ours, and none of anybody else's."""
        self._entries()
        return await self._remove(key for key in keys if key in self._ours)

    async def _remove(self, keys: Iterable[RouteKey]) -> dict[Key, Exception]:
        there = sorted(
            ((key, type_) for key in keys for type_ in self._ours[key]), key=lambda item: item[1] != _UNICAST
        )
        refusals = await self._exchange.batch(
            [partial(delete_route, key, self._protocol, type_) for key, type_ in there]
        )
        for key, _ in there:
            self._ours.pop(key, None)
        return {
            there[place][0]: refused(there[place][0], refusal)
            for place, refusal in refusals.items()
            if refusal[0] not in (ESRCH, ENOENT)
        }

    async def _make(
        self, items: list[tuple[RouteKey, Route]], indices: Mapping[str, int], flags: int
    ) -> dict[RouteKey, Refusal]:
        refusals = await self._exchange.batch(
            [partial(self._new, route, indices.get(route.device, 0), flags) for _, route in items]
        )
        return {items[place][0]: refusal for place, refusal in refusals.items()}

    def _entries(self) -> list[Entry]:
        """Look at all that is in our tables."""
        bodies = [
            body
            for version in (4, 6)
            for table in self._tables
            for body in self._exchange.dump(partial(dump_routes, version, table))
        ]
        known = self._decoded
        self._decoded = {body: known.get(body) or decode(body, self._name_of) for body in bodies}
        entries = [self._decoded[body] for body in bodies]
        self._ours = {}
        for entry in entries:
            if entry.protocol == self._protocol:
                self._ours[entry.key] = (*self._ours.get(entry.key, ()), entry.type)
        return entries

    def _new(self, route: Route, index: int, more: int, flags: int, sequence: int) -> bytes:
        return new_route(route, self._protocol, index, flags | more, sequence)

    def _name_of(self, index: int) -> str:
        return self._names.get(index, f"#{index}")


def _foreign(key: RouteKey, entry: Entry) -> ForeignStateError:
    return ForeignStateError(
        Foreign.ROUTE,
        key,
        f"there is one with protocol {entry.protocol}",
        "remove it, or choose other tables",
    )
