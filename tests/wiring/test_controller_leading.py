"""Several controllers on a cluster: one leads and writes, the others stand by."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netlb.source import kube_writer
from tests.support.kubernetes import LEASES, NAMESPACE, Kubernetes, kubernetes, pool, service
from tests.support.wired import Wired, wired


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Kubernetes]:
    with kubernetes(tmp_path) as cluster:
        cluster.server.put(service("web"))
        yield cluster


def leads(daemon: Wired) -> bool:
    return daemon.metric("netlb_leader") == 1.0


def holder(cluster: Kubernetes) -> str:
    lease = cluster.server.get(LEASES, "netlb-controller", NAMESPACE) or {"spec": {}}
    return lease["spec"].get("holderIdentity", "")


def doubled(cluster: Kubernetes) -> bool:
    """Whether two Services ever had one address at a time."""
    held: dict[Any, tuple[str, ...]] = {}
    for name, body in cluster.server.history("services"):
        status = body.get("status", {}) if body else {}
        held[name] = tuple(entry["ip"] for entry in status.get("loadBalancer", {}).get("ingress", ()))
        addresses = [address for every in held.values() for address in every]
        if len(addresses) != len(set(addresses)):
            return True
    return False


def test_one_leads_and_the_next_one_takes_over_at_once(cluster: Kubernetes) -> None:
    async def scenario() -> None:
        async with wired(cluster.controller()) as first:
            await first.until(lambda: cluster.ingress("web"), "it has an address")
            assert leads(first)
            async with wired(cluster.controller()) as second:
                await second.ready()
                assert not leads(second)
                assert second.metric("netlb_reconcile_pending", reconciler="status") is None, "it does nothing"
                revision = cluster.service("web")["metadata"]["resourceVersion"]
                await first.stop()
                assert not leads(first)
                await second.until(lambda: leads(second), "the other one leads")
                cluster.server.put(service("web-2"))
                await second.until(lambda: cluster.ingress("web-2"), "it works")
                assert revision == cluster.service("web")["metadata"]["resourceVersion"], "nothing that need not change"
                await second.ready()
        assert "" == holder(cluster), "given back"

    asyncio.run(scenario())


def test_who_lost_the_lease_writes_no_more_until_it_leads_again(cluster: Kubernetes) -> None:
    async def scenario() -> None:
        async with wired(cluster.controller()) as daemon:
            await daemon.until(lambda: cluster.ingress("web"), "it has an address")
            cluster.server.faults.stall(verb="update", resource=LEASES, times=10**6)
            await daemon.until(lambda: not leads(daemon), "its time is up")
            cluster.server.put(service("web-2"))
            tried = len(cluster.server.seen("update", LEASES))
            await daemon.until(lambda: len(cluster.server.seen("update", LEASES)) > tried + 1, "it tries to lead again")
            assert [] == cluster.ingress("web-2")
            assert {"source": "the Lease is held here, and cannot be renewed"} == daemon.problems()
            cluster.server.faults.clear()
            await daemon.until(lambda: cluster.ingress("web-2"), "it leads again")
            await daemon.ready()

    asyncio.run(scenario())


def test_a_write_that_is_under_way_when_the_lease_is_lost_is_given_up(cluster: Kubernetes) -> None:
    async def scenario() -> None:
        async with wired(cluster.controller()) as daemon:
            await daemon.until(lambda: cluster.ingress("web"), "it has an address")
            cluster.server.faults.stall(verb="patch", resource="services", times=1)
            cluster.server.put(service("web-2"))
            await daemon.until(lambda: cluster.writes() == 2, "the write is under way")
            cluster.server.faults.stall(verb="update", resource=LEASES, times=10**6)
            await daemon.until(lambda: not leads(daemon), "its time is up")
            cluster.server.faults.clear()
            await daemon.until(lambda: cluster.ingress("web-2"), "the next term writes it")

    asyncio.run(scenario())


def test_without_an_election_it_works_at_once(cluster: Kubernetes) -> None:
    async def scenario() -> None:
        async with wired(cluster.controller(elects=False)) as daemon:
            await daemon.until(lambda: cluster.ingress("web"), "it has an address")
            assert leads(daemon)
            await daemon.ready()
        assert [] == cluster.server.seen("get", LEASES)

    asyncio.run(scenario())


@pytest.mark.parametrize("precondition", [True, False], ids=["as it is", "without the version"])
def test_of_two_that_lead_the_later_is_refused(
    cluster: Kubernetes, monkeypatch: pytest.MonkeyPatch, precondition: bool
) -> None:
    """One decides, and its request takes long; meanwhile the world goes on with the other one."""
    made = kube_writer.service_body

    def careless(*arguments: Any) -> dict[str, Any]:
        body = made(*arguments)
        del body["metadata"]["resourceVersion"]
        return body

    if not precondition:
        monkeypatch.setattr(kube_writer, "service_body", careless)
    cluster.server.put(pool("other", "198.51.100.1", autoAssign=False), pool("two", "192.0.2.1"))
    faults = cluster.server.faults

    async def scenario() -> None:
        faults.slow(3, verb="patch", resource="services", times=1)
        async with wired(cluster.controller(elects=False)) as slow:
            await slow.until(lambda: cluster.writes(), "it has decided, and its request is under way")
            async with wired(cluster.controller(elects=False)) as quick:
                await quick.until(lambda: cluster.ingress("web") == ["192.0.2.1"], "the other one was quicker")
                cluster.server.put(service("web", annotations={"netlb.io/pool": "other"}))
                await quick.until(lambda: cluster.ingress("web") == ["198.51.100.1"], "it has moved on")
                cluster.server.put(service("next"))
                await quick.until(lambda: cluster.ingress("next") == ["192.0.2.1"], "another one has the address")
                await slow.ready()
                await quick.until(lambda: cluster.ingress("web") == ["198.51.100.1"], "it is as it should be")

    asyncio.run(scenario())
    assert precondition is not doubled(cluster)
