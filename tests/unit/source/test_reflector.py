"""What the list/watch protocol leaves to its client, one case each."""

from collections.abc import Mapping
from typing import Any

import pytest

from netlb.errors import ConfigError
from netlb.findings import Finding
from netlb.reasons import ManifestProblem
from netlb.source.collection import Change, Key
from netlb.source.reflector import Action, Failure, List, Pace, Page, Probe, Reflector, Wait, Watch

PACE = Pace(page_size=2)
A, B, C = Key("ns", "a"), Key("ns", "b"), Key("ns", "c")


def body(name: str, value: str, version: int, uid: str = "u") -> dict[str, Any]:
    metadata = {"namespace": "ns", "name": name, "uid": uid, "resourceVersion": str(version)}
    return {"metadata": metadata, "value": value}


def decode(body: Mapping[str, Any]) -> str:
    if body["value"] == "bad":
        raise ConfigError(Finding(reason=ManifestProblem.INVALID_OBJECT, problem="bad", remedy="mend it"))
    return str(body["value"])


class Rig:
    """A reflector, and a clock that only moves when told."""

    def __init__(self, *, optional: bool = False) -> None:
        self.now = 1000.0
        self.reflector = Reflector(decode, jitter=lambda: 1.0, pace=PACE, optional=optional)
        self.action: Action = Wait(0)

    def next(self) -> Action:
        """What it wants now, or as soon as it wants something."""
        self.action = self.reflector.next_action(self.now)
        while isinstance(self.action, Wait):
            self.now = self.action.until
            self.action = self.reflector.next_action(self.now)
        return self.action

    def listed(self, *bodies: Any, version: int = 10, token: str = "") -> None:
        assert isinstance(self.action if isinstance(self.action, List) else self.next(), List)
        self.reflector.listed(self.action, Page(bodies, str(version), token), self.now)
        self.action = Wait(0)

    def opened(self) -> None:
        if not isinstance(self.action, Watch) or self.reflector.next_wakeup != self.now + PACE.answer_timeout:
            self.next()
        if isinstance(self.action, Probe):
            self.probed(10**6)
            self.next()
        assert isinstance(self.action, Watch)
        self.reflector.opened(self.action, self.now)

    def probed(self, version: int) -> None:
        self.reflector.probed(self.action, str(version))

    def event(self, kind: str, body: Any) -> bool:
        return self.reflector.event(self.action, kind, body, self.now)

    def failed(self, status: int | None = None, retry_after: float | None = None) -> None:
        self.reflector.failed(self.action, Failure("trouble", status, retry_after), self.now)

    @property
    def values(self) -> dict[Key, str]:
        return {key: entry.value for key, entry in self.reflector.entries.items()}


@pytest.fixture
def rig() -> Rig:
    """A reflector that watches from version 10 and knows `a`."""
    rig = Rig()
    rig.listed(body("a", "1", 5))
    rig.opened()
    rig.reflector.take_changes()
    return rig


def test_it_begins_with_a_list_in_pages_and_goes_on_with_a_watch() -> None:
    rig = Rig()
    assert List(2) == rig.next()
    rig.listed(body("a", "1", 5), body("b", "1", 6), token="more")
    assert not rig.reflector.synced
    assert List(2, "more") == rig.next()
    rig.listed(body("c", "1", 7))
    assert rig.reflector.synced
    assert {A: Change.ADDED, B: Change.ADDED, C: Change.ADDED} == rig.reflector.take_changes()
    assert Watch("10", 217) == rig.next(), "a quarter less than 290 at most"


def test_events_move_the_store_and_the_version_and_bookmarks_the_version_alone(rig: Rig) -> None:
    for kind, what in (
        ("ADDED", body("b", "1", 11)),
        ("MODIFIED", body("a", "2", 12)),
        ("DELETED", body("b", "1", 13)),
        ("BOOKMARK", {"metadata": {"resourceVersion": "20"}}),
    ):
        assert rig.event(kind, what)
    assert {A: "2"} == rig.values
    assert {A: Change.CHANGED} == rig.reflector.take_changes(), "what came and went meanwhile was never there"
    rig.now += 5
    rig.reflector.ended(rig.action, rig.now)
    assert Watch("20", 217) == rig.next()


