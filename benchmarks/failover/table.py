"""The cases as tables, and the targets they are held against. Pure."""

from collections.abc import Callable, Sequence

from rich.box import SIMPLE
from rich.table import Table

from benchmarks.failover.measure import FAULTS, Calm, Case
from benchmarks.failover.reading import Outcome
from benchmarks.failover.stations import NETLB
from benchmarks.harness.statistics import Summary, median_of_ratios
from benchmarks.harness.targets import Target

__all__ = ["calm_table", "ratio", "takeover_table", "targets"]

UNPLANNED_LIMIT = 0.5
"""Seconds in which another node has taken over from one that crashed or is cut off."""
ORDERLY_LIMIT = 20.0
"""Milliseconds without an answer when a speaker ends in order."""
_RIVAL_LIMITS = {"keepalived, 1 s": 1.0, "keepalived, 0.1 s": 1.2}
"""Times what keepalived takes: less than with its default, and no more than with the same three times 0.1 s."""

_COLUMNS: Sequence[tuple[str, Callable[[Outcome], float | None]]] = (
    ("taken over", lambda each: each.takeover_ms),
    ("silent", lambda each: each.silence_ms),
    ("unserved", lambda each: each.unserved_ms),
    ("both answer", lambda each: each.overlap_ms),
)


def takeover_table(cases: Sequence[Case]) -> Table:
    """Return a row for every case; milliseconds, the median and the p99 over the rounds."""
    title = "the owner of an address fails: ms, median / p99"
    table = Table(title=title, title_justify="left", box=SIMPLE, padding=(0, 0, 0, 1))
    table.add_column("fault", no_wrap=True)
    table.add_column("kept by", no_wrap=True)
    for heading, _ in _COLUMNS:
        table.add_column(heading, justify="right", no_wrap=True)
        if heading == "taken over":
            table.add_column("x netlb", justify="right", no_wrap=True)
    table.add_column("second", justify="right", no_wrap=True)
    table.add_column("rounds", justify="right", no_wrap=True)
    for fault in FAULTS:
        for case in (case for case in cases if case.fault == fault):
            table.add_row(fault, case.kind.name, *_numbers(case, _find(cases, NETLB.name, fault)))
    return table


def _numbers(case: Case, ours: Case) -> list[str]:
    if case.kind.missing:
        return ["not installed"]
    if case.failure or not case.outcomes:
        return ["not measured"]
    cells = []
    for heading, value in _COLUMNS:
        summary = case.summary(value)
        cells.append("never" if summary is None else f"{_figure(summary.p50)} / {_figure(summary.p99)}")
        if heading == "taken over":
            found = ratio(case, ours, value)
            cells.append("-" if found is None else f"{found:.3g}")
    return [*cells, _figure(Summary.of(case.values(lambda each: each.second)).p50), str(len(case.outcomes))]


def calm_table(found: Sequence[Calm]) -> Table:
    """Return a row for each station that kept an address while every CPU was busy."""
    table = Table(title="nothing fails, every CPU is busy", title_justify="left", box=SIMPLE)
    for heading in ("kept by", "seconds", "answers", "owner changes", "nodes taken for dead", "longest silence ms"):
        table.add_column(heading, justify="left" if heading == "kept by" else "right")
    for each in found:
        deaths = "-" if each.deaths is None else str(each.deaths)
        row = (f"{each.seconds:.0f}", f"{each.answers:,}", str(each.owner_changes), deaths, _figure(each.silence_ms))
        table.add_row(each.station, *row)
    return table


def targets(cases: Sequence[Case], calm: Sequence[Calm]) -> list[Target]:
    """Return what the benchmark is meant to show."""
    found = []
    for fault in ("crash", "cut link"):
        summary = _find(cases, NETLB.name, fault).summary(lambda each: each.takeover_ms)
        value = None if summary is None else summary.p99 / 1e3
        found.append(Target(name=f"{fault}, p99: taken over", value=value, limit=UNPLANNED_LIMIT, unit="s"))
    stop = _find(cases, NETLB.name, "orderly stop")
    silence, late = stop.summary(lambda each: each.silence_ms), stop.summary(lambda each: each.second_late)
    found += [
        Target(
            name="orderly stop, p99: silent",
            value=None if silence is None else silence.p99,
            limit=ORDERLY_LIMIT,
            unit="ms",
        ),
        Target(
            name="orderly stop: second answers after the hand-over",
            value=None if late is None else late.maximum,
            limit=1,
            unit="",
        ),
    ]
    for rival, limit in _RIVAL_LIMITS.items():
        for fault in ("crash", "cut link"):
            found.append(
                Target(
                    name=f"{fault}, taken over: netlb / {rival}",
                    value=ratio(_find(cases, NETLB.name, fault), _find(cases, rival, fault), _COLUMNS[0][1]),
                    limit=limit,
                    unit="x",
                )
            )
    ours = next((each for each in calm if each.station == NETLB.name), None)
    changes = None if ours is None else float(ours.owner_changes)
    found.append(Target(name="owner changes while every CPU is busy", value=changes, limit=1, unit=""))
    return found


def ratio(case: Case, reference: Case, value: Callable[[Outcome], float | None]) -> float | None:
    """Return the median of the rounds' own ratios; None where either has no value in a round of both."""
    both = sorted(case.outcomes.keys() & reference.outcomes.keys())
    pairs = [(value(case.outcomes[number]), value(reference.outcomes[number])) for number in both]
    known = [(mine, theirs) for mine, theirs in pairs if mine is not None and theirs]
    if not known or len(known) < len(pairs):
        return None
    return median_of_ratios([mine for mine, _ in known], [theirs for _, theirs in known])


def _find(cases: Sequence[Case], name: str, fault: str) -> Case:
    return next(case for case in cases if (case.kind.name, case.fault) == (name, fault))


def _figure(value: float) -> str:
    """Show whole numbers, of small ones one more digit: the columns are many, and times below 0.1 ms are none."""
    return f"{value:,.0f}" if value >= 10 else f"{round(value, 1):g}"
