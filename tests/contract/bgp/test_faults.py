"""What goes wrong between a gobgpd and us, and how it is mended."""

from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from netlb.bgp.adapter.client import GobgpClient
from netlb.bgp.adapter.operations import BgpOperations
from netlb.bgp.drain import withdrawn
from netlb.bgp.events import DaemonBack, DaemonLost, Drifted
from netlb.bgp.messages import Message
from netlb.bgp.model import (
    BgpState,
    Route,
)
from netlb.bgp.owner import Owner
from netlb.bgp.paths import encode_path, encode_withdrawal
from netlb.errors import TransientError
from netlb.net import Family
from tests.support.bgp import (
    FOUR,
    SIX,
    SPEAKER,
    STATE,
    Relay,
    Rig,
    connected,
    kept,
)
from tests.support.waiting import becomes


def test_a_gobgpd_that_is_killed_is_filled_again_routes_before_peers(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, kept(daemon.target) as one, connected(daemon.target) as client:
            await one.settle(STATE)
            await daemon.restart()
            await becomes(lambda: one.count(DaemonBack) == 2)
            await one.settled()
            assert STATE.records() == await one.speaker.operations.observe()
            assert 1 <= one.count(DaemonLost)
            await client.close()

    rig.run(scenario)


def test_a_speaker_that_is_stopped_is_started_again_though_no_event_tells(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    get_bgp, running = GobgpClient.get_bgp, list[Message]()

    async def noted(client: GobgpClient, **deadline: float) -> Message | None:
        answer = await get_bgp(client, **deadline)
        if deadline and answer is not None:  # with a deadline of its own it is asked now and then, to be compared
            running.append(answer)
        return answer

    async def scenario() -> None:
        async with rig.daemon() as daemon, kept(daemon.target) as one, connected(daemon.target) as client:
            await one.settle(STATE)
            await becomes(lambda: bool(running))
            await client.stop_bgp()
            await becomes(lambda: one.count(Drifted) >= 1)
            await one.settled()
            assert STATE.records() == await one.speaker.operations.observe()
            assert 0 == one.count(DaemonLost)

    monkeypatch.setattr(GobgpClient, "get_bgp", noted)
    rig.run(scenario)


def test_a_route_that_somebody_deletes_or_changes_is_repaired_at_once(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, kept(daemon.target) as one, connected(daemon.target) as client:
            await one.settle(STATE)
            await client.send_paths([encode_withdrawal(client.dialect, FOUR.prefix)])
            await becomes(lambda: one.count(Drifted) >= 1)
            await one.settled()
            assert 1 == len(await client.list_paths(Family.IPV4))
            before = one.count(Drifted)
            changed = encode_path(client.dialect, Owner(65001), replace(SIX, med=7))
            await client.send_paths([changed])
            await becomes(lambda: one.count(Drifted) > before)
            await one.settled()
            assert STATE.records() == await one.speaker.operations.observe()

    rig.run(scenario)


def test_a_peer_that_somebody_deletes_is_back_after_a_refresh(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, kept(daemon.target) as one, connected(daemon.target) as client:
            await one.settle(STATE)
            await client.delete_peer("192.0.2.254")
            one.reconciler.refresh()
            await one.settled()
            assert 1 == len(await client.list_peers())

    rig.run(scenario)


def test_a_gobgpd_that_hangs_is_lost_and_found_again_as_it_was(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, kept(daemon.target, patience=1.0) as one:
            await one.settle(STATE)
            before = one.count(DaemonLost)
            daemon.freeze()
            try:
                await becomes(lambda: one.count(DaemonLost) > before)
                *_, lost = [event for event in one.events if isinstance(event, DaemonLost)]
                assert "no answer in time" in lost.problem
                with pytest.raises(TransientError):
                    await one.speaker.sessions()
                answered = one.count(DaemonBack)
            finally:
                daemon.thaw()
            await becomes(lambda: one.count(DaemonBack) > answered)
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
                await becomes(lambda: one.count(DaemonLost) == 1)
                assert 1 == len(await client.list_paths(Family.IPV4))  # gobgpd keeps no lease
                one.reconciler.want(withdrawn(STATE).records())
                await relay.mend()
                await becomes(lambda: one.count(DaemonBack) == 2)
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
