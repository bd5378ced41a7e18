"""The cases as tables, and the targets they are held against. Pure."""

from collections.abc import Callable, Sequence

from rich.box import SIMPLE
from rich.table import Table

from benchmarks.failover.idle import Idle
from benchmarks.failover.many import Mass
from benchmarks.failover.measure import FAULTS, Calm, Case
from benchmarks.failover.reading import Outcome
from benchmarks.failover.stations import NETLB
from benchmarks.harness.statistics import Summary, median_of_ratios
from benchmarks.harness.targets import Target

__all__ = ["calm_table", "idle_table", "mass_table", "ratio", "takeover_table", "targets"]

UNPLANNED_LIMIT = 0.5
"""Seconds in which another node has taken over from one that crashed or is cut off."""
MASS_LIMIT = 1.0
"""Seconds in which the last of many addresses has been announced by another node."""
ONCE_LIMIT = 100.0
"""Milliseconds in which each of them is announced once."""
IDLE_LIMIT = 3.0
WORKER_LIMIT = 30.0
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


def mass_table(found: Sequence[Mass]) -> Table:
    """Return a row for each station and number of addresses."""
    table = Table(title="an owner of many addresses crashes: ms", title_justify="left", box=SIMPLE)
    for heading in ("kept by", "addresses", "first announced", "last announced", "in between", "announced", "frames"):
        table.add_column(heading, justify="left" if heading == "kept by" else "right")
    for each in found:
        if each.failure:
            table.add_row(each.station, f"{each.addresses:,}", "not measured")
            continue
        times = ("-" if value is None else _figure(value) for value in (each.first_ms, each.last_ms, each.span_ms))
        table.add_row(each.station, f"{each.addresses:,}", *times, f"{each.announced:,}", f"{each.frames:,}")
    return table


def idle_table(found: Idle) -> Table:
    """Return a row for each process of a speaker that has nothing to do."""
    title = f"a speaker that hears {found.neighbours} others, over {found.seconds:.0f} s"
    table = Table(title=title, title_justify="left", box=SIMPLE)
    for heading in ("process", "% of a core", "resident MB"):
        table.add_column(heading, justify="left" if heading == "process" else "right")
    for name, share in found.cores.items():
        table.add_row(name, f"{share * 100:.2f}", f"{found.resident[name] / 1e6:.1f}")
    return table


def targets(cases: Sequence[Case], calm: Sequence[Calm], masses: Sequence[Mass], cost: Idle | None) -> list[Target]:
    """Return what the benchmark is meant to show."""
    found = []
    for fault in ("crash", "cut link", "one-way link", "drain"):
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
    deaths = None if ours is None or ours.deaths is None else float(ours.deaths)
    found.append(Target(name="owner changes while every CPU is busy", value=changes, limit=1, unit=""))
    found.append(Target(name="nodes taken for dead while every CPU is busy", value=deaths, limit=1, unit=""))
    for mass in (each for each in masses if each.station == NETLB.name):
        whole = mass.announced == mass.addresses
        last = mass.last_ms / 1e3 if whole and mass.last_ms is not None else None
        name = f"{mass.addresses:,} addresses"
        found.append(Target(name=f"{name}: the last one announced", value=last, limit=MASS_LIMIT, unit="s"))
        found.append(Target(name=f"{name}: each once within", value=mass.span_ms, limit=ONCE_LIMIT, unit="ms"))
    share = None if cost is None else cost.core * 100
    found.append(Target(name="idle with 31 neighbours", value=share, limit=IDLE_LIMIT, unit="% of a core"))
    memory = None if cost is None else cost.worker / 1e6
    found.append(Target(name="resident memory of a worker", value=memory, limit=WORKER_LIMIT, unit="MB"))
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
