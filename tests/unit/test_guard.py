"""What the speaker's guard withholds, from one snapshot to the next."""

from collections.abc import Mapping
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlb.findings import ObjectRef
from netlb.l2.announces import Stranger
from netlb.net import Address
from netlb.plan import AnnouncedAddress, NodePlan, SilentAddress
from netlb.reasons import Silence
from netlb_speaker.guard import RETRY, Guard, Withheld

A, B, C = (ip_address(f"192.0.2.{number}") for number in (1, 2, 3))
SOMEBODY = Stranger("02:00:00:00:00:99", "eth0")
OTHER = SilentAddress(Silence.NOT_OWNER, "n2")
NOBODY = SilentAddress(Silence.NO_ENDPOINT)
MINE = AnnouncedAddress((), None)
ON_ETH1 = AnnouncedAddress((), frozenset({"eth1"}))
PENDING = Withheld()

Verdict = AnnouncedAddress | SilentAddress


def plan(verdicts: Mapping[Address, Verdict]) -> NodePlan:
    return NodePlan(
        "n1",
        {address: verdict for address, verdict in verdicts.items() if isinstance(verdict, AnnouncedAddress)},
        {
            ObjectRef("Service", "default", str(address)): {address: verdict}
            for address, verdict in verdicts.items()
            if isinstance(verdict, SilentAddress)
        },
        (),
    )


class Story:
    """A guard, and snapshots in which every address that is mentioned is held."""

    def __init__(self, *, yields: bool = False, **first: Verdict) -> None:
        self.guard = Guard(60.0, yields=yields)
        self.then(**first)

    def then(self, **verdicts: Verdict) -> "Story":
        named = {{"a": A, "b": B, "c": C}[name]: verdict for name, verdict in verdicts.items()}
        self.guard.planned(named.keys(), plan(named))
        return self

    @property
    def withheld(self) -> set[Address]:
        return set(self.guard.withheld)


def test_what_is_there_at_the_start_is_announced_at_once() -> None:
    assert set() == Story(a=MINE).withheld
    assert set() == Story(a=MINE).then(a=MINE).withheld


def test_what_comes_new_is_withheld_by_its_owner() -> None:
    story = Story(a=MINE).then(a=MINE, b=MINE, c=OTHER)
    assert {B: PENDING} == story.guard.withheld


def test_what_comes_from_another_owner_is_announced_at_once() -> None:
    assert set() == Story(a=OTHER).then(a=MINE).withheld
    assert set() == Story().then(a=OTHER).then(a=MINE).withheld
    assert set() == Story(a=OTHER).then(a=NOBODY).then(a=MINE).withheld


def test_an_address_is_fresh_until_somebody_owns_it() -> None:
    assert {A} == Story().then(a=NOBODY).then(a=NOBODY).then(a=MINE).withheld
    assert set() == Story().then(a=NOBODY).then(a=OTHER).then(a=MINE).withheld


def test_an_address_that_was_given_back_in_between_is_fresh() -> None:
    assert {A} == Story(a=MINE).then().then(a=MINE).withheld


def test_what_leaves_the_plan_is_forgotten() -> None:
    story = Story().then(a=MINE)
    assert set() == story.then(a=OTHER).withheld
    assert set() == story.then(a=MINE).withheld
    assert set() == Story().then(a=MINE).then().withheld


def test_what_was_never_announced_is_probed_when_it_comes_back() -> None:
    story = Story().then(a=MINE)
    story.guard.found(story.guard.start(0.0), {A: SOMEBODY}, 5.0)
    assert {A} == story.then(a=NOBODY).then(a=MINE).withheld
    assert {A: None} == story.guard.start(6.0)


def test_what_no_station_can_have_is_left_to_the_announcer() -> None:
    broadcast: Address = ip_address("255.255.255.255")
    guard = Guard(60.0)
    guard.planned(set(), plan({}))
    guard.planned({broadcast}, plan({broadcast: MINE}))
    assert {} == guard.withheld


def test_a_free_address_is_probed_once_and_then_announced() -> None:
    guard = Story().then(a=MINE, b=ON_ETH1).guard
    assert guard.next_wakeup() == float("-inf")
    asked = guard.start(0.0)
    assert {A: None, B: frozenset({"eth1"})} == asked
    assert {} == guard.start(0.0)
    assert guard.next_wakeup() is None
    assert [] == list(guard.found(asked, {A: None, B: None}, 6.0))
    assert {} == guard.withheld


def test_an_address_in_conflict_is_probed_every_interval_and_told_of_once() -> None:
    guard = Story().then(a=MINE).guard
    other = Stranger("02:00:00:00:00:98", "eth1")
    assert [(A, SOMEBODY)] == list(guard.found(guard.start(0.0), {A: SOMEBODY}, 2.0))
    assert {A: Withheld(SOMEBODY)} == guard.withheld
    assert ({}, 62.0) == (guard.start(61.9), guard.next_wakeup())
    assert [] == list(guard.found(guard.start(62.0), {A: other}, 63.0))
    assert {A: Withheld(other)} == guard.withheld
    assert [(A, None)] == list(guard.found(guard.start(123.0), {A: None}, 130.0))
    assert {} == guard.withheld


