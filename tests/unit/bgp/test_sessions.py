"""What is known of sessions: events and lists say different things, and none may undo the other."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from netlb.bgp.adapter.speaker import GobgpSpeaker
from netlb.bgp.dialect import DIALECTS, Dialect
from netlb.bgp.model import BgpState, Key, Kind
from netlb.bgp.peers import MessageCounts, Session, SessionState
from netlb.bgp.sessions import Sessions, Watched
from netlb.testing.gobgp import FakeGobgpd
from tests.support.bgp import ROUTER, SPEAKER, kept
from tests.support.waiting import becomes

KEY = Key(Kind.PEER, "192.0.2.254")
IDLE = Session(KEY, "192.0.2.254", SessionState.IDLE)
ACTIVE = replace(IDLE, state=SessionState.ACTIVE)
UP = replace(IDLE, state=SessionState.ESTABLISHED)
LISTED = replace(UP, accepted=1, advertised=2, sent=MessageCounts(opens=1), received=MessageCounts(opens=3))


def only(sessions: Sessions) -> Watched:
    (watched,) = sessions
    return watched


def test_attempts_to_connect_are_no_change_of_up_and_down() -> None:
    sessions = Sessions()
    assert sessions.hear(IDLE, 1.0)
    assert sessions.hear(ACTIVE, 2.0)
    assert not sessions.hear(ACTIVE, 3.0)
    assert (Watched(ACTIVE, 1.0), False) == (only(sessions), only(sessions).up)
    assert sessions.hear(UP, 4.0)
    assert (Watched(UP, 4.0), True) == (only(sessions), only(sessions).up)
    assert sessions.hear(IDLE, 5.0)
    assert Watched(IDLE, 5.0) == only(sessions)


def test_what_lists_count_outlives_events_and_what_events_explain_outlives_lists() -> None:
    sessions = Sessions()
    assert sessions.listed([LISTED], 1.0)
    assert not sessions.listed([replace(LISTED, sent=MessageCounts(opens=9))], 2.0)
    assert sessions.hear(replace(IDLE, reason="hold timer expired"), 3.0)
    told = only(sessions).session
    assert ("hold timer expired", 1, 2, 9, 3) == (
        told.reason,
        told.accepted,
        told.advertised,
        told.sent.opens,
        told.received.opens,
    )
    assert sessions.listed([LISTED], 4.0)
    assert ("hold timer expired", 4.0) == (only(sessions).session.reason, only(sessions).since)


def test_who_is_not_listed_is_gone() -> None:
    sessions = Sessions()
    sessions.listed([LISTED], 1.0)
    assert sessions.listed([], 2.0)
    assert [] == list(sessions)
    sessions.listed([LISTED], 3.0)
    sessions.forget()
    assert [] == list(sessions)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_messages_are_counted_by_lists_of_either_generation(dialect: Dialect, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with FakeGobgpd(tmp_path / "api.sock", dialect) as gobgpd, kept(gobgpd.target) as one:
            await one.settle(BgpState(SPEAKER, (ROUTER,)))
            gobgpd.establish("192.0.2.254", advertised=2)
            await becomes(lambda: established(one.speaker))
            session = (await one.speaker.sessions())["192.0.2.254"]
            counted = MessageCounts(opens=1, keepalives=1, total=2)
            assert (2, counted, counted) == (session.advertised, session.sent, session.received)

    asyncio.run(scenario())


async def established(speaker: GobgpSpeaker) -> bool:
    return (await speaker.sessions())["192.0.2.254"].state is SessionState.ESTABLISHED
