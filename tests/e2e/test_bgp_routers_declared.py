"""What manifests say about routes and sessions, as FRR has it of whole speakers, and what the status tree tells of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netlb.net import Family
from netlb.testing.lab import Lab, requirements
from tests.manifests import native, pool, service, slice_of
from tests.support.bgp import without_gobgpd
from tests.support.bgp_node import NODES_ASN
from tests.support.bgp_world import counts, neighbor
from tests.support.cluster import Cluster
from tests.support.frr import FrrRouter, frr_router, missing_frr
from tests.support.needs import needs
from tests.support.routers import ASN, Learned
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

NODES = ("node-1", "node-2")
MARK = f"{NODES_ASN}:1279412048:1"


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Cluster, FrrRouter]]:
    """Two nodes whose speakers run, and a router with FRR that is declared to them; nothing is announced yet."""
    needs([*requirements(), *without_gobgpd(), *missing_frr("bgpd")])
    (tmp_path / "site").mkdir()
    with (
        Lab(nodes=2, routers=1, clients=0, pods_per_node=0, name="bgp") as lab,
        frr_router(lab.routers["router-1"]) as router,
    ):
        cluster = Cluster(tmp_path / "site", lab)
        cluster.write_nodes(watched=True)
        families = {"addressFamilies": ["ipv4", "ipv6"], "holdTime": "9s"}
        tor = {"myASN": NODES_ASN, "peerASN": ASN, "peerAddress": str(router.host.ipv4), **families}
        cluster.write("tor.yaml", native("BGPPeer", "tor", **tor))
        try:
            cluster.await_ready(cluster.controller())
            for name in NODES:
                cluster.speaker(name, "--gobgp-dir", str(tmp_path / f"gobgp-{name}"))
            yield cluster, router
            cluster.stop()
        finally:
            cluster.kill()
            cluster.show_logs()


def learned(cluster: Cluster, family: Family, **attributes: Any) -> list[Learned]:
    """Return what the router is to have: a path by each node, the same but for its next hop."""
    hosts = [cluster.lab.nodes[name] for name in NODES]
    marked = {"large_communities": frozenset({MARK}), **attributes}
    hops = [str(host.ipv4 if family is Family.IPV4 else host.ipv6) for host in hosts]
    return [Learned(**{"next_hop": hop, "as_path": (NODES_ASN,), **marked}) for hop in hops]


def test_routes_are_as_their_advertisements_say(site: tuple[Cluster, FrrRouter]) -> None:
    cluster, router = site
    router.peer_with(*(neighbor(cluster.lab.nodes[name]) for name in NODES))
    cluster.write("pools.yaml", pool("routed", "203.0.113.10", "2001:db8:cafe::10", protocol="bgp"))
    cluster.write(
        "advertisements.yaml",
        native("Community", "ours", communities=[{"name": "ours", "value": f"{NODES_ASN}:100"}]),
        native(
            "BGPAdvertisement",
            "hosts",
            communities=["ours", "large:1:2:3"],
            med=7,
            localPref=300,
            asPathPrepend=2,
        ),
        native("BGPAdvertisement", "aggregates", aggregationLength=24, aggregationLengthV6=48),
    )
    cluster.write("web.yaml", service("web", ipFamilyPolicy="RequireDualStack"), slice_of("web", *NODES))
    eventually(lambda: counts(router) == (2, 2), "host routes and aggregates of both families")

    told = {"communities": frozenset({f"{NODES_ASN}:100"}), "large_communities": frozenset({MARK, "1:2:3"})}
    path = {"as_path": (NODES_ASN,) * 3, "med": 7, **told}
    expected = {
        "203.0.113.10/32": learned(cluster, Family.IPV4, **path),
        "2001:db8:cafe::10/128": learned(cluster, Family.IPV6, **path),
        "203.0.113.0/24": learned(cluster, Family.IPV4),
        "2001:db8:cafe::/48": learned(cluster, Family.IPV6),
    }
    found = {prefix: router.learned(prefix) for prefix in expected}
    eventually(lambda: expected == {prefix: router.learned(prefix) for prefix in expected}, f"{expected}, not {found}")


def test_a_session_that_the_router_ends_over_its_limit_is_shown(site: tuple[Cluster, FrrRouter]) -> None:
    cluster, router = site
    first, second = (cluster.lab.nodes[name] for name in NODES)
    router.peer_with(neighbor(first, limit=2), neighbor(second))
    cluster.write("pools.yaml", pool("routed", "203.0.113.0/29", protocol="bgp"), native("BGPAdvertisement", "all"))

    def write(count: int) -> None:
        parts = [
            part for number in range(count) for part in (service(f"web-{number}"), slice_of(f"web-{number}", *NODES))
        ]
        cluster.write("services.yaml", *parts)

    def told(name: str) -> str:
        """What a speaker says of its session."""
        [peer] = cluster.status.node(name).get("bgp", {}).get("peers", [{"state": ""}])
        return str(peer["state"])

    def received(count: int) -> bool:
        counted = [router.session(host.ipv4).get("addressFamilyInfo", {}) for host in (first, second)]
        return [count, count] == [each.get("ipv4Unicast", {}).get("acceptedPrefixCounter") for each in counted]

    write(2)
    eventually(lambda: received(2), "both nodes' routes")
    eventually(lambda: ["ESTABLISHED"] * 2 == [told(name) for name in NODES], "both speakers say so")

    write(4)
    eventually(lambda: not router.established(first.ipv4), "the router ends the session")
    eventually(lambda: told("node-1") not in ("ESTABLISHED", ""), "the first speaker says so")
    eventually(lambda: counts(router) == (4, 0), "the second node's routes")
    assert "ESTABLISHED" == told("node-2")

    write(2)
    router.reset()
    eventually(lambda: received(2), "both nodes' routes again", within=60)
    eventually(lambda: ["ESTABLISHED"] * 2 == [told(name) for name in NODES], "both speakers say so again")
