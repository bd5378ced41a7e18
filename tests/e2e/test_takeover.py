"""A cluster changes from MetalLB to netlb and back, as docs/migration.md says, while somebody uses its addresses."""

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
import yaml

from netlb.testing.lab import Host, Lab, LabError, ServiceRule
from tests.manifests import metallb_object, node
from tests.support.claims import overlap, watching
from tests.support.daemons import Daemon
from tests.support.kube_cluster import KubeCluster
from tests.support.kubernetes import Kubernetes, endpoints, kubernetes, service
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

STAND_IN = Path(__file__).parents[1] / "support" / "metallb_speaker.py"
ADDRESSES = {
    "web": "192.168.122.91",
    "shop": "192.168.122.92",
    "mail": "192.168.122.93",
    "six": "fd00:122::94",
    "seven": "fd00:122::95",
}
POOLS = {"four": "192.168.122.90-192.168.122.94", "six": "fd00:122::90-fd00:122::95"}
COMPAT, YIELD = ("--compat", "metallb"), ("--conflict-detection", "yield")
OLD = "node-3"
"""Where MetalLB's stand-in announces everything."""
TRIES = 3
"""For a page."""
BURST = 5 * 1.1
"""Seconds that gratuitous announcements take."""


class Use:
    """A client that asks all the time: who has each address, and for a page of it."""

    def __init__(self, client: Host) -> None:
        self._client = client
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.rounds = 0
        self.failures: list[str] = []
        self._thread.start()

    def more(self, rounds: int = 3) -> None:
        """Wait until it has asked for everything some times more."""
        wanted = self.rounds + rounds
        eventually(lambda: self.rounds >= wanted, f"the client has asked {rounds} times more", within=60)

    def stop(self) -> None:
        """Ask no more."""
        self._stop.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._stop.is_set():
            for address in ADDRESSES.values():
                self._client.who_has(address, 0.02)
                try:
                    self._get(address)
                except (OSError, LabError) as error:
                    self.failures.append(f"{address}: {error!r}")
            self.rounds += 1

    def _get(self, address: str) -> None:
        """Ask for a page, as browsers do: again at once if the connection breaks.

        One that is open when an address moves ends: its next node knows nothing of it, whoever announces the address.
        """
        for _ in range(TRIES - 1):
            with suppress(ConnectionError):
                self._client.http_get(address, timeout=10)
                return
        self._client.http_get(address, timeout=10)


@pytest.fixture
def api(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubernetes]:
    """A cluster that MetalLB serves: its objects are all there is, and Services have what it gave them."""
    with kubernetes(tmp_path_factory.mktemp("api")) as api:
        api.server.delete("addresspools.netlb.io", "two")
        api.server.delete("l2advertisements.netlb.io", "all")
        for plural, kind in (("ipaddresspools", "IPAddressPool"), ("l2advertisements", "L2Advertisement")):
            api.server.put(definition(plural, kind))
        texts = [metallb_object("IPAddressPool", name, f"addresses: [{span}]") for name, span in POOLS.items()]
        texts += [metallb_object("L2Advertisement", "all")]
        texts += [node(name, addresses=host.addresses) for name, host in lab.nodes.items()]
        api.server.put(*(document for text in texts for document in yaml.safe_load_all(text) if document))
        for name in ADDRESSES:
            api.server.put(metallbs(name), endpoints(name, *lab.nodes))
        yield api


def definition(plural: str, kind: str) -> dict[str, Any]:
    """The definition of one of MetalLB's kinds, with no schema to speak of."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    names = {"plural": plural, "kind": kind, "singular": kind.lower(), "listKind": f"{kind}List"}
    version = {"name": "v1beta1", "served": True, "storage": True, "schema": schema, "subresources": {"status": {}}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.metallb.io"},
        "spec": {"group": "metallb.io", "names": names, "scope": "Namespaced", "versions": [version]},
    }


def metallbs(name: str) -> dict[str, Any]:
    """A Service as MetalLB's controller leaves it."""
    address = ADDRESSES[name]
    version = ip_address(address).version
    marks = {"metallb.io/ip-allocated-from-pool": {4: "four", 6: "six"}[version]}
    return service(name, address, annotations=marks, ipFamilies=[f"IPv{version}"])


def owner(address: str, lab: Lab) -> str:
    """The node that announces an address, as MetalLB and netlb reckon."""
    return min(lab.nodes, key=lambda name: sha256(f"{name}#{address}".encode()).digest())


