"""`netlb show`: what the speakers say of themselves, as tables or as data."""

import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from netlb.cli.rows import address_rows, peer_rows, route_rows
from netlb.errors import SettingError
from netlb.plan.render import to_yaml
from netlb.runtime.app import reporting
from netlb.runtime.config import DirectorySpec, SourceSpec, option, parse_choice, parse_source
from netlb.source.reports import Reports, read_reports
from netlb.source.tree import status_directory

__all__ = ["show"]

Row = Mapping[str, Any]

_WIDE: Final = 400
"""Columns where there is no terminal to fit: each row is one line, for whoever takes it apart."""


class Output(StrEnum):
    """How it is printed."""

    TABLE = "table"
    JSON = "json"
    YAML = "yaml"


@click.group()
def show() -> None:
    """Show what the speakers say: how sessions with routers are, and who announces what.

    It is read from the files that the daemons write (--status-dir, or beside the manifests of --source).

    Exit status: 0; 1 if some of those files could not be read, which is then said on standard error.
    """


def _status_tree(source: SourceSpec) -> Path:
    if not isinstance(source, DirectorySpec):
        remedy = "ask for servicel2statuses and servicebgpstatuses with kubectl, or name a tree with --status-dir"
        raise SettingError("--source", f"with {source}, speakers report into the API, not into files", remedy)
    return status_directory(source.path, None)


def _command(name: str, description: str, rows: Callable[[Reports], Sequence[Row]], nothing: str) -> None:
    """Make a command that shows these rows, or says that there is `nothing` to show."""

    @show.command(name, help=description)
    @option("--source", "Where the manifests are, as the daemons are told: dir:PATH.", metavar="SPEC")
    @option("--status-dir", "Where status is; beside the manifests, as PATH.status, if not set.", metavar="PATH")
    @click.option("-o", "--output", metavar="FORMAT", default=Output.TABLE.value, help="One of: table, json, yaml.")
    def command(source: str | None, status_dir: str | None, output: str) -> None:
        with reporting(f"netlb show {name}"):
            chosen = parse_choice("--output", Output, output)
            root = Path(status_dir) if status_dir else _status_tree(parse_source(source))
            reports = read_reports(root)
        for problem in reports.problems:
            click.echo(f"error: {root}/{problem}", err=True)
        found = rows(reports)
        if chosen is Output.JSON:
            click.echo(json.dumps(found, indent=2))
        elif chosen is Output.YAML:
            click.echo(to_yaml(found), nl=False)
        elif found:
            _print(found)
        elif not reports.nodes:
            click.echo(f"no speaker reports in {root}: start netlb-speaker with that --status-dir")
        else:
            names = ", ".join(report.node for report in reports.nodes)
            click.echo(f"{nothing} (speakers that report: {names})")
        sys.exit(1 if reports.problems else 0)


def _print(rows: Sequence[Row]) -> None:
    """Print rows as a table; columns that are empty everywhere are left out."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    names = [name for name in rows[0] if any(row[name] not in ("", None, [], 0) for row in rows)]
    for name in names:
        table.add_column(_heading(name), overflow="fold")
    for row in rows:
        table.add_row(*(_cell(_announced_by(row[name]) if name == "announcedBy" else row[name]) for name in names))
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)
    with console.capture() as printed:
        console.print(table)
    for line in printed.get().splitlines():
        click.echo(line.rstrip())


def _heading(name: str) -> str:
    return "".join(f" {letter}" if letter.isupper() else letter.upper() for letter in name)


def _announced_by(announcers: Iterable[Row]) -> str:
    """Write who announces an address where: nodes that do alike together."""
    alike: dict[str, list[str]] = {}
    for one in announcers:
        how = f"{'to' if one['protocol'] == 'bgp' else 'on'} {', '.join(one['to'])}"
        alike.setdefault(how, []).append(one["node"])
    return "; ".join(f"{', '.join(nodes)} {how}" for how, nodes in alike.items())


def _cell(value: Any) -> Text:
    """Write a value for a person; what a file says must not move the cursor."""
    if isinstance(value, Mapping):
        text = " ".join(f"{key} {_cell(each)}" for key, each in value.items())
    elif isinstance(value, Iterable) and not isinstance(value, str):
        text = ", ".join(str(_cell(each)) for each in value)
    else:
        text = "" if value is None else str(value)
    return Text("".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text))


_command(
    "peers",
    "Show the sessions with routers: state, since when, and how many prefixes are told and heard.",
    peer_rows,
    "no router is declared for any node",
)
_command(
    "routes",
    "Show what routers are told, and with which attributes.",
    route_rows,
    "no router is told of any address",
)
_command(
    "addresses",
    "Show who holds each address, and which nodes announce it, how, and where.",
    address_rows,
    "no Service holds an address, or asks for one",
)
