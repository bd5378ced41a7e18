"""Routes that are not for all peers: who is told of them, with what, and what happens where that cannot be had."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from netlb.bgp.adapter.client import GobgpClient
from netlb.bgp.adapter.exports import Exports
from netlb.bgp.adapter.operations import BgpOperations, Tenancy
from netlb.bgp.audience import audience
from netlb.bgp.dialect import Dialect
from netlb.bgp.events import DaemonBack
from netlb.bgp.exports import EXPORT, GLOBAL_TABLE, encode_policy, encode_sets, set_types
from netlb.bgp.messages import message
from netlb.bgp.model import GRACEFUL_SHUTDOWN, BgpState, LargeCommunity, Offer, Peer, Record, Restriction, Route
from netlb.bgp.owner import Owner
from netlb.bgp.paths import encode_path
from netlb.bgp.peers import encode_global
from netlb.net import Family
from tests.support.bgp import FOUR, LISTENING, SIX, Daemon, Rig, connected, kept, told
from tests.support.bgp_router import Router, Told
from tests.support.waiting import becomes

A = Peer(address=ip_address("127.0.0.2"), asn=65000, passive=True, families=(Family.IPV4, Family.IPV6))
B = Peer(address=ip_address("127.0.0.3"), asn=LISTENING.asn, passive=True)
SEVEN = replace(FOUR, prefix=ip_network("203.0.113.7/32"))
OWNER = Owner(LISTENING.asn)
FOUR_AT, SIX_AT, SEVEN_AT = (str(route.prefix) for route in (FOUR, SIX, SEVEN))


def offer(peer: Peer, **terms: Any) -> Offer:
    return Offer(peer=peer.key.name, neighbors=audience(peer, (A, B)), **terms)


def only(route: Route, *offers: Offer) -> Route:
    return replace(route, offers=frozenset(each.id for each in offers))


TO_A, TO_B = offer(A), offer(B)


def state(*routes: Route, offers: Iterable[Offer] = (TO_A, TO_B), peers: tuple[Peer, ...] = (A, B)) -> BgpState:
    return BgpState(LISTENING, peers, routes, tuple(offers))


@dataclass
class World:
    """A gobgpd, a connection to it of somebody else, and the routers that A and B stand for."""

    daemon: Daemon
    client: GobgpClient
    a: Router
    b: Router

    async def told(self) -> tuple[dict[str, Told], dict[str, Told]]:
        """What A and B are told."""
        for router in (self.a, self.b):
            await router.up()
        return await told(self.client, self.a.address), await told(self.client, self.b.address)

    async def both(self) -> tuple[set[str], set[str]]:
        """The prefixes that A and B are told of."""
        to_a, to_b = await self.told()
        return {*to_a}, {*to_b}


@asynccontextmanager
async def world(rig: Rig) -> AsyncIterator[World]:
    a, b = Router(str(A.address), 65000), Router(str(B.address), LISTENING.asn)
    async with rig.daemon() as daemon, connected(daemon.target) as client, rig.routers(a, b):
        yield World(daemon, client, a, b)


async def policies(client: GobgpClient) -> list[str]:
    """Whatever there is of export policies and their sets."""
    sets = [each.name for kind in set_types(client.dialect) for each in await client.list_sets(kind)]
    named = [each.name for each in await client.list_policies() if each.name != OWNER.import_name]
    return [*sets, *named, *(each.name for each in (await client.get_assignment(EXPORT)).policies)]


def test_each_peer_is_told_what_is_for_it_and_no_mark_of_ours(rig: Rig) -> None:
    async def scenario() -> None:
        async with world(rig) as at, kept(at.daemon.target) as one:
            wanted = state(only(FOUR, TO_A), only(SIX, TO_A, TO_B), only(replace(SEVEN, offers=None)))
            await one.settle(wanted)
            assert wanted.records() == await one.speaker.operations.observe()
            assert {FOUR_AT: Told(), SIX_AT: Told()} == (await at.told())[0]
            assert set() == {*(await at.told())[1]}

            wanted = state(only(FOUR, TO_A), SEVEN, only(SIX, TO_B))
            await one.settle(wanted)
            assert ({FOUR_AT, SEVEN_AT}, {SEVEN_AT}) == await at.both()

    rig.run(scenario)


def test_an_audience_changes_without_a_word_to_the_peers(rig: Rig) -> None:
    audiences: list[tuple[Route, set[str]]] = [
        (only(FOUR, TO_A), {"A"}),
        (only(FOUR, TO_A, TO_B), {"A", "B"}),
        (only(FOUR, TO_B), {"B"}),
        (FOUR, {"A", "B"}),
        (only(FOUR, TO_A), {"A"}),
        (only(FOUR), set()),
    ]

    async def scenario() -> None:
        async with world(rig) as at, kept(at.daemon.target) as one:
            for route, expected in audiences:
                await one.settle(state(route))
                told = zip("AB", await at.both(), strict=True)
                assert expected == {name for name, prefixes in told if prefixes}, route
            await one.settle(BgpState(LISTENING, (A, B), (FOUR,)))
            assert [] == await policies(at.client)
            assert ({FOUR_AT}, {FOUR_AT}) == await at.both()

    rig.run(scenario)


def test_each_peer_is_told_with_its_own_attributes(rig: Rig) -> None:
    mark = LargeCommunity(65001, 7, 8)
    rich = offer(
        B, local_pref=200, med=9, communities=frozenset({65001 << 16 | 1}), large_communities=frozenset({mark})
    )
    poor = offer(A, med=0)
    route = replace(only(FOUR, rich, poor), communities=frozenset({65001 << 16 | 5}), local_pref=50, med=5)

    async def scenario() -> None:
        async with world(rig) as at, kept(at.daemon.target) as one:
            await one.settle(state(route, offers=(rich, poor)))
            to_a, to_b = await at.told()
            assert {FOUR_AT: Told(frozenset({65001 << 16 | 5}), frozenset(), None, 0)} == to_a
            communities = frozenset({65001 << 16 | 1, 65001 << 16 | 5})
            assert {FOUR_AT: Told(communities, frozenset({mark}), 200, 9)} == to_b

            drained = replace(route, communities=route.communities | {GRACEFUL_SHUTDOWN})
            await one.settle(state(drained, offers=(rich, poor)))
            assert GRACEFUL_SHUTDOWN in ((await at.told())[1])[FOUR_AT].communities

    rig.run(scenario)


def test_a_shared_gobgpd_is_told_nothing_that_is_not_for_all(rig: Rig) -> None:
    async def scenario() -> None:
        async with world(rig) as at:
            await at.client.start_bgp(encode_global(LISTENING))
            async with kept(at.daemon.target, tenancy=Tenancy.SHARED) as one:
                await one.settle(BgpState(LISTENING, (A, B), (FOUR, SEVEN)))
                one.reconciler.want(state(only(FOUR, TO_A), SEVEN).records())
                [words] = await _problems(one)
                assert "those of a shared gobgpd are somebody else's; give netlb a gobgpd of its own" in words
                assert ({SEVEN_AT}, {SEVEN_AT}) == await at.both()  # it was for all, and is for nobody now
                assert [] == await policies(at.client)
                await one.settle(BgpState(LISTENING, (A, B), (FOUR, SEVEN)))
                assert ({FOUR_AT, SEVEN_AT}, {FOUR_AT, SEVEN_AT}) == await at.both()

    rig.run(scenario)


async def _problems(one: Any) -> set[str]:
    await becomes(lambda: bool(one.problems()) and one.reconciler.counts().pending == 0)
    problems: set[str] = one.problems()
    return problems


def stranger_policy(dialect: Dialect, name: str, statement: str) -> Any:
    """A policy of somebody else's, which lets pass what carries a community of theirs."""
    matched = message("MatchSet")(type=dialect.first, name="theirs")
    conditions = message("Conditions")(large_community_set=matched)
    statements = [
        message("Statement")(name=statement, conditions=conditions, actions=message("Actions")(route_action=1))
    ]
    return message("Policy")(name=name, statements=statements)


