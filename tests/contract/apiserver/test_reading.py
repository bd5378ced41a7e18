"""Lists, selectors, pages and watches."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.apiserver import MERGE, POOLS, Api, a_pool, config_map, double_only, service, version


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


def test_bookmarks_say_how_far_the_server_is(api: Api) -> None:
    start = version(api.ok("GET", api.configmaps))
    query = {"labelSelector": "nothing=here", "allowWatchBookmarks": "true", "timeoutSeconds": "75"}
    with ThreadPoolExecutor() as pool:
        # A real server sends them about once a minute, and shortly before a watch ends.
        heard = pool.submit(lambda: next(api.watch(api.configmaps, start, **query)))
        written = api.ok("POST", api.configmaps, config_map("a"))
        while api.double and not heard.done():
            api.double.bookmark()
            time.sleep(0.01)  # it is on its way
        bookmark = heard.result()
    assert ("BOOKMARK", "ConfigMap") == (bookmark["type"], bookmark["object"]["kind"])
    assert int(version(written)) <= int(version(bookmark["object"]))
    assert not bookmark["object"]["metadata"].get("name")


def is_expired(api: Api, path: str, resource_version: str) -> bool:
    """Whether a watch from a version is refused with 410: as an answer, or as its first event."""
    query = {"watch": "true", "resourceVersion": resource_version, "timeoutSeconds": "5"}
    with api.http.stream("GET", path, params=query) as answer:
        if answer.status_code != 200:
            return bool(answer.status_code == 410)
        event = json.loads(next(answer.iter_lines()))
    return (event["type"], event["object"].get("code")) == ("ERROR", 410)


def test_a_watch_from_long_ago_is_410(api: Api) -> None:
    assert is_expired(api, api.configmaps, "1")


@double_only("when its history is compacted is its own business: after five minutes as a rule")
def test_what_needs_a_compacted_history_is_410(api: Api) -> None:
    assert api.double
    api.ok("POST", api.configmaps, config_map("a"))
    api.ok("POST", api.configmaps, config_map("b"))
    page = api.ok("GET", api.configmaps, limit="1")
    api.ok("DELETE", f"{api.configmaps}/a")
    api.double.compact()
    gone = api.no("GET", api.configmaps, **{"continue": page["metadata"]["continue"]})
    assert (410, "Expired") == (gone["code"], gone["reason"])
    assert is_expired(api, api.configmaps, version(page))


def test_a_page_after_the_last_is_none(api: Api) -> None:
    for name in "ab":
        api.ok("POST", api.configmaps, config_map(name) | {"metadata": {"name": name, "labels": {"few": "1"}}})
    page = api.ok("GET", api.configmaps, labelSelector="few=1", limit="500")
    assert 2 == len(page["items"])
    assert not page["metadata"].get("continue")
    assert 400 == api.no("GET", api.configmaps, **{"continue": "of-my-own-making"})["code"]


def test_what_speakers_ask_for_of_endpoints_is_selected(api: Api) -> None:
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{api.namespace}/endpointslices"
    labels: dict[str, dict[str, str]] = {
        "served": {"kubernetes.io/service-name": "web"},
        "headless": {"kubernetes.io/service-name": "web", "service.kubernetes.io/headless": ""},
        "alone": {},
    }
    for name, own in labels.items():
        body = {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": []}
        api.ok("POST", slices, {**body, "metadata": {"name": name, "labels": own}})
    asked = "kubernetes.io/service-name,!service.kubernetes.io/headless"
    assert ["served"] == [one["metadata"]["name"] for one in api.ok("GET", slices, labelSelector=asked)["items"]]
    for name in labels:
        api.ok("DELETE", f"{slices}/{name}")