def test_a_write_that_changes_nothing_that_is_kept_is_no_change(rig: Rig) -> None:
    rig.event("MODIFIED", body("a", "1", 11))
    assert {} == rig.reflector.take_changes()
    assert "11" == rig.reflector.entries[A].resource_version
    rig.event("MODIFIED", body("a", "1", 12, uid="another object of that name"))
    assert {A: Change.CHANGED} == rig.reflector.take_changes()


@pytest.mark.parametrize("how", ["answer", "event"])
def test_410_lists_again_and_tells_what_is_gone(rig: Rig, how: str) -> None:
    if how == "event":
        assert not rig.event("ERROR", {"code": 410, "message": "too old"})
    else:
        rig.reflector.ended(rig.action, rig.now + 5)
        rig.next()
        rig.failed(410)
    rig.listed(body("b", "1", 30), version=30)
    assert {A: Change.DELETED, B: Change.ADDED} == rig.reflector.take_changes()


def test_504_to_a_watch_lists_again(rig: Rig) -> None:
    rig.reflector.ended(rig.action, rig.now + 5)
    rig.next()
    rig.failed(504)
    assert List(2) == rig.next()


def test_410_between_pages_lists_all_in_one_piece() -> None:
    rig = Rig()
    rig.listed(body("a", "1", 5), body("b", "1", 6), token="more")
    rig.next()
    rig.failed(410)
    assert List(0) == rig.next()
    rig.listed(body("c", "1", 7))
    assert {C: "1"} == rig.values


def test_a_list_that_loses_the_server_between_pages_begins_anew_and_a_busy_one_goes_on() -> None:
    rig = Rig()
    rig.listed(body("a", "1", 5), body("b", "1", 6), token="more")
    rig.next()
    rig.failed(429, retry_after=3)
    assert List(2, "more") == rig.next()
    rig.failed(None)
    assert List(2) == rig.next()


def test_a_broken_connection_is_resumed_where_it_was(rig: Rig) -> None:
    rig.event("MODIFIED", body("a", "2", 12))
    rig.failed(None)
    assert not rig.reflector.live
    assert "trouble" == rig.reflector.trouble
    assert Probe() == rig.next()
    rig.probed(12)
    assert "trouble" == rig.reflector.trouble, "changes are still missed"
    assert Watch("12", 217) == rig.next()
    rig.opened()
    assert rig.reflector.live
    assert "" == rig.reflector.trouble


def test_a_server_that_is_not_as_far_as_before_has_another_history(rig: Rig) -> None:
    rig.event("MODIFIED", body("a", "2", 12))
    rig.failed(None)
    assert Probe() == rig.next()
    rig.failed(None)
    assert Probe() == rig.next(), "it is asked until it answers"
    assert 0 == rig.reflector.rewound
    rig.probed(11)
    assert 1 == rig.reflector.rewound
    assert List(2) == rig.next()
    rig.listed(version=11)
    assert Watch("11", 217) == rig.next()


@pytest.mark.parametrize("status", [410, 500, 503])
def test_a_server_that_refuses_a_watch_is_not_asked_how_far_it_is(rig: Rig, status: int) -> None:
    rig.failed(status)
    assert isinstance(rig.next(), List | Watch)


def test_silence_after_events_resumes_and_silence_from_the_start_lists_again(rig: Rig) -> None:
    rig.now += 60
    rig.event("BOOKMARK", {"metadata": {"resourceVersion": "15"}})
    assert 1130.0 == rig.reflector.next_wakeup
    rig.now += 69
    assert Wait(1130.0) == rig.reflector.next_action(rig.now)
    rig.opened()
    assert Watch("15", 217) == rig.action
    assert List(2) == rig.next(), "a server with less history than we have seen says nothing at all"


@pytest.mark.parametrize("what", [body("a", "0", 9), {"metadata": {}}, "text"])
def test_versions_that_go_back_mean_another_history(rig: Rig, what: Any) -> None:
    assert not rig.event("MODIFIED", what)
    assert {A: "1"} == rig.values
    assert List(2) == rig.next()


def test_what_came_too_late_is_not_heard(rig: Rig) -> None:
    old = rig.action
    rig.failed(None)
    rig.opened()
    assert not rig.reflector.event(old, "MODIFIED", body("a", "2", 12), rig.now)
    rig.reflector.failed(old, Failure("late"), rig.now)
    rig.reflector.ended(old, rig.now)
    assert {A: "1"} == rig.values
    assert rig.reflector.live


