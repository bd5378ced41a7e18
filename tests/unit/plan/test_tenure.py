"""Addresses that do not go back: who holds one, as everybody says."""

from ipaddress import ip_address

from netlb.api.reports import Tenancy
from netlb.plan.tenure import Tenure, read_tenancies, tenancies

A, B, SIX = ip_address("192.0.2.1"), ip_address("192.0.2.2"), ip_address("2001:db8::1")


def test_nobody_holds_anything_at_first() -> None:
    assert {} == dict(Tenure("n1").holders(()))


def test_who_takes_over_has_a_higher_term_than_anybody_before() -> None:
    tenure = Tenure("n2")
    assert tenure.heard({"n1": {A: 4, B: 1}})
    assert {A: 5, SIX: 1} == dict(tenure.decided([A, SIX]))
    assert {A: frozenset({"n2"}), B: frozenset({"n1"}), SIX: frozenset({"n2"})} == dict(tenure.holders(()))
    assert {A: 5} == dict(tenure.decided([A])), "the term stays for as long as it is held"


def test_the_dead_hold_nothing_and_who_returns_finds_out_that_it_is_taken() -> None:
    tenure = Tenure("n3")
    tenure.heard({"n1": {A: 1}})
    assert {} == dict(tenure.holders({"n1"}))
    tenure.heard({"n1": {A: 1}, "n2": {A: 2}})
    assert {A: frozenset({"n2"})} == dict(tenure.holders(()))
    assert {A: frozenset({"n1"})} == dict(tenure.holders({"n2"}))


def test_who_slept_loses_against_who_has_taken_over() -> None:
    slept = Tenure("n1")
    slept.decided([A])
    assert slept.heard({"n1": {A: 1}, "n2": {A: 2}})
    assert {A: frozenset({"n2"})} == dict(slept.holders(()))
    assert {} == dict(slept.decided([]))


def test_two_of_the_same_term_both_hold_it_until_one_gives_way() -> None:
    tenure = Tenure("n2")
    tenure.decided([A])
    tenure.heard({"n3": {A: 1}})
    assert {A: frozenset({"n2", "n3"})} == dict(tenure.holders(()))


def test_what_a_node_said_before_it_died_is_its_word_until_it_has_decided() -> None:
    tenure = Tenure("n1")
    assert tenure.heard({"n1": {A: 3}})
    assert {A: frozenset({"n1"})} == dict(tenure.holders(()))
    tenure.decided([])
    assert {} == dict(tenure.holders(()))
    assert not tenure.heard({"n1": {B: 7}}), "what it says itself is no news to it"
    assert {} == dict(tenure.holders(()))


def test_what_is_written_is_read_back() -> None:
    terms = {SIX: 1, B: 2, A: 1}
    written = tenancies(terms)
    assert [{"term": 1, "addresses": [str(A), str(SIX)]}, {"term": 2, "addresses": [str(B)]}] == written
    assert terms == read_tenancies([Tenancy(term=each["term"], addresses=tuple(each["addresses"])) for each in written])
    assert {} == read_tenancies([Tenancy(term=1, addresses=("rubbish",))])
