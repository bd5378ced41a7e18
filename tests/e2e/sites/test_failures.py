"""What breaks is mended, and what can go on meanwhile does: connections live through all of it.

Each test leaves the sites as they were: site `a` has the endpoints a1 and a2, and a3 goes through the one that is active.
"""

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from netlb.testing.sites import SitesLab
from tests.support.mesh.flow import Flow
from tests.support.mesh.pairs import pings, unreachable
from tests.support.mesh.state import difference, state
from tests.support.mesh.wire import clear_text
from tests.support.mesh.world import World
from tests.support.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(180)]


@pytest.fixture
def lab(world: World) -> SitesLab:
    return world.lab


@pytest.fixture(autouse=True)
def whole(world: World) -> Iterator[None]:
    """Every daemon runs and every pod reaches every other one afterwards, whatever came of the test."""
    yield
    world.start(*(name for name, daemon in world.daemons.items() if not daemon.running()))
    assert {} == unreachable(world.lab)


def test_connections_live_through_the_death_of_gateways_and_their_return(world: World, lab: SitesLab) -> None:
    with (
        lab.wire("a") as wire,
        Flow(lab.pods["a3"], lab.pods["c2"], lab.pods["c2"].ipv4) as to_cloud,
        Flow(lab.pods["b2"], lab.pods["a3"], lab.pods["a3"].ipv6) as by_relay,
    ):
        for _ in range(3):  # whoever dies last has seen what it passes on before, but not all of it
            gateway = world.agreed("a")
            successor = {"a1": "a2", "a2": "a1"}[gateway]
            assert to_cloud.answers()
            assert by_relay.answers()
            lab.cut(gateway)
            assert to_cloud.answers()
            assert by_relay.answers()
            world.await_active("a", successor, ["a3", successor])
            lab.mend(gateway)
            world.agreed("a")  # also by the word of the one that was away
            assert to_cloud.answers()
            assert by_relay.answers()
        assert {} == clear_text(wire.frames(), world.ports)


def test_a_gateway_that_stops_in_order_hands_over(world: World, lab: SitesLab) -> None:
    gateway = world.agreed("a")
    successor = {"a1": "a2", "a2": "a1"}[gateway]
    with Flow(lab.pods["a3"], lab.pods["b2"], lab.pods["b2"].ipv4) as flow:
        assert flow.answers()
        assert 0 == world.daemons[gateway].stop()
        assert flow.answers()
        world.await_active("a", successor, ["a3", successor])
        assert flow.answers()
        assert {} == unreachable(lab)  # the pods of the one that left, too
        world.start(gateway)
        assert flow.answers()


def test_an_agent_that_is_killed_takes_nothing_along(world: World, lab: SitesLab) -> None:
    carriers = world.carriers("c1")
    with Flow(lab.pods["a3"], lab.pods["c1"], lab.pods["c1"].ipv4) as flow:
        assert flow.answers()
        world.daemons["c1"].kill()
        assert carriers == world.carriers("c1")
        assert flow.answers()
        world.start("c1")
        assert carriers == world.carriers("c1"), "the tunnels that run already are kept"
        assert flow.answers()


DRIFTS: dict[str, Callable[[World, str], list[str]]] = {
    "routes": lambda world, node: ["ip -4 route flush table 9028 proto 107", "ip -6 route flush table 9028 proto 107"],
    "rules": lambda world, node: ["ip -4 rule del priority 101", "ip -6 rule del priority 101"],
    "nftables": lambda world, node: ["nft delete table inet raven"],
    "overlay": lambda world, node: ["ip link del raven0"],
    "overlay down": lambda world, node: ["ip link set raven0 down"],
    "neighbours": lambda world, node: ["ip neighbor flush dev raven0 nud permanent"],
    "mtu": lambda world, node: [f"ip link set {world.device(node)} mtu 1300"],
    "tunnels": lambda world, node: [f"ip link del {world.device(node)}"],
    "tunnels down": lambda world, node: [f"ip link set {world.device(node)} down"],
    "peers": lambda world, node: [f"wg set {world.device(node)} peer {world.status('c1')['publicKey']} remove"],
}


