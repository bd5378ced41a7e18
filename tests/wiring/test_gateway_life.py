"""What a gateway says and does over its life: its metrics, its readiness, its secret, and what its Gateway asks for."""

import asyncio
import errno
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from netlb.net import Family
from netlb.raven.dataplane import Numbers
from netlb.raven.events import Change
from netlb.testing.kernel import FakeKernel
from netlb.testing.tunnels import FakeDevice
from tests.support.air import FakeInner
from tests.support.deployed import documented_metrics, shown_metrics
from tests.support.gateway_world import ADDRESS, ALL, SITES, World, world


def test_the_documentation_has_the_metrics_and_their_labels(tmp_path: Path) -> None:
    found: dict[str, frozenset[str]] = {}

    async def scenario() -> None:
        async with world(tmp_path) as w:
            await w.active("e1", *ALL)
            hub = w.nodes["c1"]
            key = w.said("e1")["publicKey"]
            await w.until(lambda: key in w.devices["c1"].dumped.peers, "c1 has a tunnel to e1")
            w.devices["c1"].hear(key, (ip_address("203.0.113.1"), 7000))
            for name in ("rtt_seconds", "mtu_octets", "handshake_age_seconds"):
                metric = f"netlb_gateway_peer_{name}"
                await w.until(lambda metric=metric: hub.metric(metric, site="edge", peer="e1") is not None, metric)
            found.update(shown_metrics(hub.app.registry))

    asyncio.run(scenario())
    documented = documented_metrics()
    ours = {name: labels for name, labels in found.items() if name.startswith("netlb_")}
    assert {name: documented.get(name) for name in ours} == ours
    assert [] == [name for name in documented if name.startswith("netlb_gateway_") and name not in ours]


