"""The endpoint's own address inside the tunnels, on their device: `Operations` over one address by device."""

import errno
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from netlb.errors import DataplaneError, NetlbError, TransientError

__all__ = ["InnerAddress"]

_LINK: Final = 253
"""RT_SCOPE_LINK: nothing that goes elsewhere takes it for its sender."""


class InnerAddress:
    """Keeps one address of a network on a device that somebody else makes; addresses of other networks stay."""

    def __init__(self, device: str, network: IPv4Network) -> None:
        self._device = device
        self._network = network

    async def observe(self) -> Mapping[str, IPv4Address]:
        """Return the address under the device's name; nothing where there is none."""
        async with _netlink(f"look at the addresses of {self._device}") as route:
            found = await self._addresses(route, await self._index(route))
        return {self._device: found[0]} if found else {}

    async def apply(self, changes: Mapping[str, IPv4Address]) -> Mapping[str, Exception]:
        """Give the device this address, and no other of the network; return the failure."""
        return {name: error for name in changes if (error := await self._give(changes[name])) is not None}

    async def prune(self, keys: Collection[str]) -> Mapping[str, Exception]:
        """Take the address away."""
        return {name: error for name in keys if (error := await self._give(None)) is not None}

    async def _give(self, address: IPv4Address | None) -> NetlbError | None:
        try:
            async with _netlink(f"set the address of {self._device} inside the tunnels") as route:
                index = await self._index(route)
                if index is None:
                    return TransientError(f"{self._device}: the device is not there yet") if address else None
                there = await self._addresses(route, index)
                if address is not None and address not in there:
                    await route.addr("add", index=index, address=str(address), prefixlen=32, scope=_LINK)
                for other in there:
                    if other != address:
                        with suppress(NetlinkError):  # gone meanwhile
                            await route.addr("del", index=index, address=str(other), prefixlen=32)
        except NetlbError as error:
            return error
        return None

    async def _index(self, route: AsyncIPRoute) -> int | None:
        found = await route.link_lookup(ifname=self._device)
        return found[0] if found else None

    async def _addresses(self, route: AsyncIPRoute, index: int | None) -> list[IPv4Address]:
        if index is None:
            return []
        dumped = [message async for message in await route.addr("dump", family=2, index=index)]
        addresses = [IPv4Address(message.get("address")) for message in dumped if message["index"] == index]
        return [address for address in addresses if address in self._network]


@asynccontextmanager
async def _netlink(operation: str) -> AsyncIterator[AsyncIPRoute]:
    try:
        async with AsyncIPRoute() as route:
            yield route
    except NetlinkError as error:
        raise DataplaneError(operation, error.code) from error
    except OSError as error:
        raise DataplaneError(operation, error.errno or errno.EIO) from error
