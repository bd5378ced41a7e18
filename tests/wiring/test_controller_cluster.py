"""The controller on a cluster: what it writes into the API, and what it leaves alone."""

import asyncio
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from netlb.api.dialects import Compatibility, System
from netlb.api.snapshot import Serving
from tests.support.kubernetes import Kubernetes, kubernetes, node, pool, service
from tests.support.wired import wired

MARK = "netlb.io/allocated-from"
SERVED = ("True", "IPAllocated", "")


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Kubernetes]:
    with kubernetes(tmp_path) as cluster:
        cluster.server.put(service("web"))
        yield cluster


def test_an_address_is_given_and_taken_back(cluster: Kubernetes) -> None:
    async def scenario() -> None:
        async with wired(cluster.controller()) as daemon:
            await daemon.until(lambda: cluster.ingress("web"), "it has an address")
            await daemon.ready()
            web = cluster.service("web")
            assert [{"ip": "192.0.2.1", "ipMode": "VIP"}] == web["status"]["loadBalancer"]["ingress"]
            assert "two" == web["metadata"]["annotations"][MARK]
            assert SERVED == cluster.allocated("web")
            assert {"total": 2, "used": 1, "free": 1} == cluster.counts("two")
            assert ("True", "Accepted", "") == cluster.accepted("two")
            assert 1.0 == daemon.metric("netlb_allocator_addresses_in_use", pool="two", family="ipv4")
            cluster.server.delete("services", "web", "default")
            await daemon.until(lambda: cluster.counts("two")["used"] == 0, "its address is free")

    asyncio.run(scenario())


def test_what_is_refused_says_why_and_is_served_when_it_can_be(cluster: Kubernetes) -> None:
    cluster.server.put(service("web-2"), service("web-3"))

    async def scenario() -> None:
        async with wired(cluster.controller()) as daemon:
            await daemon.until(lambda: cluster.allocated("web-3")[1] == "PoolExhausted", "the reason")
            assert [] == cluster.ingress("web-3")
            assert MARK not in cluster.service("web-3")["metadata"]["annotations"]
            cluster.server.delete("services", "web", "default")
            await daemon.until(lambda: cluster.ingress("web-3") == ["192.0.2.1"], "it has what became free")
            assert SERVED == cluster.allocated("web-3")

    asyncio.run(scenario())


def test_what_is_not_served_any_more_is_cleaned(cluster: Kubernetes) -> None:
    async def scenario() -> None:
        async with wired(cluster.controller()) as daemon:
            await daemon.until(lambda: cluster.ingress("web"), "it has an address")
            cluster.server.put(service("web", type="ClusterIP", annotations={"mine": "1"}))
            await daemon.until(lambda: cluster.allocated("web") == ("", "", ""), "nothing is said any more")
            assert [] == cluster.ingress("web")
            assert {"mine": "1"} == cluster.service("web")["metadata"]["annotations"]

    asyncio.run(scenario())


def test_an_address_whose_pool_goes_is_taken_out_of_the_status(cluster: Kubernetes) -> None:
    async def scenario() -> None:
        async with wired(cluster.controller()) as daemon:
            await daemon.until(lambda: cluster.ingress("web"), "it has an address")
            cluster.server.delete("addresspools.netlb.io", "two")
            await daemon.until(lambda: cluster.ingress("web") == [], "it has none")
            await daemon.until(lambda: cluster.allocated("web")[1] == "NoPool", "the reason")
            assert MARK not in cluster.service("web")["metadata"].get("annotations", {})

    asyncio.run(scenario())


