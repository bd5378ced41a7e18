"""Sites reach each other through gateways, with real packets; what dies costs little, and nothing is left behind.

Nodes 1 to 3 are a site behind a NAT, of which the first two can be its gateway; node 4 is the cloud.
"""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from netlb.testing.lab.fixtures import lab_fixture
from netlb.testing.lab.lab import Lab
from tests.e2e.conftest import ended
from tests.support.daemons import Daemon
from tests.support.gateways import Gateways
from tests.support.needs import needs, needs_command
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

opened = lab_fixture(nodes=4, clients=0, pods_per_node=1, name="gw", scope="function")

MEMBERS = ["node-1", "node-2", "node-3"]
EDGE = {
    "nodes": MEMBERS,
    "endpoints": [{"nodeName": "node-1", "underNAT": True}, {"nodeName": "node-2", "underNAT": True}],
}
CLOUD = {"nodes": ["node-4"], "endpoints": [{"nodeName": "node-4"}]}
SUCCESSOR = {"node-1": "node-2", "node-2": "node-1"}
PATHS = [("node-1", "node-4"), ("node-2", "node-4"), ("node-3", "node-4"), ("node-4", "node-3")]


@pytest.fixture
def sites(opened: Lab, tmp_path: Path) -> Iterator[Gateways]:
    """The two sites declared; no daemon runs yet."""
    needs_command("wireguard-go", "wireguard-go")
    needs([] if Path("/dev/net/tun").exists() else ["there is no /dev/net/tun"])
    made = Gateways(tmp_path, opened)
    made.declare({"edge": EDGE, "cloud": CLOUD})
    with ended(made):
        yield made


def reach(sites: Gateways, paths: list[tuple[str, str]] = PATHS) -> None:
    """Wait until all of these pods reach each other, in both families."""
    for one, other in paths:
        for version in (4, 6):
            eventually(lambda one=one, other=other, version=version: sites.pings(one, other, version=version), f"{one} reaches {other}, IPv{version}")  # type: ignore[misc]  # fmt: skip


def kill(sites: Gateways, daemons: dict[str, Daemon], name: str) -> None:
    """The agent and its tunnel die; the machine lives."""
    sites.crash(daemons[name])
    os.kill(sites.tunnel_process(name), signal.SIGKILL)


def cut(sites: Gateways, daemons: dict[str, Daemon], name: str) -> None:
    """Nobody hears the machine any more."""
    sites.lab.nodes[name].run(["ip", "link", "set", "eth0", "down"])


def stop(sites: Gateways, daemons: dict[str, Daemon], name: str) -> None:
    """The agent is told to stop."""
    assert 0 == daemons[name].stop()


@pytest.mark.parametrize("fault", [kill, cut, stop], ids=["killed", "cut off", "stopped"])
def test_pods_reach_each_other_and_go_on_when_the_gateway_is_gone(
    sites: Gateways, fault: Callable[[Gateways, dict[str, Daemon], str], None]
) -> None:
    daemons = sites.start()
    reach(sites)

    def active() -> list[str]:
        return [each["nodeName"] for each in sites.site_said("edge").get("activeEndpoints", ())]

    eventually(lambda: active() == [sites.agreed(*MEMBERS)], "the status says so")
    (gateway,) = active()  # node-1, unless it was missed on a busy machine
    successor = SUCCESSOR[gateway]
    fault(sites, daemons, gateway)
    for name in (successor, "node-3"):
        eventually(lambda name=name: sites.said(name).get("gateway") == successor, f"{name} has turned to {successor}")  # type: ignore[misc]
    eventually(lambda: sites.said("node-4")["ways"][0]["endpoint"] == successor, "the cloud has, too")
    reach(sites, [path for path in PATHS if gateway not in path or fault is stop])
    if fault is not cut:  # who is cut off can still write here, and knows no better
        eventually(lambda: active() == [successor], "the status says so")


def test_who_returns_takes_nothing_back(sites: Gateways) -> None:
    daemons = sites.start()
    while True:
        gateway = sites.agreed(*MEMBERS)
        successor = SUCCESSOR[gateway]
        kill(sites, daemons, gateway)
        eventually(lambda: sites.said("node-3").get("gateway") == successor, f"{successor} has taken over")  # noqa: B023
        silences = sites.missed(successor)
        daemons[gateway] = sites.gateway(gateway)
        sites.await_ready(daemons[gateway])
        back = lambda: sites.said(gateway)["role"] == "standby" or silences != sites.missed(successor)  # noqa: B023, E731
        eventually(back, "the one that returned stands by")
        reach(sites)
        active = sites.said("node-3")["gateway"]
        if active == successor or silences == sites.missed(successor):
            break  # on a busy machine the successor may be missed, too, and who returned takes over then
    assert successor == active


def test_a_restart_of_the_only_gateway_is_not_noticed(sites: Gateways) -> None:
    daemons = sites.start()
    reach(sites)
    before = sites.tunnel_process("node-4")
    assert 0 == daemons["node-4"].stop()
    reach(sites, [("node-3", "node-4")])
    sites.await_ready(sites.gateway("node-4"))
    reach(sites, [("node-3", "node-4")])
    assert before == sites.tunnel_process("node-4")


def test_cleanup_removes_everything_of_ours_also_after_a_kill(sites: Gateways) -> None:
    daemons = sites.start()
    decoys = ["ip route add 198.18.0.0/24 dev eth0 table 9027", "ip rule add priority 77 fwmark 7 lookup 9027"]
    for command in decoys:
        sites.lab.nodes["node-1"].run(command.split())
    for name, daemon in daemons.items():
        sites.crash(daemon)
        assert [] != sites.left(name)
        assert [] != sites.cleanup(name)
    assert {name: [] for name in daemons} == {name: sites.left(name) for name in daemons} | {"node-1": []}
    rules = sites.lab.nodes["node-1"].run(["ip", "rule"]).stdout
    assert "fwmark 0x7 lookup 9027" in rules
    assert "198.18.0.0/24" in sites.lab.nodes["node-1"].run(["ip", "route", "show", "table", "9027"]).stdout
    assert [] == sites.cleanup("node-1")


def test_what_somebody_takes_away_is_put_back(sites: Gateways) -> None:
    sites.start()
    reach(sites)
    host = sites.lab.nodes["node-3"]
    host.run(["ip", "route", "flush", "table", "9027"])
    host.run(["nft", "delete", "table", "inet", "raven"])
    host.run(["ip", "link", "del", "raven0"])
    reach(sites, [("node-3", "node-4")])
    os.kill(sites.tunnel_process("node-4"), signal.SIGKILL)
    reach(sites, [("node-3", "node-4")])


def test_a_node_keeps_its_key(sites: Gateways) -> None:
    daemons = sites.start()
    key = eventually(lambda: sites.said("node-2").get("publicKey"), "node-2 has published its key")
    assert 0 == daemons["node-2"].stop()
    (sites.keys / "node-2").unlink()
    sites.await_ready(sites.gateway("node-2"))
    assert key == sites.said("node-2")["publicKey"]
    assert 0o600 == (sites.keys / "node-2").stat().st_mode & 0o777
