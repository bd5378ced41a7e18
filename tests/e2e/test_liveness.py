"""Ownership follows life: a speaker, a node or a link dies, and another node answers though nothing is declared anew."""

from collections.abc import Callable

import pytest

from netlb.testing.lab import Host
from tests.manifests import advertisement, bfd_profile, pool, service
from tests.support.cluster import Cluster
from tests.support.daemons import Daemon
from tests.support.frames import asks
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

ADDRESS = "192.168.122.90"


@pytest.fixture
def begun(cluster: Cluster) -> tuple[dict[str, Daemon], Host]:
    """Have a Service that the client uses, on nodes that hear each other; return the daemons and the owner."""
    cluster.write_nodes(watched=True)
    cluster.write("pool.yaml", pool("one", ADDRESS), advertisement())
    cluster.write("web.yaml", service("web"))
    cluster.write_endpoints("web")
    daemons = cluster.start(patient=True)
    names = list(cluster.lab.nodes)
    eventually(lambda: all({"alive"} == set(watched(cluster, name).values()) for name in names), "all are heard")
    owner = cluster.await_owner(ADDRESS)
    cluster.serve()
    assert 200 == cluster.client.http_get(ADDRESS, timeout=60).status
    return daemons, owner


def watched(cluster: Cluster, name: str) -> dict[str, str]:
    """Return how the other nodes are, as a node's speaker says."""
    nodes: dict[str, str] = cluster.status.node(name).get("nodes", {"": "not said"})
    return nodes


def successor(cluster: Cluster, owner: Host) -> Host:
    """Wait until another node, and no other, answers, and the client has heard of it without asking."""
    others = [host for name, host in cluster.lab.nodes.items() if name != owner.name]
    with cluster.client.capture(asks(cluster.client, ADDRESS), outgoing=True) as questions:
        macs = [host.mac for host in others]
        eventually(lambda: cluster.client.neighbor(ADDRESS) in macs, "the client has heard of another node")
        assert [] == questions.frames()

    def alone() -> Host | None:
        known = cluster.client.neighbor(ADDRESS)
        return next((host for host in others if [host.mac] == [known] == cluster.answerers(ADDRESS)), None)

    return eventually(alone, "it answers alone")


def kill(cluster: Cluster, daemons: dict[str, Daemon], owner: Host) -> None:
    daemons[owner.name].kill()
    daemons[owner.name].http.unlink()


def cut(cluster: Cluster, daemons: dict[str, Daemon], owner: Host) -> None:
    owner.run(["ip", "link", "set", "eth0", "down"])


@pytest.mark.parametrize("fault", [kill, cut], ids=["killed", "cut off"])
def test_another_node_takes_over_from_a_dead_one(
    cluster: Cluster,
    begun: tuple[dict[str, Daemon], Host],
    fault: Callable[[Cluster, dict[str, Daemon], Host], None],
) -> None:
    daemons, owner = begun
    fault(cluster, daemons, owner)
    new = successor(cluster, owner)
    assert 200 == cluster.client.http_get(ADDRESS, timeout=60).status
    eventually(lambda: "dead" == watched(cluster, new.name)[owner.name], "it says why")


def test_a_node_that_was_cut_off_and_returns_is_the_only_owner_again(
    cluster: Cluster, begun: tuple[dict[str, Daemon], Host]
) -> None:
    daemons, owner = begun
    cut(cluster, daemons, owner)
    successor(cluster, owner)
    owner.run(["ip", "link", "set", "eth0", "up"])
    eventually(lambda: [owner.mac] == cluster.answerers(ADDRESS), "it answers alone")
    eventually(lambda: cluster.client.neighbor(ADDRESS) == owner.mac, "the client has heard of it")


def test_a_speaker_that_starts_again_is_the_only_owner_again(
    cluster: Cluster, begun: tuple[dict[str, Daemon], Host]
) -> None:
    daemons, owner = begun
    kill(cluster, daemons, owner)
    successor(cluster, owner)
    cluster.await_ready(cluster.speaker(owner.name))
    eventually(lambda: [owner.mac] == cluster.answerers(ADDRESS), "it answers alone")


