"""Elections over a Lease of the double; that there are never two leaders is in tests/property."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from netlb.source.kube import KubeClient
from netlb.source.kube_election import Election
from netlb.source.lease import Elector, LeasePace
from netlb.testing.apiserver import ApiServer
from tests.support.waiting import becomes

PACE = LeasePace(duration=6, renew_deadline=5.0, retry=0.1, answer_timeout=2.5)
"""Who is held up for a moment leads on."""


@pytest.fixture
def server() -> Iterator[ApiServer]:
    """A server that wants no token."""
    with ApiServer() as server:
        yield server


class Candidate:
    """One process that takes part, and what it was told."""

    def __init__(self, name: str, path: Path) -> None:
        self.client = KubeClient(path, field_manager=name)
        self.told: list[bool] = []
        self.election = Election(
            self.client,
            Elector(name, jitter=lambda: 0.5, pace=PACE),
            namespace="default",
            name="netlb-controller",
            changed=self.told.append,
        )
        self.task = asyncio.create_task(self.election.run())

    async def close(self) -> None:
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task
        await self.client.close()


@contextlib.asynccontextmanager
async def candidates(server: ApiServer, tmp_path: Path, *names: str) -> AsyncIterator[list[Candidate]]:
    path = server.write_kubeconfig(tmp_path / "kubeconfig")
    found = [Candidate(name, path) for name in names]
    try:
        yield found
    finally:
        for one in found:
            await one.close()


def test_one_leads_and_the_next_one_when_it_resigns(server: ApiServer, tmp_path: Path) -> None:
    async def main() -> None:
        async with candidates(server, tmp_path, "a", "b") as both:
            await becomes(lambda: any(one.election.leads() for one in both))
            first, second = sorted(both, key=lambda one: not one.election.leads())
            await becomes(lambda: second.election.holder == first.election.holder != "")
            lease = server.get("leases.coordination.k8s.io", "netlb-controller", "default")
            assert lease
            assert {"holderIdentity", "leaseDurationSeconds", "acquireTime", "renewTime", "leaseTransitions"} == (
                lease["spec"].keys()
            )
            server.put({**lease, "metadata": {**lease["metadata"], "labels": {"kept": "yes"}}})
            await first.election.resign()
            assert [True, False] == first.told
            await first.task
            await becomes(second.election.leads)
            lease = server.get("leases.coordination.k8s.io", "netlb-controller", "default")
            assert lease
            assert {"kept": "yes"} == lease["metadata"]["labels"], "what others wrote into it stays"
            assert 1 == lease["spec"]["leaseTransitions"]
            await becomes(lambda: [True] == second.told)

    asyncio.run(main())


def test_resigning_writes_a_lease_without_a_holder(server: ApiServer, tmp_path: Path) -> None:
    async def main() -> None:
        async with candidates(server, tmp_path, "a") as (one,):
            await becomes(one.election.leads)
            await one.election.resign()

    asyncio.run(main())
    lease = server.get("leases.coordination.k8s.io", "netlb-controller", "default")
    assert lease
    assert "holderIdentity" not in lease["spec"]
    assert 1 == lease["spec"]["leaseDurationSeconds"]


def test_a_leader_without_its_server_stops_and_leads_again_when_it_is_back(server: ApiServer, tmp_path: Path) -> None:
    async def main() -> None:
        async with candidates(server, tmp_path, "a") as (one,):
            await becomes(one.election.leads)
            server.go_away()
            await becomes(lambda: [True, False] == one.told)
            await becomes(lambda: "no connection" in one.election.trouble)
            assert not one.election.leads()
            server.come_back()
            await becomes(lambda: [True, False, True] == one.told)
            assert "" == one.election.trouble

    asyncio.run(main())


def test_a_leader_whose_requests_are_never_answered_stops_at_its_deadline(server: ApiServer, tmp_path: Path) -> None:
    async def main() -> None:
        async with candidates(server, tmp_path, "a", "b") as (one, other):
            await becomes(lambda: one.election.leads() or other.election.leads())
            server.faults.stall(verb="update", resource="leases.coordination.k8s.io", times=100)
            await becomes(lambda: not one.election.leads() and not other.election.leads())
            server.faults.clear()
            await becomes(lambda: one.election.leads() or other.election.leads())

    asyncio.run(main())


def test_what_somebody_else_wrote_into_the_lease_is_waited_for(server: ApiServer, tmp_path: Path) -> None:
    spec = {"holderIdentity": "stranger", "leaseDurationSeconds": 1, "renewTime": "2999-01-01T00:00:00.000000Z"}
    metadata = {"name": "netlb-controller", "namespace": "default"}
    server.put({"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec})

    async def main() -> float:
        began = time.monotonic()
        async with candidates(server, tmp_path, "a") as (one,):
            await becomes(lambda: one.election.holder == "stranger")
            await becomes(one.election.leads)
        return time.monotonic() - began

    assert asyncio.run(main()) >= 1.0, "not before its duration has passed here"
    lease = server.get("leases.coordination.k8s.io", "netlb-controller", "default")
    assert lease
    assert "2999-01-01T00:00:00.000000Z" < lease["spec"]["renewTime"], "a record that differs from every one before"
