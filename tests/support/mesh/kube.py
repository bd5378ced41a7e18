"""Sites whose nodes run netlb-gateway on an API server, which they keep what they have heard of."""

import socket
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from netlb.testing.sites import SitesLab
from netlb.testing.sites.declared import manifests
from tests.support.kubernetes import GATEWAY, NAMESPACE, Kubernetes
from tests.support.mesh.world import World

__all__ = ["KubeWorld"]

_TABLE = "inet cut"


class KubeWorld(World):
    """The double of the API server listens on the loopback interface of every node, as a local proxy would."""

    def __init__(self, root: Path, lab: SitesLab, api: Kubernetes) -> None:
        super().__init__(root, lab)
        self.api = api
        for host in lab.nodes.values():
            api.server.listen_at(partial(host.inside, partial(_listening, api.server.port)))

    def declare(self, **gateways: Any) -> None:
        """Declare the nodes and the Gateways; see `declared.gateways`."""
        self.api.server.put(*yaml.safe_load_all(manifests(self.lab, **gateways)))

    def source(self, node: str) -> list[str]:
        """Return by which options a node's daemon learns what is declared, and where it keeps that."""
        source = f"kube:{self.api.kubeconfig(GATEWAY)}"
        return ["--source", source, "--namespace", NAMESPACE, "--state-dir", str(self.kept(node).parent)]

    def kept(self, node: str) -> Path:
        """Return the file in which a node's daemon keeps what it has heard."""
        return self.api.root / f"state-{node}" / "netlb-gateway.snapshot"

    def status(self, node: str) -> dict[str, Any]:
        """Return what a node says of itself; nothing as long as it says nothing."""
        found = self.api.server.get("gatewaynodestatuses.netlb.io", node) or {}
        return dict(found.get("status", {}))

    def only_blind(self, node: str) -> bool:
        """Whether nothing is wrong with a node's daemon but that it goes by what it has kept."""
        page = self.daemons[node].get("/readyz")
        failed = [line for line in page.text.splitlines() if not line.endswith(": ok")] if page else []
        return len(failed) == 1 and "in force is what was heard before" in failed[0]

    def cut(self) -> None:
        """Let nothing come to and from the API server at any node; connections stay open, and nobody is told."""
        port = self.api.server.port
        rule = f"tcp dport {port} drop; tcp sport {port} drop"
        chain = f"chain input {{ type filter hook input priority -10; policy accept; {rule}; }}"
        for host in self.lab.nodes.values():
            host.run(["nft", f"table {_TABLE} {{ {chain}; }}"])

    def mend(self) -> None:
        """Let it come and go again."""
        for host in self.lab.nodes.values():
            host.run(["nft", f"delete table {_TABLE}"])


def _listening(port: int) -> socket.socket:
    opened = socket.socket()
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    opened.bind(("127.0.0.1", port))
    return opened
