"""Rows, ratios and targets of the BGP benchmark, from what was never measured."""

from rich.console import Console
from rich.table import Table

from benchmarks.bgp.failures import ANNOUNCERS, FAULTS, Failure
from benchmarks.bgp.reading import Moved
from benchmarks.bgp.routes import BULK, SINGLE, Change
from benchmarks.bgp.table import bulk_table, failure_table, ratio, single_table, targets

FACTORS = {"netlb-speaker": 3.0, "netlb": 2.0, "gobgpd alone": 1.0, "exabgp": 10.0}


def change(number: int, feeder: str, what: str, milliseconds: float) -> Change:
    alone = feeder == "gobgpd alone"
    acknowledges = feeder in {"netlb", "gobgpd alone"}
    return Change(
        round=number,
        feeder=feeder,
        what=what,
        handed_ms=milliseconds / 10 if acknowledges else None,
        verified_ms=milliseconds / 5 if acknowledges and not alone else None,
        kernel_ms={"FRR": milliseconds, "BIRD": milliseconds / 2},
    )


def made_single() -> list[Change]:
    """Gobgpd alone takes 10 ms in the first round and 20 in the second, and once 40; the others so many times that."""
    return [
        change(number, feeder, what, each * factor)
        for what in SINGLE
        for feeder, factor in FACTORS.items()
        for number, times in enumerate(([10, 10, 40], [20, 20, 20]))
        for each in times
    ]


def made_bulk() -> list[Change]:
    return [
        change(number, feeder, what, each * FACTORS[feeder])
        for what in BULK
        for feeder in ("netlb", "gobgpd alone", "exabgp")
        for number, each in enumerate((1000.0, 2000.0))
        if what != BULK[2] or feeder != "exabgp"
    ]


def made_failures(*, lost: int = 0) -> list[Failure]:
    return [
        Failure(
            round=number,
            announcer=kind.name,
            fault=fault,
            moved=Moved(share=0.25, moved_ms=moved, lost=lost, interrupted_ms=moved / 2),
        )
        for fault in FAULTS
        for kind in ANNOUNCERS
        for number, moved in enumerate((300.0, 400.0, 350.0))
    ]


def lines(table: Table) -> list[str]:
    console = Console(width=140)
    with console.capture() as captured:
        console.print(table)
    return [" ".join(line.split()) for line in captured.get().splitlines()]


def test_a_row_of_one_route_has_both_routers_and_the_ratios_of_the_rounds() -> None:
    found = lines(single_table(made_single()))
    assert "add netlb 4 / 8 8 / 16 40 / 80 2 20 / 40 2 6" in found
    assert "add gobgpd alone 2 / 4 - 20 / 40 1 10 / 20 1 6" in found
    assert "withdraw exabgp - - 200 / 400 10 100 / 200 10 6" in found
    assert "withdraw netlb-speaker - - 60 / 120 3 30 / 60 3 6" in found


def test_a_row_of_many_routes_is_in_seconds() -> None:
    found = lines(bulk_table(made_bulk()))
    assert "add 10,000 netlb 0.2 / 0.4 0.4 / 0.8 2 / 4 2 2" in found
    assert "withdraw 10,000 exabgp - - 10 / 20 10 2" in found
    assert "gobgpd killed gobgpd alone 0.1 / 0.2 - 1 / 2 1 2" in found
    assert not [line for line in found if line.startswith("gobgpd killed exabgp")]


def test_a_row_of_a_failure_has_medians_and_the_most() -> None:
    found = lines(failure_table(made_failures(lost=3)))
    assert "cut link netlb 350 / 400 175 / 200 3 / 3 25 3" in found
    assert "drained FRR on the nodes 350 / 400 175 / 200 3 / 3 25 3" in found


def test_what_was_not_measured_has_a_row_that_says_so() -> None:
    single = [each for each in made_single() if each.feeder != "exabgp"]
    assert "add exabgp not measured" in lines(single_table(single))
    assert "add 10,000 exabgp not measured" in lines(
        bulk_table([each for each in made_bulk() if each.feeder != "exabgp"])
    )
    assert "drained netlb not measured" in lines(failure_table([]))


def test_a_ratio_is_of_the_rounds_that_both_have() -> None:
    changes = [change(0, "netlb", "add", 30), change(1, "netlb", "add", 1000), change(0, "gobgpd alone", "add", 10)]
    assert 3.0 == ratio(changes, "netlb", "gobgpd alone", "add", lambda each: each.kernel_ms["FRR"])
    assert ratio(changes, "netlb", "exabgp", "add", lambda each: each.kernel_ms["FRR"]) is None


def test_targets_are_met_or_missed_by_netlb_alone() -> None:
    found = {target.name: (target.value, target.met) for target in targets(made_single(), made_bulk(), made_failures())}
    assert {
        "add one route, p99: handed over": (8.0, False),
        "withdraw one route, p99: handed over": (8.0, False),
        "10,000 routes: handed over": (0.2, True),
        "10,000 routes in FRR's kernel: netlb / gobgpd alone": (2.0, False),
        "10,000 routes in FRR's kernel: netlb / exabgp": (0.2, True),
        "cut link, p99: traffic has moved": (0.4, True),
        "speaker killed, p99: traffic has moved": (0.4, True),
        "BGP daemon killed, p99: traffic has moved": (0.4, True),
        "drained: packets lost": (0.0, True),
        "orderly stop: packets lost": (0.0, True),
    } == found


def test_one_lost_packet_misses_the_target_of_a_planned_end() -> None:
    missed = {each.name for each in targets([], [], made_failures(lost=1)) if each.met is False}
    assert {"drained: packets lost", "orderly stop: packets lost"} == missed


def test_what_was_not_measured_is_neither_met_nor_missed() -> None:
    assert [None] == list({target.met for target in targets([], [], [])})
