"""Whatever befalls the nodes, one at a time and in any order: exactly one of them answers for each address.

What a client sees meanwhile is waited for and told: seconds are the machine's to give. Only where in more than a tenth of
all changes the disorder outlasts a second, and what this test itself was kept waiting, something is wrong.

NETLB_TEST_FAULTS says how many faults there are, one of each kind if it is not set, and NETLB_TEST_SEED in which order.
"""

import os
import random
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
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
ROUNDS = int(os.environ.get("NETLB_TEST_FAULTS", len(FAULTS)))
SEED = int(os.environ.get("NETLB_TEST_SEED", "7"))
VERBOSE = "NETLB_TEST_FAULTS" in os.environ
PATIENCE = 40.0
BOUND = 1.0
"""Seconds within which there is one answer for each address again, but for what the machine is late by."""
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


@dataclass
class Times:
    """Seconds, of all faults of a kind."""

    disorder: list[float] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    """By how much the disorder was longer than a second, and what the machine itself was late by."""
    right: list[float] = field(default_factory=list)
    client: list[float] = field(default_factory=list)


def test_exactly_one_answers_whatever_happens(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = list(world.cluster.lab.nodes)
    everybody = owned(world, nodes)
    times: dict[tuple[str, str], Times] = defaultdict(Times)
    order: list[str] = []

    def take(fault: str, phase: str, begun: float, expected: Seen, what: str) -> None:
        settled = calls.settles(begun, expected, f"{what}, {phase}", PATIENCE)
        taken = times[fault, phase]
        taken.disorder.append(settled.disorder)
        taken.late.append(max(0.0, settled.disorder - settled.delay - BOUND))
        taken.right.append(settled.right)
        taken.client.append(reach(world, used))

    with RollCall(world.cluster.client, list(everybody)) as calls:
        calls.settles(time.monotonic(), everybody, "each address has its owner", PATIENCE)
        for turn in range(ROUNDS):
            order = order or world.chance.sample(sorted(FAULTS), len(FAULTS))
            fault, name = order.pop(), world.chance.choice(nodes)
            used = world.chance.sample(sorted(everybody), 4)
            what = f"fault {turn} of seed {SEED}, {fault} at {name}"
            begun = time.monotonic()
            with FAULTS[fault](world, name) as lost:
                left = [each for each in nodes if each != name or not lost]
                take(fault, "begun", begun, owned(world, left), what)
                begun = time.monotonic()
            take(fault, "mended", begun, everybody, what)
            eventually(lambda: heard(world), f"all hear each other after {what}", PATIENCE)
            if VERBOSE:
                with capsys.disabled():
                    last = [f"{t.disorder[-1]:.2f} {t.right[-1]:.2f}" for (f, _), t in times.items() if f == fault]
                    print(what, *last, sep="; ", flush=True)
    said, owners = world.cluster.status.announcers, {address: [str(owner(address, nodes))] for address in everybody}

    def settled() -> Mapping[str, Any] | None:
        """What speakers say, when it is as planned and does not change while it is read."""
        found = reports(world)
        planned = heard(world) and owners == {address: said(address) for address in everybody}
        return found if planned and found == reports(world) else None

    before = eventually(settled, "all owners say that they have their addresses", PATIENCE)
    for name in nodes:
        assert 0 == world.speakers[name].stop()
    for name in nodes:
        world.start(name)
    eventually(lambda: before == reports(world), "the state is that of a fresh start", PATIENCE)
    with capsys.disabled():
        show(times)
    late = sorted((each, *of) for of, taken in times.items() for each in taken.late)
    assert late[len(late) * 9 // 10][0] == 0, f"of {len(late)} changes more than a tenth took longer: {late}"


def heard(world: World) -> bool:
    """Whether every node hears all others, and says so."""
    alive = {name: dict.fromkeys(sorted({*world.cluster.lab.nodes} - {name}), "alive") for name in world.speakers}
    return alive == {name: dict(sorted((report["nodes"] or {}).items())) for name, report in reports(world).items()}


def show(times: Mapping[tuple[str, str], Times]) -> None:
    print(f"\n{'seconds, median and most':30}{'not exactly one':>18}{'until the right':>18}{'until reached':>18}")
    for (fault, phase), taken in sorted(times.items()):
        cells = [f"{median(each):8.2f}{max(each):8.2f}" for each in (taken.disorder, taken.right, taken.client)]
        print(f"{fault:20}{phase:7}{len(taken.right):3}  " + "  ".join(cells))
    all_of_them = sorted(seconds for taken in times.values() for seconds in taken.disorder)
    late = sum(seconds > BOUND for seconds in all_of_them)
    print(
        f"not exactly one answered: median {median(all_of_them):.2f} s, 99 of 100 within "
        f"{all_of_them[len(all_of_them) * 99 // 100]:.2f} s, at most {all_of_them[-1]:.2f} s, "
        f"more than {BOUND:g} s {late} of {len(all_of_them)} times"
    )
