"""An address moves from node to node: its speaker stops, its node leaves, its endpoint moves."""

import json

import pytest

from netlb.testing.lab import Host
from tests.manifests import advertisement, pool, service
from tests.support.cluster import Cluster
from tests.support.daemons import Daemon
from tests.support.frames import asks
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

ADDRESSES = {4: "192.168.122.90", 6: "fd00:122::90"}
BOTH = pytest.mark.parametrize("version", [4, 6])


def begin(cluster: Cluster, version: int) -> tuple[dict[str, Daemon], str, Host]:
    """Have a Service that the client uses; return the daemons, its address and the owner."""
    address = ADDRESSES[version]
    cluster.write_nodes()
    cluster.write("pool.yaml", pool("one", address), advertisement())
    cluster.write("web.yaml", service("web", ipFamilies=f"[IPv{version}]"))
    cluster.write_endpoints("web", version=version)
    daemons = cluster.start()
    owner = cluster.await_owner(address)
    cluster.serve()
    assert 200 == cluster.client.http_get(address, timeout=60).status
    assert owner.mac == cluster.client.neighbor(address)
    return daemons, address, owner


def moves(cluster: Cluster, address: str, owner: Host) -> Host:
    """Delete the owner's Node; the client must learn of the new owner without asking. Return that one."""
    with cluster.client.capture(asks(cluster.client, address), outgoing=True) as questions:
        cluster.remove(f"node-{owner.name}.yaml")
        successor = cluster.await_owner(address, other_than=owner.name)
        eventually(lambda: cluster.client.neighbor(address) == successor.mac, "the client has heard of it")
        assert [] == questions.frames()
    return successor


@BOTH
def test_the_owner_stops_and_then_its_node_leaves(cluster: Cluster, version: int) -> None:
    daemons, address, owner = begin(cluster, version)
    assert 0 == daemons[owner.name].stop()
    assert [] == cluster.answerers(address)
    assert {} == cluster.status.node(owner.name)
    assert [] == cluster.responders(owner.name)

    successor = moves(cluster, address, owner)
    eventually(lambda: [successor.mac] == cluster.answerers(address), "it answers alone")
    assert 200 == cluster.client.http_get(address, timeout=60).status


@BOTH
def test_the_node_leaves_and_then_its_speaker_stops(cluster: Cluster, version: int) -> None:
    daemons, address, owner = begin(cluster, version)
    successor = moves(cluster, address, owner)
    eventually(lambda: [successor.mac] == cluster.answerers(address), "it answers alone")
    [silent] = cluster.status.node(owner.name)["silent"]
    assert ("NotOwner", successor.name) == (silent["reason"], silent["owner"])

    assert 0 == daemons[owner.name].stop()
    eventually(lambda: [successor.mac] == cluster.answerers(address), "it answers alone")
    assert 200 == cluster.client.http_get(address, timeout=60).status


def test_a_node_that_comes_back_is_the_owner_again(cluster: Cluster) -> None:
    _, address, owner = begin(cluster, 4)
    moves(cluster, address, owner)
    cluster.write_nodes()
    eventually(lambda: cluster.status.announcers(address) == [owner.name], "it is back")
    eventually(lambda: cluster.client.neighbor(address) == owner.mac, "the client has heard of it")
    eventually(lambda: [owner.mac] == cluster.answerers(address), "it answers alone")


def test_policy_local_follows_the_endpoint_and_shows_the_client(cluster: Cluster) -> None:
    client, pods = cluster.client, cluster.lab.pods
    cluster.write_nodes()
    cluster.write("pool.yaml", pool("both", *ADDRESSES.values()), advertisement())
    spec = {"externalTrafficPolicy": "Local", "ipFamilyPolicy": "RequireDualStack"}
    cluster.write("web.yaml", service("web", ipFamilies="[IPv4, IPv6]", **spec))
    cluster.start()
    for pod in (pods["node-2-pod-1"], pods["node-1-pod-1"], pods["node-3-pod-1"]):
        for version in ADDRESSES:
            cluster.write_endpoints("web", pod, version=version)
        for address, source in zip(ADDRESSES.values(), client.addresses, strict=True):
            owner = await_at(cluster, address, pod.node)
            eventually(lambda: [owner.mac] == cluster.answerers(address), "it answers alone")  # noqa: B023
            cluster.serve()
            reply = json.loads(client.http_get(address, timeout=60).body)
            assert {"pod": pod.name, "node": pod.node, "client": str(source)} == reply


def await_at(cluster: Cluster, address: str, node: str) -> Host:
    """Wait until a node, and no other, announces an address."""
    eventually(lambda: cluster.status.announcers(address) == [node], f"{address} is at {node}")
    return cluster.lab.nodes[node]
