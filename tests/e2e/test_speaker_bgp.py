"""Whole daemons and a router: what the manifests say about BGP is in the router's kernel."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from netlb.cli.main import main as netlb
from netlb.testing.lab import Host, Lab, requirements
from tests.manifests import native, pool, service, slice_of
from tests.support import routers
from tests.support.bgp import without_gobgpd
from tests.support.cluster import Cluster
from tests.support.daemons import Daemon
from tests.support.frr import frr_router, missing_frr
from tests.support.needs import needs
from tests.support.status import load
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

FOUR, SIX = "203.0.113.10", "2001:db8:cafe::10"
PASSWORD = "correct-horse"
NODES = ("node-1", "node-2")
SECRET = f"""
apiVersion: v1
kind: Secret
metadata: {{namespace: netlb-system, name: tor}}
type: kubernetes.io/basic-auth
stringData: {{password: {PASSWORD}}}
"""


@pytest.fixture
def bgp(tmp_path: Path) -> Iterator[Cluster]:
    """Two nodes, a router with FRR, and a Service of both families; no daemon runs yet."""
    needs([*requirements(), *without_gobgpd(), *missing_frr("bgpd")])
    (tmp_path / "site").mkdir()
    with Lab(nodes=2, routers=1, clients=0, pods_per_node=0, name="bgp") as lab:
        cluster = Cluster(tmp_path / "site", lab)
        cluster.write_nodes(watched=True)
        peer = {
            "myASN": 65001,
            "peerASN": routers.ASN,
            "peerAddress": str(router(cluster).ipv4),
            "holdTime": "9s",
            "addressFamilies": ["ipv4", "ipv6"],
            "passwordSecret": {"namespace": "netlb-system", "name": "tor"},
        }
        cluster.write("bgp.yaml", native("BGPPeer", "tor", **peer), native("BGPAdvertisement", "all"), SECRET)
        cluster.write("pool.yaml", pool("routed", FOUR, SIX, protocol="bgp"))
        cluster.write("web.yaml", service("web", ipFamilyPolicy="RequireDualStack"))
        cluster.write("endpoints.yaml", slice_of("web", *NODES))
        with frr_router(router(cluster)) as frr:
            neighbors = [routers.Neighbor(address=lab.nodes[name].ipv4, asn=65001, password=PASSWORD) for name in NODES]
            frr.peer_with(*neighbors)
            try:
                yield cluster
                cluster.stop()
            finally:
                cluster.kill()
                cluster.show_logs()


def router(cluster: Cluster) -> Host:
    return cluster.lab.routers["router-1"]


def start(cluster: Cluster, *arguments: str) -> dict[str, Daemon]:
    cluster.await_ready(cluster.controller())
    folder = cluster.root.parent
    return {name: cluster.speaker(name, "--gobgp-dir", str(folder / f"gobgp-{name}"), *arguments) for name in NODES}


def reached_by(cluster: Cluster, *names: str) -> None:
    """Wait until the router's kernel sends both addresses to exactly these nodes."""
    hosts = [cluster.lab.nodes[name] for name in names]
    expected = [{str(host.ipv4) for host in hosts}, {str(host.ipv6) for host in hosts}]
    eventually(
        lambda: expected == [routers.next_hops(router(cluster), prefix) for prefix in (FOUR, SIX)],
        f"the router sends to {names}",
        within=60,
    )


def test_addresses_reach_the_routers_kernel_and_leave_it_with_what_they_stand_for(bgp: Cluster) -> None:
    speakers = start(bgp)
    reached_by(bgp, *NODES)
    says_so(bgp, speakers["node-1"])

    bgp.write("web.yaml", service("web", ipFamilyPolicy="RequireDualStack", externalTrafficPolicy="Local"))
    bgp.write("endpoints.yaml", slice_of("web", "node-2"))
    reached_by(bgp, "node-2")

    bgp.write("endpoints.yaml", slice_of("web", *NODES, ready=False))
    reached_by(bgp)
    bgp.write("endpoints.yaml", slice_of("web", *NODES))
    reached_by(bgp, *NODES)

    assert 0 == speakers["node-1"].stop()
    reached_by(bgp, "node-2")
    assert [] == bgp.responders("node-1")
    bgp.remove("web.yaml")
    reached_by(bgp)


