"""`revertive: false`: what another node has taken over stays there when its first owner returns, until that node dies."""

import os
import signal

import pytest

from netlb.testing.lab import Host
from tests.manifests import advertisement, pool, service
from tests.support.cluster import Cluster
from tests.support.daemons import Daemon
from tests.support.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]

WEB, SHOP = "192.168.122.90", "192.168.122.91"
VIP = f"""
apiVersion: network.kubesphere.io/v1alpha2
kind: Eip
metadata: {{name: vip, annotations: {{eip.openelb.kubesphere.io/is-default-eip: "true"}}}}
spec: {{address: {WEB}-{SHOP}, protocol: vip, interface: eth0}}
"""
NATIVE = "\n---\n".join(
    (pool("both", f"{WEB}-{SHOP}"), advertisement(spec="{revertive: false, group: edge, interfaces: [eth0]}"))
)
PATIENCE = 30.0


@pytest.mark.parametrize("declared", [NATIVE, VIP], ids=["native", "openelb's vip"])
def test_a_node_that_returns_does_not_take_addresses_back(cluster: Cluster, declared: str) -> None:
    cluster.write_nodes(watched=True)
    cluster.write("pool.yaml", declared)
    for name in ("web", "shop"):
        cluster.write(f"{name}.yaml", service(name))
        cluster.write_endpoints(name)
    daemons = cluster.start(patient=True)
    first = alone(cluster, *cluster.lab.nodes)
    cluster.serve()

    kill(daemons, first)
    second = alone(cluster, *(cluster.lab.nodes.keys() - {first.name}))
    doubts = deaths(daemons, second)
    assert 200 == cluster.client.http_get(WEB, timeout=60).status

    daemons[first.name] = start(cluster, first)
    second = keeper(cluster, daemons, second, doubts)
    eventually(lambda: cluster.client.neighbor(WEB) == second.mac, "the client knows", PATIENCE)
    for address in (WEB, SHOP):
        eventually(lambda: [second.name] == cluster.status.announcers(address), "it says so", PATIENCE)  # noqa: B023
    assert 200 == cluster.client.http_get(SHOP, timeout=60).status

    kill(daemons, second)
    third = alone(cluster, *(cluster.lab.nodes.keys() - {second.name}))
    doubts = deaths(daemons, third)
    daemons[second.name] = start(cluster, second)
    third = keeper(cluster, daemons, third, doubts)

    signal_all(cluster, daemons, third, signal.SIGSTOP)
    fourth = alone(cluster, *(cluster.lab.nodes.keys() - {third.name}))
    doubts = deaths(daemons, fourth)
    signal_all(cluster, daemons, third, signal.SIGCONT)
    keeper(cluster, daemons, fourth, doubts)


def test_where_nobody_says_so_they_go_back_and_nothing_is_written(cluster: Cluster) -> None:
    cluster.write_nodes(watched=True)
    cluster.write("pool.yaml", pool("both", f"{WEB}-{SHOP}"), advertisement(spec="{group: edge}"))
    for name in ("web", "shop"):
        cluster.write(f"{name}.yaml", service(name))
        cluster.write_endpoints(name)
    daemons = cluster.start(patient=True)
    await_all_heard(cluster)
    first = alone(cluster, *cluster.lab.nodes)
    kill(daemons, first)
    alone(cluster, *(cluster.lab.nodes.keys() - {first.name}))
    daemons[first.name] = start(cluster, first)
    assert first == alone(cluster, first.name)
    assert not (cluster.status.root / "speakerstatuses").exists()


def keeper(cluster: Cluster, daemons: dict[str, Daemon], host: Host, doubts: int) -> Host:
    """Return who has both addresses when all are heard: this host still, unless it was taken for dead meanwhile.

    A busy machine holds somebody up for longer than others wait for him; `doubts` is how often that was so before.
    """
    await_all_heard(cluster)
    found = alone(cluster, *cluster.lab.nodes, window=1.0)
    assert found == host or doubts < deaths(daemons, host), f"{found.name} has taken them from {host.name}"
    return found


def deaths(daemons: dict[str, Daemon], host: Host) -> int:
    """Return how often others have taken a host for dead."""
    return sum(
        len(daemon.lines("node dead", f"node={host.name}")) for name, daemon in daemons.items() if name != host.name
    )


def alone(cluster: Cluster, *names: str, window: float = 0.3) -> Host:
    """Wait until one of these nodes answers for both addresses, and nobody else."""
    by_mac = {cluster.lab.nodes[name].mac: cluster.lab.nodes[name] for name in names}

    def found() -> Host | None:
        answers = [cluster.answerers(address, window) for address in (WEB, SHOP)]
        macs = {mac for each in answers for mac in each}
        return by_mac.get(macs.pop()) if [1, 1] == [len(each) for each in answers] and len(macs) == 1 else None

    return eventually(found, f"one of {', '.join(sorted(names))} answers alone", PATIENCE)


def await_all_heard(cluster: Cluster) -> None:
    def heard() -> bool:
        said = [cluster.status.node(name).get("nodes", {}) for name in cluster.lab.nodes]
        return all({"alive"} == set(each.values()) for each in said)

    eventually(heard, "all nodes hear each other", PATIENCE)


def start(cluster: Cluster, host: Host) -> Daemon:
    daemon = cluster.speaker(host.name, patient=True)
    cluster.await_ready(daemon)
    return daemon


def kill(daemons: dict[str, Daemon], host: Host) -> None:
    daemons[host.name].kill()
    daemons[host.name].http.unlink()


def signal_all(cluster: Cluster, daemons: dict[str, Daemon], host: Host, number: int) -> None:
    """Send a signal to all processes of a node, as if the machine slept or woke up."""
    for pid in (daemons[host.name].process.pid, *cluster.responders(host.name)):
        os.kill(pid, number)
