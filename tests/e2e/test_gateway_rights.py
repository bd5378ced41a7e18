"""netlb-gateway does all of its work with the one capability that its manifests give it."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from netlb.testing.lab.fixtures import lab_fixture
from netlb.testing.lab.lab import Lab
from tests.e2e.conftest import ended
from tests.e2e.test_gateways import CLOUD, EDGE, PATHS, reach
from tests.support.deployed import DEPLOY, containers, kustomized
from tests.support.gateways import Gateways
from tests.support.needs import needs, needs_command

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]

opened = lab_fixture(nodes=4, clients=0, pods_per_node=1, name="rt", scope="function")

NET_ADMIN = 1 << 12
"""capability.h"""


class Confined(Gateways):
    """Its gateways have what a container has: uid 0, and of root's capabilities those of the manifest."""

    def command_line(self, *arguments: str) -> list[str]:
        given = containers(kustomized(DEPLOY / "gateway"))["netlb-gateway/gateway"]["securityContext"]["capabilities"]
        kept = ",".join(["-all", *(f"+{name.lower()}" for name in given["add"])])
        setpriv = needs_command("setpriv", "util-linux")
        confine = [setpriv, f"--bounding-set={kept}", "--inh-caps=-all", "--no-new-privs"]
        return [*confine, *super().command_line(*arguments)]


@pytest.fixture
def sites(opened: Lab, tmp_path: Path) -> Iterator[Confined]:
    needs_command("wireguard-go", "wireguard-go")
    needs([] if Path("/dev/net/tun").exists() else ["there is no /dev/net/tun"])
    made = Confined(tmp_path, opened)
    made.declare({"edge": EDGE, "cloud": CLOUD})
    with ended(made):
        yield made


def test_one_capability_is_enough_for_tunnels_a_restart_and_the_end(sites: Confined) -> None:
    daemons = sites.start()
    status = dict(
        line.split(":\t", 1)
        for line in Path(f"/proc/{daemons['node-1'].process.pid}/status").read_text().splitlines()
        if ":\t" in line
    )
    assert {NET_ADMIN} == {int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd")}
    reach(sites)
    keys = sites.keys / "node-4"
    assert 0o600 == keys.stat().st_mode & 0o777
    assert 0 == daemons["node-4"].stop()
    sites.await_ready(sites.gateway("node-4"))
    reach(sites, PATHS[:1])
    for name, daemon in daemons.items():
        if name != "node-4":
            sites.crash(daemon)
            assert [] != sites.cleanup(name)
            assert [] == sites.left(name)
