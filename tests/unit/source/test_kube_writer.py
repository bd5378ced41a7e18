"""What is written into the API, with a client that only takes note."""

import asyncio
from collections.abc import Mapping
from typing import Any, cast

import msgspec
import pytest

from netlb.errors import TransientError
from netlb.findings import ObjectRef
from netlb.source.collection import Entry
from netlb.source.kube import KubeClient
from netlb.source.kube_journal import Journal
from netlb.source.kube_kinds import Resource
from netlb.source.kube_recorder import EventRecorder
from netlb.source.kube_status import Condition, ServiceStatus, see
from netlb.source.kube_writer import ClusterStatuses
from netlb.source.reflector import Page
from tests.support.virtual_time import run

REF = ObjectRef("Service", "default", "web")
KEY = "services/default/web"
WANTED = ServiceStatus(Condition("netlb.io/AddressAllocated", "True", "IPAllocated"), ("192.0.2.1",), "two")
REFUSED = ServiceStatus(Condition("netlb.io/AddressAllocated", "False", "PoolExhausted", "none is free"))


class Cluster:
    """What stands for an API server with one Service.

    What is applied comes back by the watch, before its answer does or after.
    """

    def __init__(self, *, watch_is_first: bool) -> None:
        self.watch_is_first = watch_is_first
        self.body: dict[str, Any] = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "web", "namespace": "default", "resourceVersion": "1"},
        }
        self.applied = 0
        client = cast(KubeClient, self)
        self.statuses = ClusterStatuses(
            client,
            self.find,
            EventRecorder(client, reporter="test", instance="test"),
            why_not=lambda: "",
            journal=Journal(client, "netlb-system"),
        )
        self.see()

    @property
    def content(self) -> bytes:
        return msgspec.json.encode(self.body)

    def find(self, _resource: Resource, _namespace: str, _name: str) -> Entry[Any]:
        return Entry(self.content, "uid", self.body["metadata"]["resourceVersion"])

    def see(self) -> None:
        """Bring by the watch what there is."""
        self.statuses.see({REF: see(self.body, self.content)})

    def change(self, annotations: Mapping[str, str], status: Mapping[str, Any]) -> None:
        """Store another version."""
        version = str(int(self.body["metadata"]["resourceVersion"]) + 1)
        self.body["metadata"] |= {"annotations": annotations, "resourceVersion": version}
        self.body["status"] = status

    async def apply(self, _resource: Resource, _namespace: str, body: Mapping[str, Any], **_: Any) -> dict[str, Any]:
        self.applied += 1
        self.change(body["metadata"].get("annotations", {}), body["status"])
        if self.watch_is_first:
            self.see()
        else:
            asyncio.get_running_loop().call_soon(self.see)
        return self.body

    async def create(self, _resource: Resource, _namespace: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**body, "metadata": {**body["metadata"], "resourceVersion": "1"}}

    replace = create

    async def list_page(self, *_: Any) -> Page:
        return Page((), "1", "")

    def undo(self) -> None:
        """Do what another load balancer does."""
        theirs = {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}}
        self.change(self.body["metadata"]["annotations"], self.body["status"] | theirs)
        self.see()

    async def put_back(self) -> float:
        """Return after how many seconds what was undone is put back, tried again whenever it says."""
        begin = asyncio.get_running_loop().time()
        while failures := await self.statuses.apply({KEY: WANTED}):
            failure = failures[KEY]
            assert isinstance(failure, TransientError)
            assert "let one of the two serve it" in str(failure)
            await asyncio.sleep(failure.retry_after or 0.0)
        return asyncio.get_running_loop().time() - begin


watches = pytest.mark.parametrize("watch_is_first", [True, False], ids=["watch first", "answer first"])


@watches
def test_a_fight_over_a_status_is_fought_more_and_more_slowly(watch_is_first: bool) -> None:
    async def main() -> list[float]:
        cluster = Cluster(watch_is_first=watch_is_first)
        await cluster.put_back()
        pauses = []
        for _ in range(9):
            await asyncio.sleep(0)
            cluster.undo()
            pauses.append(await cluster.put_back())
        assert 10 == cluster.applied
        return pauses

    assert pytest.approx([0, 1, 3, 7, 15, 31, 60, 60, 60]) == run(main())


def test_a_fight_that_is_over_is_forgotten() -> None:
    async def main() -> list[float]:
        cluster = Cluster(watch_is_first=False)
        await cluster.put_back()
        pauses = []
        for peace in (0.0, 0.0, 100.0, 0.0):
            await asyncio.sleep(peace)
            cluster.undo()
            pauses.append(await cluster.put_back())
        return pauses

    assert pytest.approx([0, 1, 0, 1]) == run(main())


@watches
def test_what_was_written_here_is_nobodys_change(watch_is_first: bool) -> None:
    async def main() -> None:
        cluster, drifted = Cluster(watch_is_first=watch_is_first), list[bool]()
        cluster.statuses.drifted = lambda: drifted.append(True)
        for status in (WANTED, REFUSED, WANTED):  # at once: nothing else happens to the Service in between
            assert {} == await cluster.statuses.apply({KEY: status})
        await asyncio.sleep(0)
        assert {KEY: WANTED} == await cluster.statuses.observe()
        assert [] == drifted

    run(main())


def test_a_service_that_goes_while_it_is_written_is_forgotten() -> None:
    async def main() -> None:
        cluster = Cluster(watch_is_first=True)
        cluster.see = lambda: cluster.statuses.see({REF: None})  # type: ignore[method-assign]
        assert {} == await cluster.statuses.apply({KEY: WANTED})
        assert {} == await cluster.statuses.observe()

    run(main())
