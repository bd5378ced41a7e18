"""What netlb writes is taken by an API server as it stands: nothing of it is refused, dropped or changed."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
import yaml

from netlb.api.keys import ALLOCATED_FROM
from netlb.findings import Finding, ObjectRef, Severity
from netlb.ipam import PoolUsage
from netlb.net import Family, parse_address
from netlb.plan import plan_node
from netlb.plan.raven import plan_raven
from netlb.raven.dataplane import Numbers
from netlb.reasons import EventReason, ManifestProblem, Silence
from netlb.source.kube_events import Occurrence, event_body
from netlb.source.kube_kinds import (
    GATEWAY_NODES,
    GATEWAYS,
    NATIVE,
    REPORTS,
    SERVICES,
    SPEAKER_STATUSES,
    Resource,
)
from netlb.source.kube_reports import speaker_status
from netlb.source.kube_status import Condition, ServiceStatus, object_body, object_status, see, service_body
from netlb.source.status import Announcement, service_l2_statuses
from netlb_gateway.report import node_status, site_status
from tests.manifests import advertisement, node, pool, service, slice_of, snapshot
from tests.support.apiserver import POOLS, Api, a_pool, version
from tests.support.apiserver import service as a_service
from tests.support.sites import documents, key_of, local, seen
from tests.support.sites import snapshot as sites_snapshot

NOW = "2026-01-01T00:00:00Z"
MANAGER = "netlb-contract"
ADDRESS = parse_address("192.0.2.1")
PEER = {
    "name": "tor",
    "router": "10.0.0.1",
    "asn": 64512,
    "state": "ESTABLISHED",
    "since": NOW,
    "lastError": "",
    "advertised": 2,
    "received": 0,
    "bfd": "up",
}
ROUTE = {
    "prefix": "192.0.2.1/32",
    "nextHop": "10.0.0.11",
    "localPref": 200,
    "med": 5,
    "communities": ["65000:7"],
    "largeCommunities": ["65000:1:2"],
    "asPathPrepend": 2,
    "peers": ["tor"],
}


def written(api: Api, path: str, resource: Resource, body: Mapping[str, Any]) -> Any:
    """Apply an object of a report's kind, whole and strictly; return its status as it is then."""
    whole = {"apiVersion": resource.api_version, "kind": resource.kind, **body}
    code, answer = api.apply(path, whole, MANAGER, fieldValidation="Strict")
    assert 201 == code, answer
    api.ok("DELETE", path)
    return answer["status"]


@pytest.mark.parametrize("asn", [64512, "external"])
def test_what_a_speaker_says_of_itself(api: Api, asn: int | str) -> None:
    said: dict[str, Any] = {
        "node": "n1",
        "interfaces": {"eth0": "02:00:00:00:00:01", "bond0.12": "02:00:00:00:00:02"},
        "nodes": {"n2": "dead", "n3.example.com": "unknown", "n4": "alive"},
        "notes": ["a note"],
        "bgp": {"problem": "", "draining": False, "peers": [{**PEER, "asn": asn, "watch": {"multihop": True}}]},
    }
    status = speaker_status(said, 1_700_000_000)
    name = f"{api.namespace}.n1"
    path = SPEAKER_STATUSES.path(name=name)
    labels = {"netlb.io/node": "n1"}
    assert status == written(
        api, path, SPEAKER_STATUSES, {"metadata": {"name": name, "labels": labels}, "status": status}
    )


def test_what_a_speaker_says_of_a_service(api: Api) -> None:
    owner = api.ok("POST", api.services, a_service("web"))["metadata"]
    declared = snapshot(
        pool("one", "192.0.2.1"),
        advertisement(),
        node("n1"),
        service("web"),
        slice_of("web", "n1"),
        holdings={"web": "192.0.2.1"},
    )
    standing = {ADDRESS: Announcement(Silence.ADDRESS_CONFLICT, "somebody has it", ("eth0",))}
    [text] = service_l2_statuses(plan_node(declared, "n1"), standing).values()
    status = yaml.safe_load(text)["status"]
    conditions = [{**one, "lastTransitionTime": NOW} for one in status["conditions"]]
    bgp: dict[str, Any] = {"node": "n1", "serviceNamespace": "default", "serviceName": "web", "peers": ["tor"]}
    bgp |= {"addresses": [{"ip": "192.0.2.1", "routes": [ROUTE]}]}
    owners = [{"apiVersion": "v1", "kind": "Service", "name": "web", "uid": owner["uid"]}]
    for kind, said in (("ServiceL2Status", status), ("ServiceBGPStatus", bgp)):
        whole = {**said, "conditions": conditions}
        path = REPORTS[kind].path(api.namespace, "web.n1")
        metadata = {"name": "web.n1", "namespace": api.namespace, "ownerReferences": owners}
        assert whole == written(api, path, REPORTS[kind], {"metadata": metadata, "status": whole})


