"""The demonstration's cluster: nodes of a lab, a directory that stands in for the API server, and our daemons."""

import sys
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml

from netlb.testing.lab import Backend, Host, Lab, ServiceRule

MANIFESTS = Path(__file__).parent.parent / "edgeapp"
BIN = Path(sys.executable).parent


class Cluster:
    """What is declared, what can be read from the status tree beside it, and what runs."""

    def __init__(self, root: Path, sockets: Path, lab: Lab) -> None:
        self.manifests = root / "cluster"
        self.status = root / "cluster.status"
        self.root = root
        self.lab = lab
        self._sockets = sockets
        self._rules: dict[str, ServiceRule] = {}
        self.manifests.mkdir()

    @property
    def client(self) -> Host:
        """Somebody who is no node."""
        return self.lab.clients["client-1"]

    def start(self) -> None:
        """Start a controller on one node and a speaker on each."""
        self._start(self.lab.nodes["node-1"], "netlb-controller")
        for name, node in self.lab.nodes.items():
            gobgp = str(self._sockets / name)
            self._start(node, "netlb-speaker", "--node-name", name, "--interface", "eth0", "--gobgp-dir", gobgp)

    def write_nodes(self) -> None:
        """Write what kubelets would have written."""
        self._write(
            "nodes.yaml",
            [
                {
                    "apiVersion": "v1",
                    "kind": "Node",
                    "metadata": {"name": name},
                    "status": {"addresses": [{"type": "InternalIP", "address": str(ip)} for ip in node.addresses]},
                }
                for name, node in self.lab.nodes.items()
            ],
        )

    def write_endpoints(self, service: str, version: int) -> None:
        """Write what the endpoint controller would have written: every pod serves the Service in this family."""
        self._write(
            f"{service}-endpoints.yaml",
            [
                {
                    "apiVersion": "discovery.k8s.io/v1",
                    "kind": "EndpointSlice",
                    "metadata": {"name": f"{service}-1", "labels": {"kubernetes.io/service-name": service}},
                    "addressType": f"IPv{version}",
                    "ports": [{"port": 80, "protocol": "TCP"}],
                    "endpoints": [
                        {"addresses": [str(each.address)], "nodeName": each.node, "conditions": {"ready": True}}
                        for each in self.lab.backends
                        if each.address.version == version
                    ],
                }
            ],
        )

    def apply(self, *names: str) -> None:
        """Put manifests of the example in place as they are."""
        for name in names:
            self._put(name, (MANIFESTS / name).read_text())

    def delete(self, name: str) -> None:
        """Delete a manifest."""
        (self.manifests / name).unlink()

    def serve(self, service: str, address: str, backends: Iterable[Backend], policy: Any = "Cluster") -> None:
        """Forward to pods, as kube-proxy would, besides what is served already."""
        self._rules[service] = ServiceRule(
            name=f"default/{service}",
            addresses=(ip_address(address),),
            port=80,
            backends=tuple(backends),
            external_traffic_policy=policy,
        )
        self.lab.serve(self._rules.values())

    def address(self, service: str) -> str | None:
        """Return the address in a Service's status."""
        status = self._read(f"services/default.{service}.yaml")
        ingress = status["status"]["loadBalancer"]["ingress"] if status else []
        return str(ingress[0]["ip"]) if ingress else None

    def owner(self, address: str) -> Host | None:
        """Return the node whose speaker says that it answers for an address."""
        for name, node in self.lab.nodes.items():
            for entry in self.node(name).get("announcing", ()):
                if entry["address"] == address and entry["interfaces"]:
                    return node
        return None

    def node(self, name: str) -> dict[str, Any]:
        """Return what a node's speaker says; empty while it says nothing."""
        return self._read(f"nodes/{name}.yaml") or {}

    def hears_all(self, name: str) -> bool:
        """Whether a node's speaker says that all others are alive: from then on all agree who owns what."""
        return ["alive"] * (len(self.lab.nodes) - 1) == list(self.node(name).get("nodes", {}).values())

    def logs(self) -> dict[str, str]:
        """Return what the daemons logged."""
        return {log.name: log.read_text() for log in sorted(self.root.glob("*.log"))}

    def _start(self, host: Host, *command: str) -> None:
        with (self.root / f"{host.name}.{command[0]}.log").open("w") as log:
            host.popen([str(BIN / command[0]), "--source", f"dir:{self.manifests}", *command[1:]], stderr=log)

    def _write(self, name: str, documents: list[dict[str, Any]]) -> None:
        self._put(name, yaml.safe_dump_all(documents))

    def _put(self, name: str, text: str) -> None:
        temporary = self.manifests / f".{name}.tmp"
        temporary.write_text(text)
        temporary.rename(self.manifests / name)

    def _read(self, name: str) -> Any:
        try:
            return yaml.safe_load((self.status / name).read_text())
        except FileNotFoundError:
            return None
