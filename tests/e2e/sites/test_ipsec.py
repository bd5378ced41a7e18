"""The matrix of pods again, by IPsec. Its daemon of this kernel takes prefixes only where the node has an address in them."""

import pytest

from netlb.testing.sites import SitesLab
from tests.support.mesh.kernel import filtered
from tests.support.mesh.packets import carries, lose_icmp_errors, too_big
from tests.support.mesh.pairs import by_node_ports, by_services, pairs, pings, to_pods, unreachable
from tests.support.mesh.world import World

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


def test_nothing_fails_the_check_of_the_reverse_path(lab: SitesLab) -> None:
    assert dict.fromkeys(lab.nodes, 0) == {name: filtered(host) for name, host in lab.nodes.items()}
