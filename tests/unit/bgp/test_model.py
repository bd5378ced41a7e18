"""What a record refuses, and what no record shows."""

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_network

import pytest

from netlb.bgp.drain import disabled, kept_down, shutting_down, withdrawn
from netlb.bgp.model import (
    GRACEFUL_SHUTDOWN,
    AsKind,
    BgpState,
    Global,
    GracefulRestart,
    Key,
    Kind,
    LargeCommunity,
    Offer,
    Peer,
    PrivateAsns,
    Route,
)
from netlb.net import Family

SPEAKER = Global(asn=65001, router_id=IPv4Address("192.0.2.1"))
ROUTER = Peer(address=ip_address("192.0.2.254"), asn=65000)
DYNAMIC = Peer(prefix=ip_network("192.0.2.0/24"), asn=65000)
FOUR = Route(prefix=ip_network("203.0.113.1/32"), next_hop=ip_address("192.0.2.1"))
SIX = Route(prefix=ip_network("2001:db8::1/128"), next_hop=ip_address("2001:db8:1::1"))
OFFER = Offer(peer="192.0.2.254", neighbors=(ip_network("192.0.2.254/32"),))


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: replace(SPEAKER, asn=0), "asn: 0 is not from 1"),
        (lambda: replace(SPEAKER, listen_port=0), "listen_port: gobgpd takes 0 for its default"),
        (lambda: replace(SPEAKER, router_id=IPv4Address(0)), "router_id: 0.0.0.0"),
        (lambda: GracefulRestart(restart_time=4096), "restart_time"),
        (lambda: replace(FOUR, next_hop=ip_address("0.0.0.0")), "next_hop: 0.0.0.0 is no station"),
        (lambda: replace(SIX, next_hop=ip_address("::")), "next_hop: :: is no station"),
        (lambda: replace(SIX, next_hop=ip_address("192.0.2.1")), "next_hop: 192.0.2.1 is IPv4"),
        (lambda: replace(SIX, next_hop=ip_address("::ffff:192.0.2.1")), "in IPv6 clothes"),
        (lambda: replace(FOUR, communities=frozenset({1 << 32})), "communities"),
        (lambda: replace(FOUR, large_communities=frozenset({LargeCommunity(1, 2, -1)})), "large_communities"),
        (lambda: replace(FOUR, as_path=(0,)), "as_path"),
        (lambda: replace(FOUR, as_path=(1,) * 256), "as_path: a segment holds 255"),
        (lambda: Peer(asn=65000), "address: give one of"),
        (lambda: replace(ROUTER, prefix=ip_network("192.0.2.0/24")), "address: give one of"),
        (lambda: Peer(address=ip_address("fe80::1"), asn=1), "interface: a link-local address needs it"),
        (lambda: Peer(address=ip_address("fe80::1%eth0"), asn=1), "address: it carries a zone"),
        (lambda: replace(ROUTER, hold_time=0), "hold_time: 0 is not from 3"),
        (lambda: replace(ROUTER, hold_time=9, keepalive=10), "keepalive"),
        (lambda: replace(ROUTER, multihop_ttl=3, ttl_security_hops=1), "ttl_security_hops: it excludes"),
        (lambda: replace(ROUTER, password="x" * 81), "password: TCP MD5 takes at most 80"),
        (lambda: replace(DYNAMIC, passive=True), "passive: GoBGP does not have it for dynamic neighbours"),
        (lambda: replace(DYNAMIC, private_asns=PrivateAsns.REMOVE), "private_asns: GoBGP does not"),
        (lambda: BgpState(SPEAKER, routes=(FOUR, FOUR)).records(), "route 203.0.113.1/32: it is there twice"),
        (lambda: BgpState(SPEAKER, offers=(OFFER, OFFER)).records(), "it is there twice"),
        (
            lambda: BgpState(SPEAKER, routes=(replace(FOUR, offers=frozenset({7})),), offers=(OFFER,)).records(),
            "route 203.0.113.1/32: it belongs to an offer that is not there",
        ),
        (lambda: replace(OFFER, neighbors=()), "neighbors: it is not known where peer 192.0.2.254 is"),
        (lambda: replace(OFFER, local_pref=0), "local_pref: 0 is not from 1"),
    ],
)
def test_what_cannot_be_is_refused_by_name(make: Callable[[], object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        make()


def test_no_repr_shows_a_password() -> None:
    peer = replace(ROUTER, password="correct horse")
    assert "correct horse" not in repr(BgpState(SPEAKER, (peer,)))
    assert peer != ROUTER


def test_the_families_of_a_session_are_its_own_unless_given() -> None:
    assert (Family.IPV4,) == ROUTER.families
    assert (Family.IPV6,) == Peer(address=ip_address("2001:db8::1"), asn=1).families
    assert (Family.IPV4, Family.IPV6) == Peer(interface="eth0", asn=AsKind.EXTERNAL).families


def test_keys_name_what_gobgpd_tells_apart() -> None:
    unnumbered = Peer(address=ip_address("fe80::1"), interface="eth0", asn=1)
    state = BgpState(SPEAKER, (ROUTER, DYNAMIC, unnumbered), (FOUR, SIX))
    assert [
        Key(Kind.GLOBAL),
        Key(Kind.ROUTE, "203.0.113.1/32"),
        Key(Kind.ROUTE, "2001:db8::1/128"),
        Key(Kind.PEER, "192.0.2.254"),
        Key(Kind.PEER, "192.0.2.0/24"),
        Key(Kind.PEER, "eth0"),
    ] == list(state.records())


def test_leaving_is_three_states() -> None:
    state = BgpState(SPEAKER, (ROUTER, DYNAMIC), (replace(FOUR, communities=frozenset({7})), SIX))
    assert [{7, GRACEFUL_SHUTDOWN}, {GRACEFUL_SHUTDOWN}] == [route.communities for route in shutting_down(state).routes]
    assert state.peers == shutting_down(state).peers
    assert BgpState(SPEAKER, state.peers) == withdrawn(state)
    assert BgpState(SPEAKER, (replace(ROUTER, admin_down=True),)) == disabled(state)


def test_a_peer_that_is_kept_down_is_the_only_thing_that_changes() -> None:
    state = BgpState(SPEAKER, (ROUTER, DYNAMIC), (FOUR,))
    assert state == kept_down(state, frozenset())
    assert replace(state, peers=(replace(ROUTER, admin_down=True), DYNAMIC)) == kept_down(state, {"192.0.2.254"})


def test_what_is_not_for_all_brings_its_restriction_along() -> None:
    nobody = replace(FOUR, offers=frozenset())
    kinds = [
        [key.kind for key in BgpState(SPEAKER, routes=(route,), offers=offers).records()]
        for route, offers in ((FOUR, ()), (nobody, ()), (FOUR, (OFFER,)))
    ]
    export = Kind.EXPORT
    assert [
        [Kind.GLOBAL, Kind.ROUTE],
        [Kind.GLOBAL, export, Kind.ROUTE],
        [Kind.GLOBAL, export, export, Kind.ROUTE],
    ] == kinds
