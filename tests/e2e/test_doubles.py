"""The kernel of a node answers for an address that another node announces: told, with what to do about it."""

import pytest

from tests.manifests import advertisement, node, pool, service
from tests.support.cluster import Cluster
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

ADDRESS = "192.168.122.90"


def notes(cluster: Cluster, name: str) -> list[str]:
    return [note for note in cluster.status.node(name).get("notes", ()) if ADDRESS in note]


def test_ipvs_that_is_not_strict_is_told_with_its_remedy(cluster: Cluster) -> None:
    for name in ("node-1", "node-2"):
        cluster.write(f"{name}.yaml", node(name))
    cluster.write("pool.yaml", pool("one", ADDRESS), advertisement())
    cluster.write("web.yaml", service("web"))
    cluster.write_endpoints("web")
    speakers = {name: cluster.speaker(name, "--liveness", "static") for name in ("node-1", "node-2")}
    for daemon in (cluster.controller(), *speakers.values()):
        cluster.await_ready(daemon)
    owner = cluster.await_owner(ADDRESS)
    [other] = [host for name, host in cluster.lab.nodes.items() if name in speakers and host is not owner]
    assert [owner.mac] == eventually(lambda: cluster.answerers(ADDRESS), "it is answered for")

    for host in (owner, other):
        host.run(["ip", "link", "add", "kube-ipvs0", "type", "veth", "peer", "name", "ipvs-end"])
        host.run(["ip", "address", "add", f"{ADDRESS}/32", "dev", "kube-ipvs0"])
    eventually(lambda: {owner.mac, other.mac} == set(cluster.answerers(ADDRESS)), "a client has two answers")
    [told] = eventually(lambda: notes(cluster, other.name), "it is noticed")
    assert f"kube-ipvs0 has {ADDRESS}, which other nodes announce, and the kernel answers for them on eth0" in told
    assert "give kube-proxy ipvs.strictARP: true" in told
    assert speakers[other.name].lines("kernel answers too", "strictARP")
    page = speakers[other.name].get("/metrics")
    assert page is not None
    assert 'netlb_layer2_answered_by_kernel{interface="kube-ipvs0"} 1.0' in page.text

    other.run(["sysctl", "-q", "net.ipv4.conf.all.arp_ignore=1", "net.ipv4.conf.all.arp_announce=2"])
    eventually(lambda: not notes(cluster, other.name), "it is over")
    assert [owner.mac] == list(dict.fromkeys(eventually(lambda: cluster.answerers(ADDRESS), "it is answered for")))
    assert speakers[other.name].lines("kernel answers no more")
    assert [] == notes(cluster, owner.name), "it answers anyway, as the same station"
