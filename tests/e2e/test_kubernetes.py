"""Whole processes on a cluster whose API server is the double: both daemons, and the network that they announce to."""

import pytest

from tests.support.kube_cluster import KubeCluster
from tests.support.kubernetes import Kubernetes, endpoints, service
from tests.support.waiting import eventually

ADDRESS = "192.0.2.1"
NODES = ("node-1", "node-2")


def apply(api: Kubernetes, name: str) -> None:
    api.server.put(service(name), endpoints(name, *NODES))


def test_a_service_gets_an_address_and_the_network_learns_it(kube: KubeCluster, api: Kubernetes) -> None:
    controller = kube.controller()
    speakers = kube.keeping_speakers(*NODES)
    apply(api, "web")
    eventually(lambda: api.ingress("web") == [ADDRESS], "it has an address")
    owner = kube.await_announced("web")
    kube.await_answered(ADDRESS, owner)
    for daemon in (controller, *speakers.values()):
        kube.await_ready(daemon)
    eventually(lambda: len(api.events("web")) == 2, "both are told")
    assert ["IPAllocated", "nodeAssigned"] == sorted(reason for reason, _ in api.events("web"))

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
    speakers = kube.keeping_speakers(*NODES)
    apply(api, "web")
    owner = kube.await_announced("web")
    kube.await_answered(ADDRESS, owner)
    for daemon in speakers.values():
        assert 0 == daemon.stop()
    assert [] == kube.answerers(ADDRESS)

    api.server.go_away()
    again = kube.keeping_speakers(*NODES)
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
    first = kube.replica(1)
    kube.await_ready(first)
    apply(api, "web")
    eventually(lambda: api.ingress("web") == [ADDRESS], "it has an address")
    kube.await_ready(first)
    second = kube.replica(2)
    kube.await_ready(second)
    version = api.service("web")["metadata"]["resourceVersion"]
    first.kill()
    first.http.unlink()
    apply(api, "late")
    eventually(lambda: api.ingress("late") == ["192.0.2.2"], "the next one has taken over")
    kube.await_ready(second)
    assert version == api.service("web")["metadata"]["resourceVersion"]


def test_plans_are_printed_without_becoming_a_daemon(kube: KubeCluster, api: Kubernetes) -> None:
    api.give("web", ADDRESS)
    for kind, more in (("controller", ()), ("speaker", ("--node-name", "node-1"))):
        command = kube.command(kind, *more, "--print-plan")
        printed = kube.lab.nodes["node-1"].run(command, timeout=30).stdout
        assert ADDRESS in printed
        assert "web" in printed
