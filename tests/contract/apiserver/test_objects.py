"""Objects one by one: what an API server makes of them, and what it refuses."""

import uuid
from typing import Any

import pytest

from tests.support.apiserver import MERGE, Api, config_map, version


def test_what_is_created_has_what_only_the_server_sets(api: Api) -> None:
    made = api.ok("POST", api.configmaps, config_map("a", x="1"))
    assert {"uid", "creationTimestamp", "resourceVersion", "namespace", "name"} <= made["metadata"].keys()
    assert made == api.ok("GET", f"{api.configmaps}/a")
    assert "AlreadyExists" == api.no("POST", api.configmaps, config_map("a"))["reason"]


def test_generated_names_differ(api: Api) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "gen-"}}
    names = {api.ok("POST", api.configmaps, body)["metadata"]["name"] for _ in range(3)}
    assert 3 == len(names)
    assert all(name.startswith("gen-") for name in names)


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "reason"),
    [
        ("GET", "/a", None, 404, "NotFound"),
        ("DELETE", "/a", None, 404, "NotFound"),
        ("PUT", "/a", config_map("a"), 404, "NotFound"),
        ("POST", "", config_map("Not A Name"), 422, "Invalid"),
        ("POST", "", {"metadata": {}}, 422, "Invalid"),
        ("POST", "", {**config_map("a"), "kind": "Secret"}, 400, "BadRequest"),
        ("POST", "", {**config_map("a"), "metadata": {"name": "a", "namespace": "other"}}, 400, "BadRequest"),
    ],
)
def test_what_cannot_be_is_refused(api: Api, *, method: str, path: str, body: Any, code: int, reason: str) -> None:
    answer = api.no(method, api.configmaps + path, body)
    assert (code, reason) == (answer["code"], answer["reason"])


def test_what_is_created_has_no_version_yet(api: Api) -> None:
    body = {**config_map("a"), "metadata": {"name": "a", "resourceVersion": "1"}}
    # A real server has no status of its own for this, and says 500.
    assert api.no("POST", api.configmaps, body)["code"] in (400, 500)
    assert 404 == api.no("GET", f"{api.configmaps}/a")["code"]


@pytest.mark.parametrize("selector", [{"fieldSelector": "data.x=1"}, {"labelSelector": "!!"}])
def test_selectors_that_cannot_be_read_are_refused(api: Api, selector: dict[str, str]) -> None:
    assert 400 == api.no("GET", api.configmaps, **selector)["code"]


def test_a_group_that_is_not_served_is_a_plain_404(api: Api) -> None:
    assert 404 == api.ask("GET", "/apis/nothing.example/v1/things")[0]


def test_a_namespace_must_exist(api: Api) -> None:
    answer = api.no("POST", "/api/v1/namespaces/netlb-nowhere/configmaps", config_map("a"))
    assert 404 == answer["code"]


def test_a_write_names_the_version_that_it_replaces(api: Api) -> None:
    first = api.ok("POST", api.configmaps, config_map("a", x="1"))
    second = api.ok("PUT", f"{api.configmaps}/a", {**first, "data": {"x": "2"}})
    assert int(version(first)) < int(version(second))
    answer = api.no("PUT", f"{api.configmaps}/a", {**first, "data": {"x": "3"}})
    assert (409, "Conflict") == (answer["code"], answer["reason"])
    patch = {"metadata": {"resourceVersion": version(first)}, "data": {"x": "3"}}
    assert 409 == api.no("PATCH", f"{api.configmaps}/a", patch, kind=MERGE)["code"]
    assert {"x": "2"} == api.ok("GET", f"{api.configmaps}/a")["data"]


def test_a_write_that_changes_nothing_makes_no_version(api: Api) -> None:
    first = api.ok("POST", api.configmaps, config_map("a", x="1"))
    assert version(first) == version(api.ok("PUT", f"{api.configmaps}/a", first))
    assert version(first) == version(api.ok("PATCH", f"{api.configmaps}/a", {"data": {"x": "1"}}, kind=MERGE))


def test_a_merge_patch_removes_by_null(api: Api) -> None:
    api.ok("POST", api.configmaps, config_map("a", x="1", y="2"))
    patched = api.ok("PATCH", f"{api.configmaps}/a", {"data": {"x": None, "z": "3"}}, kind=MERGE)
    assert {"y": "2", "z": "3"} == patched["data"]


def test_deletion_waits_for_finalizers(api: Api) -> None:
    body = config_map("a") | {"metadata": {"name": "a", "finalizers": ["netlb.io/contract"]}}
    api.ok("POST", api.configmaps, body)
    assert "deletionTimestamp" in api.ok("DELETE", f"{api.configmaps}/a")["metadata"]
    assert "deletionTimestamp" in api.ok("GET", f"{api.configmaps}/a")["metadata"]
    api.ok("PATCH", f"{api.configmaps}/a", {"data": {"x": "1"}}, kind=MERGE)
    assert "AlreadyExists" == api.no("POST", api.configmaps, config_map("a"))["reason"], "it is still there"
    api.ok("PATCH", f"{api.configmaps}/a", {"metadata": {"finalizers": None}}, kind=MERGE)
    assert 404 == api.no("GET", f"{api.configmaps}/a")["code"]


def test_deletion_can_demand_which_object_it_is(api: Api) -> None:
    made = api.ok("POST", api.configmaps, config_map("a"))
    wrong = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": str(uuid.uuid4())}}
    assert 409 == api.no("DELETE", f"{api.configmaps}/a", wrong)["code"]
    wrong["preconditions"] = {"uid": made["metadata"]["uid"]}
    assert "Success" == api.ok("DELETE", f"{api.configmaps}/a", wrong)["status"]


def test_discovery_tells_what_is_served(api: Api) -> None:
    groups = {group["name"]: group for group in api.ok("GET", "/apis")["groups"]}
    assert "netlb.io/v1alpha1" == groups["netlb.io"]["preferredVersion"]["groupVersion"]
    served = {one["name"]: one for one in api.ok("GET", "/apis/netlb.io/v1alpha1")["resources"]}
    assert not served["addresspools"]["namespaced"]
    assert "addresspools/status" in served
    assert {"services", "services/status"} <= {one["name"] for one in api.ok("GET", "/api/v1")["resources"]}
