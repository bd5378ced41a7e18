"""When addresses are announced again though nothing has changed: for networks that forget, or lose what they are told.

Each address has its turn once in an interval, at a time of its own, so that many do not come all at once. Pure.
"""

from collections.abc import Iterable
from typing import Final
from zlib import crc32

from netlb.net import Address

__all__ = ["Refresh"]

_CRC: Final = 1 << 32


class Refresh:
    """The turns of one node's addresses; times are seconds of any steady clock."""

    def __init__(self, interval: float) -> None:
        self._interval = interval
        self._due: dict[Address, float] = {}

    def due(self, addresses: Iterable[Address], now: float) -> list[Address]:
        """Return those of the addresses whose turn it is; one that is new has its first turn within an interval."""
        before, self._due = self._due, {}
        turn: list[Address] = []
        for address in addresses:
            at = before.get(address)
            if at is None:
                at = now + self._interval * (crc32(address.packed) / _CRC)
            elif at <= now:
                turn.append(address)
                at = at + self._interval if at + self._interval > now else now + self._interval
            self._due[address] = at
        return turn
