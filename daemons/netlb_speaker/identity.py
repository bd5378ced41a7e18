"""Whether this machine is the node whose name it goes by: of two machines of one name, one must not answer."""

from collections.abc import Callable, Collection
from typing import Any

from netlb.bfd.adapter.sockets import is_here
from netlb.net import Address

__all__ = ["Identity"]


class Identity:
    """Established once one of the addresses that the node is declared to have is on this machine.

    An interface that is down keeps its IPv4 addresses, and a machine does not become another one: it is asked until it
    is established, and never again. A node that is declared without addresses is believed to be this one.
    """

    def __init__(self, node: str, log: Any, here: Callable[[bytes], bool] = is_here) -> None:
        self._node = node
        self._log = log
        self._here = here
        self._established = False
        self._doubt = ""

    def look(self, addresses: Collection[Address]) -> bool:
        """Take in the addresses that the node is declared to have; return whether that ends a doubt."""
        before = self._doubt
        self._established = self._established or any(self._here(address.packed) for address in addresses)
        sure = self._established or not addresses
        self._doubt = "" if sure else f"none of {', '.join(sorted(map(str, addresses)))} is here"
        if self._doubt and self._doubt != before:
            remedy = "name this machine's node (--node-name), or correct the addresses of that one"
            self._log.error("this is not node", name=self._node, problem=self._doubt, remedy=remedy)
        return bool(before) and sure

    def why_not(self) -> str | None:
        """Return why this machine is not that node, or None."""
        return f"this machine is not node {self._node}: {self._doubt}" if self._doubt else None
