"""What is written into the status of objects, and what is found there."""

import asyncio
from typing import Any

import msgspec
import pytest

from netlb.errors import TransientError
from netlb.findings import Finding, Severity
from netlb.ipam import PoolUsage
from netlb.net import Family
from netlb.plan import plan_cluster
from netlb.reasons import ManifestProblem
from netlb.source.kube_errors import RequestError
from netlb.source.kube_events import announcement_events, service_events
from netlb.source.kube_status import (
    Condition,
    ObjectStatus,
    ServiceSeen,
    ServiceStatus,
    condition_body,
    object_body,
    object_status,
    read_object_status,
    see,
    service_body,
    service_status,
)
from netlb.source.kube_writing import AT_ONCE, write_each
from tests.manifests import advertisement, pool, ref, service, snapshot

NOW, THEN = "2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"
ALLOCATED = "netlb.io/AddressAllocated"
SERVED = Condition(ALLOCATED, "True", "IPAllocated")
REFUSED = Condition(ALLOCATED, "False", "PoolExhausted", "none is left")


def body(
    *ingress: Any, annotations: dict[str, str] | None = None, condition: dict[str, str] | None = None
) -> dict[str, Any]:
    status: dict[str, Any] = {"loadBalancer": {"ingress": list(ingress)}}
    if condition:
        status["conditions"] = [{"type": ALLOCATED, "lastTransitionTime": THEN, **condition}]
    metadata = {"name": "web", "namespace": "default", "annotations": annotations or {}}
    return {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {}, "status": status}


def seen(*ingress: Any, **more: Any) -> ServiceSeen:
    whole = body(*ingress, **more)
    return see(whole, msgspec.json.encode(whole))


OURS = {"netlb.io/allocated-from": "one"}
TRUE = {"status": "True", "reason": "IPAllocated", "message": ""}
FALSE = {"status": "False", "reason": "PoolExhausted", "message": "none is left"}
X = {"ip": "192.0.2.1", "ipMode": "VIP"}


def test_what_a_plan_says_of_a_service() -> None:
    result = plan_cluster(snapshot(pool("one", "192.0.2.1"), advertisement(), service("a"), service("b"))).addresses
    assert ServiceStatus(SERVED, ("192.0.2.1",), "one") == service_status(ref("a"), result)
    refused = service_status(ref("b"), result)
    assert ((), "") == (refused.addresses, refused.pool)
    assert refused.condition
    assert ("False", "PoolExhausted") == (refused.condition.status, refused.condition.reason)


@pytest.mark.parametrize(
    ("there", "status", "marked"),
    [
        (seen(), None, False),
        (seen(X), None, False),
        (seen(X, annotations=OURS, condition=TRUE), ServiceStatus(SERVED, ("192.0.2.1",), "one"), True),
        (seen(X, annotations={"metallb.io/ip-allocated-from-pool": "p"}), None, True),
        (seen(X, annotations={"lb.kubesphere.io/v1alpha1": "openelb"}), None, True),
        (seen(X, annotations={"lb.kubesphere.io/v1alpha1": "other"}), None, False),
        (seen(X, condition=TRUE), ServiceStatus(SERVED, ("192.0.2.1",)), True),
        (seen(condition=FALSE), ServiceStatus(REFUSED), False),
        (seen(X, condition=FALSE), ServiceStatus(REFUSED), False),
    ],
    ids=[
        "nothing",
        "another's",
        "ours",
        "metallb's",
        "openelb's",
        "no mark of openelb's",
        "our mark is gone",
        "refused",
        "refused, and another's",
    ],
)
def test_whose_a_status_is(there: ServiceSeen, status: ServiceStatus | None, marked: bool) -> None:
    assert (status, marked, marked) == (there.status, there.marked, there.holding is not None)


@pytest.mark.parametrize(
    "entry",
    [{"hostname": "x.example"}, {**X, "ipMode": "Proxy"}, {**X, "ports": [{"port": 1, "error": "X"}]}],
)
def test_an_entry_that_is_not_as_we_write_it_is_told_apart(entry: dict[str, Any]) -> None:
    assert ("192.0.2.1",) == seen(X).ingress
    assert ("192.0.2.1",) == seen({"ip": "192.0.2.1"}).ingress, "as an older API server has it"
    assert seen(X).ingress != seen(entry).ingress


def test_what_is_applied() -> None:
    status = ServiceStatus(SERVED, ("192.0.2.1",), "one")
    assert {
        "metadata": {"name": "web", "namespace": "default", "resourceVersion": "7", "annotations": OURS},
        "status": {
            "loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]},
            "conditions": [{"type": ALLOCATED, **TRUE, "lastTransitionTime": NOW}],
        },
    } == service_body(ref("web"), status, seen(), "7", NOW)
    assert "status" not in service_body(ref("web"), None, seen(X, annotations=OURS), "7", NOW)


def test_an_ingress_is_emptied_if_it_is_marked_and_else_left_alone() -> None:
    marked = service_body(ref("web"), ServiceStatus(REFUSED), seen(X, annotations=OURS), "7", NOW)
    assert {"ingress": []} == marked["status"]["loadBalancer"]
    assert "annotations" not in marked["metadata"]
    for there in (seen(), seen(X)):
        assert ["conditions"] == list(service_body(ref("web"), ServiceStatus(REFUSED), there, "7", NOW)["status"])


