"""Rows, rounds and targets of the failover benchmark, from rounds that were never measured."""

from collections.abc import Mapping
from random import Random

import pytest
from rich.console import Console
from rich.table import Table

from benchmarks.failover.idle import Idle
from benchmarks.failover.many import Mass, read_mass
from benchmarks.failover.measure import FAULTS, Calm, Case, fill
from benchmarks.failover.reading import Outcome
from benchmarks.failover.stations import STATIONS, Kind
from benchmarks.failover.table import calm_table, idle_table, mass_table, ratio, takeover_table, targets
from netlb.testing.lab import LabError

FACTORS = {"netlb": 1.0, "keepalived, 0.1 s": 1.0, "keepalived, 1 s": 10.0}


def outcome(takeover: float | None, *, silence: float = 5.0, late: int = 0) -> Outcome:
    return Outcome(
        takeover_ms=takeover, silence_ms=silence, second=25, second_late=late, overlap_ms=50.0, unserved_ms=12.0
    )


def made_cases() -> list[Case]:
    """Netlb takes 200, 250 and 300 ms; one of the others takes ten times that, and part in the first round only."""
    cases = []
    for fault in FAULTS:
        for name, factor in FACTORS.items():
            rounds = {0: 200.0} if factor > 1 else {0: 200.0, 1: 250.0, 2: 300.0}
            outcomes = {number: outcome(each * factor) for number, each in rounds.items()}
            cases.append(Case(kind=present(name), fault=fault, outcomes=outcomes))
    return cases


def present(name: str) -> Kind:
    return Kind(name, STATIONS[name].make, address=STATIONS[name].address, every=STATIONS[name].every)


def case_of(cases: list[Case], name: str, fault: str) -> Case:
    return next(case for case in cases if (case.kind.name, case.fault) == (name, fault))


def calm(changes: int = 0) -> list[Calm]:
    return [
        Calm(station="netlb", seconds=30.0, answers=3000, owner_changes=changes, silence_ms=12.0, deaths=0),
        Calm(station="keepalived, 1 s", seconds=30.0, answers=3000, owner_changes=4, silence_ms=120.0, deaths=None),
    ]


COST = Idle(
    neighbours=31,
    seconds=30.0,
    cores={"speaker": 0.005, "bfd": 0.02},
    resident={"speaker": 60_000_000, "bfd": 18_000_000},
)


def mass(announced: int = 1000) -> Mass:
    return Mass(station="netlb", addresses=1000, announced=announced, first_ms=300.0, last_ms=400.0, frames=10_000)


def lines(table: Table) -> list[str]:
    console = Console(width=140)
    with console.capture() as captured:
        console.print(table)
    return [" ".join(line.split()) for line in captured.get().splitlines()]


def test_a_row_has_median_and_p99_and_a_ratio_of_the_rounds_in_common() -> None:
    found = lines(takeover_table(made_cases()))
    assert "crash netlb 250 / 300 1 5 / 5 12 / 12 50 / 50 25 3" in found
    assert "cut link keepalived, 1 s 2,000 / 2,000 10 5 / 5 12 / 12 50 / 50 25 1" in found


def test_a_row_says_what_was_not_measured_and_what_never_happened() -> None:
    cases = made_cases()
    case_of(cases, "netlb", "crash").failure = "it broke"
    case_of(cases, "netlb", "frozen").outcomes[1] = outcome(None)
    missing = case_of(cases, "keepalived, 0.1 s", "crash")
    missing.kind = Kind("keepalived, 0.1 s", missing.kind.make, address="", program="no-such-program")
    found = lines(takeover_table(cases))
    assert "crash netlb not measured" in found
    assert "crash keepalived, 0.1 s not installed" in found
    assert "frozen netlb never - 5 / 5 12 / 12 50 / 50 25 3" in found


def test_what_happened_under_load_has_a_row_for_each() -> None:
    found = lines(calm_table(calm()))
    assert "netlb 30 3,000 0 0 12" in found
    assert "keepalived, 1 s 30 3,000 4 - 120" in found


def test_many_addresses_have_a_row_and_one_that_is_missing_leaves_no_time_between() -> None:
    failed = Mass(station="k", addresses=1000, announced=0, first_ms=None, last_ms=None, frames=0, failure="broke")
    found = lines(mass_table([mass(), mass(announced=999), failed]))
    assert "netlb 1,000 300 400 100 1,000 10,000" in found
    assert "netlb 1,000 300 400 - 999 10,000" in found
    assert "k 1,000 not measured" in found
    missed = {target.name for target in targets(made_cases(), calm(), [mass(announced=999)], COST) if not target.met}
    assert {"1,000 addresses: the last one announced", "1,000 addresses: each once within"} == missed


