"""A benchmark's results: one value, one JSON file, one report on the screen."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.box import SIMPLE
from rich.console import Group, RenderableType
from rich.table import Table

from benchmarks.harness.targets import Target

__all__ = ["RESULTS", "Results", "target_table"]

RESULTS = Path(__file__).parents[1] / "results"
"""Where result files are written; not under version control."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """What one run of one benchmark found."""

    name: str
    machine: Mapping[str, object]
    method: Sequence[str]
    """How it was measured, in sentences."""
    numbers: Mapping[str, object]
    """Everything measured, with the unit in the name of each field."""
    targets: Sequence[Target]

    def as_json(self) -> dict[str, object]:
        """Return the results in the form of the results file."""
        return {
            "benchmark": self.name,
            "machine": self.machine,
            "method": self.method,
            "numbers": self.numbers,
            "targets": [target.as_json() for target in self.targets],
        }

    def write(self, directory: Path = RESULTS) -> Path:
        """Write the results file, in place of an older one; return its path."""
        directory.mkdir(exist_ok=True)
        path = directory / f"{self.name}.json"
        path.write_text(json.dumps(self.as_json(), indent=2, allow_nan=False) + "\n")
        return path

    def report(self, tables: Sequence[RenderableType]) -> RenderableType:
        """Return what is shown at the end of the run: the tables, the method, the machine, the targets."""
        facts = ", ".join(f"{name.replace('_', ' ')} {_text(value)}" for name, value in self.machine.items())
        return Group(*tables, *self.method, f"Machine: {facts}.", target_table(self.targets))


def target_table(targets: Sequence[Target]) -> Table:
    """Return the table of targets."""
    table = Table("target", "measured", "limit", "", title="targets", title_justify="left", box=SIMPLE)
    for target in targets:
        value = "-" if target.value is None else f"{target.value:.3g}"
        verdict = {True: "[green]met", False: "[red]not met", None: "[yellow]not measured"}[target.met]
        table.add_row(target.name, value, f"< {target.limit:g} {target.unit}", verdict)
    return table


def _text(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)
