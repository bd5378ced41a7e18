"""The main job, live: a Service gets an address, the network finds it, and a client reaches a pod.

A cluster of three nodes and a client on one segment, made of network namespaces, with netlb's real daemons. The
manifests are those in `examples/edgeapp`. Exit status 0 means that every step held.
"""

import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from pathlib import Path
from typing import Any, TypeVar

import click
import yaml
from rich.console import Console
from rich.markup import escape

from netlb.testing.lab import Host, Lab, LabUnavailable, ServiceRule

T = TypeVar("T")

EXAMPLE = Path(__file__).parent / "edgeapp"
BIN = Path(sys.executable).parent
IPV4 = ("edgeapp-svc", "192.168.122.90")
IPV6 = ("edgeapp-svc-v6", "fd00:122::90")

console = Console(highlight=False)


class StepFailedError(Exception):
    """A step did not hold."""


@contextmanager
def step(what: str) -> Iterator[Callable[[str], None]]:
    """Show one step with the time that it took; what is handed to the yielded function is its outcome."""
    outcome: list[str] = []
    began = time.perf_counter()
    try:
        with console.status(escape(what)):
            yield outcome.append
    except Exception:
        console.print(f"[red]✗[/]             {escape(what)}")
        raise
    milliseconds = (time.perf_counter() - began) * 1000
    result = "".join(f": [bold]{escape(line)}[/]" for line in outcome)
    console.print(f"[green]✓[/] {milliseconds:7.0f} ms  {escape(what)}{result}", soft_wrap=True)


def require(condition: object, problem: str) -> None:
    if not condition:
        raise StepFailedError(problem)


def eventually(look: Callable[[], T | None], problem: str) -> T:
    """Wait until `look` finds something."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(0.005)
    raise StepFailedError(problem)


class Cluster:
    """The directory that stands in for the API server, and what can be read from the status tree beside it."""

    def __init__(self, root: Path, lab: Lab) -> None:
        self.manifests = root / "cluster"
        self.status = root / "cluster.status"
        self.root = root
        self.lab = lab
        self.manifests.mkdir()

    def write_nodes_and_endpoints(self) -> None:
        """Write what kubelets and the endpoint controller of a real cluster would have written."""
        documents: list[dict[str, Any]] = [
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}} for name in self.lab.nodes
        ]
        for service, family in ((IPV4[0], "IPv4"), (IPV6[0], "IPv6")):
            version = int(family[-1])
            documents.append(
                {
                    "apiVersion": "discovery.k8s.io/v1",
                    "kind": "EndpointSlice",
                    "metadata": {"name": f"{service}-1", "labels": {"kubernetes.io/service-name": service}},
                    "addressType": family,
                    "ports": [{"port": 80, "protocol": "TCP"}],
                    "endpoints": [
                        {"addresses": [str(backend.address)], "nodeName": backend.node, "conditions": {"ready": True}}
                        for backend in self.lab.backends
                        if backend.address.version == version
                    ],
                }
            )
        self._write("nodes-and-endpoints.yaml", yaml.safe_dump_all(documents))

    def apply(self, name: str) -> None:
        self._write(name, (EXAMPLE / name).read_text())

    def delete(self, name: str) -> None:
        (self.manifests / name).unlink()

    def address(self, service: str) -> str | None:
        """Return the address in the Service's status."""
        status = self._read(f"services/default.{service}.yaml")
        ingress = status["status"]["loadBalancer"]["ingress"] if status else []
        return str(ingress[0]["ip"]) if ingress else None

    def owner(self, address: str) -> Host | None:
        """Return the node whose speaker says that it answers for the address."""
        for name, node in self.lab.nodes.items():
            for entry in (self._read(f"nodes/{name}.yaml") or {}).get("announcing", ()):
                if entry["address"] == address and entry["interfaces"]:
                    return node
        return None

    def start(self, host: Host, *command: str) -> None:
        """Run a daemon of ours on a host; its log goes to a file."""
        with (self.root / f"{host.name}.{command[0]}.log").open("w") as log:
            host.popen([str(BIN / command[0]), "--source", f"dir:{self.manifests}", *command[1:]], stderr=log)

    def _write(self, name: str, text: str) -> None:
        temporary = self.manifests / f".{name}.tmp"
        temporary.write_text(text)
        temporary.rename(self.manifests / name)

    def _read(self, name: str) -> Any:
        try:
            return yaml.safe_load((self.status / name).read_text())
        except FileNotFoundError:
            return None


