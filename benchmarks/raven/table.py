"""What bench_raven.py shows, and what it is meant to show. Pure."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Final, TypeVar

from rich.box import SIMPLE
from rich.table import Table

from benchmarks.harness.statistics import Summary, median_of_ratios
from benchmarks.harness.targets import Target
from benchmarks.raven.failover import BACK, DIES, FAULTS, FLOWS, KILLED, PLANNED, Cases
from benchmarks.raven.plans import BY_HAND, COUNTS, NETLB, Made
from benchmarks.raven.reading import Interruption
from benchmarks.raven.routes import BATCH, MANY, PEERS, Programmed
from benchmarks.raven.tunnels import BY_HAND as TUNNEL_BY_HAND
from benchmarks.raven.tunnels import Carried

__all__ = ["Found", "failover_table", "plan_table", "route_table", "targets", "tunnel_table"]

_CRASH_LIMIT: Final = 1.0  # seconds
_PLANNED_LIMIT: Final = 100.0  # ms
_ROUTES_LIMIT: Final = 0.2  # seconds
_TUNNEL_LIMIT: Final = round(1 / 0.95, 3)
"""Times what netlb's tunnel carries: netlb's has at least 0.95 of it."""
_LOOK_LIMIT: Final = 50.0  # ms
_LOOK_SITES: Final = 200

T = TypeVar("T")


@dataclass(slots=True, kw_only=True)
class Found:
    """Everything that was measured."""

    cases: Cases = field(default_factory=dict)
    plans: dict[tuple[int, str], dict[int, Made]] = field(default_factory=dict)
    """By number of sites and way, then by round."""
    routes: dict[str, dict[int, Programmed]] = field(default_factory=dict)
    tunnels: dict[str, dict[int, Carried]] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Return everything in the form of the results file."""
        return {
            "failover": [
                {"fault": fault, "flow": flow, "rounds": list(map(asdict, found))}
                for (fault, flow), found in self.cases.items()
            ],
            "plans": [
                {"sites": count, "by": name, "rounds": {number: asdict(made) for number, made in found.items()}}
                for (count, name), found in self.plans.items()
            ],
            "routes": {name: {n: asdict(each) for n, each in found.items()} for name, found in self.routes.items()},
            "tunnels": {name: {n: asdict(each) for n, each in found.items()} for name, found in self.tunnels.items()},
        }


def failover_table(found: Found) -> Table:
    """Return a row for each fault and flow: the median, and the p99."""
    table = _table("what happens to an edge's gateway, as its pods see it: ms, median / p99", "fault", "flow")
    for heading in ("restored", "silent", "datagrams lost", "times"):
        table.add_column(heading, justify="right", no_wrap=True)
    for fault in FAULTS:
        for flow in FLOWS:
            seen = found.cases.get((fault, flow), [])
            if not seen:
                table.add_row(fault, flow, "not measured")
                continue
            restored = [each.restored_ms for each in seen if each.restored_ms is not None]
            cells = [
                _pair(restored) if len(restored) == len(seen) else "never",
                _pair([each.silent_ms for each in seen]),
                _pair([float(each.lost) for each in seen]),
            ]
            table.add_row(fault, flow, *cells, str(len(seen)))
    return table


def plan_table(found: Found) -> Table:
    """Return a row for each number of sites and way of making a hub: ms, medians."""
    table = _table("a hub of so many sites, made from nothing: ms, median", "sites", "by")
    for heading in ("planned", "made", "x netlb", "looked at, nothing to do", "routes", "peers"):
        table.add_column(heading, justify="right", no_wrap=True)
    for count in COUNTS:
        ours = found.plans.get((count, NETLB), {})
        for name in (NETLB, BY_HAND):
            rounds = found.plans.get((count, name), {})
            if not rounds:
                table.add_row(f"{count:,}", name, "not measured")
                continue
            one = next(iter(rounds.values()))
            table.add_row(
                f"{count:,}",
                name,
                _milliseconds([each.plan for each in rounds.values()]),
                _milliseconds([each.apply for each in rounds.values()]),
                _times(_ratio(rounds, ours, lambda each: each.apply)),
                _milliseconds([each.look for each in rounds.values()]),
                f"{one.routes:,}",
                f"{one.peers:,}",
            )
    return table