def test_what_was_announced_before_the_fault_is_no_takeover() -> None:
    found = read_mass("netlb", 3, [5_000_000, 12_000_000, 30_000_000], 10_000_000, 7)
    assert (2, 2.0, 20.0, None) == (found.announced, found.first_ms, found.last_ms, found.span_ms)


def test_each_process_has_its_share_and_its_memory() -> None:
    found = lines(idle_table(COST))
    assert "speaker 0.50 60.0" in found
    assert "bfd 2.00 18.0" in found


def test_a_ratio_needs_a_value_in_every_round_of_both() -> None:
    cases = made_cases()
    ours, theirs = case_of(cases, "netlb", "crash"), case_of(cases, "keepalived, 1 s", "crash")
    assert 0.1 == ratio(ours, theirs, lambda each: each.takeover_ms)
    theirs.outcomes[0] = outcome(None)
    assert ratio(ours, theirs, lambda each: each.takeover_ms) is None
    theirs.outcomes.clear()
    assert ratio(ours, theirs, lambda each: each.takeover_ms) is None


def test_targets_hold_netlb_against_its_limits_and_its_rivals() -> None:
    found = {target.name: (target.value, target.met) for target in targets(made_cases(), calm(), [mass()], COST)}
    assert {
        "crash, p99: taken over": (0.3, True),
        "cut link, p99: taken over": (0.3, True),
        "one-way link, p99: taken over": (0.3, True),
        "drain, p99: taken over": (0.3, True),
        "orderly stop, p99: silent": (5.0, True),
        "orderly stop: second answers after the hand-over": (0, True),
        "crash, taken over: netlb / keepalived, 1 s": (0.1, True),
        "cut link, taken over: netlb / keepalived, 1 s": (0.1, True),
        "crash, taken over: netlb / keepalived, 0.1 s": (1.0, True),
        "cut link, taken over: netlb / keepalived, 0.1 s": (1.0, True),
        "owner changes while every CPU is busy": (0.0, True),
        "nodes taken for dead while every CPU is busy": (0.0, True),
        "1,000 addresses: the last one announced": (0.4, True),
        "1,000 addresses: each once within": (100.0, False),
        "idle with 31 neighbours": (2.5, True),
        "resident memory of a worker": (18.0, True),
    } == found


def test_one_late_answer_and_one_change_of_owners_miss_their_targets() -> None:
    cases = made_cases()
    case_of(cases, "netlb", "orderly stop").outcomes[1] = outcome(3.0, silence=30.0, late=1)
    missed = {
        target.name for target in targets(cases, calm(changes=1), [mass(announced=999)], COST) if target.met is False
    }
    assert {
        "orderly stop, p99: silent",
        "orderly stop: second answers after the hand-over",
        "owner changes while every CPU is busy",
    } == missed


def test_a_round_in_which_nobody_took_over_leaves_a_target_unmeasured() -> None:
    cases = made_cases()
    case_of(cases, "netlb", "crash").outcomes[2] = outcome(None)
    unknown = {target.name for target in targets(cases, [], [], None) if target.met is None}
    assert {
        "crash, p99: taken over",
        "crash, taken over: netlb / keepalived, 0.1 s",
        "owner changes while every CPU is busy",
        "nodes taken for dead while every CPU is busy",
        "idle with 31 neighbours",
        "resident memory of a worker",
    } == unknown


def made_turn(_: Kind) -> Mapping[str, Outcome]:
    return {fault: outcome(1.0) for fault in FAULTS}


def test_everybody_has_a_turn_in_each_round_and_the_slow_in_every_fourth() -> None:
    cases = [Case(kind=kind, fault=fault) for kind in map(present, FACTORS) for fault in FAULTS]
    told = list(fill(cases, 5, Random(1), made_turn))
    assert 5 + 5 + 2 == len(told)
    assert [0, 1, 2, 3, 4] == list(case_of(cases, "netlb", "frozen").outcomes)
    assert [0, 4] == list(case_of(cases, "keepalived, 1 s", "frozen").outcomes)


@pytest.mark.parametrize("error", [AssertionError("not within 60 s"), LabError("refused"), FileNotFoundError("none")])
def test_a_station_that_fails_is_left_out_and_the_others_go_on(error: Exception) -> None:
    cases = [Case(kind=kind, fault=fault) for kind in map(present, FACTORS) for fault in FAULTS]

    def measure(kind: Kind) -> Mapping[str, Outcome]:
        if kind.name == "keepalived, 0.1 s":
            raise error
        return made_turn(kind)

    told = list(fill(cases, 3, Random(1), measure))
    assert 1 == sum("keepalived, 0.1 s" in each for each in told)
    broken = case_of(cases, "keepalived, 0.1 s", "crash")
    assert (f"{type(error).__name__}: {error}", {}) == (broken.failure, broken.outcomes)
    assert 3 == len(case_of(cases, "netlb", "crash").outcomes)