@pytest.mark.parametrize("what", DRIFTS)
def test_what_somebody_takes_away_comes_back(world: World, lab: SitesLab, what: str) -> None:
    moved = True
    while moved:  # on a busy machine another one may take over just then, and has other things
        gateway = world.agreed("a")
        node = lab.nodes[gateway]
        before = eventually(lambda: state(node) if world.is_ready(gateway) else None, "the gateway is ready")  # noqa: B023
        drifts = DRIFTS[what](world, gateway)
        refused = [drift for drift in drifts if node.run(drift.split(), check=False).returncode]
        missing = difference(before, node)
        moved = (refused != [] or missing != ([], [])) and gateway != world.agreed("a")
    assert [] == refused
    assert ([], []) == missing
    assert {} == pings([(lab.pods["a3"], lab.pods["c2"].ipv4), (lab.pods["a3"], lab.pods["b2"].ipv6)])


def test_a_tunnel_whose_process_is_killed_is_made_again(world: World, lab: SitesLab) -> None:
    (carrier,) = world.carriers("c1")
    with Flow(lab.pods["a3"], lab.pods["b1"], lab.pods["b1"].ipv4) as flow:
        assert flow.answers()
        os.kill(carrier, signal.SIGKILL)
        assert flow.answers()
    eventually(lambda: len(found := world.carriers("c1")) == 1 and found != [carrier], "there is another one")


def test_a_key_that_is_lost_is_taken_from_the_tunnel_that_runs(world: World) -> None:
    key = world.status("b1")["publicKey"]
    text = world.key_file("b1").read_text()
    assert 0 == world.daemons["b1"].stop()
    world.key_file("b1").unlink()
    world.start("b1")
    assert text == world.key_file("b1").read_text()
    assert key == world.status("b1")["publicKey"]


def test_a_key_that_is_lost_altogether_is_made_anew_and_learnt_by_everybody(world: World, lab: SitesLab) -> None:
    key = world.status("b1")["publicKey"]
    world.daemons["b1"].kill()
    lab.nodes["b1"].run(["ip", "link", "del", world.device("b1")])
    world.key_file("b1").unlink()
    world.start("b1")
    assert 0o600 == world.key_file("b1").stat().st_mode & 0o777
    eventually(lambda: world.status("b1")["publicKey"] not in ("", key), "the new key is published")
    assert {} == unreachable(lab)


def test_a_gateway_is_replaced_while_nothing_can_be_told_by_files(world: World, lab: SitesLab) -> None:
    world.agreed("a")
    with Flow(lab.pods["a3"], lab.pods["b2"], lab.pods["b2"].ipv4) as flow:
        assert flow.answers()
        with world.frozen():
            said = world.status("a3")
            [gateway] = said["active"]
            lab.cut(gateway)
            assert flow.answers()
            assert said == world.status("a3"), "nobody could say that something happened"
            lab.mend(gateway)
            assert flow.answers()
    eventually(lambda: said != world.status("a3"), "what happened is told in the end")


def test_a_node_that_starts_from_nothing_lets_nothing_out_before_it_knows_its_gateway(
    world: World, lab: SitesLab
) -> None:
    for name in ("a1", "a2"):
        world.daemons[name].kill()  # nobody tells who is active; tunnels go on
    assert 0 == world.daemons["a3"].stop()
    assert "" not in world.cleanup("a3").values()
    daemon = world.begin("a3")

    def guards() -> bool:
        page = daemon.get("/readyz")
        routes = lab.nodes["a3"].run(["ip", "-6", "route", "show", "table", "9027"], check=False).stdout
        return page is not None and "not known yet which endpoints are alive" in page.text and "unreachable" in routes

    eventually(guards, "other sites are closed before it is known how they are reached")
    with lab.wire("a") as wire:
        pings([(lab.pods["a3"], address) for address in lab.pods["c2"].addresses], within=0)
        assert {} == clear_text(wire.frames(), world.ports)
