"""What every gobgpd does for us and against us: in memory as GoBGP 3 and 4, and the real one in a namespace."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest

from netlb.bgp.adapter.client import GobgpClient
from netlb.bgp.adapter.errors import ApiError, ForeignDaemonError
from netlb.bgp.adapter.operations import BgpOperations, Tenancy
from netlb.bgp.adapter.target import Target
from netlb.bgp.dialect import V3, V4
from netlb.bgp.drain import disabled, shutting_down, withdrawn
from netlb.bgp.events import DaemonBack, DaemonLost, Drifted, SessionChanged
from netlb.bgp.messages import message
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
from netlb.bgp.owner import Owner
from netlb.bgp.paths import encode_path, encode_withdrawal
from netlb.bgp.peers import SessionState, encode_global
from netlb.errors import TransientError
from netlb.net import Family
from netlb.testing.lab import requirements
from tests.support.bgp import (
    FOUR,
    PATIENCE,
    ROUTER,
    SIX,
    SPEAKER,
    STATE,
    FakeRig,
    Relay,
    Rig,
    connected,
    eventually,
    kept,
    real_rig,
    without_gobgpd,
)

SOMEBODY = Owner(65001, 99)


@pytest.fixture(params=["v3", "v4", pytest.param("real", marks=pytest.mark.root)])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    if request.param != "real":
        yield FakeRig(tmp_path, *((V3, 3) if request.param == "v3" else (V4, 4)))
    elif missing := [*requirements(), *without_gobgpd()]:
        pytest.skip("; ".join(missing))
    else:
        with real_rig(tmp_path) as rig:
            yield rig


async def start(client: GobgpClient) -> None:
    await client.start_bgp(encode_global(SPEAKER))


def test_one_client_finds_out_which_dialect_is_spoken(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, connected(daemon.target) as client:
            assert {3: V3, 4: V4}[rig.generation] is client.dialect
            assert await client.get_bgp() is None
            await start(client)
            running = await client.get_bgp()
            assert running is not None
            assert (65001, "192.0.2.1") == (running.asn, running.router_id)

    rig.run(scenario)


def test_before_the_speaker_is_started_nothing_is_taken(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, connected(daemon.target) as client:
            with pytest.raises(ApiError, match="bgp server hasn't started yet"):
                await client.send_paths([encode_path(client.dialect, SOMEBODY, FOUR)])
            with pytest.raises(ApiError, match="bgp server hasn't started yet"):
                await client.list_paths(Family.IPV4)
            assert [] == await client.list_peers()

    rig.run(scenario)


def test_a_second_start_is_not_sent(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, connected(daemon.target) as client:
            await start(client)
            await client.send_paths([encode_path(client.dialect, SOMEBODY, FOUR)])
            with pytest.raises(ApiError, match="BGP is started already"):
                await client.start_bgp(encode_global(replace(SPEAKER, asn=65099)))
            assert 1 == len(await client.list_paths(Family.IPV4))

    rig.run(scenario)


def test_a_second_start_would_empty_the_table(rig: Rig) -> None:
    """Why it is not sent."""

    async def scenario() -> None:
        async with rig.daemon() as daemon, connected(daemon.target) as client:
            await start(client)
            await client.send_paths([encode_path(client.dialect, SOMEBODY, FOUR)])
            request = message("StartBgpRequest")(**{"global": encode_global(replace(SPEAKER, asn=65099))})
            await client._unary("StartBgp", request, "Empty")
            assert [] == await client.list_paths(Family.IPV4)

    rig.run(scenario)


def test_peers_are_refused_twice_and_told_with_their_password(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, connected(daemon.target) as client:
            await start(client)
            peer = message("Peer")()
            peer.conf.neighbor_address, peer.conf.peer_asn, peer.conf.auth_password = "192.0.2.254", 65000, "secret"
            await client.add_peer(peer)
            with pytest.raises(ApiError, match=r"can't overwrite the existing peer: 192\.0\.2\.254"):
                await client.add_peer(peer)
            assert ["secret"] == [one.conf.auth_password for one in await client.list_peers()]
            await client.delete_peer(address="192.0.2.254")
            with pytest.raises(ApiError, match=r"can't delete a peer configuration for 192\.0\.2\.254"):
                await client.delete_peer(address="192.0.2.254")
            with pytest.raises(ApiError, match=r"neighbor that has 192.0.2.254 doesn't exist"):
                await client.update_peer(peer)

    rig.run(scenario)


def test_a_bad_path_is_refused_with_its_message_and_what_came_before_stays(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, connected(daemon.target) as client:
            await start(client)
            routes = [replace(FOUR, prefix=IPv4Network((0x0A000000 + number, 32))) for number in range(150)]
            paths = [encode_path(client.dialect, SOMEBODY, route) for route in routes]
            paths[120].pattrs.append(paths[120].pattrs[0])
            with pytest.raises(ApiError, match="duplicated path attribute type"):
                await client.send_paths(paths)
            assert 100 == len(await client.list_paths(Family.IPV4))
            bare = encode_path(client.dialect, SOMEBODY, FOUR)
            del bare.pattrs[:]
            with pytest.raises(ApiError, match=r"nexthop not found|no nexthop|next-hop"):
                await client.send_paths([bare])

    rig.run(scenario)


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
            told = ["peer 192.0.2.0/24: GoBGP 3 has no password for dynamic neighbours; give each router's address"]
            assert {3: told, 4: []}[rig.generation] == words

    rig.run(scenario)


def test_an_interface_alone_is_refused_where_it_would_not_do(rig: Rig) -> None:
    unnumbered = Peer(interface="lo", asn=AsKind.EXTERNAL)

    async def scenario() -> None:
        async with rig.daemon() as daemon, connected(daemon.target) as client:
            operations = BgpOperations(lambda: client)
            failures = await operations.apply({SPEAKER.key: SPEAKER, unnumbered.key: unnumbered})
            assert {3: 1, 4: 0}[rig.generation] == len(failures)

    rig.run(scenario)


def test_a_gobgpd_that_is_killed_is_filled_again_routes_before_peers(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, kept(daemon.target) as one, connected(daemon.target) as client:
            await one.settle(STATE)
            await daemon.restart()
            await eventually(lambda: one.count(DaemonBack) == 2)
            await one.settled()
            assert STATE.records() == await one.speaker.operations.observe()
            assert 1 <= one.count(DaemonLost)
            await client.close()

    rig.run(scenario)


def test_a_speaker_that_is_stopped_is_started_again_though_no_event_tells(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, kept(daemon.target) as one, connected(daemon.target) as client:
            await one.settle(STATE)
            await eventually(lambda: one.count(DaemonBack) == 1)
            await asyncio.sleep(0.2)  # one question has been asked
            await client.stop_bgp()
            await eventually(lambda: one.count(Drifted) >= 1)
            await one.settled()
            assert STATE.records() == await one.speaker.operations.observe()
            assert 0 == one.count(DaemonLost)

    rig.run(scenario)


def test_a_route_that_somebody_deletes_or_changes_is_repaired_at_once(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, kept(daemon.target) as one, connected(daemon.target) as client:
            await one.settle(STATE)
            await client.send_paths([encode_withdrawal(client.dialect, FOUR.prefix)])
            await eventually(lambda: one.count(Drifted) == 1)
            await one.settled()
            assert 1 == len(await client.list_paths(Family.IPV4))
            changed = encode_path(client.dialect, Owner(65001), replace(SIX, med=7))
            await client.send_paths([changed])
            await eventually(lambda: one.count(Drifted) >= 2)
            await one.settled()
            assert STATE.records() == await one.speaker.operations.observe()

    rig.run(scenario)


def test_a_peer_that_somebody_deletes_is_back_after_a_refresh(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, kept(daemon.target) as one, connected(daemon.target) as client:
            await one.settle(STATE)
            await client.delete_peer(address="192.0.2.254")
            one.reconciler.refresh()
            await one.settled()
            assert 1 == len(await client.list_peers())

    rig.run(scenario)


def test_a_gobgpd_that_hangs_is_lost_and_found_again_as_it_was(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, kept(daemon.target) as one:
            await one.settle(STATE)
            daemon.freeze()
            try:
                await eventually(lambda: one.count(DaemonLost) == 1)
                [lost] = [event for event in one.events if isinstance(event, DaemonLost)]
                assert "no answer in time" in lost.problem
                with pytest.raises(TransientError):
                    await one.speaker.sessions()
            finally:
                daemon.thaw()
            await eventually(lambda: one.count(DaemonBack) == 2)
            await one.settled()
            assert STATE.records() == await one.speaker.operations.observe()

    rig.run(scenario)


def test_a_connection_that_is_cut_is_made_again_and_nothing_was_lost(rig: Rig, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, connected(daemon.target) as client:
            relay = Relay(daemon.target, tmp_path / "relay.sock")
            await relay.mend()
            async with kept(relay.target) as one:
                await one.settle(STATE)
                await relay.cut()
                await eventually(lambda: one.count(DaemonLost) == 1)
                assert 1 == len(await client.list_paths(Family.IPV4))  # gobgpd keeps no lease
                one.reconciler.want(withdrawn(STATE).records())
                await relay.mend()
                await eventually(lambda: one.count(DaemonBack) == 2)
                await one.settled()
                assert [] == await client.list_paths(Family.IPV4)
                assert 1 == len(await client.list_peers())
            await relay.cut()

    rig.run(scenario)


def test_nothing_is_withdrawn_when_we_end_without_saying_so(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, connected(daemon.target) as client:
            async with kept(daemon.target) as one:
                await one.settle(STATE)
            assert 1 == len(await client.list_paths(Family.IPV4))
            async with kept(daemon.target) as successor:
                await successor.settle(replace(STATE, routes=(FOUR,)))
                assert 1 == len(await client.list_paths(Family.IPV4))
                assert [] == await client.list_paths(Family.IPV6)

    rig.run(scenario)


def test_another_as_number_is_refused_and_nothing_is_touched(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, connected(daemon.target) as client:
            await client.start_bgp(encode_global(replace(SPEAKER, asn=65099)))
            await client.send_paths([encode_path(client.dialect, Owner(65099), SIX)])
            for tenancy in (Tenancy.SOLE, Tenancy.SHARED):
                async with kept(daemon.target, tenancy=tenancy) as one:
                    one.reconciler.want(BgpState(SPEAKER, routes=(FOUR,)).records())
                    await eventually(lambda: any("AS 65099" in problem for problem in one.problems()))
                    assert any("and AS 65001 with router id 192.0.2.1" in problem for problem in one.problems())
            running = await client.get_bgp()
            assert running is not None
            assert 65099 == running.asn
            assert [] == await client.list_paths(Family.IPV4)
            assert 1 == len(await client.list_paths(Family.IPV6))

    rig.run(scenario)


def test_another_router_id_is_refused_unless_the_gobgpd_is_shared(rig: Rig) -> None:
    wanted = BgpState(replace(SPEAKER, router_id=IPv4Address("192.0.2.9")), routes=(FOUR,))

    async def scenario() -> None:
        async with rig.daemon() as daemon, connected(daemon.target) as client:
            await start(client)
            async with kept(daemon.target) as one:
                one.reconciler.want(wanted.records())
                await eventually(lambda: any("with router id 192.0.2.1" in problem for problem in one.problems()))
            async with kept(daemon.target, tenancy=Tenancy.SHARED) as one:
                await one.settle(wanted)
            assert 1 == len(await client.list_paths(Family.IPV4))

    rig.run(scenario)


def test_a_gobgpd_of_our_own_gets_another_speaker_when_that_is_wanted(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, kept(daemon.target, tenancy=Tenancy.OWN) as one:
            await one.settle(STATE)
            state = replace(STATE, speaker=replace(SPEAKER, asn=65002))
            one.reconciler.want(state.records())
            await eventually(lambda: one.count(Drifted) >= 1)
            await one.settled()
            assert state.records() == await one.speaker.operations.observe()

    rig.run(scenario)


def test_strangers_in_a_gobgpd_that_should_be_ours_are_refused_by_name(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, connected(daemon.target) as client:
            await start(client)
            operations = BgpOperations(lambda: client)
            await client.send_paths([encode_path(client.dialect, SOMEBODY, FOUR)])
            with pytest.raises(ForeignDaemonError, match=r"the path to 203.0.113.1/32; remove it"):
                await operations.observe()
            await client.send_paths([encode_withdrawal(client.dialect, FOUR.prefix)])
            await add_stranger(client)
            with pytest.raises(ForeignDaemonError, match=r"the peer 192.0.2.253"):
                await operations.observe()

    rig.run(scenario)


async def add_stranger(client: GobgpClient) -> None:
    peer = message("Peer")()
    peer.conf.neighbor_address, peer.conf.peer_asn, peer.transport.passive_mode = "192.0.2.253", 65000, True
    await client.add_peer(peer)


def test_in_a_shared_gobgpd_only_what_is_ours_is_touched(rig: Rig) -> None:
    theirs = replace(FOUR, prefix=ip_network("198.51.100.1/32"))
    stranger = Peer(address=ip_address("192.0.2.253"), asn=65000)

    async def scenario() -> None:
        async with rig.daemon() as daemon, connected(daemon.target) as client:
            async with kept(daemon.target, tenancy=Tenancy.SHARED) as one:
                one.reconciler.want(STATE.records())
                await eventually(lambda: any("is not started" in problem for problem in one.problems()))
                await start(client)
                await client.send_paths([encode_path(client.dialect, SOMEBODY, theirs)])
                await add_stranger(client)
                await one.settle(STATE)
                one.reconciler.want(BgpState(SPEAKER, (ROUTER, stranger), (FOUR, SIX, theirs)).records())
                told = {
                    "somebody else announces 198.51.100.1/32 through this gobgpd; it is left alone",
                    "somebody else has configured the peer 192.0.2.253; it is left alone",
                }
                await eventually(lambda: told == one.problems())
                one.reconciler.want({})
                await one.settled()
            assert ["192.0.2.253"] == [peer.conf.neighbor_address for peer in await client.list_peers()]
            [left] = await client.list_paths(Family.IPV4)
            assert encode_path(client.dialect, SOMEBODY, theirs).nlri == left.nlri

    rig.run(scenario)


def test_a_prefix_that_somebody_took_over_is_not_withdrawn_from_them(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, connected(daemon.target) as client:
            await start(client)
            operations = BgpOperations(lambda: client, tenancy=Tenancy.SHARED)
            assert {} == await operations.apply(BgpState(SPEAKER, routes=(FOUR,)).records())
            await client.send_paths([encode_path(client.dialect, SOMEBODY, FOUR)])
            assert {} == await operations.prune([FOUR.key])
            assert 1 == len(await client.list_paths(Family.IPV4))

    rig.run(scenario)


def test_of_many_routes_one_bad_one_fails_alone(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    routes = [replace(FOUR, prefix=IPv4Network((0x0A000000 + number, 32))) for number in range(250)]
    bad = routes[123]

    def spoilt(dialect: object, owner: Owner, route: Route) -> object:
        path = encode_path(dialect, owner, route)  # type: ignore[arg-type]
        if route is bad:
            path.pattrs.append(path.pattrs[0])
        return path

    async def scenario() -> None:
        async with rig.daemon() as daemon, connected(daemon.target) as client:
            monkeypatch.setattr("netlb.bgp.adapter.table.encode_path", spoilt)
            operations = BgpOperations(lambda: client)
            failures = await operations.apply(BgpState(SPEAKER, routes=tuple(routes)).records())
            assert {bad.key} == failures.keys()
            assert 249 == len(await client.list_paths(Family.IPV4))

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


def test_sessions_are_told_of_with_their_peer(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, kept(daemon.target) as one:
            await one.settle(STATE)
            key = Key(Kind.PEER, "192.0.2.254")
            await eventually(lambda: any(isinstance(event, SessionChanged) for event in one.events))
            heard = [event.session for event in one.events if isinstance(event, SessionChanged)]
            assert {key} == {session.key for session in heard}
            session = (await one.speaker.sessions())["192.0.2.254"]
            assert (key, SessionState.ACTIVE, False) == (session.key, session.state, session.admin_down)

    rig.run(scenario)


def test_no_password_is_in_what_is_told(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, kept(daemon.target) as one:
            await one.settle(STATE)
            told = f"{one.events} {one.reconciler.statuses()} {await one.speaker.sessions()}"
            told += repr(await one.speaker.operations.observe())
            assert "correct horse" not in told

    rig.run(scenario)


def test_nobody_there_is_a_reason_to_try_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        with pytest.raises(TransientError, match="not connected"):
            await GobgpClient.connect(Target.unix(tmp_path / "nobody.sock"))

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE))
