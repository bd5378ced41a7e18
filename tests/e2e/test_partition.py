"""A segment falls in two, each half has an owner; when the halves meet again, one of the two is silent at once."""

import socket
from collections.abc import Callable

import pytest

from netlb.l2.burst import ROUNDS
from netlb.testing.lab import Host
from netlb.testing.lab.fixtures import lab_fixture
from tests.manifests import PATIENT, advertisement, pool, service
from tests.support.cluster import Cluster
from tests.support.frames import mac_bytes
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

opened = lab_fixture(nodes=4, clients=2, pods_per_node=1, name="e2e", scope="function")

ADDRESSES = {4: "192.168.122.90", 6: "fd00:122::90"}


def announces(host: Host, family: int) -> Callable[[bytes], bool]:
    """Match the gratuitous announcements of the address by a host."""
    station, target = mac_bytes(host), bytes.fromhex({4: "c0a87a5a", 6: "fd000122" + 22 * "0" + "90"}[family])

    def matches(frame: bytes) -> bool:
        if frame[6:12] != station:
            return False
        if family == 4:
            return frame[12:14] == b"\x08\x06" and frame[28:32] == target == frame[38:42]
        # An unsolicited neighbour advertisement goes to all nodes (RFC 4861 section 7.2.6).
        return frame[12:14] == b"\x86\xdd" and frame[54] == 136 and frame[62:78] == target and frame[38] == 0xFF

    return matches


def resolve(host: Host, address: str) -> None:
    """Have a host look up whose an address is, as it does before it sends there."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with host.inside(lambda: socket.socket(family, socket.SOCK_DGRAM)) as sock:
        sock.sendto(b"", (address, 9))


@pytest.mark.parametrize("family", [4, 6])
def test_of_two_halves_that_meet_again_the_common_order_settles_who_answers(cluster: Cluster, family: int) -> None:
    lab, address = cluster.lab, ADDRESSES[family]
    cluster.write_nodes(watched=True)
    cluster.write("pool.yaml", pool("one", address, bfdProfile="patient"), advertisement())
    cluster.write("profile.yaml", PATIENT)
    cluster.write("web.yaml", service("web", ipFamilies=f"[IPv{family}]"))
    cluster.write_endpoints("web", version=family)
    near, far = lab.clients.values()
    nodes = list(lab.nodes.values())
    with near.capture(lambda frame: any(announces(node, family)(frame) for node in nodes)) as first:
        cluster.start(patient=True)
        eventually(
            lambda: all({"alive"} == set(cluster.status.node(node.name).get("nodes", {}).values()) for node in nodes),
            "all are heard",
        )
        owner = cluster.await_owner(address)
        mine = announces(owner, family)
        whole = ROUNDS * {4: 2, 6: 1}[family]
        eventually(lambda: whole <= len([frame for frame in first.frames() if mine(frame)]), "no round is left")
    here = [owner, next(node for node in nodes if node is not owner)]
    there = [node for node in nodes if node not in here]

    def answers(client: Host) -> list[str]:
        return [answer.mac for answer in client.who_has(address, 0.2)]

    lab.split([*there, far])
    eventually(lambda: [owner.mac] == answers(near), "the owner answers in its half")
    (loser,) = eventually(
        lambda: [node for node in there if [node.mac] == answers(far)] or None, "one of the others answers in the other"
    )
    resolve(far, address)
    eventually(lambda: far.neighbor(address) == loser.mac, "it is known there")
    with far.capture(announces(owner, family)) as told, far.capture(announces(loser, family)) as boasts:
        lab.unite()
        eventually(lambda: [owner.mac] == answers(near) == answers(far), "the owner answers alone, everywhere")
        eventually(lambda: far.neighbor(address) == owner.mac, "which is known in the other half")
        assert told.frames()
        before = len(boasts.frames())
        for _ in range(20):
            assert {owner.mac} >= set(answers(far))
        eventually(lambda: [owner.mac] == answers(far), "it answers alone still")
        assert before == len(boasts.frames())
    eventually(lambda: [owner.name] == cluster.status.announcers(address), "and the others say so")
