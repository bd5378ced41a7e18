"""Which BGP peers are kept down by what BFD says of their routers."""

import asyncio
from collections.abc import Callable, Coroutine
from types import SimpleNamespace
from typing import Any, cast

import pytest
import structlog

from netlb.bfd.adapter.bfd import Bfd, Peer
from netlb.bfd.events import AdminDown, Down, Event, Up
from netlb.bfd.packet import Diagnostic, State
from netlb.bfd.settings import Settings
from netlb.errors import DataplaneError
from netlb.net import parse_address
from netlb.plan.bfd import Watch
from netlb_speaker import router_liveness
from netlb_speaker.router_liveness import RouterLiveness
from tests.support.waiting import becomes

ROUTER, OTHER = "192.0.2.254", "192.0.2.253"
UP, DOWN = Up(100_000, 300_000), Down(Diagnostic.CONTROL_DETECTION_TIME_EXPIRED, 0)
LONG = 1000.0


class StandIn:
    """Sessions that say what a test says."""

    def __init__(self) -> None:
        self.sessions: dict[Peer, Settings] = {}
        self.refuses = False
        self._hearers: dict[str, tuple[Peer, Callable[[Peer, Event], None]]] = {}

    def add(self, peer: Peer, settings: Settings, on_event: Callable[[Peer, Event], None]) -> None:
        if self.refuses:
            raise DataplaneError(f"BFD with {peer}: find the way to it", 101)
        assert not [one for one in self.sessions if one.address == peer.address]
        self.sessions[peer] = settings
        self._hearers[str(peer.address)] = peer, on_event

    def change(self, peer: Peer, settings: Settings) -> None:
        assert peer in self.sessions
        self.sessions[peer] = settings

    async def remove(self, peer: Peer) -> None:
        del self.sessions[peer]
        await asyncio.sleep(LONG)  # a peer that is dead lets one wait

    def status(self, peer: Peer) -> Any:
        assert peer in self.sessions
        return SimpleNamespace(state=State.UP)

    def tell(self, event: Event, router: str = ROUTER) -> None:
        peer, hear = self._hearers[router]
        hear(peer, event)


def watch(router: str = ROUTER, **fields: Any) -> Watch:
    return Watch(parse_address(router), **{"settings": Settings(), **fields})


BOTH = {ROUTER: watch(), OTHER: watch(OTHER)}


class World:
    """One RouterLiveness above a stand-in."""

    def __init__(self, hold: float = LONG) -> None:
        self.changes = 0
        self.bfd = StandIn()
        self.liveness = RouterLiveness(structlog.get_logger(), self._changed, hold=hold)

    def _changed(self) -> None:
        self.changes += 1

    async def begin(self) -> None:
        self.liveness.watch(BOTH)
        self.liveness.begin(cast(Bfd, self.bfd))
        await becomes(lambda: len(self.bfd.sessions) == 2)


def run(scenario: Callable[[World], Coroutine[Any, Any, None]], **options: float) -> None:
    async def running() -> None:
        await scenario(World(**options))

    asyncio.run(running())


@pytest.mark.parametrize("event", [UP, AdminDown()])
def test_a_failed_session_keeps_its_peer_down_until_it_is_up_or_switched_off(event: Event) -> None:
    async def scenario(world: World) -> None:
        await world.begin()
        assert frozenset() == world.liveness.down  # never up is no failure
        world.bfd.tell(UP)
        assert frozenset() == world.liveness.down
        before = world.changes
        world.bfd.tell(DOWN)
        assert frozenset({ROUTER}) == world.liveness.down
        assert world.changes == before + 1
        world.bfd.tell(event)
        assert frozenset() == world.liveness.down
        assert world.changes == before + 2

    run(scenario)


def test_what_the_routers_operator_switches_off_is_no_failure() -> None:
    async def scenario(world: World) -> None:
        await world.begin()
        world.bfd.tell(UP)
        world.bfd.tell(AdminDown())
        assert frozenset() == world.liveness.down

    run(scenario)


def test_no_peer_is_kept_down_for_ever() -> None:
    async def scenario(world: World) -> None:
        await world.begin()
        world.bfd.tell(UP)
        world.bfd.tell(DOWN)
        await becomes(lambda: not world.liveness.down)

    run(scenario, hold=0.02)


def test_a_second_failure_begins_the_time_anew() -> None:
    async def scenario(world: World) -> None:
        await world.begin()
        for event in (UP, DOWN, UP, DOWN):
            world.bfd.tell(event)
        assert frozenset({ROUTER}) == world.liveness.down
        await becomes(lambda: not world.liveness.down)

    run(scenario, hold=0.02)


def test_who_is_no_longer_watched_is_not_kept_down() -> None:
    async def scenario(world: World) -> None:
        await world.begin()
        world.bfd.tell(UP)
        world.bfd.tell(DOWN)
        world.liveness.watch({OTHER: BOTH[OTHER]})
        assert frozenset() == world.liveness.down
        await becomes(lambda: [OTHER] == [str(peer.address) for peer in world.bfd.sessions])
        world.bfd.tell(DOWN)  # on its way while the session went
        assert frozenset() == world.liveness.down
        assert {OTHER: "up"} == world.liveness.states()

    run(scenario)


def test_other_timers_change_the_session_and_another_end_makes_a_new_one() -> None:
    async def scenario(world: World) -> None:
        await world.begin()
        world.bfd.tell(UP)
        world.bfd.tell(DOWN)
        fast = Settings(transmit_interval=50_000)
        world.liveness.watch({**BOTH, ROUTER: watch(settings=fast)})
        assert frozenset({ROUTER}) == world.liveness.down
        assert fast == world.bfd.sessions[Peer(parse_address(ROUTER))]
        ours = parse_address("192.0.2.1")
        world.liveness.watch({**BOTH, ROUTER: watch(source=ours)})
        await becomes(lambda: Peer(parse_address(ROUTER), local=ours) in world.bfd.sessions)
        assert frozenset() == world.liveness.down
        assert 2 == len(world.bfd.sessions)

    run(scenario)


def test_a_session_that_cannot_be_begun_is_told_of_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router_liveness, "_AGAIN", 0.02)

    async def scenario(world: World) -> None:
        world.bfd.refuses = True
        world.liveness.watch({ROUTER: watch()})
        world.liveness.begin(cast(Bfd, world.bfd))
        await becomes(lambda: "find the way to it" in world.liveness.states()[ROUTER])
        world.bfd.refuses = False
        await becomes(lambda: {ROUTER: "up"} == world.liveness.states())

    with structlog.testing.capture_logs() as logs:
        run(scenario)
    assert 1 == len([entry for entry in logs if entry["event"] == "router not watched by BFD"])


def test_nothing_is_begun_or_concluded_while_bfd_ends() -> None:
    async def scenario(world: World) -> None:
        await world.begin()
        world.bfd.tell(UP)
        world.liveness.end()
        world.bfd.tell(DOWN)
        world.liveness.watch({**BOTH, "192.0.2.252": watch("192.0.2.252")})
        await asyncio.sleep(0)
        assert frozenset() == world.liveness.down
        assert 2 == len(world.bfd.sessions)

    run(scenario)
