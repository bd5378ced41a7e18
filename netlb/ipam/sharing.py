"""When two Services may have one address: MetalLB's rule, and across namespaces only where the pool allows it."""

from typing import NamedTuple

from netlb.reasons import Refusal

__all__ = ["Sharing", "conflict"]


class Sharing(NamedTuple):
    """On what terms a Service shares its addresses."""

    key: str
    """Both must have the same one."""
    ports: frozenset[tuple[str, int]]
    """Protocol and number; both must have different ones."""
    backend: str
    """Both must have the same: with externalTrafficPolicy Local the selector, otherwise nothing."""
    joins_only: bool = False
    """True: where the key has an address already, no other will do (PureLB's rule)."""


def conflict(one: Sharing | None, other: Sharing | None, *, same_namespace: bool, across: bool) -> Refusal | None:
    """Return why two Services may not have one address, or None if they may.

    `across` says that the pool lets Services of different namespaces share.
    """
    if one is None or other is None or not one.key or not other.key:
        return Refusal.ADDRESS_IN_USE
    if one.key != other.key:
        return Refusal.SHARING_KEY_DIFFERS
    if not same_namespace and not across:
        return Refusal.SHARING_ACROSS_NAMESPACES
    if one.backend != other.backend:
        return Refusal.SHARING_BACKEND_DIFFERS
    return Refusal.SHARED_PORT_TAKEN if one.ports & other.ports else None
