"""`netlb import`: write what another system's configuration says as native manifests."""

import sys
from dataclasses import replace

import click

from netlb.api.dialects import System
from netlb.cli.files import read_files
from netlb.plan import validate
from netlb.plan.translation import render_translation
from netlb.runtime.config import namespace_options, parse_compatibility

__all__ = ["import_"]


@click.command("import")
@click.argument("system", type=click.Choice(sorted(map(str, System))))
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@namespace_options
def import_(system: str, files: tuple[str, ...], **namespaces: str) -> None:
    """Print native manifests that say what the objects of another system say.

    FILE is a manifest, a directory of manifests, or - for standard input. Comments name the object and the file
    that each manifest comes from, and say what differs from what it meant there.

    Nobody needs to convert anything: the daemons read the objects of all these systems as they stand. Where the
    printed manifests take their place, remove them. Services are not printed, nor are objects of other systems:
    annotations keep working, and so do the names of pools.

    Exit status: 0 if everything is printed. 1 if something is wrong with the files: then it is said on standard
    error, and nothing is printed of an object that is wrong.
    """
    intake = read_files(files, replace(parse_compatibility(**namespaces), systems=frozenset({System(system)})))
    findings = validate(intake.snapshot({}))
    translation = render_translation(intake.counterparts, findings)
    click.echo(translation.text, nl=False)
    for error in translation.errors:
        click.echo(str(error), err=True)
    if not intake.counterparts and not translation.errors:
        click.echo(f"error: nothing of {system} is declared in {', '.join(files)}", err=True)
    sys.exit(1 if translation.errors or not intake.counterparts else 0)
