"""What an API server does, asked of the double, and of a real one when NETLB_TEST_KUBECONFIG names its kubeconfig.

With a real one a namespace, and the CustomResourceDefinitions of `deploy/crds` if they are not there, are created and
removed again; what cannot be brought about there is skipped, and says so.
"""

import json
import os
import subprocess
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from lightkube.config import client_adapter
from lightkube.config.kubeconfig import KubeConfig
from lightkube.config.models import User

from netlb.testing.apiserver import ApiServer
from tests.support.needs import needs_command

REAL = os.environ.get("NETLB_TEST_KUBECONFIG")
CRDS = Path(__file__).parents[2] / "deploy" / "crds"
APPLY, MERGE = "application/apply-patch+yaml", "application/merge-patch+json"
POOLS = "/apis/netlb.io/v1alpha1/addresspools"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"

double_only = pytest.mark.skipif(bool(REAL), reason="cannot be brought about in a real API server")


class Api:
    """An API server, and a namespace of our own in it."""

    def __init__(self, kubeconfig: Path, double: ApiServer | None) -> None:
        config = KubeConfig.from_file(kubeconfig).get()
        assert config
        config = config._replace(user=config.user or User())
        self.http = client_adapter.Client(config, client_adapter.ConnectionParams(timeout=httpx2.Timeout(30)))
        self.double = double
        self.namespace = f"netlb-contract-{uuid.uuid4().hex[:8]}"
        self.services = f"/api/v1/namespaces/{self.namespace}/services"
        self.configmaps = f"/api/v1/namespaces/{self.namespace}/configmaps"
        self.leases = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases"

    def ask(
        self, method: str, path: str, body: Any = None, *, kind: str = "application/json", **query: str
    ) -> tuple[int, Any]:
        """Return the status and the JSON of an answer."""
        content = None if body is None else json.dumps(body).encode()
        answer = self.http.request(method, path, params=query, content=content, headers={"Content-Type": kind})
        is_json = answer.headers.get("content-type", "").startswith("application/json")
        return answer.status_code, answer.json() if is_json else answer.text

    def ok(self, method: str, path: str, body: Any = None, *, kind: str = "application/json", **query: str) -> Any:
        """Return the JSON of an answer that must be a success."""
        code, answer = self.ask(method, path, body, kind=kind, **query)
        assert code in (200, 201), answer
        return answer

    def no(self, method: str, path: str, body: Any = None, *, kind: str = "application/json", **query: str) -> Any:
        """Return the Status of a refusal."""
        code, answer = self.ask(method, path, body, kind=kind, **query)
        assert code >= 400, answer
        assert code == answer["code"]
        assert ("Status", "v1", "Failure") == (answer["kind"], answer["apiVersion"], answer["status"])
        return answer

    def apply(self, path: str, body: Mapping[str, Any], manager: str, **query: str) -> tuple[int, Any]:
        return self.ask("PATCH", path, body, kind=APPLY, fieldManager=manager, **query)

    def watch(self, path: str, version: str, **query: str) -> Iterator[dict[str, Any]]:
        """Yield the events of a watch until it ends, after 2 s unless told otherwise."""
        asked = {"timeoutSeconds": "2", **query, "watch": "true", "resourceVersion": version}
        with self.http.stream("GET", path, params=asked) as answer:
            assert 200 == answer.status_code, answer.read()
            for line in answer.iter_lines():
                yield json.loads(line)


@pytest.fixture(scope="module")
def module_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    if REAL:
        yield from run(Api(Path(REAL), None))
        return
    with ApiServer() as double:
        yield from run(Api(double.write_kubeconfig(tmp_path_factory.mktemp("double") / "kubeconfig"), double))


def run(api: Api) -> Iterator[Api]:
    made = []
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": api.namespace}}
    api.ok("POST", "/api/v1/namespaces", namespace)
    try:
        for path in sorted(CRDS.glob("*.yaml")):
            definition = yaml.safe_load(path.read_text())
            code, answer = api.ask("POST", DEFINITIONS, definition)
            assert code in (201, 409), answer
            made += [definition["metadata"]["name"]] if code == 201 else []
        yield api
    finally:
        for name in made:
            api.ok("DELETE", f"{DEFINITIONS}/{name}")
        api.ok("DELETE", f"/api/v1/namespaces/{api.namespace}")
        api.http.close()


