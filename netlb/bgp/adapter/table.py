"""Routes in a gobgpd's table: added and withdrawn in bulk, and looked for afterwards."""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from ipaddress import ip_network
from typing import Final

from netlb.bgp.adapter.client import GobgpClient
from netlb.bgp.adapter.errors import ApiError, BgpError, ForeignDaemonError
from netlb.bgp.messages import Message
from netlb.bgp.model import Key, Prefix, Route
from netlb.bgp.owner import Owner, is_local
from netlb.bgp.paths import Found, decode_path, encode_path, encode_withdrawal
from netlb.net import Family
from netlb.reasons import BgpRefusal

__all__ = ["Table"]

_SLICE: Final = 200
"""Paths between two turns of the event loop: some 10 ms."""
_FEW: Final = 1000
"""Prefixes up to which they are looked up one by one; beyond, the whole table is listed."""


class Table:
    """The global table of one gobgpd, as one owner sees it."""

    def __init__(self, client: GobgpClient, owner: Owner) -> None:
        self._client = client
        self._owner = owner

    async def local(self, prefixes: Collection[Prefix] | None = None) -> list[Found]:
        """Return the paths that came through the API, ours and others', to these prefixes or to all."""
        found: list[Found] = []
        for family, version in ((Family.IPV4, 4), (Family.IPV6, 6)):
            asked = None
            if prefixes is not None and len(prefixes) <= _FEW:
                asked = [prefix for prefix in prefixes if prefix.version == version]
            paths = [path for path in await self._client.list_paths(family, asked) if is_local(path.neighbor_ip)]
            for some in _slices(paths):
                decoded = (decode_path(self._client.dialect, self._owner, path) for path in some)
                found.extend(path for path in decoded if path is not None)
                await asyncio.sleep(0)
        return found

    async def announce(self, routes: Sequence[Route], *, yield_to_strangers: bool) -> dict[Key, Exception]:
        """Announce routes; return those that were refused. An equal route that is there costs no BGP message.

        With `yield_to_strangers`, a prefix that somebody else announces through this gobgpd is not taken over.
        """
        failures: dict[Key, Exception] = {}
        if yield_to_strangers:
            failures = {key: _taken(key) for key in await self._strangers([route.prefix for route in routes])}
        wanted = [route for route in routes if route.key not in failures]
        try:
            await self._client.send_paths(encode_path(self._client.dialect, self._owner, route) for route in wanted)
        except ApiError:
            # Which of them is at fault is not told; those that are in already are the same once more.
            for route in wanted:
                failures |= await self._send_one(route)
        return failures

    async def withdraw(self, keys: Sequence[Key], *, yield_to_strangers: bool) -> None:
        """Withdraw routes of ours; withdrawing what is not there is nothing."""
        prefixes: list[Prefix] = [ip_network(key.name) for key in keys]
        if yield_to_strangers:
            theirs = await self._strangers(prefixes)
            prefixes = [prefix for key, prefix in zip(keys, prefixes, strict=True) if key not in theirs]
        await self._client.send_paths(encode_withdrawal(self._client.dialect, prefix) for prefix in prefixes)

    async def missing(self, routes: Sequence[Route]) -> dict[Key, Exception]:
        """Return those routes that gobgpd took and that are not in its table."""
        there = {
            found.key: found.record for found in await self.local([route.prefix for route in routes]) if found.ours
        }
        return {
            route.key: BgpError(
                BgpRefusal.NOT_IN_TABLE,
                f"gobgpd took {route.prefix} and does not have it: remove the import policy that rejects it",
            )
            for route in routes
            if there.get(route.key) != route
        }

    async def _send_one(self, route: Route) -> dict[Key, Exception]:
        try:
            await self._client.send_paths([encode_path(self._client.dialect, self._owner, route)])
        except ApiError as error:
            return {route.key: error}
        return {}

    async def _strangers(self, prefixes: Collection[Prefix]) -> set[Key]:
        return {found.key for found in await self.local(prefixes) if not found.ours}


def _taken(key: Key) -> ForeignDaemonError:
    return ForeignDaemonError(
        BgpRefusal.TAKEN, f"somebody else announces {key.name} through this gobgpd; it is left alone"
    )


def _slices(items: Sequence[Message]) -> Iterable[Sequence[Message]]:
    return (items[at : at + _SLICE] for at in range(0, len(items), _SLICE))
