"""The tables and targets of bench_raven.py."""

from rich.console import Console
from rich.table import Table

from benchmarks.raven.failover import DIES, FAULTS, FLOWS, KILLED, PLANNED
from benchmarks.raven.plans import BY_HAND, COUNTS, NETLB, Made
from benchmarks.raven.reading import Interruption
from benchmarks.raven.routes import BATCH, PYROUTE2, Programmed
from benchmarks.raven.table import Found, failover_table, plan_table, route_table, targets, tunnel_table
from benchmarks.raven.tunnels import BY_HAND as TUNNEL_BY_HAND
from benchmarks.raven.tunnels import Carried


def interruption(restored: float | None, silent: float = 20.0) -> Interruption:
    return Interruption(restored_ms=restored, silent_ms=silent, lost=7)


def made(apply: float, *, ours: bool) -> Made:
    return Made(plan=0.05 if ours else None, apply=apply, look=apply / 10 if ours else None, routes=2_394, peers=398)


def everything() -> Found:
    """Netlb is twice as fast as others, and in the second round all are slower."""
    found = Found()
    found.cases = {
        (fault, flow): [interruption(300.0), interruption(400.0, 30.0)] for fault in FAULTS for flow in FLOWS
    }
    for count in COUNTS:
        found.plans[count, NETLB] = {0: made(0.2, ours=True), 1: made(0.4, ours=True)}
        found.plans[count, BY_HAND] = {0: made(0.4, ours=False), 1: made(0.8, ours=False)}
    found.routes[NETLB] = {0: Programmed(program=0.08, read=0.1), 1: Programmed(program=0.16, read=0.2)}
    found.routes[BATCH] = {0: Programmed(program=0.16, read=0.1), 1: Programmed(program=0.32, read=0.2)}
    found.routes[PYROUTE2] = {1: Programmed(program=8.0, read=1.0)}
    found.tunnels[NETLB] = {0: Carried(mbit=100.0, rtt_us=200.0), 1: Carried(mbit=200.0, rtt_us=100.0)}
    found.tunnels[TUNNEL_BY_HAND] = {0: Carried(mbit=101.0, rtt_us=210.0), 1: Carried(mbit=202.0, rtt_us=105.0)}
    return found


def lines(table: Table) -> list[str]:
    console = Console(width=140)
    with console.capture() as captured:
        console.print(table)
    return [" ".join(line.split()) for line in captured.get().splitlines()]


def test_a_row_has_median_and_p99_of_what_pods_saw() -> None:
    assert "planned switch direct 300 / 400 20 / 30 7 / 7 2" in lines(failover_table(everything()))


def test_a_row_says_what_never_came_back_and_what_was_not_measured() -> None:
    found = everything()
    found.cases[DIES, "direct"].append(interruption(None))
    del found.cases[KILLED, "direct"]
    shown = lines(failover_table(found))
    assert "the gateway dies direct never 20 / 30 7 / 7 3" in shown
    assert "agent and tunnel killed direct not measured" in shown


def test_a_hub_has_a_row_for_each_way_of_making_it() -> None:
    shown = lines(plan_table(everything()))
    assert "200 netlb 50 300 1 30 2,394 398" in shown
    assert "200 ip, bridge, wg and nft - 600 2 - 2,394 398" in shown


def test_ratios_are_of_the_rounds_in_common() -> None:
    shown = lines(route_table(everything()))
    assert "netlb 120 160 1 150 1 2" in shown
    assert "pyroute2, a call each 8,000 8,000 50 1,000 5 1" in shown
    assert "wireguard-go by hand 152 101 1.01 158 1.05 2" in lines(tunnel_table(everything()))


def test_targets_hold_netlb_against_its_limits_and_its_rivals() -> None:
    assert {
        "the gateway dies, p99: restored": (0.4, True),
        "agent and tunnel killed, p99: restored": (0.4, True),
        "planned switch, p99: silent": (30.0, True),
        "it is back, p99: silent": (30.0, True),
        "10,000 routes programmed": (0.12, True),
        "10,000 routes programmed: netlb / ip -batch": (0.5, True),
        "TCP through a tunnel: by hand / netlb": (1.01, True),
        "a look at 200 sites, nothing to do": (30.0, True),
    } == {target.name: (round(target.value or 0, 6), target.met) for target in targets(everything())}


def test_one_bad_round_misses_a_target() -> None:
    found = everything()
    found.cases[DIES, "by the hub"].append(interruption(1_200.0))
    found.cases[PLANNED, "direct"].append(interruption(0.0, 130.0))
    missed = {target.name for target in targets(found) if target.met is False}
    assert {"the gateway dies, p99: restored", "planned switch, p99: silent"} == missed


def test_what_was_not_measured_or_never_came_back_meets_nothing() -> None:
    assert {None} == {target.met for target in targets(Found())}
    found = everything()
    found.cases[DIES, "direct"].append(interruption(None))
    assert {"the gateway dies, p99: restored"} == {target.name for target in targets(found) if target.met is None}


def test_everything_is_in_the_results_file() -> None:
    numbers = everything().as_json()
    assert {"failover", "plans", "routes", "tunnels"} == numbers.keys()