def test_another_load_balancers_services_are_left_alone(cluster: Kubernetes) -> None:
    cluster.server.put(
        service("classed", "203.0.113.1", loadBalancerClass="example.com/other"),
        service("classless", "203.0.113.2"),
    )
    before = {name: cluster.service(name) for name in ("classed", "classless")}

    async def scenario() -> None:
        async with wired(cluster.controller()) as daemon:
            await daemon.until(lambda: cluster.ingress("web"), "ours is served")
            await daemon.ready()
            assert {"total": 2, "used": 1, "free": 1} == cluster.counts("two")
            assert before == {name: cluster.service(name) for name in before}
            cluster.server.put(service("classless", loadBalancerClass="netlb.io/netlb") | {"status": {}})
            await daemon.until(lambda: cluster.ingress("classless") == ["192.0.2.2"], "now it is ours")

    asyncio.run(scenario())
    assert before["classed"] == cluster.service("classed")


def test_what_metallb_gave_is_taken_over_and_can_be_given_up(cluster: Kubernetes) -> None:
    cluster.server.put(
        service("old", "192.0.2.2", annotations={"metallb.io/ip-allocated-from-pool": "two"}),
        service("a-first-by-name"),
    )

    async def scenario() -> None:
        async with wired(cluster.controller()) as daemon:
            await daemon.until(lambda: cluster.allocated("old") == SERVED, "it is ours")
            assert ["192.0.2.2"] == cluster.ingress("old")
            cluster.server.delete("addresspools.netlb.io", "two")
            await daemon.until(lambda: cluster.ingress("old") == [], "what two own is given up, too")

    asyncio.run(scenario())


METALLBS = {"metallb.io/ip-allocated-from-pool": "two"}


@pytest.mark.parametrize(
    ("systems", "spec"),
    [
        (System, {"loadBalancerClass": "metallb.io/metallb"}),
        ([System.OPENELB], {}),
        ([System.METALLB], {"loadBalancerClass": "purelb.io/purelb"}),
    ],
    ids=["a class that is not served", "a system that is not understood", "a class of such a system"],
)
def test_what_metallb_gave_is_left_alone(cluster: Kubernetes, systems: Iterable[System], spec: dict[str, str]) -> None:
    cluster.server.put(service("old", "192.0.2.2", annotations=METALLBS, **spec), service("web"))
    before = cluster.service("old")
    compatibility = Compatibility(systems=frozenset(systems))

    async def scenario() -> None:
        serving = Serving(classes=compatibility.classes)
        async with wired(cluster.controller(compatibility=compatibility, serving=serving)) as daemon:
            await daemon.until(lambda: cluster.allocated("web") == SERVED, "ours is served")
            await daemon.ready()
            assert before == cluster.service("old")

    asyncio.run(scenario())


@pytest.mark.parametrize("change", ["ingress", "mark", "condition"])
def test_what_somebody_changes_is_put_back(cluster: Kubernetes, change: str) -> None:
    async def scenario() -> None:
        async with wired(cluster.controller()) as daemon:
            await daemon.until(lambda: cluster.ingress("web"), "it has an address")
            await daemon.ready()
            good = cluster.service("web")
            bad: dict[str, Any] = {**good, "metadata": {**good["metadata"]}, "status": {**good["status"]}}
            match change:
                case "ingress":
                    bad["status"]["loadBalancer"] = {"ingress": [{"ip": "192.0.2.2"}]}
                case "mark":
                    bad["metadata"]["annotations"] = {}
                case "condition":
                    bad["status"]["conditions"] = []
            cluster.server.put(bad)
            await daemon.until(lambda: told(cluster.service("web")) == told(good), "it is put back")

    asyncio.run(scenario())


def told(body: dict[str, Any]) -> Any:
    """What netlb says of a Service, without times."""
    conditions = [{**one, "lastTransitionTime": ""} for one in body["status"].get("conditions", ())]
    mark = body["metadata"].get("annotations", {}).get(MARK)
    return mark, body["status"]["loadBalancer"].get("ingress"), conditions


