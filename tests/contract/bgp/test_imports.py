"""What is said to a gobgpd that is ours alone comes not into its table; what we announce does."""

import pytest

from netlb.bgp.adapter.client import GobgpClient
from netlb.bgp.adapter.imports import Imports
from netlb.bgp.adapter.operations import BgpOperations, Tenancy
from netlb.bgp.events import DaemonBack
from netlb.bgp.imports import IMPORT, encode_import_policy
from netlb.bgp.messages import message
from netlb.bgp.owner import Owner
from tests.support.bgp import FOUR, SIX, SPEAKER, STATE, Rig, connected, kept, start
from tests.support.waiting import becomes

OWNER = Owner(SPEAKER.asn)


async def asked(client: GobgpClient) -> list[str]:
    return [each.name for each in (await client.get_assignment(IMPORT)).policies]


@pytest.mark.parametrize("tenancy", [Tenancy.OWN, Tenancy.SOLE])
def test_a_gobgpd_of_our_own_rejects_what_is_learned_and_takes_what_is_ours(rig: Rig, tenancy: Tenancy) -> None:
    async def scenario() -> None:
        async with (
            rig.daemon() as daemon,
            connected(daemon.target) as client,
            kept(daemon.target, tenancy=tenancy) as one,
        ):
            await one.settle(STATE)
            assert [OWNER.import_name] == await asked(client)
            [policy] = [each for each in await client.list_policies() if each.name == OWNER.import_name]
            made = encode_import_policy(OWNER).statements
            assert [(each.name, each.conditions.route_type, each.actions.route_action) for each in made] == [
                (each.name, each.conditions.route_type, each.actions.route_action) for each in policy.statements
            ]
            found = await BgpOperations(lambda: client).observe()
            assert {FOUR, SIX} == {found[FOUR.key], found[SIX.key]}
            before = one.count(DaemonBack)
            await daemon.restart()
            await becomes(lambda: one.count(DaemonBack) > before)
            await one.settled()
            async with connected(daemon.target) as again:
                assert [OWNER.import_name] == await asked(again)

    rig.run(scenario)


def test_whoever_takes_the_policy_away_or_comes_before_it_is_put_right(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, connected(daemon.target) as client, kept(daemon.target) as one:
            await one.settle(STATE)
            pass_all = message("Statement")(name="theirs", actions=message("Actions")(route_action=1))
            await client.add_policy(message("Policy")(name="theirs", statements=[pass_all]))
            for wrong in (["theirs", OWNER.import_name], ["theirs"]):
                await client.set_assignment(IMPORT, wrong, 1)
                assert not (await Imports.found(client, OWNER)).closed
                one.reconciler.refresh()
                await one.settled()
                assert [OWNER.import_name, "theirs"] == await asked(client)
            await client.set_assignment(IMPORT, [], 1)
            await client.delete_policy(OWNER.import_name)
            one.reconciler.refresh()
            await one.settled()
            assert [OWNER.import_name] == await asked(client)

    rig.run(scenario)


def test_in_a_shared_gobgpd_policies_are_somebody_elses(rig: Rig) -> None:
    async def scenario() -> None:
        async with rig.daemon() as daemon, connected(daemon.target) as client:
            await start(client)
            async with kept(daemon.target, tenancy=Tenancy.SHARED) as one:
                await one.settle(STATE)
                assert ([], []) == (await asked(client), await client.list_policies())

    rig.run(scenario)
