"""The cases as a table, and the targets they are held against. Pure."""

from collections.abc import Callable, Sequence
from statistics import median

from rich.box import SIMPLE
from rich.table import Table

from benchmarks.arp.measure import Case, Round
from benchmarks.arp.peers import FARPD, KERNEL, NDPPD, NETLB, SCAPY, Family, Peer
from benchmarks.harness.targets import Target

__all__ = ["KERNEL_LIMIT", "memory_table", "round_trip_table", "targets"]

KERNEL_LIMIT = 12.0
"""Times the kernel's own reply: a responder of the usual kind, a process that is woken, takes 8 to 12."""

_MEDIANS: Sequence[tuple[str, Callable[[Round], float]]] = (
    ("p50", lambda each: each.round_trip_us.p50),
    ("p99", lambda each: each.round_trip_us.p99),
)
_RIVALS: dict[Family, tuple[Peer, ...]] = {"ARP": (SCAPY, FARPD), "NDP": (SCAPY, NDPPD)}


def round_trip_table(cases: Sequence[Case]) -> Table:
    """Return a row for every case: medians over the rounds, ratios to the kernel in the same rounds."""
    table = Table(title="answering for an address", title_justify="left", box=SIMPLE)
    table.add_column("protocol")
    table.add_column("answered by")
    for heading in ("p50 µs", "x kernel", "p99 µs", "x kernel", "answers/s", "x kernel", "CPU µs", "asked", "lost"):
        table.add_column(heading, justify="right", no_wrap=True)
    for case in cases:
        table.add_row(case.family, case.peer.name, *_numbers(case, _find(cases, KERNEL, case.family)))
    return table


def _numbers(case: Case, kernel: Case) -> list[str]:
    if case.peer.missing:
        return ["not installed"]
    if case.failure or not case.rounds:
        return ["not measured"]
    cells = []
    for value in (*(value for _, value in _MEDIANS), lambda each: each.per_second):
        ratio = case.ratio(value, kernel)
        cells += [_figure(case.median(value)), "-" if ratio is None else _figure(ratio)]
    cpu = [each.cpu_us for each in case.rounds if each.cpu_us is not None]
    cells.append(_figure(case.median(lambda each: each.cpu_us or 0.0)) if cpu else "-")
    asked = f"{len(case.rounds)} x {case.peer.effort.questions:,}"
    return [*cells, asked, str(sum(each.lost + each.window_lost for each in case.rounds))]


def memory_table(cases: Sequence[Case]) -> Table:
    """Return the memory of each peer that was measured; of the first of its cases."""
    table = Table(title="memory, idle", title_justify="left", box=SIMPLE)
    table.add_column("answered by")
    table.add_column("process")
    table.add_column("RSS MiB", justify="right")
    shown = set()
    for case in cases:
        if case.peer.name in shown or not case.rounds:
            continue
        shown.add(case.peer.name)
        for index in range(len(case.rounds[0].resident_bytes)):
            mebibytes = median(each.resident_bytes[index] for each in case.rounds) / 2**20
            role = "the program that holds the address" if index == 0 else "its responder"
            table.add_row(case.peer.name, role if case.peer.name == NETLB.name else "", f"{mebibytes:.1f}")
    return table


def targets(cases: Sequence[Case]) -> list[Target]:
    """Return what the benchmark is meant to show."""
    found = []
    for family, rivals in _RIVALS.items():
        ours = _find(cases, NETLB, family)
        for rival in rivals:
            for name, value in _MEDIANS:
                ratio = ours.ratio(value, _find(cases, rival, family))
                found.append(Target(name=f"{family} {name}: netlb / {rival.name}", value=ratio, limit=1.0, unit="x"))
        ratio = ours.ratio(_MEDIANS[0][1], _find(cases, KERNEL, family))
        found.append(Target(name=f"{family} p50: netlb / kernel", value=ratio, limit=KERNEL_LIMIT, unit="x"))
    return found


def _find(cases: Sequence[Case], peer: Peer, family: Family) -> Case:
    return next(case for case in cases if (case.peer.name, case.family) == (peer.name, family))


def _figure(value: float) -> str:
    """Show three digits, or all of a greater whole number."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
