"""What a session accepts: whose packet it is, that it is new, and from how far it came."""

from dataclasses import replace

import pytest

from netlb.bfd.packet import Diagnostic, Key, State, encode, sign
from netlb.bfd.session import Session
from netlb.reasons import BfdVerdict
from tests.unit.bfd.link import FAST, MINE, Link, deliver, open_session, said, session_in

KEY = Key(3, b"secret")
ADMIN, DOWN, INIT, UP = State


def authenticated(now: float = 10.0, key: Key = KEY) -> Session:
    session = open_session(MINE, replace(FAST, key=key), now)
    session.due(now)
    assert BfdVerdict.ACCEPTED == deliver(session, sign(encode(said(DOWN)), key, 100), now)
    assert BfdVerdict.ACCEPTED == deliver(session, sign(encode(said(UP)), key, 101), now)
    assert UP is session.state
    session.take_packets()
    session.take_events()
    return session


def snapshot(session: Session) -> object:
    return {name: value for name, value in vars(session).items() if name != "dropped"}


SIMPLE = bytes((0x20, 0xC4, 3, 33)) + encode(said(UP))[4:] + b"\x01\x09\x03secret"


@pytest.mark.parametrize(
    ("octets", "verdict"),
    [
        (encode(said(DOWN)), BfdVerdict.UNAUTHENTICATED),
        (SIMPLE, BfdVerdict.WRONG_AUTHENTICATION_TYPE),
        (sign(encode(said(DOWN)), replace(KEY, meticulous=False), 102), BfdVerdict.WRONG_AUTHENTICATION_TYPE),
        (sign(encode(said(DOWN)), replace(KEY, identifier=4), 102), BfdVerdict.UNKNOWN_KEY),
        (sign(encode(said(DOWN)), KEY, 101), BfdVerdict.REPLAYED),
        (sign(encode(said(DOWN)), KEY, 100), BfdVerdict.REPLAYED),
        (sign(encode(said(DOWN)), KEY, 101 + 10), BfdVerdict.REPLAYED),
        (sign(encode(said(DOWN)), replace(KEY, secret=b"guess"), 102), BfdVerdict.WRONG_DIGEST),
    ],
)
def test_what_is_not_the_peers_changes_nothing_and_is_counted(octets: bytes, verdict: BfdVerdict) -> None:
    session = authenticated()
    before = snapshot(session)
    assert verdict == deliver(session, octets, 10.1)
    assert before == snapshot(session)
    assert {verdict: 1} == session.dropped
    session.due(10.3)
    assert DOWN is session.state  # nor was it a sign of life


def test_authentication_where_there_is_no_key() -> None:
    session = session_in(UP)
    before = snapshot(session)
    assert BfdVerdict.UNEXPECTED_AUTHENTICATION == deliver(session, sign(encode(said(DOWN)), KEY, 1), 13.01)
    assert before == snapshot(session)


@pytest.mark.parametrize(
    ("ttl", "verdict"), [(255, BfdVerdict.ACCEPTED), (254, BfdVerdict.LOW_TTL), (0, BfdVerdict.LOW_TTL)]
)
def test_what_came_from_afar(ttl: int, verdict: BfdVerdict) -> None:
    session = session_in(UP)
    before = snapshot(session)
    assert verdict == deliver(session, encode(said(UP)), 13.01, ttl)
    assert (before == snapshot(session)) is (verdict is BfdVerdict.LOW_TTL)


def test_over_several_hops_the_ttl_may_be_lower() -> None:
    session = session_in(UP, replace(FAST, minimum_ttl=250))
    assert BfdVerdict.ACCEPTED == deliver(session, encode(said(UP)), 13.01, 250)
    assert BfdVerdict.LOW_TTL == deliver(session, encode(said(UP)), 13.02, 249)


def test_packets_of_the_window_may_be_missing() -> None:
    session = authenticated()
    assert BfdVerdict.ACCEPTED == deliver(session, sign(encode(said(UP)), KEY, 101 + 9), 10.1)
    assert BfdVerdict.REPLAYED == deliver(session, sign(encode(said(UP)), KEY, 102), 10.2)


def test_the_plain_sort_may_repeat_a_number() -> None:
    plain = replace(KEY, meticulous=False)
    session = authenticated(key=plain)
    assert BfdVerdict.ACCEPTED == deliver(session, sign(encode(said(UP)), plain, 101), 10.1)
    assert BfdVerdict.REPLAYED == deliver(session, sign(encode(said(UP)), plain, 100), 10.1)


def test_with_another_key_the_numbers_begin_anew() -> None:
    session, other = authenticated(), Key(4, b"new")
    session.change(replace(FAST, key=other), 10.1)
    assert BfdVerdict.UNKNOWN_KEY == deliver(session, sign(encode(said(UP)), KEY, 102), 10.1)
    assert BfdVerdict.ACCEPTED == deliver(session, sign(encode(said(UP)), other, 9_000_000), 10.2)
    assert BfdVerdict.REPLAYED == deliver(session, sign(encode(said(UP)), other, 9_000_000), 10.2)