async def add_stranger(client: GobgpClient, name: str, statement: str) -> None:
    _, kind = set_types(client.dialect)
    await client.add_set(message("DefinedSet")(defined_type=kind, name="theirs", list=["^65001:.*$"]))
    await client.add_policy(stranger_policy(client.dialect, name, statement))


@pytest.mark.parametrize("record", [Restriction(), TO_A])
def test_a_route_whose_policy_cannot_be_made_goes_nowhere_and_all_else_does(
    rig: Rig, record: Offer | Restriction
) -> None:
    """Somebody has taken the name of a statement."""

    async def scenario() -> None:
        async with world(rig) as at:
            name = encode_policy(at.client.dialect, OWNER, record).name
            async with kept(at.daemon.target) as one:
                await one.settle(BgpState(LISTENING, (A, B), (FOUR, SEVEN)))
                await add_stranger(at.client, "elsewhere", name)
                one.reconciler.want(state(only(FOUR, TO_A), SEVEN).records())
                problems = await _problems(one)
                assert [True] == [True for words in problems if f"statement {name} already defined" in words]
                assert [True] == [True for words in problems if words.endswith("(NotRestricted)")]
                assert ({SEVEN_AT}, {SEVEN_AT}) == await at.both()
                await at.client.delete_policy("elsewhere")
                one.reconciler.want(BgpState(LISTENING, (A, B), (SEVEN,)).records())
                await one.settle(state(only(FOUR, TO_A), SEVEN))
                assert ({FOUR_AT, SEVEN_AT}, {SEVEN_AT}) == await at.both()

    rig.run(scenario)


