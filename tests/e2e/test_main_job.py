"""The article's application: a Service is given an address, one node answers for it, and a client reaches a pod."""

import json

import pytest

from netlb.testing.lab import Host
from tests.support.cluster import Cluster
from tests.support.frames import asks, mac_bytes
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

POOLS = {4: ("default", 11), 6: ("six", 11)}
"""Name and size."""
SERVICES = {
    4: ("edgeapp-svc", "192.168.122.90", "edgeapp.yaml", "metallb-config.yaml"),
    6: ("edgeapp-svc-v6", "fd00:122::90", "edgeapp-v6.yaml", "ipv6-pool.yaml"),
}


def state(host: Host, address: str) -> set[str]:
    """The state of a host's neighbour entry, as `ip neighbor` names it."""
    listed = host.run(["ip", "-json", "neighbor", "show", "to", address, "dev", "eth0"]).stdout
    return {name for entry in json.loads(listed or "[]") for name in entry["state"]}


@pytest.mark.parametrize("version", [4, 6])
def test_a_service_is_reached_until_it_is_deleted(cluster: Cluster, version: int) -> None:
    service, expected, manifest, pool_manifest = SERVICES[version]
    pool, size = POOLS[version]
    client = cluster.client
    cluster.write_nodes()
    cluster.write_endpoints(service, version=version)
    cluster.start()
    cluster.apply_example(pool_manifest, manifest)

    assert expected == eventually(lambda: cluster.status.address(service), "an address")
    used = {f"ipv{version}": {"total": size, "used": 1, "free": size - 1}}
    eventually(lambda: cluster.status.pool(pool) == used, "the pool counts it")
    owner = cluster.await_owner(expected)
    eventually(lambda: [owner.mac] == cluster.answerers(expected), "it answers alone")
    [entry] = cluster.status.node(owner.name)["announcing"]
    assert {"address": expected, "services": [f"default/{service}"], "interfaces": ["eth0"]} == entry
    for other in cluster.lab.nodes.keys() - {owner.name}:
        [silent] = eventually(lambda: cluster.status.node(other).get("silent"), f"{other} says why not")  # noqa: B023
        assert ("NotOwner", owner.name) == (silent["reason"], silent["owner"])

    cluster.serve()
    client.flush_neighbors()
    reply = client.http_get(expected, timeout=60)
    assert 200 == reply.status
    assert json.loads(reply.body)["pod"] in cluster.lab.pods
    assert owner.mac == client.neighbor(expected)

    cluster.remove(manifest)
    unused = {f"ipv{version}": {"total": size, "used": 0, "free": size}}
    eventually(lambda: cluster.status.pool(pool) == unused, f"{expected} is free again")
    eventually(lambda: not cluster.status.announcers(expected), "nobody announces it")
    assert [] == cluster.answerers(expected)
    eventually(lambda: {} == cluster.status.held(), "nobody holds it")


@pytest.mark.parametrize("version", [4, 6])
def test_a_neighbour_that_doubts_is_answered(cluster: Cluster, version: int) -> None:
    """Neighbour unreachability detection: a unicast question renews an entry that went stale."""
    service, expected, manifest, pool_manifest = SERVICES[version]
    client = cluster.client
    cluster.write_nodes()
    cluster.write_endpoints(service, version=version)
    cluster.apply_example(pool_manifest, manifest)
    cluster.start()
    owner = cluster.await_owner(expected)
    client.run(["sysctl", "-qw", f"net.ipv{version}.neigh.eth0.delay_first_probe_time=1"])
    entry = [expected, "dev", "eth0", "lladdr", owner.mac]
    client.run(["ip", "neighbor", "replace", *entry, "nud", "stale"])
    assert {"STALE"} == state(client, expected)

    with client.capture(asks(client, expected), outgoing=True) as questions:
        client.run(["python3", "-c", UDP, expected])  # nothing of it confirms the entry, as TCP would
        eventually(lambda: state(client, expected) == {"REACHABLE"}, "the entry is reachable again")
        assert {mac_bytes(owner)} == {frame[:6] for frame in questions.frames()}
    assert owner.mac == client.neighbor(expected)


UDP = """
import socket, sys
family = socket.AF_INET6 if ":" in sys.argv[1] else socket.AF_INET
with socket.socket(family, socket.SOCK_DGRAM) as sock:
    sock.sendto(b"?", (sys.argv[1], 9))
"""
