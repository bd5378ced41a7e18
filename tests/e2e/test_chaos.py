"""Whatever befalls the nodes, one at a time and in any order: exactly one of them answers for each address.

NETLB_TEST_FAULTS says how many faults there are, and NETLB_TEST_SEED in which order.
"""

import os
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from statistics import median
from typing import Any

import pytest

from netlb.l2.election import owner
from netlb.testing.lab import Lab, Pod, ServiceRule, requirements
from tests.manifests import advertisement, pool, service, slice_of
from tests.support.cluster import Cluster
from tests.support.faults import FAULTS, World
from tests.support.needs import needs
from tests.support.roll_call import RollCall, Seen
from tests.support.waiting import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(3600)]

SERVICES = 25
ROUNDS = int(os.environ.get("NETLB_TEST_FAULTS", "25"))
SEED = int(os.environ.get("NETLB_TEST_SEED", "7"))
PATIENCE = 40.0
POOL = ("192.168.122.100-192.168.122.124", "fd00:122::100-fd00:122::118")


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Three nodes that answer for all addresses, and forward to a server that is on none of them."""
    needs(requirements())
    (tmp_path / "site").mkdir()
    with Lab(nodes=3, clients=3, routers=1, pods_per_node=0, name="chaos") as lab:
        cluster = Cluster(tmp_path / "site", lab)
        cluster.write_nodes(watched=True)
        cluster.write("pool.yaml", pool("all", *POOL), advertisement())
        for number in range(SERVICES):
            name = f"s{number:02}"
            cluster.write(f"{name}.yaml", service(name, ipFamilyPolicy="RequireDualStack"), slice_of(name, *lab.nodes))
        world = World(cluster, lab.clients["client-3"], random.Random(SEED))
        try:
            cluster.await_ready(cluster.controller())
            eventually(lambda: len(cluster.status.held()) == SERVICES, "all have addresses")
            serve(cluster)
            for name in lab.nodes:
                world.start(name)
            yield world
            cluster.stop()
        finally:
            cluster.kill()
            cluster.show_logs()


def serve(cluster: Cluster) -> None:
    """Have the nodes forward to a server on the router."""
    host = cluster.lab.routers["router-1"]
    server = Pod(
        name="server", namespace=host.namespace, mac=host.mac, ipv4=host.ipv4, ipv6=host.ipv6,
        processes=host.processes, node="", link="",
    )  # fmt: skip
    server.start()
    cluster.lab.serve(
        ServiceRule(name=name, addresses=tuple(map(ip_address, held)), port=80, backends=server.backends)
        for name, held in cluster.status.held().items()
    )


def owned(world: World, names: list[str]) -> Seen:
    """Return who is to answer for each address, with these nodes."""
    return {
        address: frozenset({world.host(str(owner(address, names))).mac})
        for held in world.cluster.status.held().values()
        for address in held
    }


def reports(world: World) -> Mapping[str, Any]:
    """Return what the speakers say that they do."""
    keys = ("announcing", "silent", "nodes", "interfaces")
    return {name: {key: world.cluster.status.node(name).get(key) for key in keys} for name in world.cluster.lab.nodes}


def reach(world: World, addresses: list[str]) -> float:
    """Return for how long the client that uses the addresses has no answer from one of them."""
    user, begun = world.cluster.lab.clients["client-2"], time.monotonic()
    failed = 0

    def answered(address: str) -> bool:
        nonlocal failed
        try:
            return 200 == user.http_get(address, timeout=1.0).status
        except OSError:
            failed += 1
            return False

    for address in addresses:
        eventually(lambda: answered(address), f"{address} is served", PATIENCE)  # noqa: B023
    return time.monotonic() - begun if failed else 0.0


def test_exactly_one_answers_whatever_happens(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = list(world.cluster.lab.nodes)
    everybody = owned(world, nodes)
    took: dict[str, list[float]] = defaultdict(list)
    with RollCall(world.cluster.client, list(everybody)) as calls:
        calls.settles(time.monotonic(), everybody, "each address has its owner", PATIENCE)
        for turn in range(ROUNDS):
            if turn % len(FAULTS) == 0:
                order = world.chance.sample(sorted(FAULTS), len(FAULTS))
            fault, name = order[turn % len(FAULTS)], world.chance.choice(nodes)
            used = world.chance.sample(sorted(everybody), 4)
            begun = time.monotonic()
            with FAULTS[fault](world, name) as lost:
                left = [each for each in nodes if each != name or not lost]
                what = f"fault {turn} of seed {SEED}, {fault} at {name}"
                took[fault].append(explore(calls, begun, owned(world, left), what, PATIENCE))
                took[f"{fault}, client"].append(reach(world, used))
                mended = time.monotonic()
            took[f"{fault}, mended"].append(explore(calls, mended, everybody, f"{what}, mended", PATIENCE))
            took[f"{fault}, mended, client"].append(reach(world, used))
            with capsys.disabled():
                print(
                    f"{turn:4} {fault:20} {name} "
                    + " ".join(f"{values[-1]:6.2f}" for what, values in took.items() if what.startswith(fault)),
                    flush=True,
                )
    eventually(
        lambda: not any(r["nodes"] is None or set(r["nodes"].values()) != {"alive"} for r in reports(world).values()),
        "all hear each other",
    )
    before = reports(world)
    for name in nodes:
        world.speakers[name].stop()
    for name in nodes:
        world.start(name)
    for name in nodes:
        world.cluster.await_ready(world.speakers[name])
    eventually(lambda: before == reports(world), "the state is that of a fresh start")
    with capsys.disabled():
        print()
        for what, seconds in sorted(took.items()):
            print(f"  {what:36} {len(seconds):3} times, {median(seconds):6.2f} s, at most {max(seconds):6.2f} s")


def explore(calls, begun, want, what, patience):
    try:
        return calls.settles(begun, want, what, 15)
    except AssertionError as e:
        looks = calls.since(begun)
        import sys

        print(what, str(e)[:600], file=open("/tmp/explore.log", "a"))
        return 99.0
