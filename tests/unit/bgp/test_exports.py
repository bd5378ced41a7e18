"""Where a peer is, what an offer is called, and how a path says for whom it is."""

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from netlb.bgp.audience import audience
from netlb.bgp.dialect import DIALECTS, Dialect
from netlb.bgp.exports import export_key, export_name
from netlb.bgp.model import Key, Kind, LargeCommunity, Offer, Peer, Restriction, Route, Unlike
from netlb.bgp.owner import Owner
from netlb.bgp.paths import decode_path, encode_path

OWNER = Owner(65001)
A = Peer(address=ip_address("192.0.2.1"), asn=65000)
B = Peer(address=ip_address("192.0.2.2"), asn=65000)
OFFER = Offer(peer="192.0.2.1", neighbors=(ip_network("192.0.2.1/32"),))
ROUTE = Route(prefix=ip_network("203.0.113.1/32"), next_hop=ip_address("192.0.2.9"))


@pytest.mark.parametrize(
    ("peer", "expected"),
    [
        (A, ["192.0.2.1/32"]),
        (Peer(address=ip_address("2001:db8::1"), asn=1), ["2001:db8::1/128"]),
        (Peer(prefix=ip_network("192.0.2.0/30"), asn=1), ["192.0.2.0/32", "192.0.2.3/32"]),
        (Peer(prefix=ip_network("192.0.2.0/31"), asn=1), ["192.0.2.0/32"]),
        (Peer(prefix=ip_network("192.0.2.0/29"), asn=1), ["192.0.2.0/32", "192.0.2.3/32"]),
        (Peer(prefix=ip_network("2001:db8::/64"), asn=1), ["2001:db8::/64"]),
        (Peer(interface="eth1", asn=1), []),
        (Peer(address=ip_address("fe80::1"), interface="eth1", asn=1), []),
    ],
)
def test_where_a_peer_is_nobody_else_is(peer: Peer, expected: list[str]) -> None:
    within = Peer(prefix=ip_network("192.0.2.4/30"), asn=1)
    around = Peer(prefix=ip_network("192.0.0.0/16"), asn=1)
    unnumbered = Peer(address=ip_address("fe80::2"), interface="eth2", asn=1)
    assert expected == [str(prefix) for prefix in audience(peer, (A, B, peer, within, around, unnumbered))]


def test_an_offer_is_another_one_as_soon_as_it_says_anything_else() -> None:
    more = frozenset({1})
    others = [
        replace(OFFER, peer="192.0.2.2"),
        replace(OFFER, neighbors=(ip_network("192.0.2.2/32"),)),
        replace(OFFER, local_pref=7),
        replace(OFFER, med=7),
        replace(OFFER, communities=more),
        replace(OFFER, large_communities=frozenset({LargeCommunity(1, 2, 3)})),
    ]
    assert 7 == len({OFFER.id, *(other.id for other in others)})
    assert OFFER.id == replace(OFFER).id


def test_what_is_ours_has_a_name_that_tells_whose_it_is() -> None:
    for key in (OFFER.key, Restriction().key):
        assert key == export_key(OWNER, export_name(OWNER, key))
        assert [None, None, None] == [
            export_key(other, export_name(OWNER, key)) for other in (Owner(65001, 2), Owner(65002), Owner(6500))
        ]
    assert Key(Kind.EXPORT) == Restriction().key


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_path_says_for_whom_it_is(dialect: Dialect) -> None:
    found = decode_path(dialect, OWNER, encode_path(dialect, OWNER, ROUTE))
    assert found is not None
    assert (ROUTE, None) == (found.record, found.offers)
    for offers in (frozenset[int](), frozenset({7, 8})):
        route = replace(ROUTE, offers=offers)
        found = decode_path(dialect, OWNER, encode_path(dialect, OWNER, route))
        assert found is not None
        assert (route, offers | {0}) == (found.record, found.offers)
        stranger = decode_path(dialect, Owner(65001, 2), encode_path(dialect, OWNER, route))
        assert stranger is not None
        assert stranger.offers is None


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_path_that_is_offered_without_being_restricted_equals_no_route(dialect: Dialect) -> None:
    loose = replace(ROUTE, large_communities=frozenset({OWNER.offered(7)}))
    found = decode_path(dialect, OWNER, encode_path(dialect, OWNER, loose))
    assert found is not None
    assert isinstance(found.record, Unlike)
    assert frozenset({7}) == found.offers