def route_table(found: Found) -> Table:
    """Return a row for each program: ms, medians."""
    table = _table(f"{MANY:,} routes of IPv4, in an empty table: ms, median", "by")
    for heading in ("programmed", "slowest", "x netlb", "read back", "x netlb", "rounds"):
        table.add_column(heading, justify="right", no_wrap=True)
    ours = found.routes.get(NETLB, {})
    for name in PEERS:
        rounds = found.routes.get(name, {})
        if not rounds:
            table.add_row(name, "not measured")
            continue
        table.add_row(
            name,
            _milliseconds([each.program for each in rounds.values()]),
            f"{max(each.program for each in rounds.values()) * 1e3:,.0f}",
            _times(_ratio(rounds, ours, lambda each: each.program)),
            _milliseconds([each.read for each in rounds.values()]),
            _times(_ratio(rounds, ours, lambda each: each.read)),
            str(len(rounds)),
        )
    return table


def tunnel_table(found: Found) -> Table:
    """Return a row for each tunnel, medians."""
    table = _table("from pod to pod through one tunnel, median", "made by")
    for heading in ("TCP Mbit/s", "slowest", "x netlb", "round trip µs", "x netlb", "rounds"):
        table.add_column(heading, justify="right", no_wrap=True)
    ours = found.tunnels.get(NETLB, {})
    for name in (NETLB, TUNNEL_BY_HAND):
        rounds = found.tunnels.get(name, {})
        if not rounds:
            table.add_row(name, "not measured")
            continue
        table.add_row(
            name,
            f"{median(each.mbit for each in rounds.values()):,.0f}",
            f"{min(each.mbit for each in rounds.values()):,.0f}",
            _times(_ratio(rounds, ours, lambda each: each.mbit)),
            f"{median(each.rtt_us for each in rounds.values()):,.0f}",
            _times(_ratio(rounds, ours, lambda each: each.rtt_us)),
            str(len(rounds)),
        )
    return table


def targets(found: Found) -> list[Target]:
    """Return what the benchmark is meant to show."""
    looks = [each.look for each in found.plans.get((_LOOK_SITES, NETLB), {}).values() if each.look is not None]
    programmed = [each.program for each in found.routes.get(NETLB, {}).values()]
    return [
        *(
            Target(
                name=f"{fault}, p99: restored",
                value=_slowest(found.cases, fault, lambda each: each.restored_ms, 1e3),
                limit=_CRASH_LIMIT,
                unit="s",
            )
            for fault in (DIES, KILLED)
        ),
        *(
            Target(
                name=f"{fault}, p99: silent",
                value=_slowest(found.cases, fault, lambda each: each.silent_ms),
                limit=_PLANNED_LIMIT,
                unit="ms",
            )
            for fault in (PLANNED, BACK)
        ),
        Target(
            name=f"{MANY:,} routes programmed",
            value=median(programmed) if programmed else None,
            limit=_ROUTES_LIMIT,
            unit="s",
        ),
        Target(
            name=f"{MANY:,} routes programmed: netlb / ip -batch",
            value=_ratio(found.routes.get(NETLB, {}), found.routes.get(BATCH, {}), lambda each: each.program),
            limit=1.0,
            unit="x",
        ),
        Target(
            name="TCP through a tunnel: by hand / netlb",
            value=_ratio(found.tunnels.get(TUNNEL_BY_HAND, {}), found.tunnels.get(NETLB, {}), lambda each: each.mbit),
            limit=_TUNNEL_LIMIT,
            unit="x",
        ),
        Target(
            name=f"a look at {_LOOK_SITES} sites, nothing to do",
            value=median(looks) * 1e3 if looks else None,
            limit=_LOOK_LIMIT,
            unit="ms",
        ),
    ]


def _slowest(
    cases: Cases, fault: str, value: Callable[[Interruption], float | None], unit: float = 1.0
) -> float | None:
    """Return the p99 of a fault, over all flows; None where it was not measured, or some flow was never restored."""
    seen = [value(each) for flow in FLOWS for each in cases.get((fault, flow), [])]
    known = [each for each in seen if each is not None]
    return Summary.of(known).p99 / unit if known and len(known) == len(seen) else None


def _ratio(mine: Mapping[int, T], theirs: Mapping[int, T], value: Callable[[T], float]) -> float | None:
    """Return the median of the rounds' own ratios; None where they have no round in common."""
    both = sorted(mine.keys() & theirs.keys())
    if not both:
        return None
    return median_of_ratios([value(mine[number]) for number in both], [value(theirs[number]) for number in both])


def _table(title: str, *names: str) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE)
    for name in names:
        table.add_column(name, no_wrap=True)
    return table


def _pair(values: Sequence[float]) -> str:
    found = Summary.of(values)
    return f"{found.p50:,.0f} / {found.p99:,.0f}"


def _milliseconds(values: Sequence[float | None]) -> str:
    known = [each for each in values if each is not None]
    return f"{median(known) * 1e3:,.0f}" if known else "-"


def _times(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
