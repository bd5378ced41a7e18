"""What every gobgpd does with a call, and refuses: in memory as GoBGP 3 and 4, and the real one in a namespace."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from netlb.bgp.adapter.client import GobgpClient
from netlb.bgp.adapter.errors import ApiError
from netlb.bgp.adapter.target import Target
from netlb.bgp.dialect import V3, V4
from netlb.bgp.messages import Message, message
from netlb.bgp.owner import Owner
from netlb.bgp.paths import encode_path
from netlb.bgp.peers import encode_global
from netlb.errors import TransientError
from netlb.net import Family
from tests.support.bgp import (
    FOUR,
    PATIENCE,
    SPEAKER,
    Rig,
    connected,
    start,
)
from tests.support.waiting import becomes

SOMEBODY = Owner(65001, 99)


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
            await client.delete_peer("192.0.2.254")
            with pytest.raises(ApiError, match=r"can't delete a peer configuration for 192\.0\.2\.254"):
                await client.delete_peer("192.0.2.254")
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


def test_what_is_told_of_paths_that_are_being_sent_is_taken_in_afterwards(rig: Rig) -> None:
    async def scenario() -> None:
        heard: list[Message] = []
        heard_by_then: list[int] = []
        listening = asyncio.Event()

        async def listen(client: GobgpClient) -> None:
            async for event in client.watch():
                listening.set()  # the first event tells that all peers have been told
                heard.extend(event.table.paths)

        def paths(client: GobgpClient) -> Iterator[Message]:
            for number in range(3000):
                yield encode_path(
                    client.dialect, SOMEBODY, replace(FOUR, prefix=IPv4Network((0x0A000000 + number, 32)))
                )
            heard_by_then.append(len(heard))

        async with rig.daemon() as daemon, connected(daemon.target) as client:
            await start(client)
            task = asyncio.create_task(listen(client))
            await listening.wait()
            await client.send_paths(paths(client))
            await becomes(lambda: len(heard) == 3000)
            task.cancel()
        assert heard_by_then[0] <= 1  # one may have been on its way out of the watch

    rig.run(scenario)


def test_nobody_there_is_a_reason_to_try_again(tmp_path: Path) -> None:
    async def scenario() -> None:
        with pytest.raises(TransientError, match="not connected"):
            await GobgpClient.connect(Target.unix(tmp_path / "nobody.sock"))

    asyncio.run(asyncio.wait_for(scenario(), PATIENCE))