@pytest.fixture
def api(module_api: Api) -> Iterator[Api]:
    """The server; what a test makes in our namespace is removed."""
    yield module_api
    for path in (module_api.services, module_api.configmaps, module_api.leases):
        for item in module_api.ok("GET", path)["items"]:
            if item["metadata"]["name"] != "kube-root-ca.crt":
                module_api.ask(
                    "PATCH", f"{path}/{item['metadata']['name']}", {"metadata": {"finalizers": None}}, kind=MERGE
                )
                module_api.ask("DELETE", f"{path}/{item['metadata']['name']}")


@pytest.fixture
def pool(api: Api) -> Iterator[str]:
    """The path of a pool that is removed again."""
    path = f"{POOLS}/contract-{uuid.uuid4().hex[:8]}"
    yield path
    api.ask("DELETE", path)


def config_map(name: str, **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def service(name: str, port: int = 80, **metadata: Any) -> dict[str, Any]:
    spec = {"type": "LoadBalancer", "loadBalancerClass": "netlb.io/contract", "ports": [{"port": port}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, **metadata}, "spec": spec}


def a_pool(path: str, **spec: Any) -> dict[str, Any]:
    metadata = {"name": path.rpartition("/")[2]}
    spec = {"addresses": ["192.0.2.0/24"], **spec}
    return {"apiVersion": "netlb.io/v1alpha1", "kind": "AddressPool", "metadata": metadata, "spec": spec}


def version(body: Mapping[str, Any]) -> str:
    return str(body["metadata"]["resourceVersion"])


# Objects


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
        ("POST", "", {**config_map("a"), "metadata": {"name": "a", "resourceVersion": "1"}}, 400, None),
    ],
)
def test_what_cannot_be_is_refused(
    api: Api, *, method: str, path: str, body: Any, code: int, reason: str | None
) -> None:
    answer = api.no(method, api.configmaps + path, body)
    assert code == answer["code"]
    assert reason in (None, answer["reason"])


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


# Lists


def test_lists_are_read_in_pages_of_one_moment(api: Api) -> None:
    for number in range(5):
        api.ok(
            "POST",
            api.configmaps,
            config_map(f"p{number}", x="1") | {"metadata": {"name": f"p{number}", "labels": {"page": "1"}}},
        )
    query = {"labelSelector": "page=1", "limit": "2"}
    page = api.ok("GET", api.configmaps, **query)
    names, moment = [item["metadata"]["name"] for item in page["items"]], version(page)
    api.ok("DELETE", f"{api.configmaps}/p4")
    while token := page["metadata"].get("continue"):
        page = api.ok("GET", api.configmaps, **query, **{"continue": token})
        names += [item["metadata"]["name"] for item in page["items"]]
        assert moment == version(page)
    assert ["p0", "p1", "p2", "p3", "p4"] == names


def test_items_of_kubernetes_own_lists_do_not_say_what_they_are(api: Api, pool: str) -> None:
    api.ok("POST", api.configmaps, config_map("a"))
    answer = api.ok("GET", api.configmaps, fieldSelector="metadata.name=a")
    assert ("ConfigMapList", "v1") == (answer["kind"], answer["apiVersion"])
    assert [(None, None)] == [(item.get("kind"), item.get("apiVersion")) for item in answer["items"]]
    api.ok("POST", POOLS, a_pool(pool))
    items = api.ok("GET", POOLS, fieldSelector=f"metadata.name={pool.rpartition('/')[2]}")["items"]
    assert [("AddressPool", "netlb.io/v1alpha1")] == [(item["kind"], item["apiVersion"]) for item in items]


