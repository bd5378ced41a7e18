"""What netlink says has happened, as far as it concerns us. Pure: octets in, and whether they matter."""

import struct
from dataclasses import dataclass
from enum import Enum
from typing import Final

from netlb.raven.dataplane import Numbers
from netlb.raven.rtmsg import Kind, attributes, messages

__all__ = ["NETFILTER_GROUPS", "ROUTE_GROUPS", "Change", "Ears"]

ROUTE_GROUPS: Final = (1, 3, 5, 7, 8, 9, 11, 19)
"""Links, neighbours, addresses, routes and rules (RTNLGRP_*)."""
NETFILTER_GROUPS: Final = (7,)
"""nftables (NFNLGRP_NFTABLES)."""

_TABLE_NAME: Final = 1
"""NFTA_*_TABLE, and NFTA_TABLE_NAME: the table's name has the same number in all messages."""
_NEW_GENERATION: Final = 0x0A0F
_GENERIC: Final = 4  # nfgenmsg
_LINK: Final = struct.Struct("=BxHiII")  # ifinfomsg
_ADDRESS: Final = struct.Struct("=BBBBI")  # ifaddrmsg
_ROUTE: Final = struct.Struct("=BBBBBBBBI")  # rtmsg
_NEIGHBOUR: Final = struct.Struct("=BxxxiHBB")  # ndmsg
_U32: Final = struct.Struct("=I")
_IFNAME, _RTA_TABLE = 3, 15


class Change(Enum):
    """What has changed in the kernel without us."""

    OBJECTS = "objects"
    """Something of ours, or in its place: what is there is to be observed again."""
    LOCAL = "local"
    """An interface or an address of the node: what only the node knows is to be read again."""


@dataclass(slots=True)
class Ears:
    """Hears what concerns one data plane."""

    numbers: Numbers
    overlay: int = 0
    """The index of the overlay's device; 0: it is not there."""

    def route(self, data: bytes) -> set[Change]:
        """Return what messages of rtnetlink mean, as the kernel sends them."""
        found: set[Change] = set()
        for kind, _, _, body in messages(data):
            if (change := self._change(kind, body)) is not None:
                found.add(change)
        return found

    def netfilter(self, data: bytes) -> set[Change]:
        """Return what messages of nftables mean, as the kernel sends them."""
        name = self.numbers.nft_table.encode() + b"\0"
        for kind, _, _, body in messages(data):
            if kind != _NEW_GENERATION and any(found == (_TABLE_NAME, name) for found in attributes(body, _GENERIC)):
                return {Change.OBJECTS}
        return set()

    def _change(self, kind: int, body: bytes) -> Change | None:
        match kind:
            case Kind.NEW_ROUTE | Kind.DEL_ROUTE:
                table = _ROUTE.unpack_from(body)[4]
                for attribute, value in attributes(body, _ROUTE.size):
                    if attribute == _RTA_TABLE:
                        (table,) = _U32.unpack(value)
                return Change.OBJECTS if table in (self.numbers.overlay_table, self.numbers.tunnel_table) else None
            case Kind.NEW_RULE | Kind.DEL_RULE:
                return Change.OBJECTS
            case Kind.NEW_NEIGHBOUR | Kind.DEL_NEIGHBOUR:
                return Change.OBJECTS if self.overlay and _NEIGHBOUR.unpack_from(body)[1] == self.overlay else None
            case Kind.NEW_ADDRESS | Kind.DEL_ADDRESS:
                return Change.OBJECTS if _ADDRESS.unpack_from(body)[4] == self.overlay else Change.LOCAL
            case Kind.NEW_LINK | Kind.DEL_LINK:
                ours = (self.numbers.overlay_device.encode(), self.numbers.tunnel_device.encode())
                names = (value.rstrip(b"\0") for kind, value in attributes(body, _LINK.size) if kind == _IFNAME)
                return Change.OBJECTS if any(name in ours for name in names) else Change.LOCAL
        return None
