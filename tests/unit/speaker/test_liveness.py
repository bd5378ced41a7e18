"""What a speaker makes of what BFD tells it, and of what cannot be watched."""

import asyncio
import errno
from collections.abc import Callable, Coroutine
from typing import Any, cast

from structlog.testing import CapturingLogger

from netlb.bfd.adapter.bfd import Bfd, Peer
from netlb.bfd.events import AdminDown, Down, Event, ParametersChanged, Up
from netlb.bfd.packet import Diagnostic
from netlb.bfd.settings import Settings
from netlb.errors import DataplaneError
from netlb.net import parse_address
from netlb.plan.segment import Watched
from netlb.plan.timers import SEGMENT_TIMERS
from netlb_speaker.liveness import Liveness
from tests.support.virtual_time import run
from tests.support.waiting import becomes

ADDRESS = parse_address("192.0.2.2")
OTHER = {"other": Watched(ADDRESS, SEGMENT_TIMERS)}
PEER = Peer(ADDRESS)
THIRD = Peer(parse_address("192.0.2.3"))
PATIENT = Settings(transmit_interval=300_000, receive_interval=200_000, detect_multiplier=5)
BOTH = {**OTHER, "third": Watched(THIRD.address, PATIENT)}
"""One misses this node after 0.3 s, the other after 1.5 s."""
UP = Up(100_000, 300_000)


class Scripted:
    """Takes the place of Bfd: refuses as it is told, and lets the test say what happens."""

    def __init__(self) -> None:
        self.refuses = 0
        """errno, or 0."""
        self.refused = 0
        self.settings: dict[Peer, Settings] = {}
        self._hear: Callable[[Peer, Event], None] = lambda _peer, _event: None

    def add(self, peer: Peer, settings: Settings, on_event: Callable[[Peer, Event], None]) -> None:
        if self.refuses:
            self.refused += 1
            raise DataplaneError(f"BFD with {peer}", self.refuses)
        self.settings[peer], self._hear = settings, on_event

    def change(self, peer: Peer, settings: Settings) -> None:
        self.settings[peer] = settings

    async def remove(self, peer: Peer) -> None:
        del self.settings[peer]

    def counts(self) -> dict[str, int]:
        return {}

    def happens(self, event: Event, peer: Peer = PEER) -> None:
        self._hear(peer, event)


class Rig:
    def __init__(self, grace: float) -> None:
        self.bfd, self.log = Scripted(), CapturingLogger()
        self.returns = 0
        self.liveness = Liveness("own", self.log, lambda: None, self._returned, lambda: None, keyring=None, grace=grace)
        self.liveness.begin(cast(Bfd, self.bfd))

    def _returned(self) -> None:
        self.returns += 1


def play(scene: Callable[[Rig], Coroutine[Any, Any, None]], grace: float = 60.0) -> None:
    async def main() -> None:
        rig = Rig(grace)
        attending = asyncio.create_task(rig.liveness.attend())
        try:
            await scene(rig)
        finally:
            attending.cancel()
            await asyncio.gather(attending, return_exceptions=True)

    run(main())


def test_our_own_trouble_says_nothing_of_a_node_and_is_tried_again() -> None:
    async def scene(rig: Rig) -> None:
        rig.bfd.refuses = errno.EADDRINUSE
        rig.liveness.watch(OTHER)
        rig.liveness.watch(OTHER)
        assert [1, False, frozenset()] == [len(rig.log.calls), rig.liveness.settled, rig.liveness.dead]
        [note] = rig.liveness.notes()
        assert note.startswith("node other is not watched: BFD with 192.0.2.2: EADDRINUSE")
        await becomes(lambda: rig.bfd.refused > 2)
        assert (False, frozenset()) == (rig.liveness.settled, rig.liveness.dead)
        rig.bfd.refuses = 0
        await becomes(lambda: Peer(ADDRESS) in rig.bfd.settings)
        rig.bfd.happens(UP)
        assert ([], True, {"other": "alive"}) == (
            rig.liveness.notes(),
            rig.liveness.settled,
            rig.liveness.states(),
        )

    play(scene, grace=0.01)


