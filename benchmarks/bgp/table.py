"""What was measured as tables, and the targets it is held against. Pure."""

from collections.abc import Callable, Sequence

from rich.box import SIMPLE
from rich.table import Table

from benchmarks.bgp.failures import ANNOUNCERS, FAULTS, PLANNED, Failure
from benchmarks.bgp.feeders import EXABGP, FEEDERS, GOBGPD, NETLB
from benchmarks.bgp.feeding import MANY
from benchmarks.bgp.reading import Moved
from benchmarks.bgp.routes import BULK, DAEMON, SINGLE, Change
from benchmarks.harness.statistics import Summary, median_of_ratios
from benchmarks.harness.targets import Target

__all__ = ["bulk_table", "failure_table", "ratio", "single_table", "summary", "targets"]

OWN_LIMIT = 5.0
"""ms for one route: from wanting it until AddPathStream is answered."""
HANDED_OVER_LIMIT = 1.0
"""Seconds for ten thousand."""
KERNEL_LIMIT = 1.2
"""Times what gobgpd alone needs until they are in FRR's kernel."""
UNPLANNED_LIMIT = 0.5
"""Seconds in which the traffic of a node that failed goes elsewhere."""

Value = Callable[[Change], float | None]


def handed(change: Change) -> float | None:
    """Return how long it took until gobgpd had everything."""
    return change.handed_ms


def verified(change: Change) -> float | None:
    """Return how long it took until everything was found in gobgpd's table."""
    return change.verified_ms


def in_kernel(router: str) -> Value:
    """Return what tells how long a router's kernel took."""
    return lambda change: change.kernel_ms.get(router)


def single_table(changes: Sequence[Change]) -> Table:
    """Return a row for each feeder and direction: ms, the median and the p99 over all changes."""
    table = Table(title="one route, until a router's kernel has it: ms, median / p99", title_justify="left", box=SIMPLE)
    for heading in ("", "by"):
        table.add_column(heading, no_wrap=True)
    for heading in (
        "handed over",
        "verified",
        "in FRR",
        "x gobgpd",
        "in BIRD",
        "x gobgpd",
        "changes",
    ):
        table.add_column(heading, justify="right", no_wrap=True)
    for what in SINGLE:
        for name in (DAEMON, *(kind.name for kind in FEEDERS)):
            cells = [_pair(summary(changes, name, what, value)) for value in (handed, verified)]
            for router in ("FRR", "BIRD"):
                cells.append(_pair(summary(changes, name, what, in_kernel(router))))
                cells.append(_ratio(ratio(changes, name, GOBGPD.name, what, in_kernel(router))))
            number = len([each for each in changes if (each.feeder, each.what) == (name, what)])
            table.add_row(what, name, *(cells if number else ["not measured"]), *([str(number)] if number else []))
    return table


def bulk_table(changes: Sequence[Change]) -> Table:
    """Return a row for each feeder and order: seconds, the median and the slowest."""
    table = Table(
        title=f"{MANY:,} routes, until FRR's kernel has them: seconds, median / slowest",
        title_justify="left",
        box=SIMPLE,
    )
    for heading in ("", "by"):
        table.add_column(heading, no_wrap=True)
    for heading in ("handed over", "verified", "in FRR", "x gobgpd", "rounds"):
        table.add_column(heading, justify="right", no_wrap=True)
    for what in BULK:
        for kind in FEEDERS:
            rounds = len([each for each in changes if (each.feeder, each.what) == (kind.name, what)])
            if not rounds:
                if what != BULK[2] or kind is not EXABGP:  # exabgp has no gobgpd to be killed
                    table.add_row(what, kind.name, "not measured")
                continue
            kernel = in_kernel("FRR")
            table.add_row(
                what,
                kind.name,
                _pair(summary(changes, kind.name, what, handed), 1e3),
                _pair(summary(changes, kind.name, what, verified), 1e3),
                _pair(summary(changes, kind.name, what, kernel), 1e3),
                _ratio(ratio(changes, kind.name, GOBGPD.name, what, kernel)),
                str(rounds),
            )
    return table


