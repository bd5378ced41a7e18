"""`netlb check`: say what is wrong with manifests before anybody applies them."""

import sys

import click

from netlb.cli.files import read_files, read_source
from netlb.findings import Severity
from netlb.plan import plan_cluster
from netlb.plan.explain_site import review_sites
from netlb.runtime.app import reporting
from netlb.runtime.config import compatibility_options, option, parse_compatibility

__all__ = ["check"]


@click.command()
@click.argument("files", nargs=-1, metavar="[FILE]...")
@option("--source", "Without FILE, where the manifests are: dir:PATH, kube or kube:KUBECONFIG.", metavar="SPEC")
@compatibility_options
@click.option("--strict", is_flag=True, help="Fail on warnings too.")
def check(files: tuple[str, ...], *, source: str | None, strict: bool, **compatibility: str) -> None:
    """Check manifests together, as one cluster would see them, or what is declared in a cluster now.

    FILE is a manifest, a directory of manifests, or - for standard input. Findings go to standard error, one
    a line. Exit status: 0 if nothing is wrong, 1 otherwise.
    """
    with reporting("netlb check"):
        understood = parse_compatibility(**compatibility)
        snapshot = (
            read_files(files, understood).snapshot({}) if files else read_source(source, None, understood, "EVERYTHING")
        )
    findings = (*plan_cluster(snapshot).findings, *review_sites(snapshot))
    for finding in findings:
        click.echo(str(finding), err=True)
    if strict or any(finding.severity is Severity.ERROR for finding in findings):
        sys.exit(1 if findings else 0)
