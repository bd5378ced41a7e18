"""Which node owns an address: the order that MetalLB uses, so that the two can be compared and migrated.

Every node computes it alone from the same candidates; there is no message and no lease. A candidate that comes or
goes moves only the addresses that it gains or loses.
"""

from collections.abc import Iterable
from hashlib import sha256

__all__ = ["order", "owner", "owns"]


def _rank(node: str, address: str) -> tuple[bytes, str]:
    return sha256(f"{node}#{address}".encode()).digest(), node


def order(address: str, candidates: Iterable[str]) -> list[str]:
    """Return the candidates by sha256 of `node#address`, the owner first; `address` is its canonical text."""
    return sorted(set(candidates), key=lambda node: _rank(node, address))


def owner(address: str, candidates: Iterable[str]) -> str | None:
    """Return the first of `order`, or None where there is no candidate."""
    return min(candidates, key=lambda node: _rank(node, address), default=None)


def owns(node: str, address: str, candidates: Iterable[str]) -> bool:
    """Say whether one of the candidates is the owner; of those that are not, most are known after a few hashes."""
    mine = _rank(node, address)
    return all(mine <= _rank(other, address) for other in candidates)