@pytest.mark.parametrize(
    ("selector", "names"),
    [
        ("color=red", ["a"]),
        ("color==red", ["a"]),
        ("color!=red", ["b", "c"]),
        ("color in (red, blue)", ["a", "b"]),
        ("color notin (red,blue),kind=selected", ["c"]),
        ("color", ["a", "b"]),
        ("!color", ["c"]),
        ("color,color!=red", ["b"]),
    ],
)
def test_label_selectors(api: Api, selector: str, names: list[str]) -> None:
    for name, labels in (("a", {"color": "red"}), ("b", {"color": "blue"}), ("c", {"kind": "selected"})):
        api.ok("POST", api.services, service(name, labels=labels))
    items = api.ok("GET", api.services, labelSelector=selector)["items"]
    assert names == [item["metadata"]["name"] for item in items]


def test_field_selectors(api: Api) -> None:
    api.ok("POST", api.services, service("a"))
    api.ok("POST", api.services, {**service("b"), "spec": {"type": "ClusterIP", "ports": [{"port": 80}]}})
    for selector, names in (("spec.type=LoadBalancer", ["a"]), ("metadata.name!=a", ["b"])):
        items = api.ok("GET", api.services, fieldSelector=selector)["items"]
        assert names == [item["metadata"]["name"] for item in items]


def test_a_list_from_the_future_is_refused(api: Api) -> None:
    answer = api.no("GET", api.configmaps, resourceVersion=str(2**62))
    assert 504 == answer["code"]
    assert "ResourceVersionTooLarge" in {cause.get("reason") for cause in answer["details"]["causes"]}


# Watches


def test_a_watch_tells_all_that_is_written_after_a_version(api: Api) -> None:
    start = version(api.ok("GET", api.configmaps))
    made = api.ok("POST", api.configmaps, config_map("a", x="1"))
    changed = api.ok("PATCH", f"{api.configmaps}/a", {"data": {"x": "2"}}, kind=MERGE)
    api.ok("DELETE", f"{api.configmaps}/a")
    events = list(api.watch(api.configmaps, start, fieldSelector="metadata.name=a"))
    assert ["ADDED", "MODIFIED", "DELETED"] == [event["type"] for event in events]
    assert [made, changed] == [event["object"] for event in events[:2]]
    last = events[2]["object"]
    assert "ConfigMap" == last["kind"]
    assert {"x": "2"} == last["data"]
    assert int(version(changed)) < int(version(last)), "a deletion has a version of its own"


def test_a_watch_hears_what_is_written_while_it_is_open(api: Api) -> None:
    start = version(api.ok("GET", api.configmaps))
    with ThreadPoolExecutor() as pool:
        heard = pool.submit(lambda: next(api.watch(api.configmaps, start, labelSelector="late=1", timeoutSeconds="30")))
        api.ok("POST", api.configmaps, config_map("late") | {"metadata": {"name": "late", "labels": {"late": "1"}}})
        assert ("ADDED", "late") == (heard.result(30)["type"], heard.result()["object"]["metadata"]["name"])


def test_what_leaves_a_selection_is_deleted_to_the_watch_and_what_enters_is_added(api: Api) -> None:
    api.ok("POST", api.configmaps, config_map("a") | {"metadata": {"name": "a", "labels": {"in": "1"}}})
    start = version(api.ok("GET", api.configmaps))
    for labels in ({"in": "0"}, {"in": "1"}):
        api.ok("PATCH", f"{api.configmaps}/a", {"metadata": {"labels": labels}}, kind=MERGE)
    events = list(api.watch(api.configmaps, start, labelSelector="in=1"))
    assert ["DELETED", "ADDED"] == [event["type"] for event in events]


def test_a_watch_without_a_version_begins_with_what_is_there(api: Api) -> None:
    api.ok("POST", api.configmaps, config_map("a"))
    events = api.watch(api.configmaps, "0", fieldSelector="metadata.name=a")
    assert ("ADDED", "a") == ((first := next(events))["type"], first["object"]["metadata"]["name"])
    events.close()  # type: ignore[attr-defined]


def test_a_watch_ends_when_it_was_told_to(api: Api) -> None:
    start = version(api.ok("GET", api.configmaps))
    assert [] == list(api.watch(api.configmaps, start, timeoutSeconds="1", labelSelector="nothing=here"))


