"""Real speakers on nodes of the lab, with a Service that routers are told of."""

import os
import signal
import subprocess
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

import yaml

from benchmarks.bgp.routers import INTERVAL, MULTIPLIER, NODES_ASN, ROUTERS_ASN
from benchmarks.harness.processes import family
from netlb.testing.lab import Host, Lab
from tests.manifests import pool, service, slice_of
from tests.support.cluster import Cluster
from tests.support.waiting import eventually

__all__ = ["Site"]

_PATIENCE: Final = 60.0
_EXCLUDED: Final = "node.kubernetes.io/exclude-from-external-load-balancers"


class Site:
    """Manifests, a controller until the Service has its address, and a speaker with its own gobgpd on each node."""

    def __init__(self, directory: Path, lab: Lab, nodes: Sequence[Host]) -> None:
        directory.mkdir(parents=True)
        self._directory = directory
        self._nodes = nodes
        self._cluster = Cluster(directory, lab)
        self._speakers: dict[str, subprocess.Popen[str]] = {}

    def declare(self, address: str, routers: Iterable[Host], *, watched: bool = False) -> None:
        """Declare the nodes, the routers, and a Service with this address that has no endpoint yet."""
        for node in self._nodes:
            self.label(node)
        common: dict[str, Any] = {"myASN": NODES_ASN, "peerASN": ROUTERS_ASN, "holdTime": "9s"}
        if watched:
            common["bfdProfile"] = "quick"
        peers = [_native("BGPPeer", router.name, **common, peerAddress=str(router.ipv4)) for router in routers]
        profile = {"receiveInterval": INTERVAL, "transmitInterval": INTERVAL, "detectMultiplier": MULTIPLIER}
        self._cluster.write(
            "bgp.yaml", *peers, _native("BGPAdvertisement", "all"), _native("BFDProfile", "quick", **profile)
        )
        self._cluster.write("pool.yaml", pool("routed", address, protocol="bgp"))
        self._cluster.write("web.yaml", service("web", externalTrafficPolicy="Local"))

    def start(self) -> None:
        """Give the Service its address, and start the speakers."""
        with self._cluster.log("controller") as log:
            controller = self._nodes[0].popen(self._cluster.command("controller"), stdout=log, stderr=log)
        eventually(lambda: self._cluster.status.held().get("web"), "an address is given", _PATIENCE)
        controller.terminate()
        controller.wait(_PATIENCE)
        for node in self._nodes:
            self.start_on(node)

    def start_on(self, node: Host) -> None:
        """Start the speaker of a node, where it runs no more."""
        (self._directory / f"{node.name}.sock").unlink(missing_ok=True)
        daemon = self._cluster.speaker(node.name, "--gobgp-dir", str(self._directory / f"gobgp-{node.name}"))
        self._speakers[node.name] = daemon.process

    def endpoints(self, names: Sequence[str], *, ready: bool = True) -> int:
        """Have a ready endpoint on these nodes, or one that is not; return when that began (CLOCK_MONOTONIC, ns)."""
        text = slice_of("web", *names, ready=ready)
        begun = time.monotonic_ns()
        self._cluster.write("endpoints.yaml", text)
        return begun

    def label(self, node: Host, *, excluded: bool = False) -> None:
        """Declare a node; if it is excluded, it is to be left to others."""
        document = {
            "apiVersion": "v1",
            "kind": "Node",
            "metadata": {"name": node.name, "labels": {_EXCLUDED: ""} if excluded else {}},
            "status": {"addresses": [{"type": "InternalIP", "address": str(each)} for each in node.addresses]},
        }
        self._cluster.write(f"node-{node.name}.yaml", yaml.safe_dump(document))

    def told(self, node: Host) -> dict[str, Any]:
        """Return what a node's speaker says of its routers; empty while it says nothing."""
        found: dict[str, Any] = self._cluster.status.node(node.name).get("bgp", {})
        return found

    def kill(self, node: Host) -> None:
        """Kill a node's speaker; the kernel kills its gobgpd with it."""
        self._speakers[node.name].kill()
        self._speakers[node.name].wait(_PATIENCE)

    def kill_gobgpd(self, node: Host) -> None:
        """Kill a node's gobgpd, which its speaker starts again."""
        for pid in family(self._speakers[node.name].pid):
            if Path(f"/proc/{pid}/comm").read_text().strip() == "gobgpd":
                os.kill(pid, signal.SIGKILL)

    def stop(self, node: Host) -> None:
        """Tell a node's speaker to end in order, and wait for its end."""
        self._speakers[node.name].terminate()
        self._speakers[node.name].wait(_PATIENCE)

    def close(self) -> None:
        """End all speakers, however they are."""
        for process in self._speakers.values():
            process.kill()
            process.wait(_PATIENCE)


def _native(kind: str, name: str, **spec: Any) -> str:
    return yaml.safe_dump({"apiVersion": "netlb.io/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})
