"""Gateways of several nodes together, with kernels, tunnels, BFD and hellos in memory: manifests in, data planes out."""

import asyncio
from ipaddress import ip_address
from pathlib import Path

from netlb.raven.dataplane import Route, RouteKind
from netlb.raven.events import Change
from tests.support.gateway_world import ADDRESS, ALL, world


def test_sites_are_connected_and_all_say_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as w:
            await w.active("e1", *ALL)
            assert ["gateway", "standby", "member", "gateway"] == [w.said(name)["role"] for name in ALL]
            await w.until(lambda: "10.2.1.0/24" in w.routes("e1", 9028), "e1 sends to the cloud")
            await w.until(lambda: "10.2.1.0/24" in w.routes("e3", 9027), "e3 sends to e1")
            await w.until(lambda: "aa:0f:f0:a8:01:01" == w.through("e3") == w.through("e2"), "so does e2")
            await w.until(lambda: "10.1.1.0/24" in w.allowed("c1").get("e1", ()), "the cloud sends to e1")
            await w.until(lambda: w.allowed("c1").get("e2") == set(), "and nothing to e2, which it knows")
            await w.until(lambda: w.speaks("edge") == ["e1"], "the status says so")
            assert ("True", "ActiveEndpointElected") == (w.site("edge")["conditions"][0]["status"], w.site("edge")["conditions"][0]["reason"])  # fmt: skip
            await w.until(
                lambda: w.nodes["c1"].metric("netlb_gateway_peer_up", site="edge", peer="e1") == 1.0, "it is up"
            )
            assert 1.0 == w.nodes["c1"].metric("netlb_gateway_active_endpoint", site="edge", endpoint="e1")
            await w.until(lambda: w.nodes["c1"].metric("netlb_gateway_peer_rtt_seconds", site="edge", peer="e1") is not None, "rtt")  # fmt: skip
            await w.until(lambda: w.nodes["c1"].metric("netlb_gateway_peer_mtu_octets", site="edge", peer="e1") == 1420.0, "MTU")  # fmt: skip

    asyncio.run(scenario())