def test_the_time_of_a_condition_is_that_of_its_status() -> None:
    assert THEN == condition_body(SERVED, SERVED, {ALLOCATED: THEN}, NOW)["lastTransitionTime"]
    other = Condition(ALLOCATED, "True", "IPAllocated", "another message")
    assert THEN == condition_body(other, SERVED, {ALLOCATED: THEN}, NOW)["lastTransitionTime"]
    assert NOW == condition_body(REFUSED, SERVED, {ALLOCATED: THEN}, NOW)["lastTransitionTime"]


def test_what_is_said_of_a_pool_reads_back() -> None:
    finding = Finding(reason=ManifestProblem.OVERLAPPING_POOLS, field="spec.addresses", problem="p", remedy="r")
    warning = Finding(reason=ManifestProblem.UNADVERTISED_POOL, problem="w", remedy="s", severity=Severity.WARNING)
    usage = {Family.IPV6: PoolUsage(2**64, 1), Family.IPV4: PoolUsage(0, 0)}
    refused = object_status(usage, [warning, finding])
    assert (
        ObjectStatus(
            Condition("netlb.io/Accepted", "False", "OverlappingPools", "spec.addresses: p; r; w; s"),
            (("ipv6", str(2**64), "1", str(2**64 - 1)),),
        )
        == refused
    )
    assert object_status({}, [warning]).condition == Condition("netlb.io/Accepted", "True", "UnadvertisedPool", "w; s")
    applied = object_body("p", refused, None, {}, NOW)
    assert (refused, {"netlb.io/Accepted": NOW}) == read_object_status(applied)
    assert (None, {}) == read_object_status({})


def test_what_an_object_selects_reads_back() -> None:
    selects = object_status({}, [], {"pools": 0, "nodes": 3})
    assert (("nodes", 3), ("pools", 0)) == selects.selected
    applied = object_body("tor", selects, None, {}, NOW)
    assert (3, 0) == (applied["status"]["nodes"], applied["status"]["pools"])
    assert selects == read_object_status(applied)[0]


GIVEN = ServiceStatus(SERVED, ("192.0.2.1",), "one")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, GIVEN, ["IPAllocated"]),
        (GIVEN, GIVEN, []),
        (GIVEN, ServiceStatus(SERVED, ("192.0.2.2",), "one"), ["IPAllocated"]),
        (GIVEN, None, ["IPReleased"]),
        (GIVEN, ServiceStatus(REFUSED), ["IPReleased", "AllocationFailed"]),
        (None, ServiceStatus(REFUSED), ["AllocationFailed"]),
        (ServiceStatus(REFUSED), ServiceStatus(Condition(ALLOCATED, "False", "PoolExhausted", "still")), []),
        (GIVEN, ServiceStatus(REFUSED, ("192.0.2.1",), "one"), ["AllocationFailed"]),
        (ServiceStatus(REFUSED), None, []),
    ],
)
def test_events_of_a_service(before: ServiceStatus | None, after: ServiceStatus | None, told: list[str]) -> None:
    assert told == [str(one.reason) for one in service_events(before, after)]


ANNOUNCED = Condition("netlb.io/Announced", "True", "Announced")
PENDING = Condition("netlb.io/Announced", "Unknown", "Pending")
CONFLICT = Condition("netlb.io/Announced", "False", "AddressConflict", "02:00:00:00:00:01 has it")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (None, PENDING, []),
        (PENDING, ANNOUNCED, [("nodeAssigned", 'announcing from node "n1" with protocol "layer2"')]),
        (ANNOUNCED, ANNOUNCED, []),
        (
            PENDING,
            CONFLICT,
            [("announceFailed", 'node "n1", protocol "layer2": AddressConflict: 02:00:00:00:00:01 has it')],
        ),
        (ANNOUNCED, None, []),
    ],
)
def test_events_of_an_announcement(
    before: Condition | None, after: Condition | None, told: list[tuple[str, str]]
) -> None:
    assert told == [(str(one.reason), one.note) for one in announcement_events(before, after, "n1", "layer2")]


# Writing


def test_a_bounded_number_is_written_at_once_and_failures_are_told_one_by_one() -> None:
    running, most = 0, 0

    async def write(key: str) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0)
        running -= 1
        if key == "k3":
            raise TransientError("no")

    keys = [f"k{number}" for number in range(100)]
    assert ["k3"] == list(asyncio.run(write_each(keys, write, lambda: "")))
    assert AT_ONCE == most


def test_who_may_not_write_writes_nothing() -> None:
    async def write(key: str) -> None:
        raise AssertionError(key)

    failures = asyncio.run(write_each(["a", "b"], write, lambda: "another one leads"))
    assert {"a": "another one leads", "b": "another one leads"} == {key: str(why) for key, why in failures.items()}


def test_a_server_that_asks_for_time_is_asked_nothing_more() -> None:
    asked: list[str] = []

    async def write(key: str) -> None:
        asked.append(key)
        await asyncio.sleep(0)
        raise RequestError("busy", status=429, retry_after=7.0)

    keys = [f"k{number}" for number in range(100)]
    failures = asyncio.run(write_each(keys, write, lambda: ""))
    assert AT_ONCE == len(asked)
    assert {7.0} == {why.retry_after for why in failures.values() if isinstance(why, RequestError)}
    assert set(keys) == failures.keys()