@double_only
def test_bookmarks_say_how_far_the_server_is(api: Api) -> None:
    assert api.double
    start = version(api.ok("GET", api.configmaps))
    with ThreadPoolExecutor() as pool:
        heard = pool.submit(
            lambda: next(api.watch(api.configmaps, start, allowWatchBookmarks="true", timeoutSeconds="30"))
        )
        while not heard.done():
            api.ok("POST", api.services, service(f"s-{uuid.uuid4().hex[:6]}"))
            api.double.bookmark()
        bookmark = heard.result()
    assert ("BOOKMARK", "ConfigMap") == (bookmark["type"], bookmark["object"]["kind"])
    assert int(start) < int(version(bookmark["object"]))


@double_only
def test_what_needs_a_compacted_history_is_410(api: Api) -> None:
    assert api.double
    api.ok("POST", api.configmaps, config_map("a"))
    api.ok("POST", api.configmaps, config_map("b"))
    page = api.ok("GET", api.configmaps, limit="1")
    api.ok("DELETE", f"{api.configmaps}/a")
    api.double.compact()
    token = page["metadata"]["continue"]
    assert (410, "Expired") == ((gone := api.no("GET", api.configmaps, **{"continue": token}))["code"], gone["reason"])
    answer = api.no("GET", api.configmaps, watch="true", resourceVersion=version(page))
    assert (410, "Expired") == (answer["code"], answer["reason"])


# Status