def test_when_the_gateway_dies_everybody_turns_to_the_other_one(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as w:
            await w.active("e1", *ALL)
            await w.crash("e1")
            await w.active("e2", "e2", "e3", "c1")
            await w.until(lambda: w.through("e3") == "aa:0f:f0:a8:01:02", "its neighbour entry has changed")
            await w.until(lambda: w.allowed("c1")["e2"] == {"10.1.2.0/23"}, "prefixes moved")
            assert {"10.1.1.0/24"} == w.allowed("c1")["e1"], "it keeps its own pods, as if it lived"
            await w.until(lambda: w.speaks("edge") == ["e2"], "the status says so")
            w.start("e1")
            await w.nodes["e1"].ready()
            await w.active("e2", *ALL)
            await w.until(lambda: w.said("e1")["role"] == "standby", "it stands by")
            await w.until(lambda: w.allowed("c1")["e1"] == set(), "the other one has its pods, too")

    asyncio.run(scenario())


def test_who_stops_hands_over_first_and_leaves_what_the_next_one_goes_on_with(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as w:
            await w.active("e1", *ALL)
            await w.stop("e1")
            await w.active("e2", "e2", "e3", "c1")
            assert "aa:0f:f0:a8:01:02" == w.through("e1")
            assert w.devices["e1"].dumped.peers
            assert w.said("e1")["publicKey"]
            only = dict(w.kernels["c1"].objects)
            await w.stop("c1")
            assert only == w.kernels["c1"].objects
            w.start("c1")
            await w.nodes["c1"].ready()
            assert only == w.kernels["c1"].objects

    asyncio.run(scenario())


def test_who_was_cut_off_and_takes_all_others_for_dead_changes_nothing_when_it_is_back(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as w:
            await w.active("e1", *ALL)
            tunnels = w.inner["e1"].addresses.values()
            w.air.fail(ip_address(ADDRESS["e1"]), *tunnels)
            await w.active("e2", "e2", "e3", "c1")
            await w.until(lambda: w.claim("e2", at="c1").hears == 1, "e2 has heard e3 for a while")
            written, moved = len(w.devices["c1"].written), "aa:0f:f0:a8:01:02"
            w.air.heal(*tunnels)
            await w.until(lambda: w.claim("e1", at="c1").dead == ("e2",), "c1 hears what it takes for true")
            assert 1.0 == w.nodes["c1"].metric("netlb_gateway_active_endpoint", site="edge", endpoint="e2")
            w.air.heal()
            await w.until(lambda: w.said("e1")["role"] == "standby", "it stands by")
            await w.until(lambda: w.claim("e1", at="c1").active == ("e2",), "it says so, too")
            taken = [peer.key for write in w.devices["c1"].written[written:] for peer in write.peers if peer.add]
            assert w.said("e1")["publicKey"] not in taken
            assert moved == w.through("e3")

    asyncio.run(scenario())


def test_nothing_is_left_by_who_withdraws(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, started=False) as w:
            w.start("e1", "e2", "e3")
            w.start("c1", withdraws=True)
            await w.nodes["c1"].ready()
            assert w.kernels["c1"].objects
            await w.stop("c1")
            assert {} == w.kernels["c1"].objects
            assert {} == w.devices["c1"].dumped.peers
            assert {} == w.inner["c1"].addresses

    asyncio.run(scenario())


def test_a_site_whose_last_endpoint_falls_silent_stays_as_it_is_and_says_so(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as w:
            await w.active("e1", *ALL)
            w.air.fail(*(ip_address(ADDRESS[name]) for name in ("e1", "e2")))
            await w.until(lambda: "is not heard" in str(w.nodes["e3"].problems()), "e3 is not connected")
            assert "e1" == w.said("e3")["gateway"]
            w.air.heal()
            await w.nodes["e3"].ready()

    asyncio.run(scenario())


def test_what_others_change_is_put_back_and_a_failure_is_told(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as w:
            await w.active("e1", *ALL)
            kernel = w.kernels["e3"]
            before = dict(kernel.objects)
            kernel.objects.clear()
            kernel.tell(Change.OBJECTS)
            await w.until(lambda: kernel.objects == before, "everything is back")
            w.devices["c1"].kill()
            await w.until(lambda: "e1" in w.allowed("c1"), "its tunnels are back")
            await w.nodes["c1"].ready()

    asyncio.run(scenario())


def test_a_gateway_that_is_taken_away_takes_everything_with_it(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path) as w:
            await w.active("e1", *ALL)
            (tmp_path / "cluster" / "sites.yaml").unlink()
            await w.until(lambda: not any(kernel.objects for kernel in w.kernels.values()), "nothing of ours is left")
            await w.until(lambda: not any(device.dumped.peers for device in w.devices.values()), "no tunnel is left")

    asyncio.run(scenario())


def test_who_does_not_know_yet_who_is_alive_lets_nothing_out_and_keeps_what_was_there(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with world(tmp_path, started=False) as w:
            w.start("e1", "c1", grace=3.0)
            await w.nodes["c1"].until(
                lambda: w.routes("e1", 9027) == {"10.2.1.0/24", "fd00:2:1::/64"}, "it lets nothing out"
            )
            unknown = "not known yet which endpoints are alive"
            assert unknown == w.nodes["e1"].problems()["tunnels"]
            kinds = {value.kind for value in w.kernels["e1"].objects.values() if isinstance(value, Route)}
            assert {RouteKind.UNREACHABLE} == kinds
            assert {} == w.devices["e1"].dumped.peers
            await w.until(lambda: unknown in w.said("e1").get("notes", ()), "its status says so")
            await w.nodes["e1"].ready()
            assert "10.2.1.0/24" in w.routes("e1", 9028)
            assert {"10.1.2.0/24", "10.1.3.0/24"} < w.routes("e1", 9027)
            assert "10.2.1.0/24" not in w.routes("e1", 9027)
            before = dict(w.kernels["e1"].objects)
            await w.crash("e1")
            w.start("e1")
            seen = []

            def is_ready() -> bool:
                seen.append(dict(w.kernels["e1"].objects))
                return not w.nodes["e1"].problems()

            await w.nodes["e1"].until(is_ready, "ready again", pause=0)
            assert [] == [there for there in seen if there != before]

    asyncio.run(scenario())
