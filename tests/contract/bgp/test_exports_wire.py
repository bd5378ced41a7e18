"""What routers hear, word by word, when routes are not for all of them: a real gobgpd, and real sessions."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from netlb.bgp.audience import audience
from netlb.bgp.events import Drifted
from netlb.bgp.model import BgpState, Offer, Peer, Route
from netlb.testing.lab import requirements
from tests.support.bgp import FOUR, LISTENING, RealRig, kept, real_rig, without_gobgpd
from tests.support.bgp_router import Router
from tests.support.needs import needs
from tests.support.waiting import becomes

pytestmark = pytest.mark.root

A, B = (Peer(address=ip_address(f"127.0.0.{number}"), asn=65000, passive=True) for number in (2, 3))
LAST = replace(FOUR, prefix=ip_network("203.0.113.99/32"))
"""For all: who has heard of it has heard of everything before."""


@pytest.fixture
def real(tmp_path: Path) -> Iterator[RealRig]:
    needs([*requirements(), *without_gobgpd()])
    with real_rig(tmp_path) as rig:
        yield rig


def offer(peer: Peer) -> Offer:
    return Offer(peer=peer.key.name, neighbors=audience(peer, (A, B)))


def state(route: Route | None, *only: Peer, last: int = 0) -> BgpState:
    """A route that is for some, or for all if nobody is named; and one for all that is another one each time."""
    offers = tuple(map(offer, only))
    named = replace(route, offers=frozenset(each.id for each in offers)) if route and only else route
    return BgpState(LISTENING, (A, B), (*([named] if named else []), replace(LAST, med=last)), offers)


async def hears(router: Router, number: int) -> None:
    """Wait until a router has heard of the route for all, as it is now."""

    def has_heard() -> bool:
        told = router.table.get(str(LAST.prefix))
        return told is not None and told.med == number

    await router.up()
    await becomes(has_heard)


def words(router: Router) -> list[str]:
    """What a router heard of the route, in order; `+` it was announced, `-` withdrawn."""
    heard = ["-" if told is None else "+" for prefix, told in router.words if prefix == str(FOUR.prefix)]
    return [word for at, word in enumerate(heard) if at == 0 or word != heard[at - 1]]


def test_a_route_is_heard_by_those_it_is_for_and_moves_between_them(real: RealRig) -> None:
    steps: list[tuple[tuple[Peer, ...], str, str]] = [
        ((A,), "+", ""),
        ((A, B), "+", "+"),
        ((B,), "+-", "+"),
        ((), "+-+", "+"),
        ((A,), "+-+", "+-"),
    ]

    async def scenario() -> None:
        a, b = Router("127.0.0.2", 65000), Router("127.0.0.3", 65000)
        async with real.daemon() as daemon, kept(daemon.target) as one, real.routers(a, b):
            for number, (only, to_a, to_b) in enumerate(steps, start=1):
                await one.settle(state(FOUR, *only, last=number))
                for router, expected in ((a, to_a), (b, to_b)):
                    await hears(router, number)
                    assert expected == "".join(words(router)), only
            assert (1, 1) == (a.sessions, b.sessions)
            heard = [told for router in (a, b) for _, told in router.words if told is not None]
            assert {1} == {len(told.large_communities) for told in heard}  # the owner's mark, and no other

    real.run(scenario)


def test_a_restart_tells_nobody_what_is_not_for_it(real: RealRig) -> None:
    async def scenario() -> None:
        a, b = Router("127.0.0.2", 65000), Router("127.0.0.3", 65000)
        async with real.daemon() as daemon, kept(daemon.target) as one, real.routers(a, b):
            await one.settle(state(FOUR, A))
            for number in (1, 2):
                await a.up()
                await b.up()
                before = one.count(Drifted)
                await daemon.restart()
                await becomes(lambda: not one.reconciler.is_settled())
                await one.settled()
                await one.settle(state(FOUR, A, last=number))
                for router in (a, b):
                    await hears(router, number)
                assert before == one.count(Drifted)
            assert ["+"] == words(a)
            assert [] == words(b)

    real.run(scenario)


def test_a_peer_that_comes_later_hears_nothing_else(real: RealRig) -> None:
    async def scenario() -> None:
        a, b = Router("127.0.0.2", 65000), Router("127.0.0.3", 65000)
        async with real.daemon() as daemon, kept(daemon.target) as one, real.routers(a, b):
            await one.settle(replace(state(FOUR), peers=(A,)))
            await a.up()
            await one.settle(state(FOUR, A, last=1))
            await b.up()
            for router in (a, b):
                await hears(router, 1)
            assert [] == words(b)
            await one.settle(replace(state(None, last=2), peers=(A, B)))
            for router in (a, b):
                await hears(router, 2)
            assert ["+", "-"] == words(a)

    real.run(scenario)
