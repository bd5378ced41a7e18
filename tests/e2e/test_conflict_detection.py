"""Somebody on the segment has an address already: it is not announced there until it is given up."""

import pytest

from tests.manifests import advertisement, node, pool, service
from tests.support.cluster import Cluster
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

BOTH = pytest.mark.parametrize(("address", "length", "family"), [("192.168.122.90", 24, 4), ("fd00:122::90", 64, 6)])


def begin(cluster: Cluster, address: str) -> None:
    """Have a single node with a speaker that works, and a pool of this address, which nobody holds yet."""
    cluster.write("node.yaml", node("node-1"))
    cluster.write("pool.yaml", pool("one", address), advertisement())
    for daemon in (cluster.controller(), cluster.speaker("node-1", "--conflict-detection", "probe", quick=True)):
        cluster.await_ready(daemon)


def declare(cluster: Cluster, family: int) -> None:
    """Declare a Service, which is given the address."""
    cluster.write("web.yaml", service("web", ipFamilies=f"[IPv{family}]"))
    cluster.write_endpoints("web", version=family)


@BOTH
def test_an_address_that_a_stranger_has_is_announced_after_it_was_given_up(
    cluster: Cluster, address: str, length: int, family: int
) -> None:
    owner, stranger = cluster.lab.nodes["node-1"], cluster.client
    has = [f"{address}/{length}", "dev", "eth0"]
    stranger.run(["ip", "address", "add", *has, *(["nodad"] if family == 6 else [])])
    begin(cluster, address)
    declare(cluster, family)
    eventually(
        lambda: cluster.status.announced("node-1", "web") == ("False", "AddressConflict"), "the conflict is told"
    )
    [condition] = cluster.status.l2("node-1", "web")["conditions"]
    assert f"{address}: {stranger.mac} on eth0 has this address; take it from that station" in condition["message"]
    assert [{"ip": address, "interfaces": []}] == cluster.status.l2("node-1", "web")["addresses"]
    [entry] = cluster.status.node("node-1")["announcing"]
    assert ("AddressConflict", []) == (entry["error"].partition(":")[0], entry["interfaces"])
    assert [stranger.mac] == [answer.mac for answer in cluster.lab.nodes["node-2"].who_has(address, 0.3)]
    [speaker] = [daemon for daemon in cluster.daemons if daemon.log.stem == "node-1"]
    eventually(lambda: speaker.lines("address not announced", address, stranger.mac, "eth0"), "the log line")
    page = speaker.get("/metrics")
    assert page is not None
    assert f'netlb_speaker_withheld{{ip="{address}",reason="AddressConflict"}} 1.0' in page.text
    cluster.await_ready(speaker)

    stranger.run(["ip", "address", "delete", *has])
    eventually(lambda: cluster.status.announcers(address) == ["node-1"], "it is announced")
    eventually(lambda: cluster.status.announced("node-1", "web") == ("True", "Announced"), "its status says so")
    eventually(lambda: [owner.mac] == cluster.answerers(address), "it is answered for")
    assert 1 == len(speaker.lines("address not announced"))
    assert 1 == len(speaker.lines("address conflict over", address))


@BOTH
def test_an_address_that_nobody_has_is_announced(cluster: Cluster, address: str, length: int, family: int) -> None:
    begin(cluster, address)
    declare(cluster, family)
    eventually(lambda: cluster.status.announced("node-1", "web") == ("True", "Announced"), f"{address}/{length}")
    eventually(lambda: [cluster.lab.nodes["node-1"].mac] == cluster.answerers(address), "it is answered for")
    cluster.remove("web.yaml")
    eventually(lambda: not cluster.status.l2("node-1", "web"), "its status goes with it")
    assert [] == cluster.answerers(address)
