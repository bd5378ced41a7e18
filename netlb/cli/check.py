"""`netlb check`: say what is wrong with manifests before anybody applies them."""

import sys
from pathlib import Path

import click

from netlb.api.documents import parse_documents
from netlb.api.intake import Intake
from netlb.errors import ConfigError
from netlb.findings import Finding, Severity
from netlb.plan import plan_cluster
from netlb.reasons import ManifestProblem
from netlb.source.folder import is_manifest

__all__ = ["check"]


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option("--strict", is_flag=True, help="Fail on warnings too.")
def check(files: tuple[str, ...], *, strict: bool) -> None:
    """Check manifests together, as one cluster would see them.

    FILE is a manifest, a directory of manifests, or - for standard input. Findings go to standard error, one
    a line. Exit status: 0 if nothing is wrong, 1 otherwise.
    """
    intake = Intake()
    for origin in (name for file in files for name in _expand(file)):
        try:
            text = sys.stdin.read() if origin == "-" else Path(origin).read_text("utf-8")
            intake.declare(origin, parse_documents(text, origin))
        except ConfigError as error:
            intake.unreadable(origin, error.finding)
        except (OSError, UnicodeDecodeError) as error:
            intake.unreadable(origin, _unreadable(origin, error))
    findings = plan_cluster(intake.snapshot({})).findings
    for finding in findings:
        click.echo(str(finding), err=True)
    if strict or any(finding.severity is Severity.ERROR for finding in findings):
        sys.exit(1 if findings else 0)


def _expand(file: str) -> list[str]:
    path = Path(file)
    if file != "-" and path.is_dir():
        return sorted(str(path / entry.name) for entry in path.iterdir() if is_manifest(entry))
    return [file]


def _unreadable(origin: str, error: OSError | UnicodeDecodeError) -> Finding:
    return Finding(
        origin=origin,
        reason=ManifestProblem.UNREADABLE_FILE,
        problem=(error.strerror or str(error)) if isinstance(error, OSError) else "the file is not UTF-8 text",
        remedy="name a file that can be read",
    )
