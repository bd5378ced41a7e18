"""Every pod reaches every pod of other sites, whatever stands between them, and nobody on the way sees which."""

import itertools

import pytest

from netlb.testing.sites import SitesLab
from tests.support.mesh.kernel import check_reverse_paths
from tests.support.mesh.packets import carries, lose_icmp_errors, too_big
from tests.support.mesh.pairs import by_node_ports, by_services, pairs, pings, to_pods, unreachable
from tests.support.mesh.ways import change_ways
from tests.support.mesh.world import World
from tests.support.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]

MIB = 1 << 20


@pytest.fixture
def lab(world: World) -> SitesLab:
    return world.lab


def test_every_pod_reaches_every_pod_and_nobody_outside_sees_it(world: World, lab: SitesLab) -> None:
    with world.unseen():
        assert {} == pings(to_pods(lab))


def test_services_and_ports_of_nodes_lead_to_pods_of_other_sites(world: World, lab: SitesLab) -> None:
    with world.unseen():
        assert {} == by_services(lab, pairs(lab))
        assert {} == by_services(lab, pairs(lab), from_nodes=True)
        assert {} == by_node_ports(lab, pairs(lab))


def test_pods_of_one_site_reach_each_other_as_before(lab: SitesLab) -> None:
    asked = [
        (lab.pods[one.name], address)
        for site in lab.sites.values()
        for one in site.nodes
        for other in site.nodes
        if one is not other
        for address in lab.pods[other.name].addresses
    ]
    assert {} == pings(asked)


def test_what_fits_passes_and_of_one_octet_more_it_is_said_that_it_is_too_big(world: World, lab: SitesLab) -> None:
    asked = to_pods(lab)
    assert {} == pings(asked, size=world.mtu, whole=True)
    assert {world.mtu} == {too_big(source, address, world.mtu + 1) for source, address in asked}


def test_tcp_passes_where_icmp_is_lost(lab: SitesLab) -> None:
    with lose_icmp_errors(lab.pods.values()):
        for pair in pairs(lab, ["a3", "c1"], ["b2", "a1"]):
            for address in lab.pods[pair.target].addresses:
                assert MIB == carries(lab.pods[pair.source], lab.pods[pair.target], address, MIB), f"{pair} {address}"


def test_nodes_are_reached_through_tunnels_when_asked_for(world: World, lab: SitesLab) -> None:
    to_nodes = {
        target: [
            (source, lab.nodes[target].ipv4)
            for one in pairs(lab, targets=[target])
            for source in (lab.pods[one.source], lab.nodes[one.source])
        ]
        for target in lab.nodes
    }
    world.declare(**{name: {"nodeAddresses": True} for name in lab.sites})
    assert {} == pings(itertools.chain(*to_nodes.values()))
    with world.unseen():
        for target in ("a1", "a2", "a3", "b1", "b2"):
            assert {} == pings(to_nodes[target])
        assert {} == unreachable(lab)
    # Where tunnels end nodes are reached from outside, and so they are by all who can.
    assert {} == pings([*to_nodes["c1"], *to_nodes["c2"]])
    world.declare()
    asked = [(lab.pods["c2"], lab.nodes["a3"].ipv4)]
    eventually(lambda: pings(asked, within=0), "nodes are not reached any more")


def test_a_site_that_becomes_reachable_is_reached_directly(world: World) -> None:
    change_ways(world)


def test_the_reverse_path_is_checked_everywhere_and_nothing_fails_the_check(world: World, lab: SitesLab) -> None:
    check_reverse_paths(lab, world.unrest)