def test_what_a_controller_says_of_a_service(api: Api) -> None:
    made = api.ok("POST", api.services, a_service("web"))
    ref = ObjectRef("Service", api.namespace, "web")
    path = f"{api.services}/web/status"
    condition = Condition("netlb.io/AddressAllocated", "True", "IPAllocated")
    body = service_body(ref, ServiceStatus(condition, ("192.0.2.1",), "one"), see(made, b""), version(made), NOW)
    code, answer = api.apply(path, {"apiVersion": "v1", "kind": "Service", **body}, MANAGER, fieldValidation="Strict")
    assert 200 == code, answer
    assert [{"ip": "192.0.2.1", "ipMode": "VIP"}] == answer["status"]["loadBalancer"]["ingress"]
    assert "one" == answer["metadata"]["annotations"][ALLOCATED_FROM[0]]
    said = see(answer, b"").status
    assert ServiceStatus(condition, ("192.0.2.1",), "one") == said
    stale = service_body(ref, None, see(answer, b""), version(made), NOW)
    assert 409 == api.apply(path, {"apiVersion": "v1", "kind": "Service", **stale}, MANAGER)[0]
    nothing = service_body(ref, None, see(answer, b""), version(answer), NOW)
    code, answer = api.apply(path, {"apiVersion": "v1", "kind": "Service", **nothing}, MANAGER)
    assert 200 == code, answer
    assert see(answer, b"").status is None
    assert not answer["status"].get("loadBalancer", {}).get("ingress")
    assert ALLOCATED_FROM[0] not in answer["metadata"].get("annotations", {})


def test_what_a_controller_says_of_a_native_object(api: Api, pool: str) -> None:
    api.ok("POST", POOLS, a_pool(pool))
    finding = Finding(
        reason=ManifestProblem.INVALID_OBJECT, problem="bad", remedy="mend it", field="spec", severity=Severity.ERROR
    )
    usage = {Family.IPV4: PoolUsage(256, 1)}
    body = object_body(pool.rpartition("/")[2], object_status(usage, [finding]), None, {}, NOW)
    whole = {"apiVersion": "netlb.io/v1alpha1", "kind": "AddressPool", **body}
    code, answer = api.apply(f"{pool}/status", whole, MANAGER, fieldValidation="Strict")
    assert 200 == code, answer
    assert body["status"] == answer["status"]


def test_what_a_gateway_says(api: Api) -> None:
    sites = {
        "east": {"nodes": ["e1", "e2"], "endpoints": [{"nodeName": "e1", "publicIPs": ["203.0.113.1"]}]},
        "west": {"nodes": ["w1"], "endpoints": [{"nodeName": "w1", "underNAT": True}]},
    }
    nodes = {name: {"podCIDRs": [f"10.1.{number}.0/24"]} for number, name in enumerate(("e1", "e2", "w1"))}
    declared = sites_snapshot(documents(sites, nodes))
    plan = plan_raven(declared, seen(declared))
    plane = plan.node("e1", local(None), Numbers())
    status = node_status(
        plan, plane, key=key_of("e1"), backend="userspace", alive={"w1"}, mtus={"w1": 1380}, notes=["a note"]
    )
    assert status["ways"]
    assert status["peers"]
    name = f"{api.namespace}.e1"
    path = GATEWAY_NODES.path(name=name)
    assert status == written(api, path, GATEWAY_NODES, {"metadata": {"name": name}, "status": status})

    said = site_status(plan, plan.mesh.sites["east"], lost=False)
    said["conditions"] = [{**one, "lastTransitionTime": NOW} for one in said["conditions"]]
    assert said["activeEndpoints"]
    path = GATEWAYS.path(name=api.namespace)
    body = {"apiVersion": GATEWAYS.api_version, "kind": GATEWAYS.kind, "metadata": {"name": api.namespace}}
    api.ok("POST", GATEWAYS.path(), body | {"spec": {}})
    code, answer = api.apply(f"{path}/status", body | {"status": said}, MANAGER, fieldValidation="Strict")
    assert 200 == code, answer
    assert said == answer["status"]
    api.ok("DELETE", path)


@pytest.mark.parametrize(
    ("resource", "spec"),
    [
        (NATIVE["L2Advertisement"], {}),
        (NATIVE["BGPAdvertisement"], {}),
        (NATIVE["BGPPeer"], {"peerASN": 64512, "peerAddress": "10.0.0.1"}),
        (NATIVE["BGPConfiguration"], {"asn": 64512}),
    ],
    ids=lambda one: getattr(one, "kind", None),
)
def test_what_a_controller_says_of_what_selects(api: Api, resource: Resource, spec: Mapping[str, Any]) -> None:
    counts = {"nodes": 3, "pools": 1} if resource.kind.endswith("Advertisement") else {"nodes": 3}
    said = object_body(api.namespace, object_status({}, [], counts), None, {}, NOW)
    whole = {"apiVersion": resource.api_version, "kind": resource.kind, **said}
    path = resource.path(name=api.namespace)
    api.ok("POST", resource.path(), {**whole, "spec": spec})
    code, answer = api.apply(f"{path}/status", whole, MANAGER, fieldValidation="Strict")
    api.ok("DELETE", path)
    assert 200 == code, answer
    assert said["status"] == answer["status"]


@pytest.mark.parametrize("warning", [False, True])
def test_events(api: Api, warning: bool) -> None:
    made = api.ok("POST", api.services, a_service("web"))
    body = event_body(
        ObjectRef("Service", api.namespace, "web"),
        Occurrence(EventReason.IP_ALLOCATED, "Allocate", "a note", warning),
        api_version=SERVICES.api_version,
        uid=made["metadata"]["uid"],
        reporter="netlb.io/controller",
        instance="host",
        when=datetime(2026, 1, 1, tzinfo=UTC),
    )
    path = f"/apis/events.k8s.io/v1/namespaces/{api.namespace}/events"
    answer = api.ok("POST", path, body, fieldValidation="Strict")
    assert ("a note", "IPAllocated", "web") == (answer["note"], answer["reason"], answer["regarding"]["name"])
    assert ("Warning" if warning else "Normal") == answer["type"]
