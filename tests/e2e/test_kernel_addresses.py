"""`announce: address`: interfaces have the addresses, and the kernel answers, also when speakers die."""

from collections.abc import Mapping

import pytest

from netlb.testing.lab import Host
from tests.manifests import PATIENT, advertisement, pool, service
from tests.support.cluster import Cluster
from tests.support.daemons import Daemon
from tests.support.needs import needs_command
from tests.support.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]

FOUR, SIX = "192.168.122.90", "fd00:122::90"
ADDRESSES = (FOUR, SIX)
LATE = "3600"
"""A lifetime that no test sees the end of."""
PATIENCE = 40.0


def declare(cluster: Cluster) -> None:
    """Declare a Service with an address of each family, which are on one node together."""
    cluster.write_nodes(watched=True)
    spec = "{announce: address, group: both}"
    cluster.write("pool.yaml", pool("both", *ADDRESSES, bfdProfile="patient"), advertisement(spec=spec))
    cluster.write("profile.yaml", PATIENT)
    cluster.write("web.yaml", service("web", ipFamilies="[IPv4, IPv6]", ipFamilyPolicy="RequireDualStack"))
    for version in (4, 6):
        cluster.write_endpoints("web", version=version)


def start(cluster: Cluster, lifetime: str) -> dict[str, Daemon]:
    """Start everything; return the speakers by node when all work."""
    cluster.await_ready(cluster.controller())
    speakers = {name: cluster.speaker(name, "--address-lifetime", lifetime, patient=True) for name in cluster.lab.nodes}
    for daemon in speakers.values():
        cluster.await_ready(daemon)
    return speakers


def on(host: Host) -> list[str]:
    """Return which of the addresses an interface of a node has."""
    printed = host.run(["ip", "-oneline", "address", "show", "dev", "eth0"]).stdout
    return [address for address in ADDRESSES if f" {address}/" in printed]


def where(cluster: Cluster) -> dict[str, list[str]]:
    """Return which nodes have addresses on their interfaces, and which."""
    return {name: found for name, host in cluster.lab.nodes.items() if (found := on(host))}


def await_alone(cluster: Cluster, others: Mapping[str, Host]) -> Host:
    """Wait until one of these nodes, and nobody else, has both addresses and answers for them."""

    def alone() -> Host | None:
        found = where(cluster)
        if len(found) != 1 or list(found.values()) != [list(ADDRESSES)]:
            return None
        host = others.get(next(iter(found)))
        answers = [cluster.answerers(address) for address in ADDRESSES]
        return host if host is not None and answers == [[host.mac]] * 2 else None

    return eventually(alone, "one node has both addresses", PATIENCE)


def without(cluster: Cluster, *names: str) -> dict[str, Host]:
    return {name: host for name, host in cluster.lab.nodes.items() if name not in names}


def test_the_owner_has_the_addresses_is_pinged_and_says_so(cluster: Cluster) -> None:
    ping = needs_command("ping", "iputils-ping")
    declare(cluster)
    speakers = start(cluster, "10")
    owner = await_alone(cluster, cluster.lab.nodes)
    for address, own, far in zip(ADDRESSES, owner.addresses, cluster.client.addresses, strict=True):
        cluster.client.run([ping, "-c", "1", "-W", "5", address])
        sent = cluster.client.run(["ip", "neighbour", "show", address]).stdout
        assert owner.mac in sent
        assert f"src {own} " in owner.run(["ip", "route", "get", str(far)]).stdout + " "
        said = {"ip": address, "interfaces": ["eth0"], "announce": "address"}
        eventually(lambda: said in cluster.status.l2(owner.name, "web").get("addresses", ()), "it says so")  # noqa: B023
    cluster.serve()
    for address in ADDRESSES:
        assert 200 == cluster.client.http_get(address, timeout=60).status

    assert 0 == speakers[owner.name].stop()
    successor = await_alone(cluster, without(cluster, owner.name))
    assert successor != owner


def test_what_a_killed_speaker_leaves_ends_by_itself_and_its_successor_answers_alone(cluster: Cluster) -> None:
    declare(cluster)
    speakers = start(cluster, "3")
    owner = await_alone(cluster, cluster.lab.nodes)
    speakers[owner.name].kill()
    speakers[owner.name].http.unlink()
    successor = await_alone(cluster, without(cluster, owner.name))
    assert on(owner) == []
    eventually(lambda: cluster.client.neighbor(FOUR) in (None, successor.mac), "the client has heard of it")


def test_what_a_killed_speaker_leaves_is_swept_by_the_next_one(cluster: Cluster) -> None:
    declare(cluster)
    speakers = start(cluster, LATE)
    owner = await_alone(cluster, cluster.lab.nodes)
    speakers[owner.name].kill()
    eventually(lambda: len(where(cluster)) == 2, "another node has taken over", PATIENCE)
    assert on(owner) == list(ADDRESSES)

    cluster.lab.cut(owner, carrier=True)  # so that it takes its time to find out who is alive
    cluster.speaker(owner.name, "--address-lifetime", LATE)
    eventually(lambda: on(owner) == [], "it is swept before that is known", PATIENCE)
    cluster.lab.mend(owner)
    assert owner == await_alone(cluster, {owner.name: owner})

    reply = advertisement(spec="{announce: reply, group: both}")
    cluster.write("pool.yaml", pool("both", *ADDRESSES, bfdProfile="patient"), reply)
    eventually(lambda: where(cluster) == {}, "no node has them any more", PATIENCE)

    def answered() -> bool:
        return [cluster.answerers(address) for address in ADDRESSES] == [[owner.mac]] * 2

    eventually(answered, "the speaker of the owner answers", PATIENCE)


def test_an_address_that_is_taken_away_is_back_and_one_of_the_node_is_refused(cluster: Cluster) -> None:
    declare(cluster)
    speakers = start(cluster, LATE)
    owner = await_alone(cluster, cluster.lab.nodes)
    owner.run(["ip", "address", "delete", f"{FOUR}/32", "dev", "eth0"])
    assert owner == await_alone(cluster, {owner.name: owner})
    owner.run(["ip", "link", "set", "eth0", "down"])
    owner.run(["ip", "link", "set", "eth0", "up"])
    owner = await_alone(cluster, cluster.lab.nodes)

    for name, speaker in speakers.items():
        assert 0 == speaker.stop()
        cluster.lab.nodes[name].run(["ip", "address", "add", f"{FOUR}/24", "dev", "lo"])
    again = {name: cluster.speaker(name) for name in cluster.lab.nodes}

    def refused() -> bool:
        conditions = [cluster.status.l2(name, "web").get("conditions", [{}])[0] for name in again]
        return any("on lo of this node already" in condition.get("message", "") for condition in conditions)

    eventually(refused, "the owner says why it does not have it", PATIENCE)
    assert all(f" {FOUR}/24 " in host.run(["ip", "-o", "address"]).stdout for host in cluster.lab.nodes.values())
