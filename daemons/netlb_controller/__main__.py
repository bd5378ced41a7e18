"""The command `netlb-controller`."""

from typing import Any

import click

from netlb import __version__
from netlb.api.intake import Intake
from netlb.plan import ClusterPlanner, render_cluster
from netlb.runtime.app import reporting, run
from netlb.runtime.config import CommonSettings, common_options, option
from netlb.runtime.log import configure
from netlb.source.directory import DirectorySource
from netlb.source.tree import status_directory
from netlb_controller.wiring import NAME, ControllerSettings, build

__all__ = ["main"]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@common_options(http="off")
@option("--status-dir", "Where status is written; beside the manifests, as PATH.status, if not set.", metavar="PATH")
@click.option("--print-plan", is_flag=True, help="Print what would be done now, as YAML, and exit.")
@click.version_option(__version__, prog_name=NAME)
def main(*, status_dir: str | None, print_plan: bool, **common: Any) -> None:
    """Give Services of type LoadBalancer their addresses, and write down who holds which."""
    with reporting(NAME):
        shared = CommonSettings.parse(**common)
        settings = ControllerSettings(common=shared, status_dir=status_directory(shared.source.path, status_dir))
        if print_plan:
            intake = Intake()
            source = DirectorySource(shared.source.path, settings.status_dir / "services", intake)
            source.require()
            snapshot = source.read()
            # As when it starts: our own tree counts more than a status that somebody's manifest carries along.
            planner = ClusterPlanner({**intake.holdings(), **snapshot.holdings})
            click.echo(render_cluster(planner.plan(snapshot)), nl=False)
            return
    configure(shared.log_level, shared.log_format)
    raise SystemExit(run(build(settings)))


if __name__ == "__main__":
    main()