def test_a_node_that_starts_takes_nothing_over_before_it_knows_who_else_lives(
    cluster: Cluster, begun: tuple[dict[str, Daemon], Host]
) -> None:
    daemons, first = begun
    kill(cluster, daemons, first)
    second = successor(cluster, first)
    kill(cluster, daemons, second)
    third = successor(cluster, second)
    starting = cluster.speaker(second.name)
    silent: list[bool] = []

    def asked() -> bool:
        """Ask, as long as the second knows nothing of the first, and note when nobody answers."""
        silent.append(not (cluster.answerers(ADDRESS) or cluster.answerers(ADDRESS, 2.0)))  # as hosts do, not once only
        return bool(starting.lines("node never heard"))

    eventually(asked, "the second gives the first up")
    eventually(lambda: [second.mac] == cluster.answerers(ADDRESS), "the second answers alone")
    assert third.name not in {first.name, second.name}
    assert [False] * len(silent) == silent


def test_who_stops_in_order_hands_over_first(cluster: Cluster, begun: tuple[dict[str, Daemon], Host]) -> None:
    daemons, owner = begun
    assert 0 == daemons[owner.name].stop()
    successor(cluster, owner)
    assert 200 == cluster.client.http_get(ADDRESS, timeout=60).status


def test_a_pools_profile_says_how_fast_and_changes_without_anybody_being_taken_for_dead(
    cluster: Cluster, begun: tuple[dict[str, Daemon], Host]
) -> None:
    daemons, owner = begun
    speakers = [daemon for name, daemon in daemons.items() if name in cluster.lab.nodes]

    def await_time(milliseconds: int) -> None:
        """Wait until every speaker has negotiated this time with both others."""
        words = f"death_noticed_within='{milliseconds} ms'"
        eventually(
            lambda: all(
                len({line.split("node=")[1].split()[0] for line in each.lines(words)}) == 2 for each in speakers
            ),
            f"a death is noticed within {milliseconds} ms",
        )

    def deaths() -> list[str]:
        return [line for each in speakers for line in (*each.lines("node dead"), *each.lines("node left"))]

    await_time(300)
    cluster.write("profile.yaml", bfd_profile("own", receiveInterval=100, transmitInterval=150, detectMultiplier=60))
    cluster.write("pool.yaml", pool("one", ADDRESS, bfdProfile="own"), advertisement())
    await_time(9000)
    before = deaths()  # a busy machine may well hold somebody up for 300 ms
    cluster.write("profile.yaml", bfd_profile("own", receiveInterval=200, transmitInterval=50, detectMultiplier=40))
    await_time(8000)
    cluster.write("other.yaml", bfd_profile("other", receiveInterval=100, transmitInterval=100, detectMultiplier=70))
    cluster.write("pool.yaml", pool("one", ADDRESS, bfdProfile="other"), advertisement())
    await_time(7000)
    assert before == deaths()
    eventually(lambda: [owner.mac] == cluster.answerers(ADDRESS), "it answers alone")


def test_with_static_liveness_a_node_is_alive_as_long_as_it_is_declared(cluster: Cluster) -> None:
    cluster.write_nodes(watched=True)
    cluster.write("pool.yaml", pool("one", ADDRESS), advertisement())
    cluster.write("web.yaml", service("web"))
    cluster.write_endpoints("web")
    cluster.await_ready(cluster.controller())
    speakers = {name: cluster.speaker(name, "--liveness", "static") for name in cluster.lab.nodes}
    for daemon in speakers.values():
        cluster.await_ready(daemon)
    owner = cluster.await_owner(ADDRESS)
    kill(cluster, speakers, owner)
    eventually(lambda: [] == cluster.responders(owner.name), "its responder has followed it")
    assert [] == cluster.answerers(ADDRESS, 1.0)
