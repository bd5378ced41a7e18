"""What is wanted of a gobgpd is brought about, told back, changed and taken away."""

from dataclasses import replace
from ipaddress import IPv4Network, ip_address, ip_network
from typing import Any

from netlb.bgp.adapter.leave import leave
from netlb.bgp.adapter.operations import BgpOperations
from netlb.bgp.drain import disabled, shutting_down, withdrawn
from netlb.bgp.events import SessionChanged
from netlb.bgp.model import (
    AsKind,
    BgpState,
    GracefulRestart,
    Key,
    Kind,
    LargeCommunity,
    Peer,
    PrivateAsns,
    Route,
)
from netlb.bgp.peers import MessageCounts, SessionState
from netlb.net import Family
from tests.support.bgp import (
    FOUR,
    PATIENCE,
    ROUTER,
    SPEAKER,
    STATE,
    Rig,
    connected,
    kept,
)
from tests.support.waiting import becomes


def test_a_whole_state_is_brought_about_twice_for_nothing_and_taken_away(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, kept(daemon.target) as one, connected(daemon.target) as client:
            await one.settle(STATE)
            assert STATE.records() == await one.speaker.operations.observe()
            one.reconciler.refresh()
            await one.settled()
            assert 0 == one.reconciler.counts().retries
            assert {"192.0.2.254"} == (await one.speaker.sessions()).keys()
            one.reconciler.want({})
            await one.settled()
            assert await client.get_bgp() is None

    rig.run(scenario)


EVERYTHING: list[dict[str, Any]] = [
    {},
    {"asn": AsKind.INTERNAL},
    {"asn": AsKind.EXTERNAL},
    {"local_asn": 64999},
    {"port": 1790},
    {"hold_time": 9, "keepalive": 3, "connect_retry": 5},
    {"source": ip_address("127.0.0.1")},
    {"password": "another"},
    {"password": ""},
    {"multihop_ttl": 4},
    {"ttl_security_hops": 2},
    {"passive": False},
    {"graceful_restart": GracefulRestart(restart_time=20, deferral_time=5)},
    {"graceful_restart": GracefulRestart(helper_only=True, notification=True, longlived=True)},
    {"families": (Family.IPV4, Family.IPV6)},
    {"allow_own_asn": 2},
    {"private_asns": PrivateAsns.REMOVE},
    {"private_asns": PrivateAsns.REPLACE},
    {"replace_peer_asn": True},
    {"admin_down": True},
    {"description": "top of rack"},
]


def test_every_field_of_a_peer_is_set_changed_and_told_back(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, connected(daemon.target) as client:
            operations = BgpOperations(lambda: client)
            await operations.apply({SPEAKER.key: SPEAKER})
            for change in EVERYTHING:
                peer = replace(ROUTER, **{"families": (), **change})
                for wanted in (peer, ROUTER, peer):  # set, changed back, changed
                    assert {} == await operations.apply({peer.key: wanted})
                    assert {SPEAKER.key: SPEAKER, peer.key: wanted} == await operations.observe(), change
                assert {} == await operations.prune([peer.key])
                assert {} == await operations.prune([peer.key])

    rig.run(scenario)


def test_every_field_of_the_speaker_is_told_back(rig: Rig) -> None:
    changes: list[dict[str, Any]] = [
        {"use_multiple_paths": True},
        {"listen_port": 1790, "listen_addresses": (ip_address("127.0.0.1"),)},
        {"listen_port": 1790},
    ]

    async def scenario() -> None:
        async with rig.daemon() as daemon, connected(daemon.target) as client:
            operations = BgpOperations(lambda: client)
            for change in changes:  # each a restart, since it is one of ours
                state = BgpState(replace(SPEAKER, **change), routes=(FOUR,)).records()
                await operations.apply(state)
                assert state == {**await operations.observe(), FOUR.key: FOUR}
                successor = BgpOperations(lambda: client)
                assert {} == await successor.apply(state)

    rig.run(scenario)


def test_every_field_of_a_route_is_told_back(rig: Rig) -> None:
    rich = Route(
        prefix=ip_network("198.51.100.0/24"),
        next_hop=ip_address("2001:db8:1::1"),
        local_pref=7,
        med=0,
        communities=frozenset({65001 << 16 | 100, 0xFFFFFF01}),
        large_communities=frozenset({LargeCommunity(4200000000, 7, 8)}),
        as_path=(65001, 65001),
    )

    async def scenario() -> None:
        async with rig.daemon() as daemon, kept(daemon.target) as one:
            for routes in ((rich, FOUR), (replace(rich, med=None, as_path=(), next_hop=FOUR.next_hop),), ()):
                state = BgpState(SPEAKER, routes=routes)
                await one.settle(state)
                assert state.records() == await one.speaker.operations.observe()

    rig.run(scenario)


def test_dynamic_neighbours_are_set_changed_and_removed(rig: Rig) -> None:
    everybody = Peer(prefix=ip_network("192.0.2.0/24"), asn=65000, hold_time=9, keepalive=3)

    async def scenario() -> None:
        async with rig.daemon() as daemon, kept(daemon.target) as one, connected(daemon.target) as client:
            for peer in (everybody, replace(everybody, asn=AsKind.EXTERNAL, description="racks")):
                await one.settle(BgpState(SPEAKER, (peer,)))
                assert ["192.0.2.0/24"] == [prefix for prefix, _ in await client.list_dynamic()]
            await one.settle(BgpState(SPEAKER))
            assert [] == await client.list_dynamic()
            assert [] == await client.list_groups()

    rig.run(scenario)


def test_dynamic_neighbours_with_a_password_are_refused_where_it_would_not_count(rig: Rig) -> None:
    secret = Peer(prefix=ip_network("192.0.2.0/24"), asn=65000, password="correct horse")

    async def scenario() -> None:
        async with rig.daemon() as daemon, connected(daemon.target) as client:
            operations = BgpOperations(lambda: client)
            failures = await operations.apply({SPEAKER.key: SPEAKER, secret.key: secret})
            words = [str(error) for error in failures.values()]
            told = "peer 192.0.2.0/24: GoBGP 3 has no password for dynamic neighbours; give each router's address"
            assert {3: [f"{told} (NotSupportedByGoBGP)"], 4: []}[rig.generation] == words

    rig.run(scenario)


def test_an_interface_alone_is_refused_where_it_would_not_do(rig: Rig) -> None:
    unnumbered = Peer(interface="lo", asn=AsKind.EXTERNAL)

    async def scenario() -> None:
        async with rig.daemon() as daemon, connected(daemon.target) as client:
            operations = BgpOperations(lambda: client)
            failures = await operations.apply({SPEAKER.key: SPEAKER, unnumbered.key: unnumbered})
            words = "peer lo: GoBGP 3 needs the router's link-local address beside the interface; give both (NotSupportedByGoBGP)"
            assert {3: [words], 4: []}[rig.generation] == [str(error) for error in failures.values()]
            if not failures:
                assert {SPEAKER.key: SPEAKER, unnumbered.key: unnumbered} == await operations.observe()
            assert {} == await operations.prune([unnumbered.key])
            assert [] == await client.list_peers()

    rig.run(scenario)


def test_ten_thousand_routes_by_stream_and_all_of_them_away(rig: Rig) -> None:
    routes = tuple(replace(FOUR, prefix=IPv4Network((0x0A000000 + number, 32))) for number in range(10_000))

    async def scenario() -> None:
        async with rig.daemon() as daemon, kept(daemon.target) as one, connected(daemon.target) as client:
            await one.settle(BgpState(SPEAKER, routes=routes))
            assert 10_000 == len(await client.list_paths(Family.IPV4))
            await one.settle(BgpState(SPEAKER, routes=routes[:5]))
            assert 5 == len(await client.list_paths(Family.IPV4))
            assert 0 == one.reconciler.counts().retries

    rig.run(scenario)


def test_leaving_passes_through_graceful_shutdown_to_silence(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, kept(daemon.target) as one, connected(daemon.target) as client:
            for state in (STATE, shutting_down(STATE), withdrawn(STATE), disabled(STATE)):
                await one.settle(state)
                assert state.records() == await one.speaker.operations.observe()
            assert (await one.speaker.sessions())["192.0.2.254"].admin_down
            assert [] == [*await client.list_paths(Family.IPV4), *await client.list_paths(Family.IPV6)]

    rig.run(scenario)


def test_leaving_ends_in_silence_and_does_not_wait_for_one_that_is_gone(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, connected(daemon.target) as client, kept(daemon.target) as one:
            await one.settle(STATE)
            assert await leave(one.reconciler, STATE, pause=0.0, patience=PATIENCE)
            assert [] == [*await client.list_paths(Family.IPV4), *await client.list_paths(Family.IPV6)]
            assert [True] == [peer.conf.admin_down for peer in await client.list_peers()]
            await one.settle(STATE)
            daemon.freeze()
            try:
                assert not await leave(one.reconciler, STATE, pause=PATIENCE, patience=0.05)
            finally:
                daemon.thaw()

    rig.run(scenario)


def test_sessions_are_told_of_with_their_peer(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, kept(daemon.target) as one:
            await one.settle(STATE)
            key = Key(Kind.PEER, "192.0.2.254")
            await becomes(lambda: any(isinstance(event, SessionChanged) for event in one.events))
            heard = [event.session for event in one.events if isinstance(event, SessionChanged)]
            assert {key} == {session.key for session in heard}
            session = (await one.speaker.sessions())["192.0.2.254"]
            assert (key, False) == (session.key, session.admin_down)
            assert session.state in {SessionState.IDLE, SessionState.ACTIVE}  # it goes to and fro while nobody answers
            assert (MessageCounts(), MessageCounts()) == (session.sent, session.received)

    rig.run(scenario)


def test_no_password_is_in_what_is_told(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, kept(daemon.target) as one:
            await one.settle(STATE)
            told = f"{one.events} {one.reconciler.statuses()} {await one.speaker.sessions()}"
            told += repr(await one.speaker.operations.observe())
            assert "correct horse" not in told

    rig.run(scenario)
