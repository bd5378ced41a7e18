"""Who can open a tunnel to whom: one end that is reachable is enough, and two NATs sometimes let both through."""

from netlb.net import Address, Family
from netlb.raven.model import Endpoint, Nat

__all__ = ["Destination", "dial", "meet"]

Destination = tuple[Address, int]
"""An address and a UDP port."""


def dial(caller: Endpoint, other: Endpoint) -> Destination | None:
    """Return where a caller finds another endpoint that is reachable from outside; IPv4 first."""
    if other.nat is not None:
        return None
    for family in Family:
        address = other.address(family)
        if address is not None and family in caller.families:
            return address, other.public_port or other.port
    return None


def meet(one: Endpoint, other: Endpoint) -> tuple[Destination | None, Destination | None] | None:
    """Return where each of two endpoints behind NATs sends, so that they find each other; None if they would not.

    Both send at once, and each packet opens the sender's own NAT for the other's. That works unless one NAT uses a
    new port for each destination (symmetric) and the other one lets in only the port that was sent to (Raven's rule).
    A full cone lets everybody in, so who is behind it need not know where the other one is. Two endpoints behind one
    and the same address would need a NAT that sends its own packets back in; that is not relied on.
    """
    nats = {one.nat, other.nat}
    if nats & {None, Nat.UNKNOWN} or set(one.addresses) & set(other.addresses):
        return None
    if Nat.SYMMETRIC in nats and nats <= {Nat.SYMMETRIC, Nat.PORT_RESTRICTED_CONE}:
        return None
    for family in Family:
        if family not in one.families & other.families:
            continue
        to_other, to_one = _seen(other, family), _seen(one, family)
        if (to_other or one.nat is Nat.FULL_CONE) and (to_one or other.nat is Nat.FULL_CONE) and (to_other or to_one):
            return to_other, to_one
    return None


def _seen(endpoint: Endpoint, family: Family) -> Destination | None:
    """Return what is known of an endpoint's place outside; behind a symmetric NAT any port opens the sender's own."""
    address = endpoint.address(family)
    port = endpoint.port if endpoint.nat is Nat.SYMMETRIC else endpoint.public_port
    return None if address is None or port is None else (address, port)