@contextmanager
def metallb(lab: Lab) -> Iterator["subprocess.Popen[str]"]:
    """Run MetalLB's stand-in on its node."""
    host = lab.nodes[OLD]
    # MetalLB answers within microseconds, and Python must not make netlb believe that nobody is there.
    command = ["nice", "-n", "-15", sys.executable, str(STAND_IN), host.mac, *ADDRESSES.values()]
    process = host.popen(command, stdout=subprocess.PIPE)
    try:
        assert process.stdout
        assert "ready\n" == process.stdout.readline()
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def used(client: Host) -> Iterator[Use]:
    """Have somebody use the addresses."""
    use = Use(client)
    try:
        yield use
    finally:
        use.stop()


def serve(lab: Lab) -> None:
    """Have the nodes forward, as kube-proxy does."""
    lab.serve(
        ServiceRule(name=name, addresses=(ip_address(address),), port=80, backends=tuple(lab.backends))
        for name, address in ADDRESSES.items()
    )


def replace(kube: KubeCluster, speakers: dict[str, Daemon], *arguments: str) -> None:
    """Start every speaker anew, one after the other, as a DaemonSet does."""
    for name, daemon in speakers.items():
        assert 0 == daemon.stop()
        speakers[name] = kube.keeping_speaker(name, *COMPAT, *arguments)
        kube.await_ready(speakers[name])


def answered_by(kube: KubeCluster, node_of: Callable[[str], str]) -> Callable[[], bool]:
    """Whether exactly one station answers for each address: a node that a function names."""
    macs = {name: host.mac for name, host in kube.lab.nodes.items()}
    return lambda: all({macs[node_of(each)]} == set(kube.answerers(each)) for each in ADDRESSES.values())


def statuses(api: Kubernetes) -> dict[str, Any]:
    """What MetalLB reads of every Service."""
    kept = {name: api.service(name) for name in ADDRESSES}
    mark = "metallb.io/ip-allocated-from-pool"
    return {
        name: (api.ingress(name), body["metadata"]["annotations"].get(mark), body["spec"].get("loadBalancerClass"))
        for name, body in kept.items()
    }


def test_addresses_go_from_metallb_to_netlb_and_back(kube: KubeCluster, api: Kubernetes) -> None:
    lab, client = kube.lab, kube.client
    others = [address for address in ADDRESSES.values() if owner(address, lab) != OLD]
    assert {4, 6} == {ip_address(address).version for address in others}, "some move to another node"
    assert len(others) < len(ADDRESSES), "some do not"
    old, before = lab.nodes[OLD].mac, statuses(api)
    serve(lab)
    with metallb(lab) as theirs, watching(client) as wire:
        eventually(answered_by(kube, lambda _: OLD), "MetalLB announces")
        with used(client) as use:
            use.more()
            # netlb beside MetalLB: its controller takes the Services over, its speakers wait.
            controller = kube.controller(*COMPAT)
            speakers = {name: kube.keeping_speaker(name, *COMPAT, *YIELD) for name in lab.nodes}
            eventually(lambda: all(api.allocated(name)[0] == "True" for name in ADDRESSES), "all are taken over")
            theirs.send_signal(10)  # a Service has changed
            waiting = ("False", "AddressConflict")
            for name, address in ADDRESSES.items():
                expected = ("True", "Announced") if address not in others else waiting
                at = owner(address, lab)
                eventually(lambda: api.announced(name, at)[:2] == expected, f"{name} at {at}: {expected}")  # noqa: B023
            for daemon in (controller, *speakers.values()):
                kube.await_ready(daemon)
            assert before == statuses(api)
            use.more()
            assert {old} == {claim.mac for claim in wire.claims() if claim.address in ADDRESSES.values()}

            # MetalLB's speakers go.
            theirs.terminate()
            theirs.wait()
            eventually(answered_by(kube, lambda address: owner(address, lab)), "netlb announces")
            use.more()
            for address in others:
                assert overlap(wire.claims(), address, old, lab.nodes[owner(address, lab)].mac) <= 0
            assert before == statuses(api)
            assert [] == use.failures

            # netlb's speakers yield to nobody any more; and then they do, for the way back.
            for arguments in ((), YIELD):
                replace(kube, speakers, *arguments)
                eventually(answered_by(kube, lambda address: owner(address, lab)), "netlb announces")
            use.more()
            assert [] == use.failures

            # MetalLB's speakers come, and netlb gives way to them; then it goes.
            assert 0 == controller.stop()
            with watching(client) as back, metallb(lab):
                eventually(answered_by(kube, lambda _: OLD), "MetalLB announces again")
                use.more()
                for daemon in speakers.values():
                    assert 0 == daemon.stop()
                use.more()
                eventually(answered_by(kube, lambda _: OLD), "MetalLB announces alone")
                assert [] == use.failures
                for address in others:
                    assert overlap(back.claims(), address, lab.nodes[owner(address, lab)].mac, old) <= BURST
                assert before == statuses(api)
