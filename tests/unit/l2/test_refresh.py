"""Announcements that are repeated for ever: each address once in an interval, and not all of them together."""

from collections import Counter
from ipaddress import ip_address

from netlb.l2.refresh import Refresh

MANY = [ip_address("10.0.0.0") + number for number in range(1000)]


def test_each_has_its_turn_once_in_an_interval_and_they_are_spread() -> None:
    refresh = Refresh(100.0)
    turns = [refresh.due(MANY, float(second)) for second in range(301)]
    assert Counter(dict.fromkeys(MANY, 3)) == Counter(address for some in turns for address in some)
    assert turns[1:101] == turns[101:201] == turns[201:301]
    assert max(map(len, turns)) <= 30


def test_what_is_not_held_any_more_has_no_turn_and_what_comes_back_begins_anew() -> None:
    refresh = Refresh(10.0)
    one = MANY[:1]
    refresh.due(one, 0.0)
    assert [] == refresh.due([], 20.0)
    assert [] == refresh.due(one, 21.0)
    assert one == refresh.due(one, 31.0)


def test_whoever_slept_through_many_turns_takes_one() -> None:
    refresh = Refresh(10.0)
    one = MANY[:1]
    refresh.due(one, 0.0)
    assert one == refresh.due(one, 1000.0)
    assert [] == refresh.due(one, 1009.0)
    assert one == refresh.due(one, 1010.0)
