"""The link of a tunnel, by rtnetlink: looked at, set up, removed."""

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from netlb.errors import DataplaneError

__all__ = ["ALIAS", "Link", "NetLink"]

ALIAS: Final = "netlb"
"""The alias (IFLA_IFALIAS) by which a link is known as ours."""
_UP: Final = 1


@dataclass(frozen=True, slots=True)
class Link:
    """A link, as far as tunnels are concerned."""

    index: int
    kind: str
    """`wireguard`, `tun`, `xfrm` or whatever else has the name."""
    mtu: int
    up: bool
    ours: bool


class NetLink:
    """The link of one name."""

    def __init__(self, device: str) -> None:
        self.device = device

    async def link(self) -> Link | None:
        """Return the link; None if there is none."""
        async with _netlink(f"look at {self.device}") as route:
            try:
                found = await route.link("get", ifname=self.device)
            except NetlinkError as error:
                if error.code == errno.ENODEV:
                    return None
                raise
        message: Any = found[0]
        info = message.get("linkinfo")
        return Link(
            index=message["index"],
            kind=(info.get("kind") if info else None) or "",
            mtu=message.get("mtu"),
            up=bool(message["flags"] & _UP),
            ours=message.get("ifalias") == ALIAS,
        )

    async def configure(self, link: Link, mtu: int) -> None:
        """Give the link our mark and its MTU, and bring it up; what it has already is not written."""
        async with _netlink(f"set up {self.device}") as route:
            if not link.ours:
                await route.link("set", index=link.index, ifalias=ALIAS)
            if link.mtu != mtu:
                await route.link("set", index=link.index, mtu=mtu)
            if not link.up:
                # Before it comes up, or it gives itself an address.
                mode = {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", 1)]}
                await route.link("set", index=link.index, IFLA_AF_SPEC={"attrs": [("AF_INET6", mode)]})
                await route.link("set", index=link.index, state="up")

    async def add_link(self, kind: str, **more: object) -> None:
        """Make a link."""
        async with _netlink(f"make {self.device} ({kind})") as route:
            await route.link("add", ifname=self.device, kind=kind, **more)

    async def disown(self, link: Link) -> None:
        """Take our mark from the link."""
        async with _netlink(f"let go of {self.device}") as route:
            await route.link("set", index=link.index, ifalias="")

    async def delete_link(self, link: Link) -> None:
        """Remove the link; one that is gone already is removed."""
        async with _netlink(f"remove {self.device}") as route:
            try:
                await route.link("del", index=link.index)
            except NetlinkError as error:
                if error.code != errno.ENODEV:
                    raise


@asynccontextmanager
async def _netlink(operation: str) -> AsyncIterator[AsyncIPRoute]:
    try:
        async with AsyncIPRoute() as route:
            yield route
    except NetlinkError as error:
        raise DataplaneError(operation, error.code or errno.EIO) from error
    except OSError as error:
        raise DataplaneError(operation, error.errno or errno.EIO) from error
