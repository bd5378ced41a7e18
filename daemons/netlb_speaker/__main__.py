"""The command `netlb-speaker`."""

import os
import socket
from pathlib import Path
from typing import Any

import click

from netlb import __version__
from netlb.api.intake import Intake
from netlb.api.snapshot import Snapshot
from netlb.bfd.adapter.keyfile import read_key
from netlb.l2.adapter.kernel import LIFETIME
from netlb.l2.announces import FastPath
from netlb.l2.defence import Conduct
from netlb.plan import plan_node, render_node
from netlb.plan.bgp import BgpPlan, plan_bgp
from netlb.runtime.app import reporting, run
from netlb.runtime.config import CommonSettings, common_options, option, parse_choice
from netlb.runtime.log import configure
from netlb.source.directory import DirectorySource
from netlb.source.tree import chosen_directory
from netlb_speaker.keyring import KEY_OPTION
from netlb_speaker.succession import parse_orphan_grace
from netlb_speaker.wiring import (
    LEASE_DURATION,
    NAME,
    ConflictDetection,
    LivenessMode,
    SpeakerSettings,
    Unauthenticated,
    build,
    parse_gobgp,
    parse_key_file,
    parse_lease_duration,
    parse_lifetime,
    parse_on_conflict,
    require_leases,
)

