"""Two routers, and advertisements that are for one of them: what each has in its kernel."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from netlb.testing.lab import Host, Lab, requirements
from tests.manifests import native, pool, service, slice_of
from tests.support.bgp import without_gobgpd
from tests.support.cluster import Cluster
from tests.support.frr import FrrRouter, frr_router, missing_frr
from tests.support.needs import needs
from tests.support.routers import ASN, Neighbor, next_hops
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

ONE, TWO = "203.0.113.10", "203.0.113.11"
NAMES = ("router-1", "router-2")


class World:
    """A node that two routers are peers of, and two Services."""

    def __init__(self, cluster: Cluster, routers: dict[str, FrrRouter]) -> None:
        self.cluster = cluster
        self.routers = routers

    @property
    def node(self) -> Host:
        return self.cluster.lab.nodes["node-1"]

    def advertise(self, **audiences: list[str]) -> None:
        """Let each Service be for these routers."""
        self.cluster.write(
            "advertisements.yaml",
            *(
                native("BGPAdvertisement", name, peers=peers, serviceSelectors=[{"matchLabels": {"app": name}}])
                for name, peers in audiences.items()
            ),
        )

    def becomes(self, **expected: set[str]) -> None:
        """Wait until the routers know exactly these addresses."""
        wanted = {name.replace("_", "-"): addresses for name, addresses in expected.items()}
        eventually(lambda: wanted == self.known(), str(wanted), within=60)

    def announcing(self) -> list[dict[str, Any]]:
        """What the node's file says of each address; nothing while it says nothing of BGP."""
        found: list[dict[str, Any]] = self.cluster.status.node("node-1").get("bgp", {}).get("announcing", [])
        return found

    def known(self) -> dict[str, set[str]]:
        return {
            name: {address for address in (ONE, TWO) if next_hops(self.cluster.lab.routers[name], address)}
            for name in NAMES
        }


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    needs([*requirements(), *without_gobgpd(), *missing_frr("bgpd")])
    (tmp_path / "site").mkdir()
    with Lab(nodes=1, routers=2, clients=0, pods_per_node=0, name="peers") as lab, ExitStack() as stack:
        cluster = Cluster(tmp_path / "site", lab)
        cluster.write_nodes(watched=True)
        node = lab.nodes["node-1"]
        found = {name: stack.enter_context(frr_router(lab.routers[name])) for name in NAMES}
        for router in found.values():
            router.peer_with(Neighbor(address=node.ipv4, asn=65001))
        common = {"myASN": 65001, "peerASN": ASN}
        peers = [native("BGPPeer", name, **common, peerAddress=str(lab.routers[name].ipv4)) for name in NAMES]
        cluster.write("peers.yaml", *peers)
        cluster.write("pool.yaml", pool("routed", f"{ONE}-{TWO}", protocol="bgp"))
        cluster.write("web.yaml", *(service(name, loadBalancerIP=at) for name, at in (("one", ONE), ("two", TWO))))
        cluster.write("endpoints.yaml", slice_of("one", "node-1"), slice_of("two", "node-1"))
        try:
            yield World(cluster, found)
            cluster.stop()
        finally:
            cluster.kill()
            cluster.show_logs()


def test_each_router_has_what_is_for_it_and_keeps_its_session(world: World, tmp_path: Path) -> None:
    world.advertise(one=["router-1"], two=["router-2"])
    world.cluster.await_ready(world.cluster.controller())
    speaker = world.cluster.speaker("node-1", "--gobgp-dir", str(tmp_path / "gobgp"))
    world.becomes(router_1={ONE}, router_2={TWO})
    world.advertise(one=["router-1", "router-2"], two=["router-2"])
    world.becomes(router_1={ONE}, router_2={ONE, TWO})
    world.advertise(one=["router-2"], two=[])
    world.becomes(router_1={TWO}, router_2={ONE, TWO})

    def told() -> dict[str, list[list[str]]]:
        return {entry["address"]: [route["peers"] for route in entry["routes"]] for entry in world.announcing()}

    eventually(lambda: {ONE: [["router-2"]], TWO: [["router-1", "router-2"]]} == told(), "it is said")
    world.advertise(one=["router-1"])
    world.becomes(router_1={ONE}, router_2=set())
    sessions = [router.session(world.node.ipv4) for router in world.routers.values()]
    assert [1, 1] == [session["connectionsEstablished"] for session in sessions]
    assert [] == [line for line in speaker.lines("error") if "responder died" not in line]  # it is none of BGP's


def test_a_shared_gobgpd_is_told_what_is_for_all_and_the_rest_is_said(world: World, tmp_path: Path) -> None:
    socket = tmp_path / "shared.sock"
    command: list[str | Path] = ["gobgpd", f"--api-hosts=unix://{socket}", "--pprof-disable", "-f", config(tmp_path)]
    gobgpd = world.node.popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    world.advertise(one=["router-1"], two=[])
    world.cluster.await_ready(world.cluster.controller())
    speaker = world.cluster.speaker("node-1", "--gobgp", f"unix:{socket}", "--gobgp-tenancy", "shared")
    world.becomes(router_1={TWO}, router_2={TWO})

    def told() -> dict[str, str]:
        return {entry["address"]: entry.get("error", "") for entry in world.announcing()}

    words = "those of a shared gobgpd are somebody else's"
    eventually(lambda: {ONE: True, TWO: False} == {at: words in error for at, error in told().items()}, "it is said")
    assert {"router-1": {TWO}, "router-2": {TWO}} == world.known()
    assert 0 == speaker.stop()
    gobgpd.terminate()
    gobgpd.wait()


def config(folder: Path) -> Path:
    path = folder / "gobgpd.toml"
    path.write_text('[global.config]\n  as = 65001\n  router-id = "192.0.2.1"\n')
    return path