def test_the_hub_tells_of_all_sites_and_everybody_else_of_its_own(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as w:
            await w.active("e1", *ALL)

            def told(name: str) -> set[str]:
                return {
                    sample.labels["site"]
                    for family in w.nodes[name].app.registry.collect()
                    for sample in family.samples
                    if sample.name == "netlb_gateway_site_lost"
                }

            assert {"c1": {"cloud", "edge"}, "e1": {"edge"}, "e2": {"edge"}, "e3": {"edge"}} == {
                name: told(name) for name in ALL
            }

    asyncio.run(scenario())


def test_ready_means_that_tunnels_are_up(tmp_path: Path) -> None:
    """A gateway whose hub is away is not ready, nor is a member whose gateway is not heard; what is there stays."""

    async def scenario() -> None:
        async with world(tmp_path) as w:
            await w.active("e1", *ALL)
            before = dict(w.kernels["e1"].objects)
            w.air.fail(ip_address(w.inner_address("c1")))
            await w.until(lambda: w.nodes["e1"].problems() == {"tunnels": "no tunnel to c1"}, "it says so")
            assert 0.0 == w.nodes["e1"].metric("netlb_gateway_peer_up", site="cloud", peer="c1")
            assert before == w.kernels["e1"].objects
            w.air.heal()
            await w.nodes["e1"].ready()
            w.air.fail(ip_address(ADDRESS["e1"]), ip_address(ADDRESS["e2"]))
            await w.until(lambda: "is not heard" in w.nodes["e3"].problems().get("tunnels", ""), "a member")

    asyncio.run(scenario())


def test_elections_are_counted_and_a_site_without_anybody_is_lost(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as w:
            await w.active("e1", *ALL)
            hub = w.nodes["c1"]
            await w.until(lambda: hub.metric("netlb_gateway_site_lost", site="edge") == 0.0, "it is heard")
            before = w.elections("c1", "edge")
            assert before >= 1.0
            await w.crash("e1")
            await w.active("e2", "e2", "e3", "c1")
            assert before + 1.0 == w.elections("c1", "edge")
            await w.crash("e2")
            await w.until(lambda: hub.metric("netlb_gateway_site_lost", site="edge") == 1.0, "it is lost")
            assert before + 1.0 == w.elections("c1", "edge"), "who was active stays so: its tunnels may go on"
            w.start("e2")
            await w.until(lambda: hub.metric("netlb_gateway_site_lost", site="edge") == 0.0, "it is back")

    asyncio.run(scenario())


def test_a_secret_that_changes_is_used_for_all_tunnels(tmp_path: Path) -> None:
    secret = tmp_path / "secret"

    def write(text: str) -> None:
        draft = tmp_path / "draft"
        draft.write_text(text)
        draft.chmod(0o600)
        draft.replace(secret)

    def used(w: World) -> set[bytes]:
        return {peer.shared for name in ("e1", "c1") for peer in w.devices[name].dumped.peers.values()}

    async def scenario() -> None:
        write("first\n")
        async with world(tmp_path, shared=secret) as w:
            await w.active("e1", *ALL)
            await w.until(lambda: used(w) == {sha256(b"first").digest()}, "the first one is used")
            write("second\n")
            await w.until(lambda: used(w) == {sha256(b"second").digest()}, "the other one is used")

    asyncio.run(scenario())


def test_a_gateway_says_what_its_tunnels_are_made_of_and_what_its_gateway_asks_for_in_vain(tmp_path: Path) -> None:
    sites: dict[str, Any] = {**SITES, "cloud": {**SITES["cloud"], "backend": "ipsec"}}

    async def scenario() -> None:
        async with world(tmp_path, started=False, sites=sites) as w:
            await w.start_all()
            await w.until(lambda: w.said("c1").get("backend") == "kernel", "it says so")
            await w.until(lambda: [found["reason"] for found in w.said("c1")["findings"]] == ["NotHonoured"], "told")
            (found,) = w.said("c1")["findings"]
            assert ("Gateway cloud", "spec.backend", "c1 runs kernel, not ipsec") == (
                found["object"],
                found["field"],
                found["problem"],
            )
            await w.active("e1", *ALL)  # both speak WireGuard, whatever was asked for
            w.declare(SITES)
            await w.until(lambda: not w.said("c1")["findings"], "nothing is in vain")

    asyncio.run(scenario())


def test_of_a_site_without_a_living_endpoint_another_of_its_nodes_tells(tmp_path: Path) -> None:
    def said(w: World) -> tuple[str, str, list[str]]:
        (condition,) = w.site("edge")["conditions"]
        return condition["status"], condition["reason"], w.speaks("edge")

    async def scenario() -> None:
        async with world(tmp_path) as w:
            await w.active("e1", *ALL)
            await w.until(lambda: w.speaks("edge") == ["e1"], "the status says so")
            assert ("True", "ActiveEndpointElected", ["e1"]) == said(w)
            for name in ("e1", "e2"):
                await w.crash(name)
            await w.until(lambda: said(w)[0] == "False", "it is lost")
            assert "ActiveEndpointLost" == said(w)[1]
            w.start("e2")
            await w.until(lambda: said(w) == ("True", "ActiveEndpointElected", ["e2"]), "it is back")

    asyncio.run(scenario())


def test_a_gateway_that_lost_its_key_is_known_by_another_one_soon(tmp_path: Path) -> None:
    """Its file and its device are gone; what it publishes takes the place of what it had published."""

    async def scenario() -> None:
        async with world(tmp_path) as w:
            await w.active("e1", *ALL)
            former = w.said("c1")["publicKey"]
            await w.until(lambda: former in w.devices["e1"].dumped.peers, "e1 knows it")
            await w.crash("c1")
            w.devices["c1"].vanish()
            w.seeds["c1"] = "another key"
            w.start("c1")
            await w.nodes["c1"].ready()
            await w.until(lambda: w.said("c1")["publicKey"] != former, "it publishes the new one")
            for name in ("e1", "e2"):
                await w.until(
                    lambda name=name: w.devices[name].dumped.peers.keys() == {w.said("c1")["publicKey"]},
                    f"{name} knows the new one, and the old one no more",
                )
            await w.nodes["e1"].ready()

    asyncio.run(scenario())


def test_beside_another_one_that_has_its_place_a_gateway_begins_nothing_and_waits(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, started=False) as w:
            kernel = w.kernels["e3"] = FakeKernel(Numbers())
            kernel.others.rules.add((Family.IPV4, 100))
            w.start(*ALL)
            await w.until(lambda: "there is a rule at that priority" in str(w.said("e3").get("notes")), "it says why")
            assert "there is a rule at that priority" in w.nodes["e3"].problems()["tunnels"]
            assert {} == kernel.objects
            kernel.others.rules.clear()
            kernel.tell(Change.OBJECTS)
            await w.nodes["e3"].ready()
            kernel.others.rules.add((Family.IPV4, 100))
            before = dict(kernel.objects)
            await w.crash("e3")
            w.start("e3")
            await w.nodes["e3"].ready()
            assert before == kernel.objects, "what an earlier process made is gone on with"

    asyncio.run(scenario())


def test_what_keeps_the_tunnels_from_being_made_is_said_and_not_what_follows_from_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, started=False) as w:
            device = w.devices["c1"] = FakeDevice()
            device.broken = errno.EACCES
            w.inner["c1"] = FakeInner()
            w.start("c1")
            await w.until(lambda: any(note.startswith("tunnels") for note in w.said("c1").get("notes", ())), "told")
            assert "Permission denied" in w.nodes["c1"].problems()["tunnels"]
            device.broken = 0
            await w.until(lambda: device.found is not None, "it is made as soon as that is possible")

    asyncio.run(scenario())
