"""Sites for tests: nodes of a lab, each with a netlb-gateway, and pods behind them."""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from netlb.testing.lab import Host, Lab
from tests.support.daemons import Daemon
from tests.support.site import Site
from tests.support.status import load
from tests.support.tunnels import carriers, process_of
from tests.support.waiting import eventually

__all__ = ["Gateways"]


class Gateways(Site):
    """Each node has a device of a name of its own: wireguard-go's sockets are files, which all namespaces share."""

    def __init__(self, root: Path, lab: Lab) -> None:
        super().__init__(root)
        self.lab = lab
        self.keys = root.with_name(f"{root.name}-keys")
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

    def device(self, name: str) -> str:
        """Return the name of a node's device, which no node of another lab has."""
        return f"wg{self.lab.name[-6:]}-{name}"

    def command_line(self, *arguments: str) -> list[str]:
        """Return how netlb-gateway is called here."""
        return [sys.executable, "-m", "netlb_gateway", *arguments]

    def gateway(self, name: str, *arguments: str) -> Daemon:
        """Start the netlb-gateway of a node inside the node."""
        options = {
            "--source": f"dir:{self.manifests}",
            "--http": f"unix:{self.root / name}.sock",
            "--node-name": name,
            "--key-file": str(self.keys / name),
            "--backend": "userspace",
            "--number": f"tunnel_device={self.device(name)}",
        }
        command = self.command_line(*(word for pair in options.items() for word in pair), *arguments)
        with self.log(name) as log:
            process = self.lab.nodes[name].popen(command, stdout=log, stderr=log, env={"TMPDIR": str(self.temporary)})
        return self.enrol(name, process)

    def crash(self, daemon: Daemon) -> None:
        """End a daemon as a crash would, and take away what only its next start would have."""
        daemon.kill()
        daemon.http.unlink()

    def start(self) -> dict[str, Daemon]:
        """Start the gateway of every node; return them by name when all are connected."""
        started = {name: self.gateway(name) for name in self.lab.nodes}
        for daemon in started.values():
            self.await_ready(daemon)
        return started

    def cleanup(self, name: str) -> list[str]:
        """Run `netlb-gateway cleanup` in a node; return the lines that it prints."""
        words = ["cleanup", "--backend", "userspace", "--number", f"tunnel_device={self.device(name)}"]
        return self.lab.nodes[name].run(self.command_line(*words), timeout=60.0).stdout.splitlines()

    def left(self, name: str) -> list[str]:
        """Return what a node has of ours in its kernel."""
        host = self.lab.nodes[name]
        wanted = [f"dev {self.device(name)}", self.device(name), "raven0", "lookup 902", "table inet raven"]
        commands = [["ip", "-o", "link"], ["ip", "rule"], ["ip", "-6", "rule"], ["nft", "list", "tables"]]
        lines = [line for command in commands for line in host.run(command).stdout.splitlines()]
        for table in ("9027", "9028"):
            for flag in ("-4", "-6"):
                lines += host.run(["ip", flag, "route", "show", "table", table], check=False).stdout.splitlines()
                wanted.append("proto 107")
        return [line for line in lines if any(word in line for word in wanted)]

    def tunnel_process(self, name: str) -> int:
        """Return the process that makes a node's tunnels."""
        return process_of(self.device(name))

    def kill(self) -> None:
        """End everything, the tunnels' processes too, which outlive their daemons."""
        super().kill()
        for host in self.lab.nodes.values():
            for pid in carriers(host.namespace):
                os.kill(pid, signal.SIGKILL)

    def said(self, name: str) -> dict[str, Any]:
        """Return what a node's gateway says; empty while it says nothing."""
        document = load(self.status.root / f"gatewaynodestatuses/{name}.yaml")
        return document["status"] if document else {}

    def site_said(self, name: str) -> dict[str, Any]:
        """Return the status of a Gateway; empty while there is none."""
        document = load(self.status.root / f"gateways/{name}.yaml")
        return document["status"] if document else {}

    def agreed(self, *names: str) -> str:
        """Wait until these nodes, whose gateways run, send through the same one, and return it."""

        def one() -> str | None:
            said = {self.said(name).get("gateway") for name in names}
            return said.pop() if len(said) == 1 else None

        return eventually(one, f"{', '.join(names)} agree")

    def missed(self, node: str) -> int:
        """Return how often others took a node for dead."""
        logs = {daemon.log: daemon for daemon in self.daemons}
        return sum(len(daemon.lines("node dead", f"node={node}")) for daemon in logs.values())

    def pings(self, one: str, other: str, *, version: int = 4) -> bool:
        """Say whether the first pod of a node reaches that of another one."""
        source, target = self.pod(one), self.pod(other)
        address = target.ipv4 if version == 4 else target.ipv6
        return source.run(["ping", "-c1", "-W1", "-n", str(address)], check=False).returncode == 0

    def pod(self, node: str) -> Host:
        """Return the first pod of a node."""
        return self.lab.pods[f"{node}-pod-1"]
