"""Where a peer is, and none of the others: whom a route that is not for all is for. Pure, and without GoBGP's API."""

from collections.abc import Iterable
from ipaddress import ip_network

from netlb.bgp.model import Peer, Prefix

__all__ = ["audience"]


def audience(peer: Peer, peers: Iterable[Peer]) -> tuple[Prefix, ...]:
    """Return where a peer is, and none of the others; nothing where that cannot be said.

    A peer within another one's prefix is taken out of that. Addresses of single links say nothing without the link, and
    GoBGP's policies know none.
    """
    if peer.address is not None:
        return () if peer.interface else (ip_network(peer.address),)
    if peer.prefix is None:
        return ()
    left: list[Prefix] = [peer.prefix]
    for other in peers:
        inner = ip_network(other.address) if other.address is not None and not other.interface else other.prefix
        if inner is not None and other is not peer and _is_within(inner, peer.prefix):
            left = [piece for each in left for piece in _without(each, inner)]
    return tuple(sorted(left, key=str))


def _is_within(inner: Prefix, outer: Prefix) -> bool:
    return inner.version == outer.version and inner.prefixlen > outer.prefixlen and inner.overlaps(outer)


def _without(prefix: Prefix, inner: Prefix) -> Iterable[Prefix]:
    if not prefix.overlaps(inner):
        return [prefix]
    return prefix.address_exclude(inner) if _is_within(inner, prefix) else []  # type: ignore[arg-type]  # of one version