def test_a_peer_that_begins_anew_is_believed_after_twice_the_detection_time() -> None:
    session = authenticated()
    session.due(10.3)
    assert DOWN is session.state
    fresh = sign(encode(said(DOWN)), KEY, 1_000_000)
    assert BfdVerdict.REPLAYED == deliver(session, fresh, 10.59)
    assert BfdVerdict.ACCEPTED == deliver(session, fresh, 10.61)


def test_a_peer_that_left_on_purpose_is_believed_at_once_when_it_returns() -> None:
    session = authenticated()
    assert BfdVerdict.REPLAYED == deliver(session, sign(encode(said(ADMIN)), KEY, 90), 10.1)
    assert BfdVerdict.ACCEPTED == deliver(session, sign(encode(said(ADMIN)), KEY, 102), 10.1)
    assert BfdVerdict.ACCEPTED == deliver(session, sign(encode(said(DOWN)), KEY, 1_000_000), 10.2)
    assert BfdVerdict.REPLAYED == deliver(session, sign(encode(said(ADMIN)), KEY, 103), 10.3)


def test_a_peer_whose_program_is_gone_is_believed_at_once_when_it_returns() -> None:
    session = authenticated()
    gone = encode(said(DOWN, diagnostic=Diagnostic.FORWARDING_PLANE_RESET))
    assert BfdVerdict.REPLAYED == deliver(session, sign(gone, KEY, 90), 10.1)
    assert BfdVerdict.ACCEPTED == deliver(session, sign(gone, KEY, 102), 10.1)
    assert BfdVerdict.ACCEPTED == deliver(session, sign(gone, KEY, 1_000_000), 10.2)
    assert BfdVerdict.REPLAYED == deliver(session, sign(gone, KEY, 103), 10.3)


@pytest.mark.parametrize("meticulous", [True, False])
def test_two_ends_with_a_key_stay_up_across_the_end_of_the_numbers(meticulous: bool) -> None:
    settings = replace(FAST, key=replace(KEY, meticulous=meticulous))
    link = Link((settings, settings))
    link.run(60.0)
    assert [(UP, 0), (UP, 0)] == [(end.state, end.downs) for end in link.ends]
    numbers = [
        sent.packet.authentication.sequence for sent in link.sent if sent.packet.authentication and not sent.sender
    ]
    assert len(set(numbers)) == len(numbers)
    assert {} == link.ends[0].dropped


def test_two_ends_with_different_keys_never_meet() -> None:
    link = Link((replace(FAST, key=KEY), replace(FAST, key=replace(KEY, secret=b"other"))))
    link.run(10.0)
    assert [DOWN, DOWN] == [end.state for end in link.ends]
    assert {BfdVerdict.WRONG_DIGEST} == set(link.ends[0].dropped)


def test_a_key_is_changed_without_a_failure_if_both_ends_are_quick() -> None:
    other = replace(FAST, key=Key(4, b"new"))
    link = Link((replace(FAST, key=KEY), replace(FAST, key=KEY)))
    link.run(5.0)
    link.change(0, other)
    link.run(0.15)
    link.change(1, other)
    link.run(20.0)
    assert [(UP, 0), (UP, 0)] == [(end.state, end.downs) for end in link.ends]


def test_a_key_is_changed_at_leisure_where_the_former_one_is_believed_too() -> None:
    new = Key(KEY.identifier, b"new")
    link = Link((replace(FAST, key=KEY), replace(FAST, key=KEY)))
    link.run(5.0)
    for key, former in ((new, (KEY,)), (new, ())):
        for end in (0, 1):
            link.change(end, replace(FAST, key=key, former=former))
            link.run(20.0)
    assert [(UP, 0), (UP, 0)] == [(end.state, end.downs) for end in link.ends]
    assert {BfdVerdict.WRONG_DIGEST} == set(link.ends[0].dropped) == set(link.ends[1].dropped)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_authentication_begins_at_leisure_where_none_is_believed_too(order: tuple[int, int]) -> None:
    link = Link((FAST, FAST))
    link.run(5.0)
    for settings in (replace(FAST, key=KEY, former=(None,)), replace(FAST, key=KEY)):
        for end in order:
            link.change(end, settings)
            link.run(20.0)
    assert [(UP, 0), (UP, 0)] == [(end.state, end.downs) for end in link.ends]
    assert all(sent.packet.authentication for sent in link.sent[-10:])


def test_a_former_key_is_no_way_around_the_numbers() -> None:
    session, new = authenticated(), Key(4, b"new")
    session.change(replace(FAST, key=new, former=(KEY,)), 10.1)
    assert BfdVerdict.REPLAYED == deliver(session, sign(encode(said(DOWN)), new, 101), 10.1)
    assert BfdVerdict.UNKNOWN_KEY == deliver(session, sign(encode(said(DOWN)), KEY, 101), 10.1)
    assert BfdVerdict.ACCEPTED == deliver(session, sign(encode(said(UP)), KEY, 102), 10.1)
    assert BfdVerdict.UNAUTHENTICATED == deliver(session, encode(said(DOWN)), 10.1)
    assert BfdVerdict.UNKNOWN_KEY == deliver(session, sign(encode(said(DOWN)), Key(5, b"x"), 103), 10.1)
    assert UP is session.state
