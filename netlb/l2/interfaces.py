"""Which interfaces take part: a pure choice among the links that the kernel has."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final

from netlb.l2.ethernet import MAC_LENGTH

__all__ = ["DEFAULT_EXCLUDE", "Interface", "Link", "Selection"]

DEFAULT_EXCLUDE: Final = (
    r"^docker.*",
    r"^cbr.*",
    r"^dummy.*",
    r"^virbr.*",
    r"^lxcbr.*",
    r"^veth.*",
    r"^lo$",
    r"^cali.*",
    r"^tunl.*",
    r"^flannel.*",
    r"^kube-ipvs.*",
    r"^cni.*",
    r"^nodelocaldns.*",
    r"^lxc.*",
)
"""What MetalLB excludes unless told otherwise: interfaces of containers, overlays and virtual machines."""

# linux/if.h
_UP, _BROADCAST, _LOOPBACK, _NOARP, _LOWER_UP = 0x1, 0x2, 0x8, 0x80, 0x10000


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """A link as the kernel describes it."""

    index: int
    name: str
    mac: bytes
    flags: int
    master: int | None = None
    """Index of the bridge, bond or VRF that it is enslaved to."""


@dataclass(frozen=True, slots=True)
class Interface:
    """An interface that answers can be given on."""

    index: int
    name: str
    mac: bytes


class Selection:
    """The interfaces that a configuration asks for."""

    def __init__(self, names: Collection[str] = (), exclude: Sequence[str] = DEFAULT_EXCLUDE) -> None:
        """Take these names alone; or without names all but those in which a regular expression is found.

        re.error where an expression cannot be read.
        """
        self._names = frozenset(names)
        self._exclude = tuple(re.compile(expression) for expression in exclude)

    def pick(self, link: Link) -> Interface | None:
        """Return the interface that the link makes, or None where it is of no use or not asked for.

        It must be up with a carrier, broadcast, do ARP, have an Ethernet address and no master: what arrives at
        a port of a bridge or bond is seen on the bridge or bond.
        """
        usable = (
            link.flags & (_UP | _LOWER_UP | _BROADCAST) == _UP | _LOWER_UP | _BROADCAST
            and not link.flags & (_LOOPBACK | _NOARP)
            and link.master is None
            and len(link.mac) == MAC_LENGTH
        )
        if not usable or not self._asked_for(link.name):
            return None
        return Interface(link.index, link.name, link.mac)

    def _asked_for(self, name: str) -> bool:
        if self._names:
            return name in self._names
        return not any(expression.search(name) for expression in self._exclude)
