"""Whole processes on a cluster whose API server is the double: both daemons, and the network that they announce to."""

import socket
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from netlb.testing.apiserver import ApiServer
from netlb.testing.lab import Lab
from tests.e2e.conftest import ended
from tests.support.cluster import Cluster
from tests.support.daemons import BIN, Daemon
from tests.support.kubernetes import CONTROLLER, NAMESPACE, SPEAKER, Kubernetes, endpoints, kubernetes, service
from tests.support.waiting import eventually

ADDRESS = "192.0.2.1"
NODES = ("node-1", "node-2")
ANNOUNCED = ("True", "Announced", "")


class KubeCluster(Cluster):
    """A lab whose daemons follow the double: it listens on the loopback interface of every node."""

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

    def speakers(self) -> dict[str, Daemon]:
        """Start the speakers of two nodes, each of which keeps what it hears."""
        return {name: self.keeping_speaker(name) for name in NODES}

    def keeping_speaker(self, name: str) -> Daemon:
        """Start the speaker of a node, which keeps what it hears."""
        return self.speaker(name, "--state-dir", str(self.api.root / f"state-{name}"))

    def await_announced(self, name: str) -> str:
        """Wait until one node says that it announces a Service; return its name."""
        return eventually(
            lambda: next((node for node in NODES if self.api.announced(name, node) == ANNOUNCED), None),
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


@pytest.fixture
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    with kubernetes(tmp_path_factory.mktemp("api")) as api:
        yield api


@pytest.fixture
def kube(lab: Lab, api: Kubernetes, tmp_path: Path) -> Iterator[KubeCluster]:
    made = KubeCluster(tmp_path, lab, api)
    with ended(made):
        yield made


def apply(api: Kubernetes, name: str) -> None:
    api.server.put(service(name), endpoints(name, *NODES))


def test_a_service_gets_an_address_and_the_network_learns_it(kube: KubeCluster, api: Kubernetes) -> None:
    controller = kube.controller()
    speakers = kube.speakers()
    apply(api, "web")
    eventually(lambda: api.ingress("web") == [ADDRESS], "it has an address")
    owner = kube.await_announced("web")
    kube.await_answered(ADDRESS, owner)
    for daemon in (controller, *speakers.values()):
        kube.await_ready(daemon)
    eventually(lambda: len(api.events("web")) == 2, "both are told")
    assert ["IPAllocated", "nodeAssigned"] == [reason for reason, _ in api.events("web")]

    assert 0 == speakers[owner].stop()
    assert api.report("web", owner) is None
    assert [] == kube.answerers(ADDRESS)
    api.server.delete("services", "web", "default")
    eventually(lambda: api.counts("two").get("used") == 0, "its address is free")


@pytest.mark.parametrize("compacted", [False, True], ids=["as it was", "with a compacted history"])
def test_without_the_api_server_addresses_are_answered_for_and_speakers_start(
    kube: KubeCluster, api: Kubernetes, compacted: bool
) -> None:
    kube.await_ready(kube.controller("--leader-election", "off"))
    speakers = kube.speakers()
    apply(api, "web")
    owner = kube.await_announced("web")
    kube.await_answered(ADDRESS, owner)
    for daemon in speakers.values():
        assert 0 == daemon.stop()
    assert [] == kube.answerers(ADDRESS)

    api.server.go_away()
    again = kube.speakers()
    kube.await_answered(ADDRESS, owner)
    page = eventually(lambda: again[owner].get("/readyz"), "it serves HTTP")
    assert 503 == page.status
    assert "in force is what was heard before" in page.text
    apply(api, "late")
    if compacted:
        api.server.compact()
    api.server.come_back()
    for daemon in again.values():
        kube.await_ready(daemon)
    kube.await_answered(ADDRESS, owner)
    eventually(lambda: api.ingress("late") == ["192.0.2.2"], "the controller goes on")
    kube.await_announced("late")
    assert [] == again[owner].lines("given up"), "nothing that need not change"


def test_a_killed_leader_is_followed_by_the_next_one(kube: KubeCluster, api: Kubernetes) -> None:
    first = kube.controller()
    kube.await_ready(first)
    apply(api, "web")
    eventually(lambda: api.ingress("web") == [ADDRESS], "it has an address")
    kube.await_ready(first)
    second = kube.controller()
    version = api.service("web")["metadata"]["resourceVersion"]
    first.kill()
    apply(api, "late")
    eventually(lambda: api.ingress("late") == ["192.0.2.2"], "the next one has taken over", within=40)
    kube.await_ready(second)
    assert version == api.service("web")["metadata"]["resourceVersion"]


def test_plans_are_printed_without_becoming_a_daemon(kube: KubeCluster, api: Kubernetes) -> None:
    api.give("web", ADDRESS)
    for kind, more in (("controller", ()), ("speaker", ("--node-name", "node-1"))):
        command = kube.command(kind, *more, "--print-plan")
        printed = kube.lab.nodes["node-1"].run(command, timeout=30).stdout
        assert ADDRESS in printed
        assert "web" in printed