def test_no_answer_is_a_failure() -> None:
    rig = Rig()
    first = rig.next()
    assert Wait(1030.0) == rig.reflector.next_action(rig.now)
    assert List(2) == rig.next()
    assert 1030.2 == pytest.approx(rig.now)
    rig.reflector.listed(first, Page([body("a", "1", 5)], "10"), rig.now)
    assert {} == rig.values


def test_failures_back_off_up_to_a_limit_and_retry_after_comes_on_top() -> None:
    rig = Rig()
    pauses = []
    for _ in range(10):
        rig.next()
        failed_at = rig.now
        rig.failed(500)
        rig.next()
        pauses.append(rig.now - failed_at)
        rig.failed(500)
    assert [0.2, 0.8, 3.2, 12.8, 30, 30] == pytest.approx(pauses[:6])
    rig.next()
    rig.failed(429, retry_after=7)
    assert rig.now + 37 == rig.reflector.next_wakeup
    rig.next()
    rig.failed(429, retry_after=1e9)
    assert rig.now + 330 == rig.reflector.next_wakeup


def test_watches_that_end_at_once_are_not_asked_for_without_pause(rig: Rig) -> None:
    for _ in range(5):
        rig.reflector.ended(rig.action, rig.now)
        assert rig.reflector.next_wakeup > rig.now
        if isinstance(rig.next(), List):
            return
        rig.reflector.opened(rig.action, rig.now)
    pytest.fail("never listed again")


def test_one_bad_object_is_a_finding_and_keeps_its_last_good_value(rig: Rig) -> None:
    rig.event("MODIFIED", body("a", "bad", 11))
    rig.event("ADDED", body("b", "bad", 12))
    rig.event("ADDED", body("c", "1", 13))
    assert {A: "1", C: "1"} == rig.values
    assert {A, B} == rig.reflector.findings.keys()
    rig.event("MODIFIED", body("b", "1", 14))
    assert {A} == rig.reflector.findings.keys()
    rig.event("MODIFIED", body("b", "bad", 15))
    rig.event("ERROR", {"code": 410})
    rig.listed(body("a", "bad", 11), body("b", "2", 16), version=16)
    assert {A: "1", B: "2"} == rig.values
    assert {A} == rig.reflector.findings.keys()
    rig.opened()
    rig.event("DELETED", body("a", "bad", 17))
    assert {} == rig.reflector.findings


def test_an_optional_kind_that_is_not_served_is_empty_until_it_appears() -> None:
    rig = Rig(optional=True)
    rig.next()
    rig.failed(404)
    assert rig.reflector.synced
    assert rig.reflector.absent
    assert rig.reflector.live
    assert rig.now + 600 == rig.reflector.next_wakeup
    poked_at = rig.now
    rig.reflector.poke()
    assert List(2) == rig.next()
    assert poked_at == rig.now
    rig.listed(body("a", "1", 5))
    assert not rig.reflector.absent
    assert {A: "1"} == rig.values


def test_a_kind_that_must_be_served_is_not_empty_when_it_is_not() -> None:
    rig = Rig()
    rig.next()
    rig.failed(404)
    assert not rig.reflector.synced
    assert rig.now + 30 >= rig.reflector.next_wakeup


def test_the_objects_of_a_kind_that_vanishes_go_when_that_is_certain() -> None:
    rig = Rig(optional=True)
    rig.listed(body("a", "1", 5))
    rig.opened()
    rig.failed(404)
    denied_at = rig.now
    while rig.values:
        assert List(2) == rig.next()
        assert rig.now < denied_at + 60
        rig.failed(404)
    assert rig.now - denied_at >= PACE.absence_grace


def test_even_a_watch_that_works_is_replaced_by_a_list_now_and_then(rig: Rig) -> None:
    while rig.now < 4600:
        rig.now += 60
        rig.event("BOOKMARK", {"metadata": {"resourceVersion": str(int(rig.now))}})
        rig.reflector.ended(rig.action, rig.now)
        if isinstance(rig.next(), List):
            break
        rig.reflector.opened(rig.action, rig.now)
    assert 4600 == rig.now
    assert List(2) == rig.action
