"""Sites for tests: nodes of a lab, each with a netlb-gateway, and pods behind them."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from netlb.testing.lab import Host, Lab
from tests.support.daemons import Daemon
from tests.support.site import Site
from tests.support.status import load
from tests.support.waiting import eventually

__all__ = ["Gateways"]

ROOT = Path(__file__).parents[2]


class Gateways(Site):
    """Each node has a device of its own name: wireguard-go's sockets are files, which all namespaces share."""

    def __init__(self, root: Path, lab: Lab) -> None:
        super().__init__(root)
        self.lab = lab
        self.keys = root / "keys"
        self.keys.mkdir()

    def declare(self, sites: Mapping[str, Mapping[str, Any]]) -> None:
        """Declare sites: the spec of each Gateway, with `nodes`, the names of its nodes."""
        for name, site in sites.items():
            spec = dict(site)
            members = spec.pop("nodes")
            gateway = {
                "apiVersion": "netlb.io/v1alpha1",
                "kind": "Gateway",
                "metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
                "spec": spec,
            }
            self.write(f"gateway-{name}.yaml", yaml.safe_dump(gateway))
            for member in members:
                self.write(f"node-{member}.yaml", yaml.safe_dump(self._node(member, name)))

    def _node(self, name: str, site: str) -> dict[str, Any]:
        host = self.lab.nodes[name]
        number = int(name.rpartition("-")[2])
        return {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": name, "labels": {"raven.openyurt.io/gateway": site}},
            "spec": {"podCIDRs": [f"10.244.{number}.0/24", f"fd00:244:{number}::/64"]},
            "status": {"addresses": [{"type": "InternalIP", "address": str(host.ipv4)}]},
        }

    @staticmethod
    def device(name: str) -> str:
        """Return the name of a node's device."""
        return f"wg-{name}"

    def gateway(self, name: str, *arguments: str) -> Daemon:
        """Start the netlb-gateway of a node inside the node."""
        command = self.command(
            "gateway", "--node-name", name, "--key-file", str(self.keys / name), "--backend", "userspace",
            "--number", f"tunnel_device={self.device(name)}", *arguments, http=name,
        )  # fmt: skip
        with self.log(name) as log:
            process = self.lab.nodes[name].popen(command, stdout=log, stderr=log, env={"TMPDIR": str(self.temporary)})
        return self.enrol(name, process)

    def cleanup(self, name: str) -> str:
        """Run `netlb-gateway cleanup` in a node; return what it prints."""
        command = self.command("gateway")[:1]
        words = ["cleanup", "--backend", "userspace", "--number", f"tunnel_device={self.device(name)}"]
        return self.lab.nodes[name].run([*command, *words]).stdout

    def said(self, name: str) -> dict[str, Any]:
        """Return what a node's gateway says; empty while it says nothing."""
        document = load(self.status.root / f"gatewaynodestatuses/{name}.yaml")
        return document["status"] if document else {}

    def site_said(self, name: str) -> dict[str, Any]:
        """Return the status of a Gateway; empty while there is none."""
        document = load(self.status.root / f"gateways/{name}.yaml")
        return document["status"] if document else {}

    def await_active(self, site: str, *nodes: str, by: tuple[str, ...] = ()) -> None:
        """Wait until these nodes, in whatever site, take those for the active endpoints of theirs."""
        for name in by:
            eventually(lambda name=name: self.said(name).get("active") == list(nodes), f"{name} sees {nodes} active")  # type: ignore[misc]

    def pings(self, one: str, other: str, *, version: int = 4) -> bool:
        """Say whether the first pod of a node reaches that of another one."""
        source, target = self.pod(one), self.pod(other)
        address = target.ipv4 if version == 4 else target.ipv6
        return source.run(["ping", "-c1", "-W1", "-n", str(address)], check=False).returncode == 0

    def pod(self, node: str) -> Host:
        """Return the first pod of a node."""
        return self.lab.pods[f"{node}-pod-1"]

    def lost(self, printed: str) -> list[int]:
        """Return the sequence numbers that have no answer in what a ping printed."""
        answered = {int(number) for number in re.findall(r"icmp_seq=(\d+)", printed)}
        return [number for number in range(1, max(answered, default=0)) if number not in answered]
