"""netlb at work, live: a Service gets an address, the network finds it, a client uses it, nodes die, sites are joined.

A cluster of three nodes, a client and a router, and one of three sites behind routers, made of network namespaces, with
netlb's real daemons, gobgpd, FRR and wireguard-go. The manifests of the first are those in `examples/edgeapp`. Exit
status 0 means that every step held.

    python -m examples.demo
"""

import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

import click
from rich.markup import escape

from examples.demo.cluster import BIN, MANIFESTS, Cluster
from examples.demo.routers import ADDRESS, show_routing, show_withdrawal
from examples.demo.segment import IPV4, show_addresses, show_deletion, show_failover
from examples.demo.sites import Sites, show_sites
from examples.demo.steps import StepFailedError, act, console, eventually, step
from netlb.testing.lab import Lab, LabError, LabUnavailable

_REPOSITORY = Path(__file__).parents[2]


def run(cluster: Cluster, folder: Path) -> None:
    """Play the first two acts."""
    with step("three nodes come up, a controller on one and a speaker on each"):
        cluster.write_nodes()
        cluster.start()
        eventually(lambda: all(cluster.node(name) for name in cluster.lab.nodes), "not every speaker reports")
    show_addresses(cluster)
    show_failover(cluster)
    show_routing(cluster, folder)


def show_commands(cluster: Cluster, sites: Sites) -> None:
    """Print what to try in labs that stay up."""
    client = cluster.client.namespace
    router = cluster.lab.routers["router-1"].namespace
    tree = f"--source dir:{cluster.manifests}"
    console.print(
        f"\nThe labs stay up. Try:\n"
        f"  ip netns exec {client} curl http://{IPV4[1]}/\n"
        f"  ip netns exec {client} curl http://{ADDRESS}/\n"
        f"  ip netns exec {client} ip neighbor\n"
        f"  ip netns exec {router} ip route\n"
        f"  {BIN}/netlb show addresses {tree}     # or: show peers, show routes\n"
        f"  {BIN}/netlb explain service edgeapp-routed {tree}\n"
        f"  rm {cluster.manifests}/edgeapp.yaml       # delete the Service\n"
        f"  cp {MANIFESTS}/edgeapp.yaml {cluster.manifests}/\n"
        f"  cat {cluster.status}/nodes/*.yaml\n"
        f"  {BIN}/netlb-speaker {tree} --node-name node-1 --print-plan\n"
        f"  {BIN}/netlb show gateways --source dir:{sites.manifests}\n"
        f"  ip netns exec {sites.lab.pods['edge3'].namespace} ping {sites.lab.pods['cloud2'].ipv4}\n"
        f"  ip netns exec {sites.lab.nodes['edge3'].namespace} ip route show table 9027\n"
        f"Remove it with: make clean\n",
        soft_wrap=True,
    )


@click.command()
@click.option("--keep", is_flag=True, help="Leave the labs up and print commands to try.")
def main(keep: bool) -> None:
    """Show netlb at work."""
    work = _REPOSITORY / "build"
    work.mkdir(exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix="demo-", dir=work))
    # Names of sockets are short, and FRR, which gives up root, has no way into a home directory.
    short = Path(tempfile.mkdtemp(prefix="netlb-demo-"))
    short.chmod(0o711)
    (short / "frr").mkdir()
    (root / "run").symlink_to(short)  # where `make clean` finds it
    kept = False
    try:
        with Lab(nodes=3, clients=1, routers=1, pods_per_node=1, name="demo") as lab, ExitStack() as stack:
            cluster = Cluster(root, short / "gobgpd", lab)
            try:
                run(cluster, short / "frr")
                if not keep:
                    act("And back")
                    show_withdrawal(cluster)
                    show_deletion(cluster)
                sites = show_sites(root, stack)
                if keep:
                    show_commands(cluster, sites)
                    lab.keep()
                    sites.lab.keep()
                    kept = True
            except (StepFailedError, LabError, OSError, subprocess.SubprocessError) as error:
                console.print(f"[red bold]{escape(str(error))}[/]")
                for name, log in cluster.logs().items():
                    console.print(f"[dim]{name}:\n{escape(log)}[/]")
                sys.exit(1)
    except LabUnavailable as error:
        console.print(f"[red bold]{escape(str(error))}[/]")
        sys.exit(1)
    finally:
        if not kept:
            shutil.rmtree(root)
            shutil.rmtree(short)
    console.print("[green bold]Every step held.[/]")


if __name__ == "__main__":
    main()