def test_a_node_to_which_there_is_no_way_is_dead_after_a_while_and_alive_when_it_is_heard() -> None:
    async def scene(rig: Rig) -> None:
        rig.bfd.refuses = errno.ENETUNREACH
        rig.liveness.watch(OTHER)
        assert not rig.liveness.settled
        await becomes(lambda: rig.liveness.settled)
        assert frozenset({"other"}) == rig.liveness.dead
        rig.bfd.refuses = 0
        await becomes(lambda: Peer(ADDRESS) in rig.bfd.settings)
        assert frozenset({"other"}) == rig.liveness.dead
        rig.bfd.happens(UP)
        assert (frozenset(), 1) == (rig.liveness.dead, rig.returns)

    play(scene, grace=0.01)


def test_a_node_that_is_not_wanted_any_more_is_not_spoken_of() -> None:
    async def scene(rig: Rig) -> None:
        rig.bfd.refuses = errno.ENETUNREACH
        rig.liveness.watch(OTHER)
        await becomes(lambda: bool(rig.liveness.dead))
        rig.liveness.watch({})
        assert ([], frozenset(), True) == (rig.liveness.notes(), rig.liveness.dead, rig.liveness.settled)

    play(scene, grace=0.01)


def test_who_plans_again_on_account_of_those_who_are_gone_may_find_everybody_gone() -> None:
    both = {**OTHER, "third": Watched(parse_address("192.0.2.3"), SEGMENT_TIMERS)}

    async def scene(rig: Rig) -> None:
        rig.liveness.watch(both)
        for peer in list(rig.bfd.settings):
            rig.bfd.happens(UP, peer)
            rig.bfd.happens(AdminDown(), peer)
        assert both.keys() == rig.liveness.dead
        rig.liveness._on_change = lambda: rig.liveness.watch({})
        rig.liveness.watch({})
        assert ({}, frozenset()) == (rig.liveness.states(), rig.liveness.dead)
        await becomes(lambda: not rig.bfd.settings)

    play(scene)


def test_who_answers_keeps_what_it_has_until_who_comes_is_heard() -> None:
    async def scene(rig: Rig) -> None:
        rig.liveness.watch(OTHER, holding=True)
        assert (True, frozenset({"other"})) == (rig.liveness.settled, rig.liveness.dead)
        rig.bfd.happens(UP)
        assert frozenset() == rig.liveness.dead

    play(scene)


def test_who_has_nothing_does_not_take_others_for_dead_that_it_has_not_heard_yet() -> None:
    async def scene(rig: Rig) -> None:
        rig.liveness.watch(OTHER, holding=False)
        assert (False, frozenset()) == (rig.liveness.settled, rig.liveness.dead)

    play(scene)


async def hear_both(rig: Rig) -> None:
    rig.liveness.watch(BOTH)
    for peer in (PEER, THIRD):
        rig.bfd.happens(UP, peer)


def test_a_node_whose_own_bfd_process_ends_is_mute_when_the_last_has_missed_it_and_taken_over() -> None:
    async def scene(rig: Rig) -> None:
        rig.liveness.watch(BOTH)
        rig.liveness.interrupted()
        await asyncio.sleep(2)
        assert not rig.liveness.mute, "nobody had heard it"
        await hear_both(rig)
        rig.liveness.interrupted()
        await asyncio.sleep(1.54)
        assert not rig.liveness.mute, "not all know it yet"
        await asyncio.sleep(0.02)
        assert rig.liveness.mute

    play(scene)


def test_one_that_ends_again_before_it_was_heard_does_not_begin_the_time_anew() -> None:
    async def scene(rig: Rig) -> None:
        await hear_both(rig)
        rig.liveness.interrupted()
        await asyncio.sleep(1)
        rig.liveness.interrupted()
        await asyncio.sleep(0.6)
        assert rig.liveness.mute

    play(scene)