def show_service(cluster: Cluster, client: Host, service: str, expected: str) -> None:
    """Follow one Service from its manifest to an HTTP answer."""
    with step(f"{service} is given an address") as say:
        address = eventually(lambda: cluster.address(service), f"{service} got no address")
        require(address == expected, f"{service} got {address}, not {expected}")
        say(address)
    with step("one node owns it") as say:
        owner = eventually(lambda: cluster.owner(address), "no speaker announces it")
        say(f"{owner.name} at {owner.mac}")
    with step("who has it? the client asks 200 times") as say:
        with client.question(ip_address(address)) as question:
            answers = [question.ask(timeout=1.0, stop_after=1) for _ in range(200)]
        require(all(answers), "a question was not answered")
        times = [answer.microseconds for reply in answers for answer in reply]
        everyone = {answer.mac for answer in client.who_has(ip_address(address), timeout=0.3)}
        require(everyone == {owner.mac}, f"answers came from {everyone}")
        say(f"{owner.mac} alone, in {statistics.median(times):.0f} µs (median)")
    cluster.lab.serve(
        [
            ServiceRule(
                name=f"default/{service}", addresses=(ip_address(address),), port=80, backends=cluster.lab.backends
            )
        ]
    )
    with step(f"http://{f'[{address}]' if ':' in address else address}/") as say:
        reply = client.http_get(ip_address(address), 80)
        require(reply.status == 200, f"HTTP status {reply.status}")
        say(f"200 {reply.body.strip()}")
    with step("the client's neighbour table names the owner") as say:
        require(client.neighbor(ip_address(address)) == owner.mac, "another MAC address is in the table")
        say(f"{address} lladdr {owner.mac}")


def show_deletion(cluster: Cluster, client: Host, service: str, address: str, manifest: str) -> None:
    """Delete one Service and see its address fall silent and free."""
    with step(f"{service} is deleted: its address is free again, and nobody answers"):
        cluster.delete(manifest)
        eventually(lambda: cluster.address(service) is None, f"{address} is still allocated")
        eventually(lambda: cluster.owner(address) is None, f"{address} is still announced")
        require(not client.who_has(ip_address(address), timeout=0.5), f"somebody still answers for {address}")


def run(lab: Lab, cluster: Cluster) -> None:
    client = lab.clients["client-1"]
    with step("three nodes come up, a controller on one and a speaker on each"):
        cluster.write_nodes_and_endpoints()
        cluster.start(lab.nodes["node-1"], "netlb-controller")
        for name, node in lab.nodes.items():
            cluster.start(node, "netlb-speaker", "--node-name", name, "--interface", "eth0")
        eventually(lambda: all((cluster.status / f"nodes/{name}.yaml").exists() for name in lab.nodes), "not up")
    console.rule("[bold]IPv4: MetalLB's ConfigMap, as it stands in many clusters[/]", align="left")
    cluster.apply("metallb-config.yaml")
    cluster.apply("edgeapp.yaml")
    show_service(cluster, client, *IPV4)
    console.rule("[bold]IPv6: the same in netlb's own kinds[/]", align="left")
    cluster.apply("ipv6-pool.yaml")
    cluster.apply("edgeapp-v6.yaml")
    show_service(cluster, client, *IPV6)


def show_commands(lab: Lab, cluster: Cluster) -> None:
    client = lab.clients["client-1"].namespace
    console.print(
        f"\nThe lab stays up. Try:\n"
        f"  ip netns exec {client} curl http://{IPV4[1]}/\n"
        f"  ip netns exec {client} ip neighbor\n"
        f"  ip netns exec {client} python3 -c \"print('any command, as the client')\"\n"
        f"  rm {cluster.manifests}/edgeapp.yaml       # delete the Service\n"
        f"  cp {EXAMPLE}/edgeapp.yaml {cluster.manifests}/\n"
        f"  cat {cluster.status}/nodes/*.yaml\n"
        f"  {BIN}/netlb-speaker --source dir:{cluster.manifests} --node-name node-1 --print-plan\n"
        f"Remove it with: make clean\n",
        soft_wrap=True,
    )


@click.command()
@click.option("--keep", is_flag=True, help="Leave the lab up and print commands to try.")
def main(keep: bool) -> None:
    """Show netlb at work."""
    work = Path(__file__).parent.parent / "build"
    work.mkdir(exist_ok=True)
    root = Path(tempfile.mkdtemp(prefix="demo-", dir=work))
    finished = False
    try:
        with Lab(nodes=3, clients=1, pods_per_node=1, name="demo") as lab:
            cluster = Cluster(root, lab)
            run(lab, cluster)
            if keep:
                show_commands(lab, cluster)
                lab.keep()
            else:
                console.rule("[bold]And back[/]", align="left")
                client = lab.clients["client-1"]
                show_deletion(cluster, client, *IPV4, "edgeapp.yaml")
                show_deletion(cluster, client, *IPV6, "edgeapp-v6.yaml")
        finished = True
    except (StepFailedError, LabUnavailable, OSError, subprocess.SubprocessError) as error:
        console.print(f"[red bold]{escape(str(error))}[/]")
        for log in sorted(root.glob("*.log")):
            console.print(f"[dim]{log.name}:\n{escape(log.read_text())}[/]")
        sys.exit(1)
    finally:
        if not (keep and finished):
            shutil.rmtree(root)
    console.print("[green bold]Every step held.[/]")


if __name__ == "__main__":
    main()