def test_a_services_status_is_a_subresource_that_takes_annotations_along(api: Api) -> None:
    made = api.ok("POST", api.services, service("a") | {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.9"}]}}})
    assert {} == made["status"].get("loadBalancer", {}) if "status" in made else True
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


def test_custom_objects_are_defaulted_pruned_and_checked(api: Api, pool: str) -> None:
    made = api.ok("POST", POOLS, a_pool(pool, unheardOf=1))
    assert made["spec"]["autoAssign"] is True
    assert "unheardOf" not in made["spec"]
    answer = api.no("POST", POOLS, a_pool(f"{pool}-x", unheardOf=1), fieldValidation="Strict")
    assert 400 == answer["code"]
    assert "unheardOf" in answer["message"]
    answer = api.no("PATCH", pool, {"spec": {"addresses": ["192.0.2.0/240"]}}, kind=MERGE)
    assert (422, "Invalid") == (answer["code"], answer["reason"])
    assert "spec.addresses[0]" in {cause["field"] for cause in answer["details"]["causes"]}
    answer = api.no("PATCH", pool, {"spec": {"autoAssignNamespaces": ["a"]}}, kind=MERGE)
    assert "autoAssign" in answer["message"], "a rule in CEL"


def test_a_custom_object_is_not_replaced_without_its_version(api: Api, pool: str) -> None:
    api.ok("POST", POOLS, a_pool(pool))
    assert 422 == api.no("PUT", pool, a_pool(pool))["code"]


# Server-side apply


def applied(name: str, annotations: Mapping[str, str], **data: str) -> dict[str, Any]:
    metadata = {"name": name, "annotations": annotations}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def test_apply_creates_and_what_is_not_applied_any_more_is_removed(api: Api) -> None:
    path = f"{api.configmaps}/a"
    assert 201 == api.apply(path, applied("a", {"k": "1"}, x="1", y="1"), "one")[0]
    code, again = api.apply(path, applied("a", {"k": "1"}, x="1", y="1"), "one")
    assert 200 == code
    assert version(again) == version(api.apply(path, applied("a", {"k": "1"}, x="1", y="1"), "one")[1])
    _, less = api.apply(path, applied("a", {"k": "1"}, x="1"), "one")
    assert {"x": "1"} == less["data"]
    assert "annotations" not in api.apply(path, applied("a", {}, x="1"), "one")[1]["metadata"]


def test_apply_needs_a_manager(api: Api) -> None:
    assert 400 == api.no("PATCH", f"{api.configmaps}/a", applied("a", {}), kind=APPLY)["code"]


def test_what_another_owns_is_a_conflict_unless_it_is_the_same_or_forced(api: Api) -> None:
    path = f"{api.configmaps}/a"
    api.apply(path, applied("a", {}, x="1", y="1"), "one")
    assert 200 == api.apply(path, applied("a", {}, x="1", z="2"), "two")[0], "the same value is owned by both"
    code, answer = api.apply(path, applied("a", {}, x="2", z="2"), "two")
    assert (409, "Conflict") == (code, answer["reason"])
    assert [("FieldManagerConflict", ".data.x")] == [
        (cause["reason"], cause["field"]) for cause in answer["details"]["causes"]
    ]
    assert 'conflict with "one"' in answer["details"]["causes"][0]["message"]
    assert {"x": "2", "y": "1", "z": "2"} == api.apply(path, applied("a", {}, x="2", z="2"), "two", force="true")[1][
        "data"
    ]
    assert 409 == api.apply(path, applied("a", {}, x="1", y="1"), "one")[0], "it is the other's now"
    assert {"x": "2", "z": "2"} == api.apply(path, applied("a", {}), "one")[1]["data"]


def test_what_both_own_stays_until_nobody_applies_it(api: Api) -> None:
    path = f"{api.configmaps}/a"
    for manager in ("one", "two"):
        api.apply(path, applied("a", {}, x="1"), manager)
    assert {"x": "1"} == api.apply(path, applied("a", {}), "one")[1]["data"]
    assert not api.apply(path, applied("a", {}), "two")[1].get("data")


def test_an_update_owns_what_it_changes(api: Api) -> None:
    path = f"{api.configmaps}/a"
    api.apply(path, applied("a", {}, x="1", y="1"), "one")
    api.ok("PATCH", path, {"data": {"x": "2"}}, kind=MERGE, fieldManager="somebody")
    code, answer = api.apply(path, applied("a", {}, x="1", y="1"), "one")
    assert 409 == code
    assert 'conflict with "somebody"' in answer["details"]["causes"][0]["message"]


def test_apply_can_demand_a_version(api: Api) -> None:
    path = f"{api.configmaps}/a"
    _, first = api.apply(path, applied("a", {}, x="1"), "one")
    second = applied("a", {}, x="2")
    second["metadata"]["resourceVersion"] = version(first)
    assert 200 == api.apply(path, second, "one")[0]
    second["data"] = {"x": "3"}
    assert 409 == api.apply(path, second, "one")[0]


def test_apply_of_a_status_leaves_the_rest_alone_and_lists_are_merged_by_their_keys(api: Api) -> None:
    api.ok("POST", api.services, service("a"))
    path = f"{api.services}/a/status"

    def condition(kind: str) -> dict[str, str]:
        times = {"lastTransitionTime": "2026-01-01T00:00:00Z", "reason": "Because", "message": ""}
        return {"type": kind, "status": "True", **times}

    def status(*conditions: str, ip: str = "") -> dict[str, Any]:
        balancer = {"loadBalancer": {"ingress": [{"ip": ip, "ipMode": "VIP"}]}} if ip else {}
        body: dict[str, Any] = {"conditions": [condition(kind) for kind in conditions], **balancer}
        return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "status": body}

    api.apply(path, status("example.com/A", ip="192.0.2.1"), "one")
    _, both = api.apply(path, status("example.com/B"), "two")
    assert ["example.com/A", "example.com/B"] == [one["type"] for one in both["status"]["conditions"]]
    _, less = api.apply(path, status(ip="192.0.2.1"), "one")
    assert ["example.com/B"] == [one["type"] for one in less["status"]["conditions"]]
    assert [{"ip": "192.0.2.1", "ipMode": "VIP"}] == less["status"]["loadBalancer"]["ingress"]
    assert 409 == api.apply(path, status("example.com/B", ip="192.0.2.2"), "two")[0], (
        "the list of addresses is one thing"
    )
    assert 404 == api.apply(f"{api.services}/nothing/status", status() | {"metadata": {"name": "nothing"}}, "one")[0]


# Leases


def lease(name: str, **spec: Any) -> dict[str, Any]:
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}, "spec": spec}


def test_leases(api: Api) -> None:
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


# Other clients


