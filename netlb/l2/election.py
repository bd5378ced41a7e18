"""Which node owns an address: the order that MetalLB uses, so that the two can be compared and migrated.

Every node computes it alone from the same candidates; there is no message and no lease. A candidate that comes or
goes moves only the addresses that it gains or loses. Nodes may be preferred; then the order decides among equals.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from types import MappingProxyType

__all__ = ["order", "owner", "owns"]

_EQUAL: Mapping[str, int] = MappingProxyType({})


def _rank(node: str, address: str) -> tuple[bytes, str]:
    return sha256(f"{node}#{address}".encode()).digest(), node


def order(address: str, candidates: Iterable[str], places: Mapping[str, int] = _EQUAL) -> list[str]:
    """Return the candidates by their places, the lowest first, then by sha256 of `node#address`; the owner comes first.

    `address` is its canonical text, or the name of a group of addresses; who has no place has place 0.
    """
    return sorted(set(candidates), key=lambda node: (places.get(node, 0), *_rank(node, address)))


def owner(address: str, candidates: Iterable[str], places: Mapping[str, int] = _EQUAL) -> str | None:
    """Return the first of `order`, or None where there is no candidate."""
    return min(candidates, key=lambda node: (places.get(node, 0), *_rank(node, address)), default=None)


def owns(node: str, address: str, candidates: Iterable[str], places: Mapping[str, int] = _EQUAL) -> bool:
    """Say whether one of the candidates is the owner; of those that are not, most are known after a few hashes."""
    mine, place = _rank(node, address), places.get(node, 0)
    return all((place, *mine) <= (places.get(other, 0), *_rank(other, address)) for other in candidates)