def test_nobody_elses_policy_comes_before_ours(rig: Rig) -> None:
    async def scenario() -> None:
        async with world(rig) as at, kept(at.daemon.target) as one:
            await one.settle(BgpState(LISTENING, (A, B), (SEVEN,)))
            await add_stranger(at.client, "theirs", "theirs")
            await at.client.set_assignment(EXPORT, ["theirs"], 1)
            await one.settle(state(only(FOUR, TO_A), SEVEN))
            assert ({FOUR_AT, SEVEN_AT}, {SEVEN_AT}) == await at.both()
            ours = [each.name for each in (await at.client.get_assignment(EXPORT)).policies]
            await at.client.set_assignment(EXPORT, ["theirs", *ours[:-1]], 1)
            assert ({FOUR_AT, SEVEN_AT}, {FOUR_AT, SEVEN_AT}) == await at.both()  # what it is about
            one.reconciler.refresh()
            await one.settled()
            assert ours == [each.name for each in (await at.client.get_assignment(EXPORT)).policies]
            await one.settle(BgpState(LISTENING, (A, B), (SEVEN,)))
            assert ["theirs"] == [each.name for each in (await at.client.get_assignment(EXPORT)).policies]

    rig.run(scenario)


def test_a_gobgpd_that_is_restarted_is_told_of_policies_again(rig: Rig) -> None:
    async def scenario() -> None:
        async with world(rig) as at, kept(at.daemon.target) as one:
            await one.settle(state(only(FOUR, TO_A), SEVEN))
            await at.daemon.restart()
            await becomes(lambda: one.count(DaemonBack) == 2)
            await one.settled()
            async with connected(at.daemon.target) as again:
                at.client = again
                assert ({FOUR_AT, SEVEN_AT}, {SEVEN_AT}) == await at.both()

    rig.run(scenario)


def test_a_successor_takes_over_what_is_wanted_and_removes_the_rest(rig: Rig) -> None:
    async def scenario() -> None:
        async with world(rig) as at:
            async with kept(at.daemon.target) as one:
                await one.settle(state(only(FOUR, TO_A), only(SEVEN, TO_B)))
            async with kept(at.daemon.target) as successor:
                await successor.settle(state(only(FOUR, TO_A), offers=(TO_A,)))
                assert ({FOUR_AT}, set()) == await at.both()
            assert 2 == len((await at.client.get_assignment(EXPORT)).policies)

    rig.run(scenario)


def test_a_policy_outlives_the_last_route_that_depends_on_it(rig: Rig) -> None:
    async def scenario() -> None:
        async with world(rig) as at:
            operations = BgpOperations(lambda: at.client)
            route = only(FOUR, TO_A)
            assert {} == await operations.apply(state(route).records())
            failures = await operations.prune([Restriction().key, TO_A.key, TO_B.key])
            assert {Restriction().key, TO_A.key} == failures.keys()
            assert {"routes still depend on it"} == {str(error).split(": ")[1] for error in failures.values()}
            assert ({FOUR_AT}, set()) == await at.both()
            assert {} == await operations.prune([route.key, Restriction().key, TO_A.key])
            assert [] == await policies(at.client)

    rig.run(scenario)