@double_only
def test_kubectl_speaks_to_it(module_api: Api, tmp_path: Path) -> None:
    kubectl = needs_command("kubectl", "kubernetes-client")
    assert module_api.double
    path = module_api.double.write_kubeconfig(tmp_path / "kubeconfig")
    command = [kubectl, "--kubeconfig", str(path), "--namespace", module_api.namespace]

    def run(*arguments: str, body: Mapping[str, Any] | None = None) -> str:
        stdin = json.dumps(body) if body else None
        environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
        done = subprocess.run(
            [*command, *arguments], input=stdin, capture_output=True, text=True, check=False, env=environment
        )
        assert 0 == done.returncode, done.stderr
        return done.stdout

    applying = ("apply", "--server-side", "--validate=false", "--filename", "-")
    assert "service/web serverside-applied" in run(*applying, body=service("web", labels={"a": "b"}))
    assert "addresspool.netlb.io/k serverside-applied" in run(*applying, body=a_pool("k"))
    assert "service/web" == run("get", "svc", "--selector", "a=b", "--output", "name").strip()
    assert "192.0.2.0/24" in run("get", "lbpool", "k", "--output", "yaml")
    found = json.loads(run("get", "svc", "web", "--output", "json"))
    found["status"] = {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}
    status = f"/api/v1/namespaces/{module_api.namespace}/services/web/status"
    # Not --subresource, which kubectl knows since 1.24: Debian 12 has 1.20.
    run("replace", "--validate=false", "--raw", status, "--filename", "-", body=found)
    assert "192.0.2.1" == run("get", "svc", "web", "--output", "jsonpath={.status.loadBalancer.ingress[0].ip}")
    assert "deleted" in run("delete", "svc/web", "lbpool/k")


# Who is asked


@double_only
def test_a_token_is_asked_for_and_can_be_changed(tmp_path: Path) -> None:
    with ApiServer(token="first") as server, httpx2.Client(base_url=server.url) as http:
        assert 401 == http.get("/api/v1/services").status_code
        ours = {"Authorization": "Bearer first"}
        assert 200 == http.get("/api/v1/services", headers=ours).status_code
        server.rotate_token("second", tmp_path / "token")
        assert "Unauthorized" == http.get("/api/v1/services", headers=ours).json()["reason"]
        assert "second" == (tmp_path / "token").read_text()


RULES = {
    "": [
        {"apiGroups": [""], "resources": ["services"], "verbs": ["list", "patch"]},
        {"apiGroups": [""], "resources": ["services/status"], "verbs": ["patch"]},
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["config"], "verbs": ["list"]},
    ],
    "default": [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["list"]}],
}
"""What a token may do, as a ClusterRole and the Role of a namespace have it."""


@double_only
@pytest.mark.parametrize(
    ("code", "method", "path"),
    [
        (200, "GET", "/api/v1/services"),
        (200, "GET", "/apis"),
        (403, "GET", "/api/v1/services?watch=1"),
        (403, "GET", "/api/v1/nodes"),
        (403, "GET", "/api/v1/namespaces/default/services/web"),
        (200, "GET", "/api/v1/namespaces/default/secrets"),
        (403, "GET", "/api/v1/namespaces/kube-system/secrets"),
        (200, "GET", "/api/v1/configmaps?fieldSelector=metadata.name%3Dconfig"),
        (403, "GET", "/api/v1/configmaps?fieldSelector=metadata.name%3Dother"),
        (403, "GET", "/api/v1/configmaps"),
        (200, "PATCH", "/api/v1/namespaces/default/services/web/status"),
        (200, "PATCH", "/api/v1/namespaces/default/services/web"),
        (403, "PATCH", "/api/v1/namespaces/default/services/new"),
        (403, "DELETE", "/api/v1/namespaces/default/services/web"),
    ],
)
def test_who_has_rights_has_no_others(code: int, method: str, path: str) -> None:
    with ApiServer(rights={"weak": RULES}) as server:
        server.put(service("web"))
        headers = {"Authorization": "Bearer weak", "Content-Type": APPLY}
        url = f"{server.url}{path}" + ("?fieldManager=m" if method == "PATCH" else "")
        content = json.dumps({"spec": {"ports": [{"port": 80}]}}) if method == "PATCH" else None
        answer = httpx2.request(method, url, headers=headers, content=content)
        assert code == answer.status_code, answer.text
        assert (code == 403) == bool(server.forbidden)
