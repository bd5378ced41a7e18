"""The command `netlb-gateway`."""

import asyncio
import os
import socket
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from netlb import __version__
from netlb.api.intake import Intake
from netlb.api.snapshot import Snapshot
from netlb.errors import SettingError
from netlb.plan.raven import Seen, plan_raven
from netlb.plan.sites import wanted_backend
from netlb.raven import ipsec
from netlb.raven.adapter.choice import choose
from netlb.raven.adapter.inner import InnerAddress
from netlb.raven.adapter.kernel import KernelOperations, cleanup
from netlb.raven.adapter.keys import own_key, read_shared_key
from netlb.raven.adapter.links import NetLink
from netlb.raven.adapter.strongswan import VICI
from netlb.raven.backend import DEVICE, Backend, Choice
from netlb.raven.dataplane import Numbers
from netlb.raven.keys import Keys
from netlb.raven.mtu import WIREGUARD
from netlb.raven.text import render
from netlb.runtime.app import reporting, run
from netlb.runtime.config import CommonSettings, common_options, option, parse_choice
from netlb.runtime.log import configure, get_logger
from netlb.source.directory import DirectorySource
from netlb.source.gateway_status import FOLDER
from netlb.source.tree import chosen_directory
from netlb_gateway.settings import KEY_FILE, NAME, SHARED_KEY_FILE, GatewaySettings, parse_numbers
from netlb_gateway.wiring import PATIENCE, build, real_doors

__all__ = ["main"]

_BACKEND = "--backend"
_number_option = click.option(
    "--number",
    "numbers",
    multiple=True,
    metavar="NAME=VALUE",
    envvar="NETLB_NUMBER",
    show_envvar=True,
    help="A name or number of what is made in the kernel, as vni=201; may be repeated. All nodes need the same.",
)
_backend_option = option(
    _BACKEND,
    "What tunnels are made of: auto (WireGuard, in the kernel where it has it), kernel, userspace, or ipsec.",
    metavar="WORD",
    default=Choice.AUTO.value,
)
_vici_option = option(
    "--vici",
    "With ipsec: where strongSwan's plugin vici listens.",
    metavar="PATH",
    default=str(VICI),
)
_key_option = option(
    KEY_FILE,
    "Where this node's private key is; it is made if it is not there.",
    metavar="PATH",
    default="/var/lib/netlb/gateway.key",
)


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@common_options(http="off")
@option("--status-dir", "Where status is kept; beside the manifests, as PATH.status, if not set.", metavar="PATH")
@option("--node-name", "This node, as its Node object is named; the host's name if not set.", metavar="NAME")
@_key_option
@option(SHARED_KEY_FILE, "A file with a secret that all endpoints share; none if not set.", metavar="PATH")
@_backend_option
@_vici_option
@_number_option
@option("--state-dir", "With kube: where what was last heard is kept; nowhere if not set.", metavar="PATH")
@click.option(
    "--withdraw-on-stop",
    is_flag=True,
    envvar="NETLB_WITHDRAW_ON_STOP",
    show_envvar=True,
    help="Leave nothing when it stops; otherwise tunnels and routes stay, for the next one to go on with.",
)
@click.option("--print-plan", is_flag=True, help="Print what this node would have now, as commands, and exit.")
@click.version_option(__version__, prog_name=NAME)
@click.pass_context
def main(
    context: click.Context,
    /,
    *,
    status_dir: str | None,
    node_name: str | None,
    key_file: str,
    shared_key_file: str | None,
    backend: str,
    vici: str,
    numbers: tuple[str, ...],
    state_dir: str | None,
    withdraw_on_stop: bool,
    print_plan: bool,
    **common: Any,
) -> None:
    """Connect this node's site with other sites: hold their tunnels, or send through the node that does."""
    if context.invoked_subcommand is not None:
        return
    with reporting(NAME):
        shared = CommonSettings.parse(**common)
        settings = GatewaySettings(
            common=shared,
            status_dir=chosen_directory(shared.directory, status_dir),
            node=node_name or os.environ.get("NODE_NAME") or socket.gethostname(),
            key_file=Path(key_file),
            shared_key_file=Path(shared_key_file) if shared_key_file else None,
            backend=parse_choice(_BACKEND, Choice, backend),
            vici=Path(vici),
            numbers=parse_numbers(numbers),
            state_dir=Path(state_dir) if state_dir else None,
            withdraws=withdraw_on_stop,
        )
        if print_plan:
            click.echo(asyncio.run(_plan(settings)), nl=False)
            return
        if shared.directory is None:
            _require_cluster(shared.kubeconfig)
        configure(shared.log_level, shared.log_format)
        made, keys = asyncio.run(_tunnels(settings))
        if made is not None:  # strongSwan has a name of its own for it
            settings = replace(settings, numbers=replace(settings.numbers, tunnel_device=made.device))
    raise SystemExit(run(build(settings, real_doors(made, keys))))


