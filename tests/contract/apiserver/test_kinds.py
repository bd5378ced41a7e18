"""Kinds: the status subresource, CustomResourceDefinitions, Leases."""

from pathlib import Path

import pytest
import yaml

from tests.support.apiserver import CRDS, DEFINITIONS, MERGE, POOLS, Api, a_pool, config_map, lease, service, version


def test_a_services_status_is_a_subresource_that_takes_annotations_along(api: Api) -> None:
    made = api.ok("POST", api.services, service("a") | {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}}})
    assert not made.get("status", {}).get("loadBalancer"), "a status that comes with a new object is dropped"
    status = {
        "metadata": {"annotations": {"netlb.io/allocated-from": "p"}},
        "spec": {"externalTrafficPolicy": "Local"},
        "status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}},
    }
    after = api.ok("PATCH", f"{api.services}/a/status", status, kind=MERGE)
    assert [{"ip": "192.0.2.1", "ipMode": "VIP"}] == after["status"]["loadBalancer"]["ingress"]
    assert {"netlb.io/allocated-from": "p"} == after["metadata"]["annotations"]
    assert "Local" != after["spec"].get("externalTrafficPolicy")
    patch = {"metadata": {"labels": {"x": "1"}}, "status": {"loadBalancer": {}}}
    again = api.ok("PATCH", f"{api.services}/a", patch, kind=MERGE)
    assert "192.0.2.1" == again["status"]["loadBalancer"]["ingress"][0]["ip"], "not through the object itself"


def test_a_service_that_is_no_load_balancer_any_more_has_no_ingress(api: Api) -> None:
    api.ok("POST", api.services, service("a"))
    api.ok(
        "PATCH",
        f"{api.services}/a/status",
        {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}},
        kind=MERGE,
    )
    after = api.ok("PATCH", f"{api.services}/a", {"spec": {"type": "ClusterIP", "loadBalancerClass": None}}, kind=MERGE)
    assert not after["status"]["loadBalancer"].get("ingress")


def test_a_custom_status_is_a_subresource_and_nothing_else(api: Api, pool: str) -> None:
    made = api.ok("POST", POOLS, a_pool(pool) | {"status": {"ipv4": {"total": "9", "used": "0", "free": "9"}}})
    assert "status" not in made
    assert 1 == made["metadata"]["generation"]
    counts = {"total": "256", "used": "1", "free": "255"}
    patch = {"metadata": {"labels": {"x": "1"}}, "spec": {"autoAssign": False}, "status": {"ipv4": counts}}
    after = api.ok("PATCH", f"{pool}/status", patch, kind=MERGE)
    assert counts == after["status"]["ipv4"]
    assert after["spec"]["autoAssign"]
    assert "labels" not in after["metadata"]
    assert 1 == after["metadata"]["generation"]
    changed = api.ok("PATCH", pool, {"spec": {"autoAssign": False}}, kind=MERGE)
    assert 2 == changed["metadata"]["generation"]
    assert counts == changed["status"]["ipv4"]


def test_there_is_no_status_where_none_is_declared(api: Api) -> None:
    api.ok("POST", api.configmaps, config_map("a"))
    assert 404 == api.ask("GET", f"{api.configmaps}/a/status")[0]


# CustomResourceDefinitions


@pytest.mark.parametrize("path", sorted(CRDS.glob("*.yaml")), ids=lambda path: path.stem)
def test_the_definitions_of_netlb_are_taken_as_they_are(api: Api, path: Path) -> None:
    wanted = yaml.safe_load(path.read_text())
    found = api.ok("GET", f"{DEFINITIONS}/{wanted['metadata']['name']}")
    conditions = {one["type"]: one["status"] for one in found["status"]["conditions"]}
    assert ("True", "True") == (conditions["Established"], conditions["NamesAccepted"])
    assert "True" != conditions.get("NonStructuralSchema"), found["status"]["conditions"]
    assert wanted["spec"]["names"] == found["spec"]["names"]
    assert wanted["spec"]["scope"] == found["spec"]["scope"]
    [version] = found["spec"]["versions"]
    assert wanted["spec"]["versions"][0]["schema"] == version["schema"], "no field of it was dropped"
    assert found["spec"]["names"]["kind"] == found["status"]["acceptedNames"]["kind"]


def test_custom_objects_are_defaulted_pruned_and_checked(api: Api, pool: str) -> None:
    made = api.ok("POST", POOLS, a_pool(pool, unheardOf=1))
    assert made["spec"]["autoAssign"] is True
    assert "unheardOf" not in made["spec"]
    answer = api.no("POST", POOLS, a_pool(f"{pool}-x", unheardOf=1), fieldValidation="Strict")
    assert 400 == answer["code"]
    assert "unheardOf" in answer["message"]
    answer = api.no("PATCH", pool, {"spec": {"addresses": ["192.0.2.0/240"]}}, kind=MERGE)
    assert (422, "Invalid") == (answer["code"], answer["reason"])
    assert "spec.addresses[0]" in answer["message"]
    assert answer["details"]["causes"]
    answer = api.no("PATCH", pool, {"spec": {"autoAssignNamespaces": ["a"]}}, kind=MERGE)
    assert "autoAssign" in answer["message"], "a rule in CEL"


def test_a_custom_object_is_not_replaced_without_its_version(api: Api, pool: str) -> None:
    api.ok("POST", POOLS, a_pool(pool))
    assert 422 == api.no("PUT", pool, a_pool(pool))["code"]


def test_custom_objects_wait_for_finalizers_too(api: Api, pool: str) -> None:
    body = a_pool(pool)
    body["metadata"]["finalizers"] = ["netlb.io/contract"]
    api.ok("POST", POOLS, body)
    assert "deletionTimestamp" in api.ok("DELETE", pool)["metadata"]
    api.ok("PATCH", pool, {"metadata": {"finalizers": None}}, kind=MERGE)
    assert 404 == api.no("GET", pool)["code"]


def test_custom_objects_are_watched_as_any_others(api: Api, pool: str) -> None:
    start = version(api.ok("GET", POOLS))
    made = api.ok("POST", POOLS, a_pool(pool))
    [event] = api.watch(POOLS, start, fieldSelector=f"metadata.name={pool.rpartition('/')[2]}")
    assert ("ADDED", made) == (event["type"], event["object"])


# Leases


def test_who_writes_a_lease_names_the_version_that_it_replaces(api: Api) -> None:
    times = {"acquireTime": "2026-01-01T00:00:00.000000Z", "renewTime": "2026-01-01T00:00:00.000001Z"}
    made = api.ok(
        "POST", api.leases, lease("a", holderIdentity="x", leaseDurationSeconds=15, leaseTransitions=0, **times)
    )
    assert times == {name: made["spec"][name] for name in times}
    renewed = made | {"spec": {**made["spec"], "renewTime": "2026-01-01T00:00:02.000000Z"}}
    api.ok("PUT", f"{api.leases}/a", renewed)
    assert 409 == api.no("PUT", f"{api.leases}/a", renewed)["code"]
    assert 422 == api.no("PUT", f"{api.leases}/a", lease("a", holderIdentity="y"))["code"], "no version"
    assert 422 == api.no("POST", api.leases, lease("b", leaseDurationSeconds=0))["code"]
    assert 400 == api.no("POST", api.leases, lease("b", renewTime="yesterday"))["code"]