__all__ = ["main"]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@common_options(http="off")
@option("--status-dir", "Where status is kept; beside the manifests, as PATH.status, if not set.", metavar="PATH")
@option("--node-name", "This node, as its Node object is named; the host's name if not set.", metavar="NAME")
@click.option(
    "--interface",
    "interfaces",
    multiple=True,
    metavar="NAME",
    envvar="NETLB_INTERFACE",
    show_envvar=True,
    help="An interface to answer on; may be repeated. Without it: all Ethernet interfaces that are up, except those "
    "of containers and overlays.",
)
@option(
    "--address-lifetime",
    "With `announce: address`: seconds for which an address stays on an interface after the speaker has died.",
    metavar="SECONDS",
    default=str(LIFETIME),
)
@option(
    "--conflict-detection",
    "Before an address is announced for the first time, ask whether another station has it (probe), or do not (off); "
    "or announce what nobody else does, and give way to who does (yield).",
    metavar="MODE",
    default=ConflictDetection.OFF.value,
)
@option(
    "--on-conflict",
    "When another station claims an address that is announced: say so (report), and announce it once more (defend) or "
    "give it up (yield).",
    metavar="WORD",
    default=Conduct.REPORT.value,
)
@option(
    "--l2-fastpath",
    "Whether a BPF program in the kernel answers plain questions: where the kernel permits it (auto), nowhere (off), "
    "or on every interface that is used (require).",
    metavar="WORD",
    default=FastPath.AUTO.value,
)
@option(
    "--liveness",
    "How it is found out which nodes are alive: by BFD between the speakers (bfd), by Leases in the API (lease), or "
    "not at all (static).",
    metavar="MODE",
    default=LivenessMode.BFD.value,
)
@option(
    "--lease-duration",
    "With --liveness lease: seconds for which a node that is not heard of counts as alive; it writes four times in "
    "one.",
    metavar="SECONDS",
    default=str(LEASE_DURATION),
)
@option(
    "--bfd-key-file",
    "A file with the key, 1 to 20 octets, by which the speakers believe each other's BFD packets.",
    metavar="PATH",
)
@option(
    "--bfd-unauthenticated",
    "Whether speakers that have no key yet are believed all the same (accept), or not (refuse).",
    metavar="WORD",
    default=Unauthenticated.REFUSE.value,
)
@option(
    "--gobgp",
    "The gobgpd to speak BGP through: one of our own (managed), unix:PATH, HOST:PORT, or none (off).",
    metavar="WHERE",
    default="managed",
)
@option(
    "--gobgp-tenancy",
    "Whether a gobgpd that is not our own is for us alone (sole), or others use it too (shared).",
    metavar="WORD",
    default="sole",
)
@option("--state-dir", "With kube: where what was last heard is kept; nowhere if not set.", metavar="PATH")
@option("--gobgp-dir", "Where our own gobgpd has its socket; /run/netlb/bgp-NODE if not set.", metavar="PATH")
@option(
    "--orphan-grace",
    "For how many seconds responder and BFD go on when this process dies or stands still, while another takes its "
    "place; 0: they end with it.",
    metavar="SECONDS",
    default="0",
)
@option("--worker-dir", "Where the successor finds them; /run/netlb/workers-NODE if not set.", metavar="PATH")
@click.option(
    "--withdraw-not-ready",
    is_flag=True,
    envvar="NETLB_WITHDRAW_NOT_READY",
    show_envvar=True,
    help="Announce nothing from nodes that are not ready; routers are asked to prefer others first. It is for all "
    "speakers or for none.",
)
@click.option("--print-plan", is_flag=True, help="Print what this node would announce now, to whom, as YAML, and exit.")
@click.version_option(__version__, prog_name=NAME)
def main(
    *,
    status_dir: str | None,
    node_name: str | None,
    interfaces: tuple[str, ...],
    address_lifetime: str,
    conflict_detection: str,
    on_conflict: str,
    l2_fastpath: str,
    liveness: str,
    lease_duration: str,
    bfd_key_file: str | None,
    bfd_unauthenticated: str,
    gobgp: str,
    gobgp_tenancy: str,
    gobgp_dir: str | None,
    orphan_grace: str,
    worker_dir: str | None,
    withdraw_not_ready: bool,
    state_dir: str | None,
    print_plan: bool,
    **common: Any,
) -> None:
    """Announce addresses of Services from this node: by ARP and NDP, to the segments that it is on."""
    with reporting(NAME):
        shared = CommonSettings.parse(**common)
        watching = parse_choice("--liveness", LivenessMode, liveness)
        require_leases(shared.directory, watching)
        detection = parse_choice("--conflict-detection", ConflictDetection, conflict_detection)
        unauthenticated = parse_choice("--bfd-unauthenticated", Unauthenticated, bfd_unauthenticated)
        node = node_name or os.environ.get("NODE_NAME") or socket.gethostname()
        settings = SpeakerSettings(
            common=shared,
            status_dir=chosen_directory(shared.directory, status_dir),
            node=node,
            interfaces=interfaces,
            address_lifetime=parse_lifetime(address_lifetime),
            conflict_detection=detection,
            on_conflict=parse_on_conflict(on_conflict, detection),
            fastpath=parse_choice("--l2-fastpath", FastPath, l2_fastpath),
            liveness=watching,
            lease_duration=parse_lease_duration(lease_duration),
            bfd_key_file=parse_key_file(bfd_key_file, unauthenticated, watching),
            bfd_unauthenticated=unauthenticated,
            gobgp=parse_gobgp(gobgp, gobgp_tenancy, gobgp_dir or f"/run/netlb/bgp-{node}"),
            succession=parse_orphan_grace(orphan_grace, worker_dir or f"/run/netlb/workers-{node}"),
            withdraw_not_ready=withdraw_not_ready,
            state_dir=Path(state_dir) if state_dir else None,
        )
        if print_plan:
            snapshot = _snapshot(settings)
            routing = plan_bgp(snapshot, node, ready_only=withdraw_not_ready) if settings.gobgp else BgpPlan(node)
            click.echo(render_node(plan_node(snapshot, node, ready_only=withdraw_not_ready), routing), nl=False)
            return
        if shared.directory is None:
            _require_cluster(shared.kubeconfig)
        if settings.bfd_key_file is not None:
            read_key(settings.bfd_key_file, KEY_OPTION)  # before anything is begun; it is followed from then on
    configure(shared.log_level, shared.log_format)
    raise SystemExit(run(build(settings)))


def _require_cluster(kubeconfig: Path | None) -> None:
    """Raise SettingError, before anything is begun, if there is no way to reach an API server."""
    from netlb.source.kube_once import require_cluster  # noqa: PLC0415 - lightkube is for those who need it

    require_cluster(kubeconfig)


def _snapshot(settings: SpeakerSettings) -> Snapshot:
    """Return what is in force now, and who holds what."""
    common = settings.common
    if common.directory is not None and settings.status_dir is not None:
        source = DirectorySource(common.directory, settings.status_dir / "services", Intake(common.compatibility))
        source.require()
        return source.read()
    from netlb_speaker.cluster import read_cluster  # noqa: PLC0415 - lightkube is for those who need it

    return read_cluster(common)


if __name__ == "__main__":
    main()