@main.command("cleanup")
@_backend_option
@_vici_option
@_number_option
def clean_up(*, backend: str, vici: str, numbers: tuple[str, ...]) -> None:
    """Remove all that netlb-gateway has made on this node, also if it was killed; what others made stays.

    The private key stays. Stop netlb-gateway first.
    """
    with reporting(f"{NAME} cleanup"):
        gone = asyncio.run(_clean_up(parse_choice(_BACKEND, Choice, backend), Path(vici), parse_numbers(numbers)))
    for what, error in gone.items():
        click.echo(f"{what}: {error}" if error else f"removed {what}", err=error is not None)
    raise SystemExit(1 if any(gone.values()) else 0)


async def _tunnels(settings: GatewaySettings) -> tuple[Backend | None, Keys | None]:
    """Return the backend and its keys; none where the one that the Gateway asks for, or any, cannot work here.

    Raises SettingError, also where that is so of the one that `--backend` asks for.
    """
    wanted = settings.backend if settings.backend is not Choice.AUTO else await _wanted(settings)
    try:
        backend = await choose(wanted, settings.numbers.tunnel_device, setting=_BACKEND, vici=settings.vici)
    except SettingError as error:
        if settings.backend is not Choice.AUTO:
            raise
        get_logger(NAME).warning("no tunnels can be held here", problem=error.problem, remedy=error.remedy)
        return None, None
    private = own_key(settings.key_file, KEY_FILE, running=await backend.key())
    shared = read_shared_key(settings.shared_key_file, SHARED_KEY_FILE) if settings.shared_key_file else None
    keys = Keys(private, shared)
    backend.use(keys)
    await backend.close()  # it is opened anew on the daemon's own loop
    return backend, keys


async def _wanted(settings: GatewaySettings) -> Choice:
    """Return the backend that the node's Gateway asks for."""
    if settings.common.directory is not None:
        return wanted_backend(_snapshot(settings), settings.node)
    from netlb_gateway.cluster import heard_last  # noqa: PLC0415 - lightkube is for those who need it

    heard = await heard_last(settings.common, settings.state_dir, name=NAME, patience=PATIENCE)
    return wanted_backend(heard, settings.node) if heard is not None else Choice.AUTO


async def _clean_up(choice: Choice, vici: Path, numbers: Numbers) -> dict[str, Exception | None]:
    gone = {str(key): error for key, error in (await cleanup(numbers)).items()}
    try:
        backend = await choose(choice, numbers.tunnel_device, setting=_BACKEND, vici=vici)
    except SettingError:
        if choice is not Choice.AUTO:
            raise
        return gone  # where none can be made, none was
    link = await NetLink(backend.device).link()
    if link is not None and link.ours:  # one that stays must not keep its address
        inner = InnerAddress(backend.device, numbers.inner_network)
        kept = await inner.prune(await inner.observe())
        gone |= {f"address inside the tunnels of {name}": error for name, error in kept.items()}
    there = bool(await backend.key() or await backend.states())
    failures = await backend.prune([DEVICE])
    await backend.close()
    return gone | ({f"device {backend.device}": failures.get(DEVICE)} if there or failures else {})


async def _plan(settings: GatewaySettings) -> str:
    """Return what this node would have, as far as it is known without hearing others."""
    snapshot = _snapshot(settings)
    plan = plan_raven(snapshot, Seen.published(snapshot))
    site = next((site for site in plan.mesh.sites.values() if settings.node in site.nodes), None)
    async with KernelOperations(settings.numbers) as kernel:
        local = await kernel.local(site.nodes[settings.node].underlay if site else None)
    endpoint = site.endpoint(settings.node) if site else None
    wanted = settings.backend if settings.backend is not Choice.AUTO else wanted_backend(snapshot, settings.node)
    overhead = ipsec.OVERHEAD if wanted is Choice.IPSEC else WIREGUARD
    plane = plan.node(settings.node, replace(local, overhead=overhead), settings.numbers)
    own = endpoint.key if endpoint and wanted is Choice.IPSEC else None
    return render(plane, settings.numbers.protocol, ipsec_key=own)


def _require_cluster(kubeconfig: Path | None) -> None:
    """Raise SettingError, before anything is begun, if there is no way to reach an API server."""
    from netlb.source.kube_once import require_cluster  # noqa: PLC0415 - lightkube is for those who need it

    require_cluster(kubeconfig)


def _snapshot(settings: GatewaySettings) -> Snapshot:
    """Return what is in force now."""
    common = settings.common
    if common.directory is not None and settings.status_dir is not None:
        reports = settings.status_dir / FOLDER
        source = DirectorySource(common.directory, None, Intake(common.compatibility), reports=reports)
        source.require()
        return source.read()
    from netlb_gateway.cluster import read_cluster  # noqa: PLC0415 - lightkube is for those who need it

    return read_cluster(common)


if __name__ == "__main__":
    main()
