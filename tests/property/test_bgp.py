"""Whatever a route says, it comes back as it went; and what was brought about needs nothing more."""

import asyncio
import tempfile
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from pathlib import Path

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from netlb.bgp.adapter.client import GobgpClient
from netlb.bgp.adapter.operations import BgpOperations, Tenancy
from netlb.bgp.audience import audience
from netlb.bgp.dialect import DIALECTS, V3, V4, Dialect
from netlb.bgp.messages import message
from netlb.bgp.model import BgpState, Global, GracefulRestart, LargeCommunity, Offer, Origin, Peer, PrivateAsns, Route
from netlb.bgp.owner import Owner
from netlb.bgp.paths import decode_path, encode_path
from netlb.net import Family
from netlb.plan.routes import Claim, SilentRoute, told_of, unite
from netlb.testing.gobgp import FakeGobgpd

U32 = st.integers(0, 0xFFFFFFFF)
ASNS = st.integers(1, 0xFFFFFFFF)
FOURS = st.integers(1, 0xDFFFFFFF).map(IPv4Address)
SIXES = st.integers(1 << 64, (0xFE << 120) - 1).map(IPv6Address)


@st.composite
def routes(draw: st.DrawFn) -> Route:
    prefix: IPv4Network | IPv6Network
    if four := draw(st.booleans()):
        prefix = IPv4Network((draw(FOURS), draw(st.integers(0, 32))), strict=False)
    else:
        prefix = IPv6Network((draw(SIXES), draw(st.integers(0, 128))), strict=False)
    return Route(
        prefix=prefix,
        next_hop=draw(FOURS | SIXES if four else SIXES),
        origin=draw(st.sampled_from(Origin)),
        local_pref=draw(st.none() | U32),
        med=draw(st.none() | U32),
        communities=draw(st.frozensets(U32, max_size=5)),
        large_communities=draw(st.frozensets(st.builds(LargeCommunity, U32, U32, U32), max_size=5)),
        as_path=tuple(draw(st.lists(ASNS, max_size=5))),
        offers=draw(st.none() | st.frozensets(st.integers(1, 0xFFFFFFFF), max_size=3)),
    )


@st.composite
def peers(draw: st.DrawFn) -> Peer:
    internal = draw(st.booleans())
    hold = draw(st.integers(3, 65535))
    ttl = draw(st.sampled_from(["none", "multihop", "security"]))
    return Peer(
        address=draw(FOURS.filter(lambda address: not address.is_link_local) | SIXES),
        asn=65001 if internal else draw(st.integers(1, 65000)),
        hold_time=hold,
        keepalive=draw(st.integers(1, hold)),
        connect_retry=draw(st.integers(1, 65535)),
        password=draw(st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=80)),
        multihop_ttl=draw(st.integers(1, 255)) if ttl == "multihop" else None,
        ttl_security_hops=draw(st.integers(1, 254)) if ttl == "security" else None,
        passive=draw(st.booleans()),
        graceful_restart=draw(
            st.none() | st.builds(GracefulRestart, restart_time=st.integers(1, 4095), notification=st.booleans())
        ),
        families=draw(st.sampled_from([(), (Family.IPV4,), (Family.IPV4, Family.IPV6)])),
        allow_own_asn=draw(st.integers(0, 255)),
        private_asns=PrivateAsns.KEEP if internal else draw(st.sampled_from(PrivateAsns)),
        replace_peer_asn=not internal and draw(st.booleans()),
        admin_down=draw(st.booleans()),
        description=draw(st.text(max_size=20)).strip(),
    )


@pytest.mark.parametrize("dialect", DIALECTS)
@given(routes(), U32, U32)
def test_a_route_comes_back_from_its_bytes(dialect: Dialect, route: Route, asn: int, instance: int) -> None:
    owner = Owner(asn, instance)
    route = Route(
        prefix=route.prefix,
        next_hop=route.next_hop,
        origin=route.origin,
        local_pref=route.local_pref,
        med=route.med,
        communities=route.communities,
        large_communities=route.large_communities - {owner.community},
        as_path=route.as_path,
        offers=route.offers,
    )
    data = encode_path(dialect, owner, route).SerializeToString()
    found = decode_path(dialect, owner, message("Path").FromString(data))
    assert found is not None
    assert (True, route) == (found.ours, found.record)


