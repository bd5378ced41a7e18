"""What several advertisements say of one prefix, made one route: for all peers, or to each peer what is for it."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from typing import NamedTuple

from netlb.api.v1alpha1 import AddressPool
from netlb.bgp.model import BgpState, Offer, Prefix, Route
from netlb.net import parse_range, subtract
from netlb.reasons import Silence

__all__ = ["Claim", "SilentRoute", "exceeds", "told_of", "unite"]


@dataclass(frozen=True, slots=True)
class SilentRoute:
    """Why an address that a Service holds is not announced by BGP from this node."""

    reason: Silence
    detail: str = ""


class Claim(NamedTuple):
    """A route as one advertisement wants it, and for whom."""

    route: Route
    peers: frozenset[str] | None
    """The names in the peers' keys; None: all of them, and whoever else may come."""


def exceeds(prefix: Prefix, pool: AddressPool) -> bool:
    """Whether a prefix has addresses that a pool does not have; what the pool excludes is its own all the same."""
    listed = map(parse_range, pool.spec.addresses)
    return bool(subtract(parse_range(str(prefix)), listed))


def unite(
    claims: Collection[Claim], audiences: Mapping[str, tuple[Prefix, ...]]
) -> tuple[Route, tuple[Offer, ...]] | SilentRoute:
    """Unite claims to one prefix by MetalLB's rule, for each peer: communities are added, all else must agree.

    `audiences` says where each peer is, by the name in its key. Where no claim names a peer, the route is for all.
    """
    if all(claim.peers is None for claim in claims):
        united = _united([claim.route for claim in claims])
        return united if isinstance(united, SilentRoute) else (united, ())
    told: dict[str, Route] = {}
    for name, where in audiences.items():
        mine = [claim.route for claim in claims if claim.peers is None or name in claim.peers]
        if mine and where:
            united = _united(mine)
            if isinstance(united, SilentRoute):
                return united
            told[name] = united
    if not told:
        return SilentRoute(Silence.NO_PEER, "it is for peers whose addresses are not known")
    base = reduce(_common, told.values())
    if any((one.next_hop, one.as_path) != (base.next_hop, base.as_path) for one in told.values()):
        return _conflict(base, "next hops or lengths of its path for several peers, and gobgpd has one for all")
    if any(one.local_pref == 0 != base.local_pref for one in told.values()):
        return _conflict(base, "localPrefs for several peers, one of them 0, which gobgpd cannot tell one of them only")
    offers = tuple(_offer(name, audiences[name], one, base) for name, one in told.items())
    return replace(base, offers=frozenset(offer.id for offer in offers)), offers


def told_of(state: BgpState) -> Mapping[Prefix, Sequence[Claim]]:
    """Return what a state tells whom, by prefix: the other way round than `unite`. Peers that hear the same are one."""
    offers = {offer.id: offer for offer in state.offers}
    told: dict[Prefix, list[Claim]] = {}
    for route in state.routes:
        if route.offers is None:
            told[route.prefix] = [Claim(route, None)]
            continue
        alike: dict[Route, set[str]] = {}
        for offer in sorted((offers[number] for number in route.offers), key=lambda offer: offer.peer):
            alike.setdefault(_as_offered(route, offer), set()).add(offer.peer)
        told[route.prefix] = [Claim(one, frozenset(peers)) for one, peers in alike.items()]
    return told


def _offer(peer: str, neighbors: tuple[Prefix, ...], wanted: Route, base: Route) -> Offer:
    return Offer(
        peer=peer,
        neighbors=neighbors,
        local_pref=wanted.local_pref if wanted.local_pref != base.local_pref else None,
        med=wanted.med if wanted.med != base.med else None,
        communities=wanted.communities - base.communities,
        large_communities=wanted.large_communities - base.large_communities,
    )


def _as_offered(route: Route, offer: Offer) -> Route:
    return replace(
        route,
        local_pref=route.local_pref if offer.local_pref is None else offer.local_pref,
        med=route.med if offer.med is None else offer.med,
        communities=route.communities | offer.communities,
        large_communities=route.large_communities | offer.large_communities,
        offers=None,
    )


def _common(one: Route, other: Route) -> Route:
    """Return what two routes have in common; next hop and path are the first's."""
    return replace(
        one,
        local_pref=one.local_pref if one.local_pref == other.local_pref else None,
        med=one.med if one.med == other.med else None,
        communities=one.communities & other.communities,
        large_communities=one.large_communities & other.large_communities,
    )


def _united(routes: Iterable[Route]) -> Route | SilentRoute:
    first, *others = routes
    for other in others:
        if replace(first, communities=other.communities, large_communities=other.large_communities) != other:
            return _conflict(first, "localPrefs, MEDs, next hops or lengths of its path")
        first = replace(
            first,
            communities=first.communities | other.communities,
            large_communities=first.large_communities | other.large_communities,
        )
    return first


def _conflict(route: Route, what: str) -> SilentRoute:
    return SilentRoute(Silence.CONFLICTING_ADVERTISEMENTS, f"{route.prefix} has several {what}")
