"""Names, MACs and addresses of a lab's members."""

import pytest

from netlb.testing.lab.layout import Role, Segment, member, pod_place
from netlb.testing.lab.script import route_lines

NODES = [member(Segment(), Role.NODE, number) for number in (1, 2)]


def test_a_hosts_addresses_of_both_families_read_the_same() -> None:
    client = member(Segment(), Role.CLIENT, 1)
    assert ("client-1", "192.168.122.201/24", "fd00:122::201/64") == (client.name, str(client.ipv4), str(client.ipv6))
    assert client.mac == "02:4e:4c:02:00:01"


def test_no_member_has_an_address_of_the_default_pool() -> None:
    everybody = [member(Segment(), role, number) for role in Role for number in range(1, role.limit + 1)]
    numbers = [int(each.ipv4.ip) & 0xFF for each in everybody]
    assert set(range(90, 101)).isdisjoint(numbers)
    assert len(everybody) == len(set(numbers)) == len({each.mac for each in everybody})


def test_a_pod_takes_its_address_from_its_nodes_prefixes() -> None:
    pod = pod_place(Segment(), NODES[1], 1)
    assert ("node-2-pod-1", "10.244.2.11", "fd00:244:2::11") == (pod.name, str(pod.ipv4), str(pod.ipv6))
    assert ("10.244.2.1", "fd00:244:2::1") == (str(pod.gateway4), str(pod.gateway6))


def test_nodes_reach_each_others_pods_and_everybody_the_first_router() -> None:
    router = member(Segment(), Role.ROUTER, 1)
    client = member(Segment(), Role.CLIENT, 1)
    everybody = [router, *NODES, client]
    outside = ["route replace default via 192.168.122.1", "route replace default via fd00:122::1"]
    assert outside == route_lines(Segment(), client, everybody)
    assert [] == route_lines(Segment(), router, everybody)
    assert [
        *outside,
        "route replace 10.244.2.0/24 via 192.168.122.12",
        "route replace fd00:244:2::/64 via fd00:122::12",
    ] == route_lines(Segment(), NODES[0], everybody)


@pytest.mark.parametrize("name", ["", "Node", "node_1", "-x", "x-", "a-name-of-11"])
def test_a_name_that_cannot_name_an_interface_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="no host name for a lab"):
        member(Segment(), Role.NODE, 1, name or "_")


def test_counts_are_bounded_and_a_small_prefix_says_so() -> None:
    with pytest.raises(ValueError, match="at most 78 nodes, not 79"):
        member(Segment(), Role.NODE, 79)
    with pytest.raises(ValueError, match="no room for host number 201"):
        member(Segment.parse("10.0.0.0/28", "fd00:1::/64"), Role.CLIENT, 1)
