"""The segment surprises a speaker: its interface is not there yet, or a stranger has the address too."""

import pytest

from tests.manifests import advertisement, node, pool, service
from tests.support.cluster import Cluster
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

BOTH = pytest.mark.parametrize(("address", "family"), [("192.168.122.90", 4), ("fd00:122::90", 6)])


def declare(cluster: Cluster, address: str, family: int) -> None:
    """Declare a Service with this address, and a single node, which owns it."""
    cluster.write("node.yaml", node("node-1"))
    cluster.write("pool.yaml", pool("one", address), advertisement())
    cluster.write("web.yaml", service("web", ipFamilies=f"[IPv{family}]"))
    cluster.write_endpoints("web")
    cluster.await_ready(cluster.controller())


@BOTH
def test_an_interface_that_is_missing_is_waited_for(cluster: Cluster, address: str, family: int) -> None:
    declare(cluster, address, family)
    owner = cluster.lab.nodes["node-1"]
    speaker = cluster.speaker("node-1", interfaces=["eth9"])
    note = "no interface eth9 that is up"
    eventually(lambda: any(note in line for line in cluster.status.node("node-1").get("notes", ())), "the note")
    warning = ("warning", "interface missing", "eth9", "create it, or correct --interface")
    eventually(lambda: len(speaker.lines(*warning)) == 1, "the warning")
    page = eventually(lambda: speaker.get("/readyz"), "its pages")
    assert (503, True) == (page.status, f"l2: {note}" in page.text)
    eventually(
        lambda: [
            entry["error"]
            for entry in cluster.status.node("node-1")["announcing"]
            if entry["interfaces"] == [] and entry.get("error", "").startswith("InterfaceMissing")
        ],
        "the address is reported as held on no interface",
    )
    assert [] == cluster.answerers(address)

    cluster.lab.add_interface(owner, "eth9")
    cluster.await_ready(speaker)
    eventually(lambda: cluster.status.announcers(address) == ["node-1"], "it is announced")
    [answer] = eventually(lambda: cluster.answerers(address), "it is answered for")
    assert answer not in {owner.mac, cluster.client.mac}
    eventually(lambda: cluster.status.node("node-1")["notes"] == [], "the note is gone")
    assert {"eth9": answer} == cluster.status.node("node-1")["interfaces"]


def test_an_interface_that_comes_and_goes(cluster: Cluster) -> None:
    address = "192.168.122.90"
    declare(cluster, address, 4)
    owner = cluster.lab.nodes["node-1"]
    speaker = cluster.speaker("node-1")
    eventually(lambda: cluster.answerers(address) == [owner.mac], "it is answered for")
    cluster.lab.set_down(owner)
    eventually(lambda: (page := speaker.get("/readyz")) and page.status == 503, "not ready")
    eventually(lambda: cluster.status.announcers(address) == [], "nobody announces it")
    cluster.lab.set_up(owner)
    cluster.await_ready(speaker)
    eventually(lambda: cluster.answerers(address) == [owner.mac], "it is answered for again")
    eventually(lambda: cluster.status.announcers(address) == ["node-1"], "its speaker says so")


@BOTH
def test_a_stranger_with_the_same_address_is_reported(cluster: Cluster, address: str, family: int) -> None:
    declare(cluster, address, family)
    owner, stranger = cluster.lab.nodes["node-1"], cluster.client
    speaker = cluster.speaker("node-1", patient=True)  # the stranger announces itself once
    eventually(lambda: cluster.status.announcers(address) == ["node-1"], "it is announced")
    length = {4: 24, 6: 64}[family]
    nodad = [] if family == 4 else ["nodad"]
    stranger.run(["sysctl", "-qw", f"net.ipv{family}.conf.eth0." + {4: "arp_notify=1", 6: "ndisc_notify=1"}[family]])
    stranger.run(["ip", "address", "add", f"{address}/{length}", "dev", "eth0", *nodad])
    stranger.run(["ip", "link", "set", "eth0", "address", stranger.mac])  # announces what it has

    eventually(lambda: speaker.lines("warning", "address conflict", address, stranger.mac, "eth0"), "the log line")
    told = f"{stranger.mac} on eth0 claims {address}, which is announced here"
    eventually(lambda: told in cluster.status.node("node-1")["notes"], "the note")
    page = speaker.get("/metrics")
    assert page is not None
    metric = f'netlb_layer2_conflicts_total{{interface="eth0",ip="{address}"}} '
    [value] = [line.removeprefix(metric) for line in page.text.splitlines() if line.startswith(metric)]
    assert float(value) >= 1
    stranger.run(["ip", "address", "delete", f"{address}/{length}", "dev", "eth0"])
    eventually(lambda: [owner.mac] == cluster.answerers(address), "it is reported, and not given up")
