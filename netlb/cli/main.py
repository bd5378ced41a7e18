"""`netlb`: the command for people; each subcommand is a module of this package."""

import click

from netlb import __version__
from netlb.cli.check import check
from netlb.cli.explain import explain
from netlb.cli.import_ import import_
from netlb.cli.show import show

__all__ = ["main"]


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="netlb")
def main() -> None:
    """Addresses for Services on bare metal, and who announces them."""


main.add_command(check)
main.add_command(explain)
main.add_command(import_)
main.add_command(show)
