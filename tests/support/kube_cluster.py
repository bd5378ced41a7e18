"""A cluster for tests whose daemons follow the double of the API server."""

import socket
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from netlb.testing.apiserver import ApiServer
from netlb.testing.lab import Lab
from tests.support.cluster import Cluster
from tests.support.daemons import BIN, Daemon
from tests.support.kubernetes import CONTROLLER, NAMESPACE, SPEAKER, Kubernetes
from tests.support.waiting import eventually

__all__ = ["KubeCluster"]

ANNOUNCED = ("True", "Announced", "")


class KubeCluster(Cluster):
    """A lab whose daemons follow the double: it listens on the loopback interface of every node."""

    def __init__(self, root: Path, lab: Lab, api: Kubernetes, nodes: Iterable[str]) -> None:
        """Have these nodes of the lab in the cluster."""
        super().__init__(root, lab)
        self.api = api
        self.nodes = tuple(nodes)
        for host in lab.nodes.values():
            api.server.listen_at(partial(host.inside, partial(_listening, api.server)))

    def command(self, kind: str, *arguments: str, http: str | None = None) -> list[str]:
        """Return the command line of a daemon that follows the API."""
        listen = f"unix:{self.root / (http or kind)}.sock"
        source = f"kube:{self.api.kubeconfig(CONTROLLER if kind == 'controller' else SPEAKER)}"
        common = ["--source", source, "--namespace", NAMESPACE, "--http", listen]
        return [str(BIN / f"netlb-{kind}"), *common, *arguments]

    def speakers(self, *arguments: str) -> dict[str, Daemon]:
        """Start the speakers of the nodes, each of which keeps what it hears."""
        return {name: self.keeping_speaker(name, *arguments) for name in self.nodes}

    def keeping_speaker(self, name: str, *arguments: str) -> Daemon:
        """Start the speaker of a node, which keeps what it hears."""
        return self.speaker(name, "--state-dir", str(self.api.root / f"state-{name}"), *arguments)

    def await_announced(self, name: str) -> str:
        """Wait until one node says that it announces a Service; return its name."""
        return eventually(
            lambda: next((node for node in self.nodes if self.api.announced(name, node) == ANNOUNCED), None),
            f"{name} is announced",
        )

    def await_answered(self, address: str, owner: str) -> None:
        """Wait until the segment hears one answer for an address, from the node that owns it."""
        mac = self.lab.nodes[owner].mac
        eventually(lambda: self.answerers(address) == [mac], f"{address} is answered for by {owner}")


def _listening(server: ApiServer) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(("127.0.0.1", server.port))
    return sock
