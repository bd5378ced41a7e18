"""The matrix of pods again, by IPsec. Its daemon of this kernel takes prefixes only where the node has an address in them."""

from ipaddress import ip_network

import pytest

from netlb.testing.sites import SitesLab
from tests.support.mesh.kernel import check_reverse_paths
from tests.support.mesh.packets import carries, lose_icmp_errors, too_big
from tests.support.mesh.pairs import by_node_ports, by_services, pairs, pings, to_pods, unreachable
from tests.support.mesh.ways import change_ways
from tests.support.mesh.world import World
from tests.support.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]


@pytest.fixture
def lab(encrypted: World) -> SitesLab:
    return encrypted.lab


def test_every_pod_reaches_every_pod_and_nobody_outside_sees_it(encrypted: World, lab: SitesLab) -> None:
    with encrypted.unseen():
        assert {} == unreachable(lab)


def test_services_and_ports_of_nodes_lead_to_pods_of_other_sites(encrypted: World, lab: SitesLab) -> None:
    with encrypted.unseen():
        assert {} == by_services(lab, pairs(lab))
        assert {} == by_services(lab, pairs(lab), from_nodes=True)
        assert {} == by_node_ports(lab, pairs(lab))


def test_what_fits_passes_and_of_one_octet_more_it_is_said_that_it_is_too_big(encrypted: World, lab: SitesLab) -> None:
    asked = to_pods(lab)
    assert {} == pings(asked, size=encrypted.mtu, whole=True)
    assert {encrypted.mtu} == {too_big(source, address, encrypted.mtu + 1) for source, address in asked}


def test_tcp_passes_where_icmp_is_lost(lab: SitesLab) -> None:
    with lose_icmp_errors(lab.pods.values()):
        for pair in pairs(lab, ["a3"], ["b2", "c1"]):
            for address in lab.pods[pair.target].addresses:
                assert 1 << 18 == carries(lab.pods[pair.source], lab.pods[pair.target], address, 1 << 18), str(pair)


def test_the_reverse_path_is_checked_everywhere_and_nothing_fails_the_check(encrypted: World, lab: SitesLab) -> None:
    check_reverse_paths(lab, encrypted.unrest)


def test_nodes_are_reached_through_tunnels_when_asked_for(encrypted: World, lab: SitesLab) -> None:
    asked = [
        (source, lab.nodes[one.target].ipv4)
        for one in pairs(lab, targets=[name for name in lab.nodes if not name.startswith("c")])
        for source in (lab.pods[one.source], lab.nodes[one.source])
    ]
    # With the prefix around its nodes a gateway has an address in each prefix of its site; the hub is given one.
    around = {name: str(ip_network(f"{lab.sites[name].lan4[8]}/29")) for name in ("a", "b")}
    for hub in ("c1", "c2"):
        for name in around:
            lab.nodes[hub].run(["ip", "address", "add", f"{lab.sites[name].lan4[15]}/32", "dev", "lo"])
    encrypted.declare(
        **{name: {"nodeAddresses": True, "extraSourceCIDRs": [prefix]} for name, prefix in around.items()}
    )
    assert {} == pings(asked)
    with encrypted.unseen():
        assert {} == pings(asked)
        assert {} == unreachable(lab)
    encrypted.declare()
    eventually(lambda: pings(asked[:1], within=0), "nodes are not reached any more")
    assert {} == unreachable(lab)


def test_a_site_that_becomes_reachable_is_reached_directly(encrypted: World) -> None:
    change_ways(encrypted)
