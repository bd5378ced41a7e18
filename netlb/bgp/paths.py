"""Routes as paths of GoBGP's API, and back: every path of ours carries the owner's mark, and no record does."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Any, Final

from netlb.bgp.dialect import Dialect
from netlb.bgp.messages import Message, message
from netlb.bgp.model import Key, Kind, LargeCommunity, Origin, Prefix, Route, Unlike
from netlb.bgp.owner import Owner, is_local
from netlb.net import Address, Family

__all__ = ["AFI", "Found", "decode_path", "encode_path", "encode_withdrawal", "family_message"]

AFI: Final = {Family.IPV4: 1, Family.IPV6: 2}
"""Address family numbers (RFC 4760 section 3, IANA)."""
_SAFI_UNICAST: Final = 1
_AS_SEQUENCE: Final = 2

_Path = message("Path")
_Family = message("Family")
_Prefix = message("IPAddressPrefix")


@dataclass(frozen=True, slots=True)
class Found:
    """A path that a gobgpd has."""

    prefix: Prefix
    local: bool
    """Added through the API, and not received from a peer."""
    ours: bool
    record: Route | Unlike
    """Unlike: no path that we would make, since it has attributes that we do not know, or lacks some."""
    offers: frozenset[int] | None = None
    """Those of a path of ours: as of `Route.offers`, but that 0 is among them."""

    @property
    def key(self) -> Key:
        """The key of the route to the prefix."""
        return Key(Kind.ROUTE, str(self.prefix))


def family_message(family: Family) -> Message:
    """Return unicast of an address family."""
    return _Family(afi=AFI[family], safi=_SAFI_UNICAST)


def encode_path(dialect: Dialect, owner: Owner, route: Route) -> Message:
    """Return the path that announces a route."""
    family, nlri = _family(route.prefix), _nlri(dialect, route.prefix)
    attributes: dict[str, Message] = {"origin": message("OriginAttribute")(origin=route.origin)}
    if route.as_path:
        segment = message("AsSegment")(type=_AS_SEQUENCE, numbers=route.as_path)
        attributes["as_path"] = message("AsPathAttribute")(segments=[segment])
    if route.next_hop.version == 4:
        attributes["next_hop"] = message("NextHopAttribute")(next_hop=str(route.next_hop))
    else:
        attributes["mp_reach"] = message("MpReachNLRIAttribute")(
            family=family, next_hops=[str(route.next_hop)], nlris=[nlri]
        )
    if route.med is not None:
        attributes["multi_exit_disc"] = message("MultiExitDiscAttribute")(med=route.med)
    if route.local_pref is not None:
        attributes["local_pref"] = message("LocalPrefAttribute")(local_pref=route.local_pref)
    if route.communities:
        attributes["communities"] = message("CommunitiesAttribute")(communities=sorted(route.communities))
    tags = () if route.offers is None else (owner.restricted, *map(owner.offered, route.offers))
    large = sorted({*route.large_communities, owner.community, *tags})
    attributes["large_communities"] = message("LargeCommunitiesAttribute")(communities=map(_large_message, large))
    return _path(dialect, family, nlri, attributes, withdraw=False)


def encode_withdrawal(dialect: Dialect, prefix: Prefix) -> Message:
    """Return the path that takes back the route to a prefix, whatever its attributes were.

    gobgpd compares the prefix only, and yet wants the attributes that every path must have.
    """
    family, nlri = _family(prefix), _nlri(dialect, prefix)
    attributes: dict[str, Message] = {"origin": message("OriginAttribute")(origin=Origin.IGP)}
    if prefix.version == 4:
        attributes["next_hop"] = message("NextHopAttribute")(next_hop="0.0.0.0")  # noqa: S104 - no address to bind to
    else:
        attributes["mp_reach"] = message("MpReachNLRIAttribute")(family=family, next_hops=["::"], nlris=[nlri])
    return _path(dialect, family, nlri, attributes, withdraw=True)


def decode_path(dialect: Dialect, owner: Owner, path: Message) -> Found | None:
    """Return what a path is; None for one whose NLRI is no prefix."""
    prefix = _prefix(dialect.unwrap_nlri(path.nlri))
    if prefix is None:
        return None
    unknown = False
    found: dict[str, Message] = {}
    for data in path.pattrs:
        attribute = dialect.unwrap_attribute(data)
        if attribute is None:
            unknown = True
        else:
            found[attribute[0]] = attribute[1]
    large = frozenset(
        LargeCommunity(each.global_admin, each.local_data1, each.local_data2)
        for each in (found["large_communities"].communities if "large_communities" in found else ())
    )
    ours = owner.owns_path(path.neighbor_ip, large)
    tags = frozenset(each for each in large if each == owner.offered(each.local2))
    record: Route | Unlike = Unlike(f"a path to {prefix} with attributes that netlb does not set")
    if ours and not unknown and (not tags or owner.restricted in tags):
        offers = frozenset(each.local2 for each in tags - {owner.restricted}) if tags else None
        record = _route(prefix, found, large - tags - {owner.community}, offers) or record
    told = frozenset(each.local2 for each in tags) if ours and tags else None
    return Found(prefix, is_local(path.neighbor_ip), ours, record, told)


def _route(
    prefix: Prefix, found: dict[str, Message], large: frozenset[LargeCommunity], offers: frozenset[int] | None
) -> Route | None:
    next_hop = _next_hop(found)
    segments = list(found["as_path"].segments) if "as_path" in found else []
    if next_hop is None or "origin" not in found or [one.type for one in segments] not in ([], [_AS_SEQUENCE]):
        return None

    def number(name: str, field: str) -> int | None:
        return getattr(found[name], field) if name in found else None

    try:
        return Route(
            prefix=prefix,
            next_hop=next_hop,
            origin=Origin(found["origin"].origin),
            local_pref=number("local_pref", "local_pref"),
            med=number("multi_exit_disc", "med"),
            communities=frozenset(found["communities"].communities) if "communities" in found else frozenset(),
            large_communities=large,
            as_path=tuple(segments[0].numbers) if segments else (),
            offers=offers,
        )
    except ValueError:
        return None


def _next_hop(found: dict[str, Message]) -> Address | None:
    texts = list(found["mp_reach"].next_hops) if "mp_reach" in found else []
    if "next_hop" in found:
        texts.append(found["next_hop"].next_hop)
    if len(texts) != 1:
        return None
    try:
        return ip_address(texts[0])
    except ValueError:
        return None


def _prefix(nlri: Message | None) -> IPv4Network | IPv6Network | None:
    if nlri is None:
        return None
    try:
        return ip_network(f"{nlri.prefix}/{nlri.prefix_len}")
    except ValueError:
        return None


def _path(dialect: Dialect, family: Message, nlri: bytes, attributes: dict[str, Message], *, withdraw: bool) -> Message:
    wrapped = [dialect.wrap_attribute(name, attribute) for name, attribute in attributes.items()]
    return _Path(nlri=nlri, pattrs=wrapped, family=family, is_withdraw=withdraw)


def _family(prefix: Prefix) -> Message:
    return family_message(Family.IPV4 if prefix.version == 4 else Family.IPV6)


def _nlri(dialect: Dialect, prefix: Prefix) -> bytes:
    return dialect.wrap_nlri(_Prefix(prefix_len=prefix.prefixlen, prefix=str(prefix.network_address)))


def _large_message(community: LargeCommunity) -> Any:
    return message("LargeCommunity")(
        global_admin=community.global_admin, local_data1=community.local1, local_data2=community.local2
    )
