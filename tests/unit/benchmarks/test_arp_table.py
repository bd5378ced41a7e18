"""Rows, ratios and targets of the ARP benchmark, from rounds that were never measured."""

from dataclasses import replace
from random import Random

import pytest
from rich.console import Console
from rich.table import Table

from benchmarks.arp.measure import Case, Round, measure_all
from benchmarks.arp.peers import FARPD, KERNEL, NDPPD, NETLB, PEERS, SCAPY, Family, Peer
from benchmarks.arp.probe import ProbeError
from benchmarks.arp.table import memory_table, round_trip_table, targets
from benchmarks.harness.statistics import Summary
from netlb.testing.lab import LabError


def made_round(microseconds: float, *, resident: tuple[int, ...] = (), lost: int = 0) -> Round:
    return Round(
        round_trip_us=Summary.of([microseconds] * 98 + [microseconds * 2] * 2),
        lost=lost,
        cpu_us=microseconds / 2 if resident else None,
        per_second=1e6 / microseconds,
        window_lost=0,
        window_cpu_us=1.0 if resident else None,
        resident_bytes=resident,
    )


def made_cases() -> list[Case]:
    """The kernel takes 4, 5 and 40 µs, netlb ten times that, and the others a hundred times that."""
    factors = {KERNEL.name: 1, NETLB.name: 10}
    cases = []
    for family in ("ARP", "NDP"):
        for peer in PEERS:
            if family in peer.families:
                present = replace(peer, program="")
                resident = {KERNEL.name: (), NETLB.name: (30 << 20, 12 << 20)}.get(peer.name, (5 << 20,))
                rounds = [made_round(us * factors.get(peer.name, 1000), resident=resident, lost=1) for us in (4, 5, 40)]
                cases.append(Case(peer=present, family=family, rounds=rounds))
    return cases


def case_of(cases: list[Case], peer: Peer, family: Family) -> Case:
    return next(case for case in cases if (case.peer.name, case.family) == (peer.name, family))


def lines(table: Table) -> list[str]:
    console = Console(width=150)
    with console.capture() as captured:
        console.print(table)
    return [" ".join(line.split()) for line in captured.get().splitlines()]


def test_a_row_has_medians_and_ratios_to_the_kernel() -> None:
    found = lines(round_trip_table(made_cases()))
    assert "ARP kernel 5 1 10 1 200,000 1 - 3 x 2,000 3" in found
    assert "ARP netlb 50 10 100 10 20,000 0.1 25 3 x 2,000 3" in found
    assert "NDP ndppd 5,000 1,000 10,000 1,000 200 0.001 2,500 3 x 2,000 3" in found


def test_a_missing_peer_has_a_row_that_says_so() -> None:
    cases = made_cases()
    farpd = case_of(cases, FARPD, "ARP")
    farpd.peer, farpd.rounds = replace(FARPD, program="/nowhere/farpd"), []
    assert "ARP farpd not installed" in lines(round_trip_table(cases))
    assert farpd.peer.missing == "farpd is not installed: /nowhere/farpd is in Debian's package farpd"
    assert farpd.as_json()["status"] == farpd.peer.missing


def test_a_peer_that_failed_has_a_row_without_numbers() -> None:
    cases = made_cases()
    case_of(cases, SCAPY, "NDP").failure = "it broke"
    assert "NDP scapy not measured" in lines(round_trip_table(cases))
    assert case_of(cases, SCAPY, "NDP").as_json()["status"] == "it broke"


def test_without_the_kernel_there_are_numbers_and_no_ratios() -> None:
    cases = made_cases()
    case_of(cases, KERNEL, "ARP").failure = "it broke"
    assert "ARP netlb 50 - 100 - 20,000 - 25 3 x 2,000 3" in lines(round_trip_table(cases))


def test_memory_is_shown_once_for_each_process() -> None:
    found = lines(memory_table(made_cases()))
    assert 1 == found.count("netlb the program that holds the address 30.0")
    assert 1 == found.count("netlb its responder 12.0")
    assert 1 == found.count("scapy 5.0")
    assert not [line for line in found if line.startswith("kernel")]


def test_netlb_is_held_against_every_rival_at_p50_and_p99() -> None:
    found = {target.name: (round(target.value or 0, 9), target.met) for target in targets(made_cases())}
    faster = (0.01, True)
    assert {
        **{f"ARP {what}: netlb / {peer}": faster for what in ("p50", "p99") for peer in ("scapy", "farpd")},
        **{f"NDP {what}: netlb / {peer}": faster for what in ("p50", "p99") for peer in ("scapy", "ndppd")},
        "ARP p50: netlb / kernel": (10, True),
        "NDP p50: netlb / kernel": (10, True),
    } == found


def test_a_target_against_a_missing_peer_is_neither_met_nor_missed() -> None:
    cases = made_cases()
    case_of(cases, NDPPD, "NDP").rounds = []
    unknown = [target for target in targets(cases) if target.met is None]
    assert ["NDP p50: netlb / ndppd", "NDP p99: netlb / ndppd"] == [target.name for target in unknown]


def test_rounds_take_everybody_by_turns_in_changing_orders() -> None:
    cases = [
        Case(peer=replace(peer, program="", effort=replace(peer.effort, every=1)), family="ARP")
        for peer in (KERNEL, NETLB, SCAPY, FARPD)
    ]
    asked: list[str] = []

    def measure(case: Case) -> Round:
        asked.append(case.peer.name)
        return made_round(1.0)

    measure_all(cases, 5, Random(826), measure, lambda _: None)
    rounds = [tuple(asked[start : start + 4]) for start in range(0, 20, 4)]
    assert all(sorted(each) == ["farpd", "kernel", "netlb", "scapy"] for each in rounds)
    assert len(set(rounds)) > 1
    assert {5} == {len(case.rounds) for case in cases}


def test_the_slow_take_part_in_few_rounds_and_are_compared_within_those() -> None:
    often, seldom = Case(peer=KERNEL, family="ARP"), Case(peer=replace(SCAPY, program=""), family="ARP")
    speeds = iter(range(1, 100))
    measure_all([often, seldom], 5, Random(826), lambda _: made_round(float(next(speeds))), lambda _: None)
    assert (5, 2) == (len(often.rounds), len(seldom.rounds))
    assert [0, 4] == sorted(seldom.by_number())
    first, last = (seldom.rounds[i].round_trip_us.p50 / often.rounds[4 * i].round_trip_us.p50 for i in (0, 1))
    assert (first + last) / 2 == seldom.ratio(lambda each: each.round_trip_us.p50, often)


@pytest.mark.parametrize("error", [ProbeError("wrong answers"), LabError("refused"), FileNotFoundError("no command")])
def test_a_peer_that_fails_is_not_asked_again_and_the_others_are(error: Exception) -> None:
    broken, sound = Case(peer=NETLB, family="ARP"), Case(peer=KERNEL, family="ARP")
    missing = Case(peer=replace(FARPD, program="/nowhere"), family="ARP")
    asked: list[Case] = []

    def measure(case: Case) -> Round:
        asked.append(case)
        if case is broken:
            raise error
        return made_round(1.0)

    measure_all([broken, sound, missing], 3, Random(1), measure, lambda _: None)
    assert (1, 3, 0) == (asked.count(broken), asked.count(sound), asked.count(missing))
    assert broken.failure == f"{type(error).__name__}: {error}"
