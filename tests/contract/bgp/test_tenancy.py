"""A gobgpd that is not ours alone: what is refused, what is left alone."""

from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_network

import pytest

from netlb.bgp.adapter.client import GobgpClient
from netlb.bgp.adapter.errors import ForeignDaemonError
from netlb.bgp.adapter.operations import BgpOperations, Tenancy
from netlb.bgp.events import Drifted
from netlb.bgp.messages import message
from netlb.bgp.model import (
    BgpState,
    Peer,
)
from netlb.bgp.owner import Owner
from netlb.bgp.paths import encode_path, encode_withdrawal
from netlb.bgp.peers import encode_global
from netlb.net import Family
from tests.support.bgp import (
    FOUR,
    ROUTER,
    SIX,
    SPEAKER,
    STATE,
    Rig,
    connected,
    kept,
    start,
)
from tests.support.waiting import becomes

SOMEBODY = Owner(65001, 99)


def test_another_as_number_is_refused_and_nothing_is_touched(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, connected(daemon.target) as client:
            await client.start_bgp(encode_global(replace(SPEAKER, asn=65099)))
            await client.send_paths([encode_path(client.dialect, Owner(65099), SIX)])
            for tenancy in (Tenancy.SOLE, Tenancy.SHARED):
                async with kept(daemon.target, tenancy=tenancy) as one:
                    one.reconciler.want(BgpState(SPEAKER, routes=(FOUR,)).records())
                    await becomes(lambda: any("AS 65099" in problem for problem in one.problems()))
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
                await becomes(lambda: any("with router id 192.0.2.1" in problem for problem in one.problems()))
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
            await becomes(lambda: one.count(Drifted) >= 1)
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
                await becomes(lambda: any("is not started" in problem for problem in one.problems()))
                await start(client)
                await client.send_paths([encode_path(client.dialect, SOMEBODY, theirs)])
                await add_stranger(client)
                await one.settle(STATE)
                one.reconciler.want(BgpState(SPEAKER, (ROUTER, stranger), (FOUR, SIX, theirs)).records())
                told = {
                    "somebody else announces 198.51.100.1/32 through this gobgpd; it is left alone (TakenByAnother)",
                    "somebody else has configured the peer 192.0.2.253; it is left alone (TakenByAnother)",
                }
                await becomes(lambda: told == one.problems())
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
