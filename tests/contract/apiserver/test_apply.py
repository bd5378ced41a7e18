"""Server-side apply: who owns which field."""

from typing import Any

from tests.support.apiserver import APPLY, MERGE, Api, applied, service, version


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
    answer = api.no("PATCH", f"{api.configmaps}/a", applied("a", {}), kind=APPLY)
    assert (422, "Invalid") == (answer["code"], answer["reason"])
    assert "fieldManager" in answer["message"]


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
    assert ["example.com/A", "example.com/B"] == sorted(one["type"] for one in both["status"]["conditions"])
    _, less = api.apply(path, status(ip="192.0.2.1"), "one")
    assert ["example.com/B"] == [one["type"] for one in less["status"]["conditions"]]
    assert [{"ip": "192.0.2.1", "ipMode": "VIP"}] == less["status"]["loadBalancer"]["ingress"]
    assert 409 == api.apply(path, status("example.com/B", ip="192.0.2.2"), "two")[0], (
        "the list of addresses is one thing"
    )
    assert 404 == api.apply(f"{api.services}/nothing/status", status() | {"metadata": {"name": "nothing"}}, "one")[0]
