"""A lab whose daemons follow the double of the API server, which listens on the loopback interface of every node."""

import socket
import subprocess
from collections.abc import Iterable
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from netlb.testing.apiserver import ApiServer
from netlb.testing.lab import Lab, ServiceRule
from tests.support.cluster import Cluster
from tests.support.daemons import BIN, Daemon
from tests.support.kubernetes import CONTROLLER, NAMESPACE, SPEAKER, Kubernetes, advertisement, pool, service
from tests.support.waiting import eventually

__all__ = ["ANNOUNCED", "KubeCluster"]

ANNOUNCED = ("True", "Announced", "")
_TABLE = "inet cut"


class KubeCluster(Cluster):
    """Daemons as a cluster has them."""

    def __init__(self, root: Path, lab: Lab, api: Kubernetes) -> None:
        super().__init__(root, lab)
        self.api = api
        for host in lab.nodes.values():
            api.server.listen_at(partial(host.inside, partial(_listening, api.server)))

    def command(self, kind: str, *arguments: str, http: str | None = None) -> list[str]:
        """Return the command line of a daemon that follows the API."""
        listen = f"unix:{self.root / (http or kind)}.sock"
        source = f"kube:{self.api.kubeconfig(CONTROLLER if kind == 'controller' else SPEAKER)}"
        common = ["--source", source, "--namespace", NAMESPACE, "--http", listen]
        return [str(BIN / f"netlb-{kind}"), *common, *arguments]

    def replica(self, number: int) -> Daemon:
        """Start one of several controllers, of which one leads."""
        name = f"controller-{number}"
        with self.log(name) as log:
            process = subprocess.Popen(
                self.command("controller", http=name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        return self.enrol(name, process)

    def keeping_speaker(self, name: str, *arguments: str) -> Daemon:
        """Start the speaker of a node, which keeps what it hears, and bears with workers that are held up."""
        return self.speaker(name, "--state-dir", str(self.api.root / f"state-{name}"), *arguments, patient=True)

    def keeping_speakers(self, *names: str) -> dict[str, Daemon]:
        """Start the speakers of these nodes."""
        return {name: self.keeping_speaker(name) for name in names}

    def declare(self, *addresses: str) -> None:
        """Declare the lab's nodes, which watch each other, and a pool of these addresses in place of all others."""
        self.api.server.put(*(self.node(name) for name in self.lab.nodes), pool("two", *addresses), advertisement())

    def node(self, name: str) -> dict[str, Any]:
        """Return the Node of one of the lab's nodes."""
        listed = [{"type": "InternalIP", "address": str(each)} for each in self.lab.nodes[name].addresses]
        return {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}, "status": {"addresses": listed}}

    def apply(self, name: str) -> None:
        """Declare a Service, which every pod of the lab serves."""
        endpoints = [
            {"addresses": [str(backend.address)], "nodeName": backend.node, "conditions": {"ready": True}}
            for backend in self.lab.backends
            if backend.address.version == 4
        ]
        metadata = {"name": f"{name}-1", "labels": {"kubernetes.io/service-name": name}}
        sliced = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "metadata": metadata}
        self.api.server.put(service(name), {**sliced, "addressType": "IPv4", "endpoints": endpoints})

    def await_address(self, name: str) -> str:
        """Wait until a Service has an address; return it."""
        [address] = eventually(lambda: self.api.ingress(name), f"{name} has an address", within=60)
        return address

    def await_announced(self, name: str, *, other_than: str = "") -> str:
        """Wait until one node says that it announces a Service; return its name."""

        def found() -> str | None:
            nodes = [node for node in self.lab.nodes if self.api.announced(name, node) == ANNOUNCED]
            return next((node for node in nodes if node != other_than), None)

        return eventually(found, f"{name} is announced", within=60)

    def await_answered(self, address: str, owner: str) -> None:
        """Wait until the segment hears one node answer for an address, its owner; others may ask at the same time."""
        mac = self.lab.nodes[owner].mac
        eventually(lambda: set(self.answerers(address)) == {mac}, f"{address} is answered for by {owner}", within=60)

    def forward(self, names: Iterable[str]) -> None:
        """Have the nodes forward what comes for these Services, as kube-proxy would."""
        backends = tuple(each for each in self.lab.backends if each.address.version == 4)
        self.lab.serve(
            ServiceRule(name=name, addresses=tuple(map(ip_address, self.api.ingress(name))), port=80, backends=backends)
            for name in names
        )

    def cut(self, *names: str) -> None:
        """Let nothing come to and from the API server at these nodes; connections stay open, and nobody is told."""
        port = self.api.server.port
        for name in names:
            rule = f"tcp dport {port} drop; tcp sport {port} drop"
            chain = f"chain input {{ type filter hook input priority -10; policy accept; {rule}; }}"
            self.lab.nodes[name].run(["nft", f"table {_TABLE} {{ {chain}; }}"])

    def mend(self, *names: str) -> None:
        """Let it come and go again."""
        for name in names:
            self.lab.nodes[name].run(["nft", f"delete table {_TABLE}"])


def _listening(server: ApiServer) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", server.port))
    return sock
