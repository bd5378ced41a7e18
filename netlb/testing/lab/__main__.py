"""`python -m netlb.testing.lab`: see the labs of this machine, and remove those that nobody owns."""

import click

from netlb.testing.lab.errors import LabError
from netlb.testing.lab.records import labs, sweep


@click.group()
def main() -> None:
    """See and remove network labs."""


@main.command(name="list")
def list_labs() -> None:
    """Show every lab of this machine: name, state, namespaces."""
    for lab in labs():
        owner = f"owned by process {lab.owner}" if lab.owned else "its owner is gone"
        click.echo(f"{lab.name}: {'kept, ' if lab.kept else ''}{owner}")
        for namespace in lab.namespaces:
            click.echo(f"    {namespace}")


@main.command(name="sweep")
@click.argument("name", required=False)
def sweep_labs(name: str | None) -> None:
    """Remove the labs whose owner is gone, or only the one called NAME."""
    try:
        removed = sweep(name)
    except LabError as error:
        raise click.ClickException(str(error)) from error
    for lab in removed:
        click.echo(f"removed {lab}")


if __name__ == "__main__":
    main(prog_name="python -m netlb.testing.lab")
