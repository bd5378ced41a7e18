"""In which order a gobgpd is told, and what it is not told at all."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path

import pytest

from netlb.bgp.adapter.client import GobgpClient
from netlb.bgp.adapter.operations import BgpOperations
from netlb.bgp.dialect import DIALECTS, Dialect
from netlb.bgp.messages import message
from netlb.bgp.model import BgpState, Offer
from netlb.testing.gobgp import FakeGobgpd
from tests.support.bgp import FOUR, ROUTER, SPEAKER, STATE

Scenario = Callable[[FakeGobgpd, GobgpClient, BgpOperations], Awaitable[None]]


@pytest.fixture(params=DIALECTS)
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[Scenario], None]:
    dialect: Dialect = request.param

    async def with_gobgpd(scenario: Scenario) -> None:
        async with FakeGobgpd(tmp_path / "api.sock", dialect) as gobgpd:
            client = await GobgpClient.connect(gobgpd.target)
            gobgpd.calls.clear()
            try:
                await scenario(gobgpd, client, BgpOperations(lambda: client))
            finally:
                await client.close()

    return lambda scenario: asyncio.run(with_gobgpd(scenario))


def changes(gobgpd: FakeGobgpd) -> list[str]:
    made = [call for call in gobgpd.calls if not call.startswith(("Get", "List", "Watch"))]
    gobgpd.calls.clear()
    return made


def test_the_speaker_then_routes_then_peers_and_the_other_way_round(run: Callable[[Scenario], None]) -> None:
    async def scenario(gobgpd: FakeGobgpd, _: GobgpClient, operations: BgpOperations) -> None:
        backwards = dict(reversed(list(STATE.records().items())))
        assert {} == await operations.apply(backwards)
        assert ["StartBgp", "AddPathStream", "AddPeer"] == changes(gobgpd)
        assert {} == await operations.prune(backwards)
        # The password is taken away from the listening socket before the peer is.
        assert ["AddPathStream", "UpdatePeer", "DeletePeer", "StopBgp"] == changes(gobgpd)

    run(scenario)


def test_a_peer_that_is_as_wanted_is_not_touched(run: Callable[[Scenario], None]) -> None:
    async def scenario(gobgpd: FakeGobgpd, client: GobgpClient, operations: BgpOperations) -> None:
        await operations.apply(STATE.records())
        changes(gobgpd)
        successor = BgpOperations(lambda: client)
        assert {} == await successor.apply(STATE.records())
        assert ["AddPathStream"] == changes(gobgpd)
        assert STATE.records() == await successor.observe()

    run(scenario)


def test_a_change_that_an_update_does_not_take_is_made_by_a_new_peer(run: Callable[[Scenario], None]) -> None:
    async def scenario(gobgpd: FakeGobgpd, client: GobgpClient, operations: BgpOperations) -> None:
        await operations.apply(BgpState(SPEAKER, (ROUTER,)).records())
        changes(gobgpd)
        far = replace(ROUTER, multihop_ttl=3)
        assert {} == await operations.apply({far.key: far})
        made = changes(gobgpd)
        assert made in (["UpdatePeer"], ["UpdatePeer", "UpdatePeer", "DeletePeer", "AddPeer"])
        [peer] = await client.list_peers()
        assert 3 == peer.ebgp_multihop.multihop_ttl

    run(scenario)


def test_a_route_that_is_taken_and_dropped_is_a_failure(run: Callable[[Scenario], None]) -> None:
    async def scenario(gobgpd: FakeGobgpd, _: GobgpClient, operations: BgpOperations) -> None:
        gobgpd.rejects_imports = True
        failures = await operations.apply(BgpState(SPEAKER, routes=(FOUR,)).records())
        assert {FOUR.key} == failures.keys()
        assert "does not have it: remove the import policy that rejects it (NotInTable)" in str(failures[FOUR.key])

    run(scenario)


def test_nothing_else_is_applied_where_the_speaker_does_not_start(run: Callable[[Scenario], None]) -> None:
    async def scenario(gobgpd: FakeGobgpd, client: GobgpClient, operations: BgpOperations) -> None:
        await client._unary("StartBgp", message("StartBgpRequest")(**{"global": foreign()}), "Empty")
        changes(gobgpd)
        with pytest.raises(Exception, match="AS 65099"):
            await operations.apply(STATE.records())
        with pytest.raises(Exception, match="AS 65099"):
            await operations.prune([FOUR.key])
        assert [] == changes(gobgpd)

    def foreign() -> object:
        return message("Global")(asn=65099, router_id="192.0.2.99", listen_port=-1)

    run(scenario)


def test_policies_come_before_what_needs_them_and_go_after_it(run: Callable[[Scenario], None]) -> None:
    offer = Offer(peer=ROUTER.key.name, neighbors=(ip_network("192.0.2.254/32"),))
    state = BgpState(SPEAKER, (ROUTER,), (replace(FOUR, offers=frozenset({offer.id})),), (offer,))

    async def scenario(gobgpd: FakeGobgpd, _: GobgpClient, operations: BgpOperations) -> None:
        backwards = dict(reversed(list(state.records().items())))
        assert {} == await operations.apply(backwards)
        made = changes(gobgpd)
        assert ["StartBgp", *["AddDefinedSet"] * 2, "AddPolicy", "AddDefinedSet", "AddPolicy"] == made[:6]
        assert ["SetPolicyAssignment", "AddPathStream", "AddPeer"] == made[6:]
        assert {} == await operations.apply(backwards)
        assert ["AddPathStream"] == changes(gobgpd)
        assert {} == await operations.prune(backwards)
        made = changes(gobgpd)
        assert ["AddPathStream", "UpdatePeer", "DeletePeer", "SetPolicyAssignment"] == made[:4]
        assert [*["DeletePolicy"] * 2, *["DeleteDefinedSet"] * 3, "StopBgp"] == made[4:]

    run(scenario)
