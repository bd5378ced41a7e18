"""`netlb show`: what speakers and gateways say of themselves, as tables or as data."""

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

from netlb.cli.rows import address_rows, gateway_rows, peer_rows, route_rows
from netlb.plan.render import to_yaml
from netlb.runtime.app import reporting
from netlb.runtime.config import KubeSpec, option, parse_choice, parse_source
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
    """Show what the daemons say: how sessions with routers are, who announces what, how sites are connected.

    It is read from what the daemons write: files (--status-dir, or beside the manifests of --source), or with --source
    kube the statuses in the API.

    Exit status: 0; 1 if some of it could not be read, which is then said on standard error.
    """


def _reports(source: str | None, status_dir: str | None, kinds: Iterable[str]) -> tuple[Reports, str]:
    """Return what is said, of a cluster these kinds, and where it was read, as a place for messages."""
    if status_dir:
        return read_reports(Path(status_dir)), status_dir
    chosen = parse_source(source)
    if isinstance(chosen, KubeSpec):
        from netlb.source.kube_reading import read_cluster_reports  # noqa: PLC0415 - lightkube is for those who need it

        return read_cluster_reports(chosen.kubeconfig, kinds), str(chosen)
    root = status_directory(chosen.path, None)
    return read_reports(root), str(root)


def _speakers(reports: Reports) -> list[str]:
    return [report.node for report in reports.nodes]


def _gateways(reports: Reports) -> list[str]:
    return [report.node for report in reports.gateways]


def _command(
    name: str,
    description: str,
    rows: Callable[[Reports], Sequence[Row]],
    nothing: str,
    kinds: Sequence[str],
    *,
    daemon: str = "speaker",
    reporting_nodes: Callable[[Reports], Sequence[str]] = _speakers,
) -> None:
    """Make a command that shows these rows of what such daemons say, or says that there is `nothing` to show.

    `kinds` are those that rows are made of: whoever may read them may use the command.
    """

    @show.command(name, help=description)
    @option(
        "--source",
        "Where the manifests are: dir:PATH, kube or kube:KUBECONFIG.",
        metavar="SPEC",
    )
    @option("--status-dir", "Where status is; beside the manifests, as PATH.status, if not set.", metavar="PATH")
    @click.option("-o", "--output", metavar="FORMAT", default=Output.TABLE.value, help="One of: table, json, yaml.")
    def command(source: str | None, status_dir: str | None, output: str) -> None:
        with reporting(f"netlb show {name}"):
            chosen = parse_choice("--output", Output, output)
            reports, place = _reports(source, status_dir, kinds)
        for problem in reports.problems:
            click.echo(f"error: {place}/{problem}", err=True)
        found = rows(reports)
        if chosen is Output.JSON:
            click.echo(json.dumps(found, indent=2))
        elif chosen is Output.YAML:
            click.echo(to_yaml(found), nl=False)
        elif found:
            _print(found)
        elif not (nodes := reporting_nodes(reports)):
            click.echo(f"no {daemon} reports in {place}: start netlb-{daemon} with that --source or --status-dir")
        else:
            click.echo(f"{nothing} ({daemon}s that report: {', '.join(nodes)})")
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
        if one.get("announce") == "address":
            how += " (the kernel answers)"
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
    ["SpeakerStatus"],
)
_command(
    "routes",
    "Show what routers are told, and with which attributes.",
    route_rows,
    "no router is told of any address",
    ["SpeakerStatus", "ServiceBGPStatus"],
)
_command(
    "addresses",
    "Show who holds each address, and which nodes announce it, how, and where.",
    address_rows,
    "no Service holds an address, or asks for one",
    ["SpeakerStatus", "ServiceL2Status", "ServiceBGPStatus", "Service"],
)
_command(
    "gateways",
    "Show how each node's site is connected with others: who is active, and how the tunnels are.",
    gateway_rows,
    "no node is in a site",
    ["GatewayNodeStatus"],
    daemon="gateway",
    reporting_nodes=_gateways,
)
