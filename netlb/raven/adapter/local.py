"""What only the node itself knows, from the kernel."""

from collections.abc import Collection
from ipaddress import ip_address
from typing import Any, Final

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from netlb.net import Address
from netlb.raven.dataplane import Numbers
from netlb.raven.node import Local

__all__ = ["read_local"]

_ELSEWHERE: Final = ("192.0.2.1", "2001:db8::1")
"""Addresses that nobody has (RFC 5737, RFC 3849): the way to them is the default route."""
_GLOBAL: Final = 0
_NOT_USABLE: Final = 0x08 | 0x20 | 0x40
"""Those that somebody else has, that are running out, and that are still being probed."""


async def read_local(
    route: AsyncIPRoute, numbers: Numbers, underlay: Address | None, watched: Collection[Address]
) -> Local:
    """Return it; NetlinkError where the kernel does not answer. Devices of ours do not count."""
    devices: dict[Address, int] = {}
    async for message in await route.addr("dump"):
        flags = message.get_attr("IFA_FLAGS") or message["flags"]
        if message["scope"] == _GLOBAL and not flags & _NOT_USABLE:
            address = ip_address(message.get_attr("IFA_LOCAL") or message.get_attr("IFA_ADDRESS"))
            devices[address] = message["index"]
    index = devices.get(underlay) if underlay is not None else None
    if index is None:
        index = await _of_default_route(route)
    link = await _link(route, index=index) if index else None
    mtu = link.get_attr("IFLA_MTU") if link else Local().underlay_mtu
    ours = {
        found["index"]
        for name in (numbers.overlay_device, numbers.tunnel_device)
        if (found := await _link(route, ifname=name))
    }
    return Local(
        underlay_mtu=mtu,
        addresses=tuple(
            sorted(
                (address for address, index in devices.items() if index not in ours),
                key=lambda address: (address.version, int(address)),
            )
        ),
        watched=tuple(watched),
    )


async def _of_default_route(route: AsyncIPRoute) -> int | None:
    for destination in _ELSEWHERE:
        try:
            found = list(await route.route("get", dst=destination))
        except NetlinkError:
            continue
        if found and (index := found[0].get_attr("RTA_OIF")) is not None:
            return int(index)
    return None


async def _link(route: AsyncIPRoute, **which: object) -> Any:
    try:
        (message,) = list(await route.link("get", **which))
    except NetlinkError:
        return None
    return message
