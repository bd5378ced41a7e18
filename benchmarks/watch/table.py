"""What bench_watch.py shows, and what it is meant to show. Pure."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Final

from rich.box import SIMPLE
from rich.table import Table

from benchmarks.harness.statistics import Summary, median_of_ratios
from benchmarks.harness.targets import Target
from benchmarks.watch.measure import KINDS, Changes, Speaker, Sync

__all__ = ["changes_table", "speaker_table", "sync_table", "targets"]

_SYNC_LIMIT: Final = 1.0  # seconds
_MEMORY_LIMIT: Final = 80.0  # MiB
_CHANGE_LIMIT: Final = 10.0  # ms
_IDLE_LIMIT: Final = 0.5  # percent of a CPU
_MIB: Final = 2**20


def sync_table(found: Mapping[str, Sequence[Sync]]) -> Table:
    """Return a row for each program that read the cluster."""
    table = Table(title="reading the cluster once", title_justify="left", box=SIMPLE)
    for heading in ("read by", "s", "slowest", "x netlb", "CPU s", "RSS MiB before", "after", "peak", "objects"):
        table.add_column(heading, justify="left" if heading == "read by" else "right")
    ours = [each.seconds for each in found["netlb"]]
    for name, each in found.items():
        seconds = [one.seconds for one in each]
        table.add_row(
            name,
            f"{median(seconds):.2f}",
            f"{max(seconds):.2f}",
            f"{median_of_ratios(seconds, ours):.3g}",
            f"{median(one.cpu_seconds for one in each):.2f}",
            *(
                f"{median(sizes) / _MIB:.1f}"
                for sizes in zip(*((one.before_bytes, one.after_bytes, one.peak_bytes) for one in each), strict=True)
            ),
            f"{each[0].objects:,}",
        )
    return table


def speaker_table(found: Speaker) -> Table:
    """Return one row: what the speaker took."""
    table = Table(title="netlb-speaker", title_justify="left", box=SIMPLE)
    for heading in ("ready after s", "RSS MiB, idle", "peak", "its other processes", "idle CPU %"):
        table.add_column(heading, justify="right")
    others = " + ".join(f"{size / _MIB:.1f}" for size in found.others_bytes)
    sizes = (f"{found.steady_bytes / _MIB:.1f}", f"{found.peak_bytes / _MIB:.1f}", others)
    table.add_row(f"{found.ready_seconds:.2f}", *sizes, f"{found.idle_cpu * 100:.2f}")
    return table


def changes_table(changes: Changes) -> Table:
    """Return a row for each kind of change."""
    table = Table(title="a change, ms", title_justify="left", box=SIMPLE)
    for heading in ("what", "p50", "p90", "p99", "slowest", "changes"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    rows = {
        **{f"event to frame: {kind}": each for kind, each in changes.single.items()},
        f"event to frame: {len(changes.burst):,} at once": changes.burst,
        "created to answered": changes.created,
    }
    for name, values in rows.items():
        summary = Summary.of(values)
        shown = (summary.p50, summary.p90, summary.p99, summary.maximum)
        table.add_row(name, *(f"{value:,.1f}" for value in shown), f"{summary.count:,}")
    table.add_row(
        f"first event to last frame of these {len(changes.burst):,}", "", "", "", f"{changes.burst_all_ms:,.0f}", ""
    )
    table.add_row("of which the API server took to send them", "", "", "", f"{changes.burst_events_ms:,.0f}", "")
    return table


def targets(found: Mapping[str, Sequence[Sync]], speaker: Speaker, changes: Changes) -> list[Target]:
    """Return what the benchmark is meant to show."""
    synced = median(each.seconds for each in found["netlb"])
    memory = (("when idle", speaker.steady_bytes), ("at its peak", speaker.peak_bytes))
    return [
        Target(name="first sync", value=synced, limit=_SYNC_LIMIT, unit="s"),
        *(
            Target(name=f"speaker's RSS {when}", value=size / _MIB, limit=_MEMORY_LIMIT, unit="MiB")
            for when, size in memory
        ),
        *(
            Target(
                name=f"event to frame, p99: {kind}",
                value=Summary.of(changes.single[kind]).p99,
                limit=_CHANGE_LIMIT,
                unit="ms",
            )
            for kind in KINDS
        ),
        Target(name="idle CPU", value=speaker.idle_cpu * 100, limit=_IDLE_LIMIT, unit="%"),
    ]