def test_what_could_not_be_probed_is_tried_again_soon_and_says_why() -> None:
    guard = Story().then(a=MINE).guard
    assert [] == list(guard.found(guard.start(0.0), {}, 0.0))
    assert "no interface" in guard.withheld[A].problem
    assert guard.next_wakeup() == RETRY
    guard.failed(guard.start(RETRY), "no responder", RETRY)
    assert Withheld(None, "no responder") == guard.withheld[A]
    guard.found(guard.start(2 * RETRY), {A: SOMEBODY}, 3.0)
    guard.failed(guard.start(63.0), "no responder", 63.0)
    assert Withheld(SOMEBODY, "no responder") == guard.withheld[A]


def test_an_answer_about_other_interfaces_does_not_count() -> None:
    story = Story().then(a=MINE)
    asked = story.guard.start(0.0)
    story.then(a=ON_ETH1)
    assert [] == list(story.guard.found(asked, {A: None}, 1.0))
    assert {A} == story.withheld
    assert {A: frozenset({"eth1"})} == story.guard.start(1.0)


def test_an_answer_about_what_is_gone_is_passed_over() -> None:
    story = Story().then(a=MINE)
    asked = story.guard.start(0.0)
    story.then()
    assert [] == list(story.guard.found(asked, {A: SOMEBODY}, 1.0))
    story.guard.failed(asked, "no responder", 1.0)
    assert set() == story.withheld


@pytest.mark.parametrize("times", [1, 3])
def test_the_same_snapshot_again_begins_nothing_anew(times: int) -> None:
    story = Story().then(a=MINE)
    story.guard.start(0.0)
    for _ in range(times):
        story.then(a=MINE, b=OTHER)
    assert {} == story.guard.start(100.0)


verdicts = st.sampled_from([MINE, OTHER, NOBODY, None])


@given(st.lists(st.tuples(verdicts, verdicts), min_size=1, max_size=12))
def test_of_all_speakers_at_most_the_first_owner_withholds_and_a_failover_waits_for_nothing(
    history: list[tuple[Verdict | None, Verdict | None]],
) -> None:
    """Two speakers see the same snapshots, in which each address has one owner, none, or no holder."""
    swapped: dict[Verdict | None, Verdict | None] = {MINE: OTHER, OTHER: MINE, NOBODY: NOBODY, None: None}
    one, two = Guard(60.0), Guard(60.0)
    owners: dict[Address, set[str]] = {}
    for number, pair in enumerate(history):
        here = {address: verdict for address, verdict in zip((A, B), pair, strict=True) if verdict is not None}
        there = {address: swapped[verdict] for address, verdict in here.items()}
        one.planned(here.keys(), plan(here))
        two.planned(here.keys(), plan({address: verdict for address, verdict in there.items() if verdict is not None}))
        owners = {address: seen for address, seen in owners.items() if address in here}
        for address, verdict in here.items():
            seen = owners.setdefault(address, {"somebody"} if number == 0 else set())
            for name, guard, mine in ("one", one, MINE), ("two", two, OTHER):
                if verdict is mine:
                    assert (address in guard.withheld) == (seen <= {name})
                    seen.add(name)
                else:
                    assert address not in guard.withheld


def test_who_yields_asks_about_whatever_it_comes_to_own() -> None:
    story = Story(yields=True, a=MINE, b=OTHER)
    assert {A} == story.withheld
    list(story.guard.found(story.guard.start(0.0), {A: None}, 1.0))
    assert set() == story.then(a=MINE, b=OTHER).withheld
    assert {B} == story.then(a=MINE, b=MINE).withheld
    assert {A, B} == story.then(a=OTHER, b=MINE).then(a=MINE, b=MINE).withheld


def test_who_yields_gives_up_what_another_station_claims_until_nobody_has_it() -> None:
    guard = Story(yields=True, a=MINE).guard
    assert not guard.claimed(A, SOMEBODY, None, 0.5), "it is not announced yet"
    list(guard.found(guard.start(0.0), {A: None}, 1.0))
    assert not guard.claimed(B, SOMEBODY, None, 2.0), "it is none of ours"
    assert guard.claimed(A, SOMEBODY, None, 2.0)
    assert {A: Withheld(SOMEBODY)} == guard.withheld
    assert {} == guard.start(61.9)
    asked = guard.start(62.0)
    assert {A: None} == asked
    assert [] == list(guard.found(asked, {A: SOMEBODY}, 63.0))
    assert [(A, None)] == list(guard.found(guard.start(123.0), {A: None}, 124.0))
    assert {} == guard.withheld


def test_others_give_up_nothing() -> None:
    guard = Story(a=MINE).guard
    assert not guard.claimed(A, SOMEBODY, None, 1.0)
    assert {} == guard.withheld
