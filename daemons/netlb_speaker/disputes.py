"""What other stations claim of the addresses that are announced here: counted, and told now and then."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from netlb.l2.announces import Conflict
from netlb.net import Address

__all__ = ["Disputes"]

_TELL_SECONDS = 10.0
"""A station that forges its address must not fill the log."""


@dataclass(slots=True)
class _Dispute:
    """Claims to one address on one interface: how many, the last one's MAC, when it was logged."""

    times: int = 0
    mac: str = ""
    told: float = float("-inf")


class Disputes:
    """The claims since the speaker started, by address and interface."""

    def __init__(self) -> None:
        self._known: dict[tuple[Address, str], _Dispute] = {}

    def add(self, conflict: Conflict, now: float) -> bool:
        """Take in a claim; say whether it is worth a line in the log."""
        dispute = self._known.setdefault((conflict.address, conflict.interface), _Dispute())
        dispute.times += 1
        dispute.mac = conflict.mac
        if now < dispute.told + _TELL_SECONDS:
            return False
        dispute.told = now
        return True

    def counts(self) -> Mapping[tuple[str, ...], float]:
        """Return how many claims there were, by address and interface."""
        return {(str(address), name): float(dispute.times) for (address, name), dispute in self._known.items()}

    def notes(self, announced: Collection[Address]) -> Iterable[str]:
        """Yield a sentence about each claim to one of these addresses."""
        for (address, interface), dispute in self._known.items():
            if address in announced:
                yield f"{dispute.mac} on {interface} claims {address}, which is announced here"