def test_no_peer_comes_before_the_routes_that_it_must_not_have(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """A route was for all, and what would make it one for A only is refused: B waits."""
    stubborn = only(FOUR, TO_A)

    def spoilt(dialect: Dialect, owner: Owner, route: Route) -> Any:
        path = encode_path(dialect, owner, route)
        if route is stubborn:
            path.pattrs.append(path.pattrs[0])
        return path

    async def scenario() -> None:
        async with world(rig) as at, kept(at.daemon.target) as one:
            await one.settle(BgpState(LISTENING, (A,), (FOUR,)))
            monkeypatch.setattr("netlb.bgp.adapter.table.encode_path", spoilt)
            one.reconciler.want(state(stubborn).records())
            problems = await _problems(one)
            assert f"the route to {FOUR_AT} is not for all, and could not be restricted yet" in problems
            assert ["127.0.0.2"] == [peer.conf.neighbor_address for peer in await at.client.list_peers()]
            monkeypatch.undo()
            await one.settled()
            assert ({FOUR_AT}, set()) == await at.both()

    rig.run(scenario)


def test_half_made_policies_are_completed(rig: Rig) -> None:
    async def scenario() -> None:
        async with world(rig) as at, kept(at.daemon.target) as one:
            await one.settle(BgpState(LISTENING, (A, B), (SEVEN,)))
            for wanted in encode_sets(at.client.dialect, OWNER, TO_A):
                await at.client.add_set(wanted)
            await at.client.add_policy(encode_policy(at.client.dialect, OWNER, TO_A))
            records: list[Record] = [TO_A, Restriction()]
            assert [False, False] == [(await Exports.found(at.client, OWNER)).agrees(each) for each in records]  # type: ignore[arg-type]
            await one.settle(state(only(FOUR, TO_A)))
            assert [True, True] == [(await Exports.found(at.client, OWNER)).agrees(each) for each in records]  # type: ignore[arg-type]
            assert ({FOUR_AT}, set()) == await at.both()

    rig.run(scenario)


def test_the_api_refuses_what_it_cannot_do(rig: Rig) -> None:
    async def scenario() -> None:
        async with world(rig) as at:
            await at.client.start_bgp(encode_global(LISTENING))
            dialect = at.client.dialect
            neighbors, _ = set_types(dialect)
            policy = encode_policy(dialect, OWNER, TO_A)

            async def refusal(call: Any) -> str:
                with pytest.raises(Exception) as caught:  # noqa: PT011 - its words are what is compared
                    await call
                return str(caught.value)

            assert "not found" in await refusal(at.client.add_policy(policy))
            assert "not found policy nowhere" in await refusal(at.client.set_assignment(EXPORT, ["nowhere"], 1))
            assert "not found policy: nowhere" in await refusal(at.client.delete_policy("nowhere"))
            assert "not found defined-set: nowhere" in await refusal(at.client.delete_set(neighbors, "nowhere"))
            bad = message("DefinedSet")(defined_type=neighbors, name="bad", list=["nobody"])
            assert "invalid address or prefix: nobody" in await refusal(at.client.add_set(bad))
            for wanted in encode_sets(dialect, OWNER, TO_A):
                await at.client.add_set(wanted)
            await at.client.add_policy(policy)
            assert f"statement {policy.name} already defined" in await refusal(at.client.add_policy(policy))
            await at.client.set_assignment(EXPORT, [policy.name], 1)
            assert "is in use" in await refusal(at.client.delete_policy(policy.name))
            assert "is in use" in await refusal(at.client.delete_set(neighbors, policy.name))
            assert "duplicated policy" in await refusal(at.client.set_assignment(EXPORT, [policy.name, policy.name], 1))
            assert (GLOBAL_TABLE, EXPORT, 1) == (
                (found := await at.client.get_assignment(EXPORT)).name,
                found.direction,
                found.default_action,
            )

    rig.run(scenario)
