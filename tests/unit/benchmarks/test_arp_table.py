"""Rows, ratios and targets of the ARP benchmark, from rounds that were never measured."""

from dataclasses import replace
from random import Random

import pytest
from rich.console import Console
from rich.table import Table

from benchmarks.arp.measure import Case, Round, measure_all
from benchmarks.arp.peers import FARPD, KERNEL, NDPPD, NETLB, PEERS, SCAPY, SOCKETS, Peer
from benchmarks.arp.places import Family, Way
from benchmarks.arp.probe import ProbeError
from benchmarks.arp.table import memory_table, round_trip_table, targets, traffic_table
from benchmarks.arp.traffic import Traffic
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
        flood_sent=1000,
        flood_lost=lost,
        resident_bytes=resident,
    )


def made_cases() -> list[Case]:
    """The kernel takes 4, 5 and 40 µs, our program half of that, our sockets ten times, and the others a thousand times."""
    cases = []
    for family in ("ARP", "NDP"):
        cases += [made_case(peer, family, "bridge") for peer in PEERS if family in peer.families]
        cases += [made_case(peer, family, "veth") for peer in (KERNEL, NETLB, SOCKETS)]
        cases += [replace(made_case(peer, family, "veth"), addresses=1000) for peer in (NETLB, SOCKETS)]
    return cases


def made_case(peer: Peer, family: Family, way: Way) -> Case:
    factor = {KERNEL.name: 1.0, NETLB.name: 0.5, SOCKETS.name: 10}.get(peer.name, 1000)
    ours = {KERNEL.name: (), NETLB.name: (30 << 20, 12 << 20)}
    resident = ours.get(peer.name, (5 << 20,))
    rounds = [made_round(us * factor, resident=resident, lost=1) for us in (4, 5, 40)]
    return Case(peer=replace(peer, program=""), family=family, way=way, rounds=rounds)


def made_traffic() -> Traffic:
    return Traffic({"nobody": [10e9, 20e9], NETLB.name: [10e9, 20e9], SOCKETS.name: [5e9, 10e9]})


def case_of(cases: list[Case], peer: Peer, family: Family) -> Case:
    return next(case for case in cases if (case.peer.name, case.family, case.way) == (peer.name, family, "bridge"))


def lines(table: Table) -> list[str]:
    console = Console(width=150)
    with console.capture() as captured:
        console.print(table)
    return [" ".join(line.split()) for line in captured.get().splitlines()]


def test_a_row_has_medians_and_ratios_to_the_kernel() -> None:
    found = lines(round_trip_table(made_cases()))
    assert "ARP veth kernel 1 5 1 10 1 200,000 1 - 3 0.10%" in found
    assert "ARP veth netlb BPF 1,000 2.5 0.5 5 0.5 400,000 2 1.25 3 0.10%" in found
    assert "ARP bridge netlb AF_PACKET 1 50 10 100 10 20,000 0.1 25 3 0.10%" in found
    assert "NDP bridge ndppd 1 5,000 1,000 10,000 1,000 200 0.001 2,500 3 0.10%" in found


def test_a_missing_peer_has_a_row_that_says_so() -> None:
    cases = made_cases()
    farpd = case_of(cases, FARPD, "ARP")
    farpd.peer, farpd.rounds = replace(FARPD, program="/nowhere/farpd"), []
    assert "ARP bridge farpd 1 not installed" in lines(round_trip_table(cases))
    assert farpd.peer.missing == "farpd is not installed: /nowhere/farpd is in Debian's package farpd"
    assert farpd.as_json()["status"] == farpd.peer.missing


def test_a_peer_that_failed_has_a_row_without_numbers() -> None:
    cases = made_cases()
    case_of(cases, SCAPY, "NDP").failure = "it broke"
    assert "NDP bridge scapy 1 not measured" in lines(round_trip_table(cases))
    assert case_of(cases, SCAPY, "NDP").as_json()["status"] == "it broke"


def test_without_the_kernel_there_are_numbers_and_no_ratios() -> None:
    cases = made_cases()
    case_of(cases, KERNEL, "ARP").failure = "it broke"
    assert "ARP bridge netlb AF_PACKET 1 50 - 100 - 20,000 - 25 3 0.10%" in lines(round_trip_table(cases))


def test_memory_is_shown_once_for_each_process() -> None:
    found = lines(memory_table(made_cases()))
    assert 1 == found.count("netlb BPF the program that holds the address 30.0")
    assert 1 == found.count("netlb BPF its responder 12.0")
    assert 1 == found.count("scapy 5.0")
    assert not [line for line in found if line.startswith("kernel")]


def test_netlb_is_held_against_the_kernel_every_rival_itself_with_many_and_the_traffic() -> None:
    found = {target.name: (round(target.value or 0, 9), target.met) for target in targets(made_cases(), made_traffic())}
    faster = (0.0005, True)
    assert {
        f"{family} over bridge, {what}: netlb BPF / {peer}": faster
        for what in ("p50", "p99")
        for family, peers in (("ARP", ("scapy", "farpd")), ("NDP", ("scapy", "ndppd")))
        for peer in peers
    }.items() <= found.items()
    for where in ("ARP over veth", "ARP over bridge", "NDP over veth", "NDP over bridge"):
        assert (0.5, True) == found[f"{where}, p50: netlb BPF / kernel"] == found[f"{where}, p99: netlb BPF / kernel"]
        assert (10, False) == found[f"{where}, p50: netlb AF_PACKET / kernel"]
        assert (10, False) == found[f"{where}, answers/s: kernel / netlb AF_PACKET"]
    assert (1, True) == found["NDP, p50: netlb AF_PACKET, 1,000 addresses / 1"]
    assert (0.1, False) == found["netlb BPF: lost of 100,000/s, worst case"]
    assert ((1, True), (2, False)) == tuple(found[f"netlb {who}: TCP without / with"] for who in ("BPF", "AF_PACKET"))


def test_traffic_has_a_row_for_nobody_and_each_of_ours() -> None:
    found = lines(traffic_table(made_traffic()))
    assert {"nobody 15.00 -", "netlb BPF 15.00 1.000", "netlb AF_PACKET 7.50 2.000"} <= set(found)


def test_a_target_against_a_missing_peer_is_neither_met_nor_missed() -> None:
    cases = made_cases()
    case_of(cases, NDPPD, "NDP").rounds = []
    unknown = [target for target in targets(cases, made_traffic()) if target.met is None]
    expected = [f"NDP over bridge, {what}: netlb BPF / ndppd" for what in ("p50", "p99")]
    assert expected == [target.name for target in unknown]


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
    assert all(sorted(each) == ["farpd", "kernel", "netlb BPF", "scapy"] for each in rounds)
    assert len(set(rounds)) > 1
    assert {5} == {len(case.rounds) for case in cases}


def test_the_slow_take_part_in_few_rounds_and_are_compared_within_those() -> None:
    often, seldom = Case(peer=KERNEL, family="ARP"), Case(peer=replace(SCAPY, program=""), family="ARP")
    speeds = iter(range(1, 100))
    measure_all([often, seldom], 5, Random(826), lambda _: made_round(float(next(speeds))), lambda _: None)
    assert (5, 2) == (len(often.rounds), len(seldom.rounds))
    assert [0, 3] == sorted(seldom.by_number())
    first, last = (seldom.rounds[i].round_trip_us.p50 / often.rounds[3 * i].round_trip_us.p50 for i in (0, 1))
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