def says_so(cluster: Cluster, speaker: Daemon) -> None:
    """Wait until node-1's speaker says, everywhere that it says something, that its router is told of both addresses."""

    def told() -> bool:
        document = load(cluster.status.root / "servicebgpstatuses/node-1/default.web.yaml")
        [peer, *_] = cluster.status.node("node-1").get("bgp", {}).get("peers", [None])
        if document is None or peer is None:
            return False
        status = document["status"]
        assert (["tor"], [FOUR, SIX]) == (status["peers"], [entry["ip"] for entry in status["addresses"]])
        [condition] = status["conditions"]
        return (peer["name"], peer["state"], peer["advertised"], condition["status"]) == (
            "tor",
            "ESTABLISHED",
            2,
            "True",
        )

    eventually(told, "two prefixes are told in a session that is up")
    page = speaker.get("/metrics")
    assert page is not None
    labels = f'{{name="tor",peer="{router(cluster).ipv4}"}}'
    for sample, value in (("session_up", 1), ("announced_prefixes_total", 2), ("pending_prefixes_total", 0)):
        assert f"netlb_bgp_{sample}{labels} {value:.1f}\n" in page.text
    assert f"netlb_bgp_opens_received_total{labels} " in page.text  # two of connections that collide
    assert f'ip="{FOUR}",node="node-1",protocol="bgp",service="default/web"}} 1.0' in page.text


def test_a_speaker_that_is_killed_takes_its_routes_with_it(bgp: Cluster) -> None:
    speakers = start(bgp)
    reached_by(bgp, *NODES)
    speakers["node-1"].kill()
    speakers["node-1"].http.unlink()
    reached_by(bgp, "node-2")
    eventually(lambda: not bgp.responders("node-1"), "nothing of it is left")


LABEL = {"node.kubernetes.io/exclude-from-external-load-balancers": ""}
NOT_READY = [{"type": "Ready", "status": "Unknown"}]


@pytest.mark.parametrize(
    ("arguments", "labels", "conditions"),
    [((), LABEL, []), (("--withdraw-not-ready",), {}, NOT_READY)],
    ids=["excluded", "not-ready"],
)
def test_a_node_that_takes_no_more_traffic_is_left_to_others(
    bgp: Cluster, arguments: tuple[str, ...], labels: dict[str, str], conditions: list[dict[str, str]]
) -> None:
    start(bgp, *arguments)
    reached_by(bgp, *NODES)
    addresses = [{"type": "InternalIP", "address": str(address)} for address in bgp.lab.nodes["node-1"].addresses]
    document = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": "node-1", "labels": labels},
        "status": {"addresses": addresses, "conditions": conditions},
    }
    bgp.write("node-node-1.yaml", yaml.safe_dump(document))
    reached_by(bgp, "node-2")
    eventually(lambda: bgp.status.node("node-1").get("bgp", {}).get("draining"), "its file says so")
    bgp.write_nodes(watched=True)
    reached_by(bgp, *NODES)


def test_no_password_is_in_any_file_or_argument(bgp: Cluster) -> None:
    speakers = start(bgp)
    reached_by(bgp, *NODES)
    eventually(lambda: all("bgp" in bgp.status.node(name) for name in NODES), "their files say what they tell")
    pages = [page.text for daemon in speakers.values() if (page := daemon.get("/metrics"))]
    asked = (["show", "peers", "-o", "json"], ["show", "routes", "-o", "yaml"], ["explain", "service", "web"])
    printed = [CliRunner().invoke(netlb, [*words, "--source", f"dir:{bgp.manifests}"]).output for words in asked]
    assert ["tor"] == list({peer["peer"] for peer in json.loads(printed[0])})
    assert PASSWORD not in "".join([*pages, *printed])
    for path in (*bgp.status.root.rglob("*.yaml"), *bgp.root.glob("*.log")):
        assert PASSWORD not in path.read_text(), path
    for name in NODES:
        for pid in bgp.responders(name):
            for part in ("cmdline", "environ"):
                assert PASSWORD.encode() not in Path(f"/proc/{pid}/{part}").read_bytes()
