"""Several controllers on a cluster: one leads and writes, the others stand by."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from netlb.source import kube_journal, kube_status, kube_writer
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
    return str(lease["spec"].get("holderIdentity", ""))


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
            why = {"source": "the Lease is held here, and cannot be renewed"}
            await daemon.until(lambda: why == daemon.problems(), "it says so when the Lease was read")
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
    made = kube_status.service_body

    def careless(*arguments: Any) -> dict[str, Any]:
        body = made(*arguments)
        del body["metadata"]["resourceVersion"]
        return body

    if not precondition:
        monkeypatch.setattr(kube_writer, "service_body", careless)
    cluster.server.put(pool("other", "198.51.100.1", autoAssign=False), pool("two", "192.0.2.1"))

    async def scenario() -> None:
        cluster.server.faults.hold(verb="patch", resource="services")
        async with wired(cluster.controller(elects=False)) as slow:
            await slow.until(cluster.writes, "it has decided, and its request is under way")
            async with wired(cluster.controller(elects=False)) as quick:
                await quick.until(lambda: cluster.ingress("web") == ["192.0.2.1"], "the other one was quicker")
                cluster.server.put(service("web", annotations={"netlb.io/pool": "other"}))
                await quick.until(lambda: cluster.ingress("web") == ["198.51.100.1"], "it has moved on")
                cluster.server.put(service("next"))
                await quick.until(lambda: cluster.ingress("next") == ["192.0.2.1"], "another one has the address")
                cluster.server.release()
                await slow.ready()
                await quick.until(lambda: cluster.ingress("web") == ["198.51.100.1"], "it is as it should be")

    asyncio.run(scenario())
    assert precondition is not doubled(cluster)


def journal(**intents: str) -> dict[str, Any]:
    """What a controller wrote that is about to give these addresses to Services of the namespace default."""
    content = {f"default/{name}": [address] for name, address in intents.items()}
    metadata = {"name": "netlb-journal", "namespace": NAMESPACE}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"services": json.dumps(content)}}


def test_what_another_one_is_about_to_give_is_not_given_to_others(cluster: Kubernetes) -> None:
    async def scenario() -> None:
        async with wired(cluster.controller()) as daemon:
            await daemon.until(lambda: cluster.ingress("web"), "it has an address")
            await daemon.ready()
            cluster.server.put(journal(late="192.0.2.2"))
            cluster.server.put(service("early"), service("late"))
            await daemon.until(lambda: cluster.ingress("late") == ["192.0.2.2"], "it has what it was to have")
            await daemon.until(lambda: cluster.allocated("early")[1] == "PoolExhausted", "the other one is refused")

    asyncio.run(scenario())


@pytest.mark.parametrize("journals", [True, False], ids=["as it is", "without the journal"])
def test_what_is_on_its_way_to_one_service_is_not_given_to_another(
    cluster: Kubernetes, monkeypatch: pytest.MonkeyPatch, journals: bool
) -> None:
    """One has decided, and its request takes long; the other one serves a Service that comes first by name."""

    async def silent(*_: Any) -> None:
        return

    if not journals:
        monkeypatch.setattr(kube_journal.Journal, "write", silent)
    cluster.server.put(pool("two", "192.0.2.1"), service("a-holder"))

    async def scenario() -> None:
        async with wired(cluster.controller(elects=False)) as slow:
            await slow.until(lambda: cluster.ingress("a-holder"), "it has an address")
            await slow.until(lambda: cluster.allocated("web")[1] == "PoolExhausted", "none is left")
            await slow.ready()
            told = cluster.writes()
            cluster.server.faults.hold(verb="patch", resource="services")
            cluster.server.put(pool("two", "192.0.2.1-192.0.2.2"))
            await slow.until(lambda: cluster.writes() > told, "it has decided, and its request is under way")
            cluster.server.put(service("a-new"))
            async with wired(cluster.controller(elects=False)) as quick:
                await quick.until(lambda: cluster.allocated("a-new")[0], "the other one has decided")
                cluster.server.release()
                if not journals:
                    await quick.until(lambda: doubled(cluster), "two have one address")
                    return
                await quick.until(lambda: cluster.ingress("web") == ["192.0.2.2"], "it has what it was to have")
                await quick.ready()
                await slow.ready()
                assert "PoolExhausted" == cluster.allocated("a-new")[1]

    asyncio.run(scenario())
    assert journals is not doubled(cluster)


def test_two_that_lead_all_the_time_never_give_one_address_twice(cluster: Kubernetes) -> None:
    """One takes in everything later than the other, and several things at once."""
    cluster.server.put(pool("two", "192.0.2.1-192.0.2.4"))

    async def scenario() -> None:
        async with (
            wired(cluster.controller(elects=False, settle=0.02)) as quick,
            wired(cluster.controller(elects=False, settle=0.5)) as slow,
        ):
            await quick.until(lambda: cluster.ingress("web"), "it has an address")
            await quick.until(lambda: not quick.problems() and not slow.problems(), "both are ready")
            for name in ("z-1", "z-2", "z-3", "a-1", "a-2", "a-3"):  # who hears of all of them serves the last ones
                cluster.server.put(service(name))
                await quick.until(lambda name=name: cluster.allocated(name)[0], "one has decided")  # type: ignore[misc]
            refusals = {"name": "netlb_allocator_refusals", "reason": "PoolExhausted"}
            for daemon in (quick, slow):
                await daemon.until(lambda daemon=daemon: daemon.metric(**refusals) == 3.0, "it knows of all")  # type: ignore[misc]
                await daemon.ready()

    asyncio.run(scenario())
    assert not doubled(cluster)
    served = {name.name for name in cluster.server.all("services") if cluster.ingress(name.name)}
    assert {"web", "z-1", "z-2", "z-3"} == served
