"""`netlb explain`: say why something is as it is."""

import sys

import click

from netlb.api.dialects import Compatibility
from netlb.api.snapshot import Snapshot
from netlb.cli.files import read_files, read_source
from netlb.findings import ObjectRef
from netlb.plan import explain_service
from netlb.plan.explain_site import explain_gateway
from netlb.runtime.app import reporting
from netlb.runtime.config import compatibility_options, option, parse_compatibility

__all__ = ["explain"]


@click.group()
def explain() -> None:
    """Say why something is as it is."""


@explain.command()
@click.argument("service", metavar="NAMESPACE/NAME")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@option("--source", "Where the manifests are: dir:PATH, kube or kube:KUBECONFIG.", metavar="SPEC")
@option("--status-dir", "Where status is written; beside the manifests, as PATH.status, if not set.", metavar="PATH")
@compatibility_options
def service(
    service: str, files: tuple[str, ...], *, source: str | None, status_dir: str | None, **compatibility: str
) -> None:
    """Say why a Service has, or has not, an address and an announcer: what each pool says, and who owns the address.

    The cluster is that of --source, or a saved one: FILE is what `kubectl get services,nodes,... -A -o yaml` printed (a
    directory of such files, or - for standard input); there the statuses of the Services say who holds what.

    Exit status: 0 if the Service has what it asks for, 1 otherwise.
    """
    namespace, _, name = service.rpartition("/")
    ref = ObjectRef("Service", namespace or "default", name)
    with reporting("netlb explain"):
        snapshot = _snapshot(files, source, status_dir, parse_compatibility(**compatibility))
    text, served = explain_service(snapshot, ref)
    click.echo(text, nl=False)
    sys.exit(0 if served else 1)


@explain.command()
@click.argument("gateway", metavar="NAME")
@click.argument("files", nargs=-1, metavar="[FILE]...")
@option("--source", "Where the manifests are: dir:PATH, kube or kube:KUBECONFIG.", metavar="SPEC")
@option("--status-dir", "Where status is written; beside the manifests, as PATH.status, if not set.", metavar="PATH")
@compatibility_options
def gateway(
    gateway: str, files: tuple[str, ...], *, source: str | None, status_dir: str | None, **compatibility: str
) -> None:
    """Say how the site of a Gateway reaches the others, or why not: its nodes, who is active, prefixes, and ways.

    The cluster is that of --source, or a saved one: FILE is what `kubectl get nodes,gatewaynodestatuses,... -o yaml`
    printed (a directory of such files, or - for standard input). What nodes hear of each other is not known here:
    `netlb show gateways` says what they make of it.

    Exit status: 0 if all other sites are reached, 1 otherwise.
    """
    with reporting("netlb explain"):
        snapshot = _snapshot(files, source, status_dir, parse_compatibility(**compatibility), "SITES")
    text, reached = explain_gateway(snapshot, gateway)
    click.echo(text, nl=False)
    sys.exit(0 if reached else 1)


def _snapshot(
    files: tuple[str, ...],
    source: str | None,
    status_dir: str | None,
    compatibility: Compatibility,
    reader: str = "ANNOUNCEMENTS",
) -> Snapshot:
    if files:
        intake = read_files(files, compatibility)
        return intake.snapshot(intake.holdings())
    return read_source(source, status_dir, compatibility, reader)