def test_the_next_controller_changes_nothing(cluster: Kubernetes) -> None:
    cluster.server.put(service("web-2"), service("web-3"))

    async def scenario() -> None:
        daemon: Any
        async with wired(cluster.controller()) as daemon:
            await daemon.until(lambda: all(cluster.allocated(f"web{more}")[0] for more in ("", "-2", "-3")), "told")
            await daemon.ready()
            await daemon.until(lambda: len(cluster.events()) == 3, "that is told, too")
        await asyncio.sleep(0)
        revision, events = cluster.server.revision, cluster.events()
        cluster.server.put(service("a-service-that-sorts-first"))
        async with wired(cluster.controller()) as daemon:
            await daemon.until(lambda: cluster.allocated("a-service-that-sorts-first")[0], "told")
            await daemon.ready()
            await daemon.until(lambda: cluster.events("a-service-that-sorts-first"), "that is told, too")
        assert ["192.0.2.1"] == cluster.ingress("web")
        assert ["192.0.2.2"] == cluster.ingress("web-2")
        written = {
            name for name, body in cluster.server.all("services").items()
            if int(body["metadata"]["resourceVersion"]) > revision
        }  # fmt: skip
        assert ["a-service-that-sorts-first"] == [name.name for name in written]
        assert [("AllocationFailed", "a-service-that-sorts-first")] == [
            (one["reason"], one["regarding"]["name"])
            for one in cluster.server.all("events.events.k8s.io").values()
            if (one["reason"], one["note"]) not in events or one["regarding"]["name"].startswith("a-")
        ]

    asyncio.run(scenario())


def test_events_are_told_once_a_change(cluster: Kubernetes) -> None:
    async def scenario() -> None:
        async with wired(cluster.controller()) as daemon:
            await daemon.until(lambda: cluster.events("web"), "the address")
            cluster.server.put(service("web", annotations={"netlb.io/pool": "nowhere"}))
            await daemon.until(lambda: len(cluster.events("web")) == 2, "the refusal")
            for number in range(3):
                cluster.server.put(service(f"other-{number}"))
            await daemon.until(lambda: cluster.allocated("other-2")[0], "others are served meanwhile")
            cluster.server.delete("addresspools.netlb.io", "two")
            await daemon.until(lambda: cluster.ingress("web") == [], "it has lost its address")
            await daemon.until(lambda: len(cluster.events("web")) == 3, "that it is released")

    asyncio.run(scenario())
    (given, refused, released) = cluster.events("web")
    assert ("IPAllocated", "assigned 192.0.2.1 from pool two") == given
    assert "AllocationFailed" == refused[0]
    assert refused[1].startswith("PoolNotFound: ")
    assert ("IPReleased", "released 192.0.2.1") == released


def test_what_is_wrong_with_a_pool_is_its_condition(cluster: Kubernetes) -> None:
    async def scenario() -> None:
        async with wired(cluster.controller()) as daemon:
            await daemon.until(lambda: cluster.accepted("two")[0] == "True", "the first pool")
            cluster.server.put(pool("overlap", "192.0.2.2-192.0.2.9"))
            await daemon.until(lambda: cluster.accepted("overlap")[:2] == ("False", "OverlappingPools"), "the reason")
            assert "the pool overlaps pool 'two'" in cluster.accepted("overlap")[2]
            cluster.server.put(pool("overlap", "192.0.2.8-192.0.2.9"))
            await daemon.until(lambda: cluster.accepted("overlap")[0] == "True", "it is mended")
            assert {"total": 2, "used": 0, "free": 2} == cluster.counts("overlap")

    asyncio.run(scenario())


def test_what_objects_are_for_is_counted(cluster: Kubernetes) -> None:
    def selected() -> tuple[Any, Any]:
        status = (cluster.server.get("l2advertisements.netlb.io", "all") or {}).get("status", {})
        return status.get("nodes"), status.get("pools")

    async def scenario() -> None:
        async with wired(cluster.controller()) as daemon:
            await daemon.until(lambda: selected() == (2, 1), "both nodes, one pool")
            cluster.server.put(pool("more", "198.51.100.1"), node("node-3"))
            await daemon.until(lambda: selected() == (3, 2), "what came is counted")

    asyncio.run(scenario())
