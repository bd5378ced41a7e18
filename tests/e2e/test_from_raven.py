"""The change from OpenYurt's Raven as the guide describes it: netlb-gateway waits beside it, and is there when it goes.

What stands for Raven is its state in the kernel, which is all that the two could dispute; its Gateways are read as they are.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from netlb.testing.lab.fixtures import lab_fixture
from netlb.testing.lab.lab import Lab
from tests.e2e.conftest import ended
from tests.e2e.test_gateways import CLOUD, EDGE, reach
from tests.support.gateways import Gateways
from tests.support.needs import needs, needs_command
from tests.support.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]

opened = lab_fixture(nodes=4, clients=0, pods_per_node=1, name="rv", scope="function")

MAKE = (
    "ip link add raven0 type vxlan id 200 dstport 4472 nolearning",
    "ip link set raven0 up",
    "ip link add {device} type bridge",
    "ip link set {device} up",
    "ip rule add priority 100 fwmark 64 lookup 9027",
    "ip rule add priority 101 lookup 9028",
    "ip route add 203.0.113.0/24 dev raven0 table 9027",
    "ip route add 203.0.113.0/24 dev {device} table 9028",
)
LEAVE = (
    "ip rule del priority 101 lookup 9028",
    "ip rule del priority 100 fwmark 64 lookup 9027",
    "ip route flush table 9028",
    "ip route flush table 9027",
    "ip link del {device}",
    "ip link del raven0",
)


def raven(name: str, site: dict[str, Any]) -> str:
    """Raven's own Gateway for a site."""
    endpoints = [{"type": "tunnel", "port": 4500, **endpoint} for endpoint in site["endpoints"]]
    return yaml.safe_dump(
        {
            "apiVersion": "raven.openyurt.io/v1beta1",
            "kind": "Gateway",
            "metadata": {"name": name, "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {
                "proxyConfig": {"Replicas": 0},
                "tunnelConfig": {"Replicas": 1},
                "endpoints": [{"underNAT": False, **endpoint} for endpoint in endpoints],
            },
        }
    )


@pytest.fixture
def sites(opened: Lab, tmp_path: Path) -> Iterator[Gateways]:
    needs_command("wireguard-go", "wireguard-go")
    needs([] if Path("/dev/net/tun").exists() else ["there is no /dev/net/tun"])
    made = Gateways(tmp_path, opened)
    for name, site in (("edge", EDGE), ("cloud", CLOUD)):
        made.declare({name: site})
        made.write(f"gateway-{name}.yaml", raven(name, site))
    with ended(made):
        yield made


def do(sites: Gateways, commands: tuple[str, ...]) -> None:
    for name, node in sites.lab.nodes.items():
        for command in commands:
            node.run(command.format(device=sites.device(name)).split())


def state(sites: Gateways) -> dict[str, str]:
    """What stands for Raven's, node by node, without counters."""
    looks = ("ip -d link show raven0", "ip rule", "ip route show table 9027", "ip route show table 9028")
    return {name: "".join(node.run(look.split()).stdout for look in looks) for name, node in sites.lab.nodes.items()}


def test_netlb_waits_beside_raven_and_takes_its_place_when_it_goes(sites: Gateways) -> None:
    do(sites, MAKE)
    before = state(sites)
    daemons = {name: sites.gateway(name) for name in sites.lab.nodes}
    for name in ("node-1", "node-2", "node-4"):
        eventually(lambda name=name: sites.said(name).get("publicKey"), f"{name} has published its key")  # type: ignore[misc]
    for name in sites.lab.nodes:
        look = lambda name=name: "which netlb has not made" in str(sites.said(name).get("notes"))  # noqa: E731
        eventually(look, f"{name} says what is in its place")
    assert before == state(sites), "what is Raven's is left alone"
    assert [503] * 4 == [page.status for daemon in daemons.values() if (page := daemon.get("/readyz"))]
    do(sites, LEAVE)
    for daemon in daemons.values():
        sites.await_ready(daemon)
    reach(sites)