def test_one_that_ends_again_after_it_was_heard_begins_the_time_anew() -> None:
    async def scene(rig: Rig) -> None:
        await hear_both(rig)
        rig.liveness.interrupted()
        rig.bfd.happens(UP)
        await asyncio.sleep(1)
        rig.liveness.interrupted()
        await asyncio.sleep(1.5)
        assert not rig.liveness.mute
        await asyncio.sleep(0.1)
        assert rig.liveness.mute

    play(scene)


def test_who_is_mute_answers_again_with_the_first_that_hears_it() -> None:
    """That one gives up at once what it had taken over."""

    async def scene(rig: Rig) -> None:
        await hear_both(rig)
        rig.liveness.interrupted()
        await asyncio.sleep(2)
        rig.bfd.happens(UP, THIRD)
        assert not rig.liveness.mute

    play(scene)


def test_who_is_mute_answers_again_when_those_that_heard_it_are_dead() -> None:
    async def scene(rig: Rig) -> None:
        await hear_both(rig)
        rig.liveness.interrupted()
        await asyncio.sleep(2)
        for peer, mute in ((PEER, True), (THIRD, False)):
            rig.bfd.happens(Down(Diagnostic.CONTROL_DETECTION_TIME_EXPIRED, 0), peer)
            assert mute is rig.liveness.mute
        assert BOTH.keys() == rig.liveness.dead

    play(scene)


def test_only_who_was_dead_returns() -> None:
    async def scene(rig: Rig) -> None:
        rig.liveness.watch(OTHER)
        rig.bfd.happens(UP)
        assert 0 == rig.returns
        rig.bfd.happens(AdminDown())
        assert frozenset({"other"}) == rig.liveness.dead
        rig.bfd.happens(UP)
        assert (1, frozenset()) == (rig.returns, rig.liveness.dead)

    play(scene)


def test_who_is_not_ready_leaves_to_others_what_they_have() -> None:
    async def scene(rig: Rig) -> None:
        rig.liveness.watch(OTHER)
        rig.bfd.happens(UP)
        rig.bfd.happens(AdminDown())
        rig.bfd.happens(UP._replace(usable=False))
        assert (frozenset({"other"}), 0, {"other": "not ready"}) == (
            rig.liveness.dead,
            rig.returns,
            rig.liveness.states(),
        )
        rig.bfd.happens(ParametersChanged(100_000, 300_000, usable=True))
        assert (frozenset(), 1, {"other": "alive"}) == (rig.liveness.dead, rig.returns, rig.liveness.states())
        rig.bfd.happens(ParametersChanged(100_000, 300_000, usable=False))
        assert frozenset({"other"}) == rig.liveness.dead

    play(scene)


def test_nodes_that_start_together_agree_before_either_is_ready_and_do_not_wait_for_each_other() -> None:
    async def scene(rig: Rig) -> None:
        rig.liveness.watch(OTHER)
        assert not rig.liveness.settled
        rig.bfd.happens(UP._replace(usable=False))
        assert (True, frozenset()) == (rig.liveness.settled, rig.liveness.dead)
        rig.bfd.happens(ParametersChanged(100_000, 300_000, usable=True))
        assert (True, frozenset()) == (rig.liveness.settled, rig.liveness.dead)

    play(scene)


def test_who_does_not_get_ready_is_not_waited_for() -> None:
    async def scene(rig: Rig) -> None:
        rig.liveness.watch(OTHER)
        rig.bfd.happens(UP._replace(usable=False))
        await becomes(lambda: rig.liveness.dead == frozenset({"other"}))

    play(scene, grace=0.01)


def test_a_node_says_whether_it_is_ready() -> None:
    async def scene(rig: Rig) -> None:
        rig.liveness.watch(OTHER)
        assert rig.bfd.settings[Peer(ADDRESS)].path_down
        for ready in (True, False):
            rig.liveness.be_ready(ready)
            assert ready is not rig.bfd.settings[Peer(ADDRESS)].path_down

    play(scene)