def failure_table(failures: Sequence[Failure]) -> Table:
    """Return a row for each fault and announcer: the median and the slowest."""
    table = Table(title="a node behind a router fails: median / most", title_justify="left", box=SIMPLE)
    for heading in ("fault", "announced by"):
        table.add_column(heading, no_wrap=True)
    for heading in ("moved ms", "interrupted ms", "lost packets", "its share %", "rounds"):
        table.add_column(heading, justify="right", no_wrap=True)
    values: Sequence[Callable[[Moved], float]] = (
        lambda moved: moved.moved_ms,
        lambda moved: moved.interrupted_ms,
        lambda moved: moved.lost,
    )
    for fault in FAULTS:
        for kind in ANNOUNCERS:
            moved = _moved(failures, kind.name, fault)
            if not moved:
                table.add_row(fault, kind.name, "not measured")
                continue
            share = Summary.of([each.share for each in moved]).p50
            cells = [_pair(Summary.of(list(map(value, moved)))) for value in values]
            table.add_row(fault, kind.name, *cells, f"{share:.0%}".rstrip("%"), str(len(moved)))
    return table


def targets(single: Sequence[Change], bulk: Sequence[Change], failures: Sequence[Failure]) -> list[Target]:
    """Return what the benchmark is meant to show."""
    found = []
    for what in SINGLE:
        own = summary(single, NETLB.name, what, handed)
        value = None if own is None else own.p99
        found.append(Target(name=f"{what} one route, p99: handed over", value=value, limit=OWN_LIMIT, unit="ms"))
    all_handed = summary(bulk, NETLB.name, BULK[0], handed)
    kernel = in_kernel("FRR")
    found += [
        Target(
            name=f"{MANY:,} routes: handed over",
            value=None if all_handed is None else all_handed.p50 / 1e3,
            limit=HANDED_OVER_LIMIT,
            unit="s",
        ),
        Target(
            name=f"{MANY:,} routes in FRR's kernel: netlb / gobgpd alone",
            value=ratio(bulk, NETLB.name, GOBGPD.name, BULK[0], kernel),
            limit=KERNEL_LIMIT,
            unit="x",
        ),
        Target(
            name=f"{MANY:,} routes in FRR's kernel: netlb / exabgp",
            value=ratio(bulk, NETLB.name, EXABGP.name, BULK[0], kernel),
            limit=1.0,
            unit="x",
        ),
    ]
    for fault in FAULTS:
        moved = _moved(failures, ANNOUNCERS[0].name, fault)
        if fault in PLANNED:
            value = max((float(each.lost) for each in moved), default=None)
            found.append(Target(name=f"{fault}: packets lost", value=value, limit=1, unit=""))
        else:
            value = Summary.of([each.moved_ms for each in moved]).p99 / 1e3 if moved else None
            found.append(Target(name=f"{fault}, p99: traffic has moved", value=value, limit=UNPLANNED_LIMIT, unit="s"))
    return found


def summary(changes: Sequence[Change], feeder: str, what: str, value: Value) -> Summary | None:
    """Summarise a value of a feeder's orders of a kind; None where there is none."""
    values = [
        found for each in changes if (each.feeder, each.what) == (feeder, what) and (found := value(each)) is not None
    ]
    return Summary.of(values) if values else None


def ratio(changes: Sequence[Change], feeder: str, reference: str, what: str, value: Value) -> float | None:
    """Return the median of the rounds' own ratios of medians; None where they have no round in common."""
    mine, theirs = (_by_round(changes, name, what, value) for name in (feeder, reference))
    both = sorted(mine.keys() & theirs.keys())
    return median_of_ratios([mine[each] for each in both], [theirs[each] for each in both]) if both else None


def _by_round(changes: Sequence[Change], feeder: str, what: str, value: Value) -> dict[int, float]:
    found = {}
    for number in {each.round for each in changes}:
        of_round = summary([each for each in changes if each.round == number], feeder, what, value)
        if of_round is not None:
            found[number] = of_round.p50
    return found


def _moved(failures: Sequence[Failure], announcer: str, fault: str) -> list[Moved]:
    return [each.moved for each in failures if (each.announcer, each.fault) == (announcer, fault)]


def _pair(found: Summary | None, unit: float = 1.0) -> str:
    return "-" if found is None else f"{_figure(found.p50 / unit)} / {_figure(found.p99 / unit)}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _figure(value: float) -> str:
    """Show three digits, or all of a greater whole number."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
