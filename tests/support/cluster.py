"""A cluster for tests: a site whose speakers run on the nodes of a lab."""

import sys
from collections.abc import Iterable
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml

from netlb.testing.lab import Host, Lab, Pod, ServiceRule
from netlb.testing.lab.janitor import processes_in
from tests.manifests import node
from tests.support.daemons import Daemon
from tests.support.site import Site
from tests.support.waiting import eventually

__all__ = ["Cluster", "endpoint_addresses"]

QUICK_SPEAKER = Path(__file__).with_name("quick_speaker.py")
PATIENT_SPEAKER = Path(__file__).with_name("patient_speaker.py")
WRONG_CLOCK = Path(__file__).with_name("wrong_clock.py")
EDGEAPP = Path(__file__).parents[2] / "examples" / "edgeapp"
SERVICE_NAME = "kubernetes.io/service-name"


class Cluster(Site):
    """The lab's closing ends its processes, and `stop` makes sure that there are none left to end."""

    def __init__(self, root: Path, lab: Lab) -> None:
        super().__init__(root)
        self.lab = lab

    @property
    def client(self) -> Host:
        """Somebody on the segment who is no node."""
        return self.lab.clients["client-1"]

    def apply_example(self, *names: str) -> None:
        """Put manifests of the example in place as they are."""
        for name in names:
            self.write(name, (EDGEAPP / name).read_text())

    def write_nodes(self, *, watched: bool = False) -> None:
        """Declare the lab's nodes, one file each; with their addresses if they are to watch each other."""
        for name, host in self.lab.nodes.items():
            self.write(f"node-{name}.yaml", node(name, addresses=host.addresses if watched else ()))

    def write_endpoints(self, service: str, *pods: Pod, version: int = 4) -> None:
        """Declare which pods of the lab serve a Service in a family; all of them if none is named."""
        endpoints = [
            {"addresses": [str(backend.address)], "nodeName": backend.node, "conditions": {"ready": True}}
            for pod in pods or self.lab.pods.values()
            for backend in pod.backends
            if backend.address.version == version
        ]
        document = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": f"{service}-{version}", "labels": {SERVICE_NAME: service}},
            "addressType": f"IPv{version}",
            "endpoints": endpoints,
        }
        self.write(f"endpoints-{service}-{version}.yaml", yaml.safe_dump(document))

    def speaker(
        self,
        name: str,
        *arguments: str,
        interfaces: Iterable[str] = ("eth0",),
        quick: bool = False,
        patient: bool = False,
        clock: Path | None = None,
    ) -> Daemon:
        """Start the speaker of a node inside the node.

        A quick one waits for probes in hundredths of seconds, a patient one for its own workers in seconds: where no
        node may ever step in for another. `clock` is a file that says for how many seconds its wall clock is wrong.
        """
        chosen = [part for interface in interfaces for part in ("--interface", interface)]
        command = self.command("speaker", "--node-name", name, *chosen, *arguments, http=name)
        if quick:
            command[:1] = [sys.executable, str(QUICK_SPEAKER)]
        if patient:
            command[:1] = [sys.executable, str(PATIENT_SPEAKER)]
        if clock is not None:
            command[:1] = [sys.executable, str(WRONG_CLOCK), str(clock)]
        with self.log(name) as log:
            process = self.lab.nodes[name].popen(
                command,
                stdout=log,
                stderr=log,
                env={"TMPDIR": str(self.temporary)},
            )
        return self.enrol(name, process)

    def start(self, *, patient: bool = False) -> dict[str, Daemon]:
        """Start a controller, and a speaker on every node; return them by name when all work."""
        started = {"controller": self.controller()} | {
            name: self.speaker(name, patient=patient) for name in self.lab.nodes
        }
        for daemon in started.values():
            self.await_ready(daemon)
        return started

    def await_owner(self, address: str, *, other_than: str = "") -> Host:
        """Wait until exactly one speaker says that it answers for an address; return its node."""

        def found() -> str | None:
            names = self.status.announcers(address)
            return names[0] if len(names) == 1 and names != [other_than] else None

        return self.lab.nodes[eventually(found, f"one owner of {address} other than {other_than!r}")]

    def answerers(self, address: str, window: float = 0.3) -> list[str]:
        """Ask the segment who has an address; return the MAC addresses of all answers of a while."""
        return [answer.mac for answer in self.client.who_has(address, window)]

    def serve(self) -> None:
        """Have the nodes forward to the endpoints that are declared, as kube-proxy would."""
        documents = [document for path in self.manifests.glob("*.yaml") for document in _load_all(path)]
        held = self.status.held()
        self.lab.serve(
            ServiceRule(
                name=name,
                addresses=tuple(map(ip_address, held[name])),
                port=80,
                backends=tuple(
                    each for each in self.lab.backends if str(each.address) in endpoint_addresses(documents, name)
                ),
                external_traffic_policy=document["spec"].get("externalTrafficPolicy", "Cluster"),
            )
            for document in documents
            if document["kind"] == "Service" and (name := document["metadata"]["name"]) in held
        )

    def responders(self, name: str) -> list[int]:
        """Return the processes in a node that are not its speaker: the responder, and BFD's where nodes are watched."""
        speakers = {daemon.process.pid for daemon in self.daemons}
        return [pid for pid in processes_in([self.lab.nodes[name].namespace]) if pid not in speakers]

    def stop(self) -> None:
        """End the daemons; AssertionError for what is left of any, processes included."""
        super().stop()
        for name in self.lab.nodes:
            assert self.responders(name) == [], name


def _load_all(path: Path) -> list[Any]:
    return [document for document in yaml.load_all(path.read_text(), Loader=yaml.CSafeLoader) if document]


def endpoint_addresses(documents: Iterable[Any], service: str, namespace: str = "default") -> set[str]:
    """Return the addresses of all endpoints of a Service among these objects."""
    return {
        endpoint["addresses"][0]
        for document in documents
        if document["metadata"].get("labels", {}).get(SERVICE_NAME) == service
        and document["metadata"].get("namespace", "default") == namespace
        for endpoint in document["endpoints"]
    }
