"""A cluster for tests: a lab, a directory of manifests, and the daemons on them as real processes."""

import subprocess
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml

from netlb.testing.lab import Backend, Host, Lab, Pod, ServiceRule
from netlb.testing.lab.janitor import processes_in
from tests.manifests import node
from tests.support.daemons import BIN, Daemon
from tests.support.status import StatusReader
from tests.support.waiting import eventually

__all__ = ["EDGEAPP", "Cluster"]

EDGEAPP = Path(__file__).parents[2] / "examples" / "edgeapp"


class Cluster:
    """Everything that it starts is ended by `stop`, which also looks for what was left behind."""

    def __init__(self, root: Path, lab: Lab) -> None:
        self.root = root
        self.lab = lab
        self.manifests = root / "cluster"
        self.status = StatusReader(root / "cluster.status")
        self.daemons: list[Daemon] = []
        self._temporary = root / "tmp"
        self.manifests.mkdir()
        self._temporary.mkdir()

    @property
    def client(self) -> Host:
        """Somebody on the segment who is no node."""
        return self.lab.clients["client-1"]

    # Manifests

    def write(self, name: str, *manifests: str) -> None:
        """Put a file in place as a whole."""
        temporary = self.manifests / f".{name}.tmp"
        temporary.write_text("\n---\n".join(manifests))
        temporary.rename(self.manifests / name)

    def remove(self, name: str) -> None:
        """Delete a file."""
        (self.manifests / name).unlink()

    def apply_example(self, *names: str) -> None:
        """Put manifests of the example in place as they are."""
        for name in names:
            self.write(name, (EDGEAPP / name).read_text())

    def write_nodes(self, *names: str) -> None:
        """Declare nodes, one file each; all of the lab's if none is named."""
        for name in names or self.lab.nodes:
            self.write(f"node-{name}.yaml", node(name))

    def write_endpoints(self, service: str, *pods: Pod, version: int = 4) -> None:
        """Declare which pods of the lab serve a Service; all of them if none is named."""
        backends = _backends(pods or self.lab.pods.values(), version)
        document = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": f"{service}-{version}", "labels": {"kubernetes.io/service-name": service}},
            "addressType": f"IPv{version}",
            "endpoints": [
                {"addresses": [str(backend.address)], "nodeName": backend.node, "conditions": {"ready": True}}
                for backend in backends
            ],
        }
        self.write(f"endpoints-{service}-{version}.yaml", yaml.safe_dump(document))

    # Daemons

    def controller(self, *arguments: str) -> Daemon:
        """Start a controller, which needs no network."""
        with self._log("controller") as log:
            process = subprocess.Popen(
                self._command("controller", *arguments), stdout=log, stderr=log, text=True, start_new_session=True
            )
        return self._enrol("controller", process)

    def speaker(self, name: str, *arguments: str, interfaces: Iterable[str] = ("eth0",)) -> Daemon:
        """Start the speaker of a node inside the node."""
        chosen = [part for interface in interfaces for part in ("--interface", interface)]
        with self._log(name) as log:
            process = self.lab.nodes[name].popen(
                self._command("speaker", "--node-name", name, *chosen, *arguments, http=name),
                stdout=log,
                stderr=log,
                env={"TMPDIR": str(self._temporary)},
            )
        return self._enrol(name, process)

    def start(self) -> dict[str, Daemon]:
        """Start a controller, and a speaker on every node; return them by name when all work."""
        started = {"controller": self.controller()} | {name: self.speaker(name) for name in self.lab.nodes}
        for name, daemon in started.items():
            self.await_ready(name, daemon)
        return started

    def await_ready(self, name: str, daemon: Daemon) -> None:
        """Wait until a daemon says that it is ready."""
        eventually(lambda: (page := daemon.get("/readyz")) and page.status == 200, f"{name} is ready")

    # What is true

    def await_owner(self, address: str) -> Host:
        """Wait until exactly one speaker says that it answers for an address; return its node."""
        [name] = eventually(
            lambda: found if len(found := self.status.announcers(address)) == 1 else None, f"one owner of {address}"
        )
        return self.lab.nodes[name]

    def answerers(self, address: str, window: float = 0.3) -> list[str]:
        """Ask the segment who has an address; return the MAC addresses of all answers of a while."""
        return [answer.mac for answer in self.client.who_has(address, window)]

    def serve(self) -> None:
        """Have the nodes forward to the endpoints that are declared, as kube-proxy would."""
        documents = [document for path in self.manifests.glob("*.yaml") for document in _load_all(path)]
        rules = []
        for document in documents:
            name = document["metadata"]["name"]
            addresses = self.status.held().get(name, ()) if document["kind"] == "Service" else ()
            if addresses:
                declared = [
                    endpoint["addresses"][0]
                    for endpoints in documents
                    if endpoints["metadata"].get("labels", {}).get("kubernetes.io/service-name") == name
                    for endpoint in endpoints["endpoints"]
                ]
                rules.append(
                    ServiceRule(
                        name=name,
                        addresses=tuple(map(ip_address, addresses)),
                        port=80,
                        backends=tuple(each for each in self.lab.backends if str(each.address) in declared),
                        external_traffic_policy=document["spec"].get("externalTrafficPolicy", "Cluster"),
                    )
                )
        self.lab.serve(rules)

    def responders(self, name: str) -> list[int]:
        """Return the processes in a node that are not its speaker: the responder."""
        speakers = {daemon.process.pid for daemon in self.daemons}
        return [pid for pid in processes_in([self.lab.nodes[name].namespace]) if pid not in speakers]

    # The end

    def stop(self) -> None:
        """End the daemons; AssertionError for one that ends badly, and for whatever is left of any."""
        running = [daemon for daemon in self.daemons if daemon.running()]
        for daemon in running:
            daemon.process.terminate()
        statuses = {daemon.log.stem: daemon.wait() for daemon in running}
        assert not any(statuses.values()), statuses
        for name in self.lab.nodes:
            eventually(lambda name=name: not self.responders(name), f"no process is left in {name}")  # type: ignore[misc]
        logs = {daemon.log.name: daemon.log.read_text() for daemon in self.daemons}
        assert not [name for name, text in logs.items() if "Traceback" in text or "unexpected failure" in text]
        assert list(self._temporary.iterdir()) == []
        known = {self.manifests.name, self.status.root.name, self._temporary.name, *logs}
        assert {path.name for path in self.root.iterdir()} <= known
        assert not list(self.status.root.rglob("*.tmp"))

    def kill(self) -> None:
        """End whatever still runs, whatever happened before."""
        for daemon in self.daemons:
            if daemon.running():
                daemon.kill()

    def show_logs(self) -> None:
        """Print the logs, for the report of a test that failed."""
        for path in sorted(self.root.glob("*.log")):
            print(f"--- {path.name}\n{path.read_text()}")

    def _command(self, kind: str, *arguments: str, http: str | None = None) -> list[str | Path]:
        socket = f"unix:{self.root / (http or kind)}.sock"
        return [BIN / f"netlb-{kind}", "--source", f"dir:{self.manifests}", "--http", socket, *arguments]

    def _log(self, name: str) -> Any:
        return (self.root / f"{name}.log").open("a")

    def _enrol(self, name: str, process: "subprocess.Popen[str]") -> Daemon:
        daemon = Daemon(process, self.root / f"{name}.log", self.root / f"{name}.sock")
        self.daemons.append(daemon)
        return daemon


def _backends(pods: Iterable[Pod], version: int) -> list[Backend]:
    return [backend for pod in pods for backend in pod.backends if backend.address.version == version]


def _load_all(path: Path) -> list[Any]:
    return [document for document in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader) if document]