@pytest.mark.parametrize("dialect", DIALECTS)
@given(st.lists(st.binary(max_size=60), max_size=4), st.binary(max_size=20))
def test_no_bytes_are_taken_for_a_route_of_ours(dialect: Dialect, attributes: list[bytes], nlri: bytes) -> None:
    path = message("Path")(nlri=nlri, pattrs=attributes)
    try:
        found = decode_path(dialect, Owner(65001), path)
    except DecodeError:
        return  # what is no message at all cannot come out of gobgpd
    assert found is None or not found.ours


def _thirds(numbers: frozenset[int]) -> set[int]:
    return {number % 3 for number in numbers}


ROUTERS = {f"192.0.2.{number}": (IPv4Network(f"192.0.2.{number}/32"),) for number in (1, 2, 3)}


@st.composite
def claims(draw: st.DrawFn) -> list[Claim]:
    few = st.sampled_from([None, 1, 2])
    return [
        Claim(
            Route(
                prefix=IPv4Network("203.0.113.1/32"),
                next_hop=IPv4Address("192.0.2.9"),
                local_pref=draw(few),
                med=draw(few),
                communities=draw(st.frozensets(st.sampled_from([7, 8]))),
            ),
            draw(st.none() | st.frozensets(st.sampled_from(sorted(ROUTERS)), min_size=1)),
        )
        for _ in range(draw(st.integers(1, 3)))
    ]


@given(claims())
def test_each_peer_hears_what_is_claimed_for_it_and_nothing_else(wanted: list[Claim]) -> None:
    united = unite(wanted, ROUTERS)
    mine = {name: [one.route for one in wanted if one.peers is None or name in one.peers] for name in ROUTERS}
    if isinstance(united, SilentRoute):
        assert any(len({(route.local_pref, route.med) for route in routes}) > 1 for routes in mine.values())
        return
    route, offers = united
    state = BgpState(Global(asn=65001, router_id=IPv4Address("192.0.2.9")), (), (route,), offers)
    assert state.records()
    heard = {
        name: one.route
        for one in told_of(state)[route.prefix]
        for name in (ROUTERS if one.peers is None else one.peers)
    }
    assert {name for name, routes in mine.items() if routes} == heard.keys()
    for name, told in heard.items():
        assert {(told.local_pref, told.med)} == {(one.local_pref, one.med) for one in mine[name]}
        assert told.communities == frozenset[int]().union(*(one.communities for one in mine[name]))
    assert (route.offers is None) == all(one.peers is None for one in wanted)


def states() -> st.SearchStrategy[BgpState]:
    def build(all_routes: list[Route], all_peers: list[Peer]) -> BgpState:
        speaker = Global(asn=65001, router_id=IPv4Address("192.0.2.1"), listen_port=-1)
        found = [(peer, audience(peer, all_peers)) for peer in all_peers]
        offers = [Offer(peer=peer.key.name, neighbors=where, med=7) for peer, where in found if where]
        told = [
            route
            if route.offers is None
            else replace(
                route, offers=frozenset(one.id for at, one in enumerate(offers) if at in _thirds(route.offers))
            )
            for route in all_routes
        ]
        used = {number for route in told for number in route.offers or ()}
        return BgpState(speaker, tuple(all_peers), tuple(told), tuple(one for one in offers if one.id in used))

    return st.builds(
        build,
        st.lists(routes(), max_size=6, unique_by=lambda route: route.prefix),
        st.lists(peers(), max_size=3, unique_by=lambda peer: peer.address),
    )


@pytest.mark.parametrize("dialect", [V3, V4])
@settings(max_examples=25)
@given(states(), states())
def test_what_was_applied_is_observed_and_from_any_state_one_gets_to_any_other(
    dialect: Dialect, first: BgpState, second: BgpState
) -> None:
    async def scenario() -> None:
        with tempfile.TemporaryDirectory() as folder:
            async with FakeGobgpd(Path(folder) / "api.sock", dialect) as gobgpd:
                client = await GobgpClient.connect(gobgpd.target)
                try:
                    operations = BgpOperations(lambda: client, tenancy=Tenancy.OWN)
                    for state in (first, second, first):
                        wanted = state.records()
                        there = await operations.observe()
                        changes = {key: record for key, record in wanted.items() if there.get(key) != record}
                        assert {} == await operations.apply(changes)
                        assert {} == await operations.prune(there.keys() - wanted.keys())
                        assert wanted == await operations.observe()
                finally:
                    await client.close()

    asyncio.run(scenario())
