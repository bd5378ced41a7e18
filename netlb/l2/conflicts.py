"""How often a conflict is told: once per interface, address and MAC address in ten seconds (RFC 5227 section 2.4).

What is remembered is bounded, so that a station which forges MAC addresses fills neither memory nor log.
"""

from collections.abc import Collection
from typing import Final

from netlb.l2.responder import Claim

__all__ = ["INTERVAL", "ConflictReports"]

INTERVAL: Final = 10.0
"""Seconds; DEFEND_INTERVAL of RFC 5227 section 1.1."""
_MOST_REMEMBERED: Final = 1024


class ConflictReports:
    """The conflicts told in the last ten seconds, about what is held since."""

    def __init__(self) -> None:
        self._told: dict[tuple[int, Claim], float] = {}

    def forget(self, interface: int, addresses: Collection[bytes]) -> None:
        """Take in that addresses are held from now on: what was told of them before was of another time."""
        anew = set(addresses)
        for key in [key for key in self._told if key[0] == interface and key[1].address in anew]:
            del self._told[key]

    def due(self, interface: int, claim: Claim, now: float) -> bool:
        """Tell whether to report the claim now; True counts as reported."""
        key = (interface, claim)
        told = self._told.get(key)
        if told is not None and now < told + INTERVAL:
            return False
        if len(self._told) >= _MOST_REMEMBERED:
            self._told = {known: at for known, at in self._told.items() if now < at + INTERVAL}
            if len(self._told) >= _MOST_REMEMBERED:
                return False
        self._told[key] = now
        return True
