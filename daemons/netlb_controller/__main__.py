"""The command `netlb-controller`."""

from pathlib import Path
from typing import Any

import click

from netlb import __version__
from netlb.api.intake import Intake
from netlb.api.snapshot import Serving, Snapshot
from netlb.errors import SettingError
from netlb.plan import plan_cluster, render_cluster
from netlb.runtime.app import reporting, run
from netlb.runtime.config import (
    CommonSettings,
    Switch,
    common_options,
    one_of,
    option,
    parse_choice,
    parse_switch,
)
from netlb.runtime.log import configure
from netlb.runtime.webhook import parse_webhook
from netlb.source.directory import read_once
from netlb.source.tree import chosen_directory
from netlb_controller.settings import Classless, ControllerSettings
from netlb_controller.wiring import NAME, build

__all__ = ["main"]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@common_options(http="off")
@option("--status-dir", "Where status is written; beside the manifests, as PATH.status, if not set.", metavar="PATH")
@option("--leader-election", "With kube: elect one of several controllers.", metavar="WORD", default=Switch.ON.value)
@option("--webhook", "With kube: where admission reviews are answered.", metavar="ADDRESS", default="off")
@option("--webhook-tls", "The directory with its tls.crt and tls.key, as a Secret is mounted.", metavar="PATH")
@option("--webhook-client-ca", "Who signs the certificates of those that may ask; if not set, all may.", metavar="PATH")
@option("--load-balancer-class", "Further loadBalancerClasses to serve, with commas.", metavar="NAMES", default="")
@option("--classless", one_of(Classless), metavar="WORD", default=Classless.SERVE.value)
@option("--installation", "This cluster's name at the sources of pools.", metavar="NAME", default="default")
@click.option("--print-plan", is_flag=True, help="Print what would be done now, as YAML, and exit.")
@click.version_option(__version__, prog_name=NAME)
def main(
    *,
    status_dir: str | None,
    leader_election: str,
    webhook: str,
    webhook_tls: str | None,
    webhook_client_ca: str | None,
    load_balancer_class: str,
    classless: str,
    installation: str,
    print_plan: bool,
    **common: Any,
) -> None:
    """Give Services of type LoadBalancer their addresses, and write down who holds which."""
    with reporting(NAME):
        shared = CommonSettings.parse(**common)
        more = frozenset(filter(None, (name.strip() for name in load_balancer_class.split(","))))
        settings = ControllerSettings(
            common=shared,
            status_dir=chosen_directory(shared.directory, status_dir),
            elects=parse_switch("--leader-election", leader_election),
            webhook=parse_webhook(webhook, webhook_tls, webhook_client_ca),
            installation=installation,
            serving=Serving(
                classes=shared.compatibility.classes | more,
                classless=parse_choice("--classless", Classless, classless) is Classless.SERVE,
            ),
        )
        if settings.webhook is not None and shared.directory is not None:
            raise SettingError("--webhook", "nobody asks where manifests are files", "try `netlb check` on them")
        if print_plan:
            click.echo(render_cluster(plan_cluster(_snapshot(settings))), nl=False)
            return
        if shared.directory is None:
            _require_cluster(shared.kubeconfig)
    configure(shared.log_level, shared.log_format)
    raise SystemExit(run(build(settings)))


def _require_cluster(kubeconfig: Path | None) -> None:
    """Raise SettingError, before anything is begun, if there is no way to reach an API server."""
    from netlb.source.kube_once import require_cluster  # noqa: PLC0415 - lightkube is for those who need it

    require_cluster(kubeconfig)


def _snapshot(settings: ControllerSettings) -> Snapshot:
    """Return what is in force now, and who holds what."""
    common = settings.common
    intake = Intake(common.compatibility, settings.serving)
    if common.directory is not None and settings.status_dir is not None:
        return read_once(common.directory, settings.status_dir, intake)
    from netlb_controller.cluster import read_cluster  # noqa: PLC0415 - lightkube is for those who need it

    return read_cluster(settings, intake)


if __name__ == "__main__":
    main()
