"""Without the API server sites go on, gateways are replaced, and daemons start with what they have kept."""

from collections.abc import Iterator

import pytest

from netlb.testing.sites import SitesLab, requirements
from tests.support.kubernetes import kubernetes
from tests.support.mesh.flow import Flow
from tests.support.mesh.kube import KubeWorld
from tests.support.mesh.pairs import unreachable
from tests.support.needs import needs, needs_command
from tests.support.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(240)]


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeWorld]:
    """Sites by WireGuard, whose daemons all follow the API server."""
    needs(requirements())
    needs_command("wireguard-go", "wireguard-go")
    root = tmp_path_factory.mktemp("mesh")
    with kubernetes(tmp_path_factory.mktemp("api")) as api, SitesLab(name="api") as lab:
        made = KubeWorld(root, lab, api)
        try:
            made.declare()
            made.serve()
            made.start(*lab.nodes)
            yield made
            made.stop()
        finally:
            made.kill()


def test_without_the_api_gateways_are_replaced_and_daemons_start(world: KubeWorld) -> None:
    lab = world.lab
    assert {} == unreachable(lab)
    world.agreed("a")

    def keeps_all_keys(name: str) -> bool:
        keys = [world.status(other).get("publicKey", "") for other in ("a1", "a2", "b1", "b2", "c1", "c2")]
        kept = world.kept(name)
        return all(keys) and kept.exists() and all(key.encode() in kept.read_bytes() for key in keys)

    for name in lab.nodes:
        eventually(lambda name=name: keeps_all_keys(name), f"{name} keeps all keys")  # type: ignore[misc]
    with (
        Flow(lab.pods["a3"], lab.pods["c2"], lab.pods["c2"].ipv4) as to_cloud,
        Flow(lab.pods["b2"], lab.pods["a3"], lab.pods["a3"].ipv6) as by_relay,
    ):
        world.cut()
        ((gateway,),) = world.active("a", ["a3"])
        assert to_cloud.answers()
        lab.cut(gateway)
        assert to_cloud.answers()
        assert by_relay.answers()

        world.daemons["c1"].kill()
        world.daemons["b1"].kill()
        assert "" != world.cleanup("b1")["b1"]
        for name in ("b1", "c1"):
            world.begin(name)
            eventually(lambda name=name: world.only_blind(name), f"{name} has all that it has kept")  # type: ignore[misc]
        assert to_cloud.answers()
        assert by_relay.answers()
        assert [[gateway]] == world.active("a", ["a3"]), "nobody could be told"

        lab.mend(gateway)
        assert {} == unreachable(lab)
        world.mend()
        assert to_cloud.answers()
        assert by_relay.answers()
    world.await_ready(*lab.nodes)
    world.agreed("a")
