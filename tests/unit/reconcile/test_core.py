"""The reconciler's decisions, with the clock in the test's hand."""

from collections.abc import Mapping

import pytest

from netlb.errors import TransientError
from netlb.reconcile.core import Core, Work
from netlb.reconcile.status import Counts, Status, StatusKind

FAULT = OSError("no carrier")


def started(
    desired: Mapping[str, int],
    actual: Mapping[str, int],
    *,
    jitter: float = 1.0,
    refresh_interval: float = 1800,
) -> Core[str, int]:
    """Return a core that has been told, at time 0, what is wanted and what is there."""
    core: Core[str, int] = Core(jitter=lambda: jitter, refresh_interval=refresh_interval)
    core.want(desired)
    assert core.next_work(0) == Work(observe=True)
    core.observed(actual, 0)
    return core


def test_it_observes_before_it_applies() -> None:
    core: Core[str, int] = Core(jitter=lambda: 0)
    core.want({"a": 1})
    assert core.next_work(0) == Work(observe=True)
    assert core.next_work(0) is None, "one piece of work is out at a time"
    core.observed({}, 0)
    assert core.next_work(0) == Work(apply={"a": 1})


def test_it_prunes_nothing_before_it_was_told_what_is_wanted() -> None:
    core: Core[str, int] = Core(jitter=lambda: 0)
    assert core.next_work(0) == Work(observe=True)
    core.observed({"left behind": 1}, 0)
    assert core.next_work(0) is None
    assert not core.settled()
    core.want({})
    assert core.next_work(0) == Work(prune=frozenset({"left behind"}))


def test_a_round_makes_changes_and_removes_and_leaves_alone_what_is_right() -> None:
    core = started({"same": 1, "new": 2, "changed": 3}, {"same": 1, "changed": 0, "old": 4})
    assert core.next_work(0) == Work(apply={"new": 2, "changed": 3}, prune=frozenset({"old"}))
    core.done({"new": None, "changed": None, "old": None}, 1)
    assert core.settled()
    assert core.next_work(1) is None


def test_the_same_wish_twice_is_no_work() -> None:
    core = started({"a": 1}, {"a": 1})
    core.want({"a": 1})
    assert core.next_work(1) is None


def test_what_becomes_wanted_during_a_round_is_not_pruned() -> None:
    core = started({"a": 1}, {"old": 1, "older": 1})
    core.next_work(0)
    core.want({"a": 1, "old": 1})
    assert core.unwanted({"old", "older"}) == frozenset({"older"})
    core.done({"a": None, "older": None}, 0)
    assert core.settled(), "the old object was there as wanted all the time"


def test_a_wish_that_changes_during_its_own_round_is_applied_next() -> None:
    core = started({"a": 1}, {})
    core.next_work(0)
    core.want({"a": 2})
    core.done({"a": None}, 0)
    assert core.next_work(0) == Work(apply={"a": 2})


def test_the_back_off_doubles_up_to_its_limit() -> None:
    core = started({"a": 1}, {}, refresh_interval=1e9)
    delays, now = [], 0.0
    for _ in range(12):
        core.next_work(now)
        core.done({"a": FAULT}, now)
        wakeup = core.next_wakeup()
        assert wakeup is not None
        delays.append(wakeup - now)
        now = wakeup
    assert delays == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 60, 60])
    assert core.counts() == Counts(pending=0, errors=1, retries=11)


def test_a_failed_object_waits_and_the_others_do_not() -> None:
    core = started({"a": 1, "b": 1}, {})
    core.next_work(0)
    core.done({"a": FAULT, "b": None}, 0)
    assert core.next_work(0.05) is None
    core.want({"a": 1, "b": 1, "c": 1})
    assert core.next_work(0.05) == Work(apply={"c": 1})
    core.done({"c": None}, 0.05)
    assert core.next_work(0.1) == Work(apply={"a": 1})


def test_jitter_shortens_the_back_off_by_up_to_half() -> None:
    core = started({"a": 1}, {}, jitter=0.5)
    core.next_work(0)
    core.done({"a": FAULT}, 0)
    assert core.next_wakeup() == pytest.approx(0.075)


def test_objects_that_fail_together_are_tried_again_together() -> None:
    lots = iter([0.1, 0.9])
    core: Core[str, int] = Core(jitter=lambda: next(lots))
    core.want({"a": 1, "b": 1})
    core.next_work(0)
    core.observed({}, 0)
    core.next_work(0)
    core.done({"a": FAULT, "b": FAULT}, 0)
    assert core.next_work(0.1) == Work(apply={"a": 1, "b": 1})


def test_an_adapter_may_say_when_to_try_again() -> None:
    core = started({"a": 1, "b": 1}, {})
    core.next_work(0)
    core.done({"a": TransientError("starting", retry_after=7), "b": TransientError("now", retry_after=0)}, 0)
    statuses = core.statuses()
    assert statuses["a"] == Status(StatusKind.ERROR, "starting", 1, 7)
    assert statuses["b"].retry_at == pytest.approx(0.1), "never at once, or the loop would be a busy one"


@pytest.mark.parametrize("changed", [{"a": 2}, {}])
def test_a_changed_wish_is_tried_at_once(changed: dict[str, int]) -> None:
    core = started({"a": 1}, {})
    core.next_work(0)
    core.done({"a": FAULT}, 0)
    core.want(changed)
    assert core.next_work(0) == Work(apply=changed, prune=frozenset({"a"} - changed.keys()))
    core.done({"a": FAULT}, 0)
    assert core.statuses()["a"].attempts == 1


def test_a_failure_of_an_overtaken_wish_is_not_held_against_the_new_one() -> None:
    core = started({"a": 1}, {})
    core.next_work(0)
    core.want({"a": 2})
    core.done({"a": FAULT}, 0)
    assert core.next_work(0) == Work(apply={"a": 2})


def test_what_failed_to_be_made_is_removed_when_no_longer_wanted() -> None:
    core = started({"a": 1}, {})
    core.next_work(0)
    core.done({"a": FAULT}, 0)
    core.want({})
    assert core.next_work(0) == Work(prune=frozenset({"a"})), "half of it may be there"


def test_what_failed_to_be_removed_is_made_again_when_wanted_again() -> None:
    core = started({}, {"a": 1})
    core.next_work(0)
    core.done({"a": FAULT}, 0)
    core.want({"a": 1})
    assert core.next_work(0) == Work(apply={"a": 1}), "half of it may be gone"


def test_a_refresh_repairs_drift() -> None:
    core = started({"a": 1}, {"a": 1})
    assert core.next_wakeup() == 1800
    assert core.next_work(1799) is None
    assert core.next_work(1800) == Work(observe=True)
    core.observed({"a": 2, "b": 1}, 1800)
    assert core.next_work(1800) == Work(apply={"a": 1}, prune=frozenset({"b"}))


def test_a_refresh_on_demand_is_due_at_once_and_not_settled_before() -> None:
    core = started({"a": 1}, {"a": 1})
    core.refresh()
    assert not core.settled()
    assert core.next_work(1) == Work(observe=True)
    core.refresh()
    core.observed({"a": 1}, 2)
    assert core.next_work(2) == Work(observe=True), "asked for during an observation: it may have missed the cause"
    core.observed({"a": 1}, 3)
    assert core.settled()
    assert core.next_wakeup() == 1803


def test_what_turns_out_to_be_there_in_spite_of_a_failure_is_done() -> None:
    core = started({"a": 1}, {})
    core.next_work(0)
    core.done({"a": FAULT}, 0)
    core.refresh()
    core.next_work(0)
    core.observed({"a": 1}, 0)
    assert core.statuses() == {"a": Status(StatusKind.DONE)}


def test_a_failed_refresh_backs_off_and_the_work_goes_on() -> None:
    core = started({"a": 1}, {"a": 1})
    core.refresh()
    core.next_work(0)
    assert "" == core.blind()
    core.observe_failed(FAULT, 0)
    assert str(FAULT) == core.blind()
    assert core.counts() == Counts(pending=0, errors=1, retries=0)
    core.want({"a": 2})
    assert core.next_work(0) == Work(apply={"a": 2})
    core.done({"a": None}, 0)
    assert core.next_work(0.1) == Work(observe=True)
    core.observe_failed(FAULT, 0.1)
    assert core.next_wakeup() == pytest.approx(0.3)
    core.next_work(0.4)
    core.observed({"a": 2}, 0.4)
    assert core.counts() == Counts(pending=0, errors=0, retries=0)


def test_after_a_loss_it_observes_first_and_ignores_what_was_out() -> None:
    core = started({"a": 1, "b": 1}, {})
    core.next_work(0)
    core.lost()
    core.done({"a": None, "b": FAULT}, 0)
    assert {status.kind for status in core.statuses().values()} == {StatusKind.PENDING}
    assert core.next_work(0) == Work(observe=True)
    core.observed({"b": 1}, 0)
    assert core.next_work(0) == Work(apply={"a": 1})


def test_an_observation_that_began_before_a_loss_is_ignored() -> None:
    core = started({"a": 1}, {"a": 1})
    core.refresh()
    core.next_work(0)
    core.lost()
    core.observed({"a": 1}, 0)
    assert core.statuses() == {"a": Status(StatusKind.PENDING)}
    assert core.next_work(0) == Work(observe=True)


def test_a_loss_at_every_attempt_to_observe_does_not_defeat_the_back_off() -> None:
    core: Core[str, int] = Core(jitter=lambda: 1)
    core.next_work(0)
    core.lost()
    core.observe_failed(FAULT, 0)
    core.lost()
    assert core.next_work(0) is None
    assert core.next_wakeup() == pytest.approx(0.1)


def test_statuses_tell_every_stage() -> None:
    core = started({"done": 1, "new": 1, "bad": 1}, {"done": 1, "old": 1})
    assert {key: status.kind for key, status in core.statuses().items()} == {
        "done": StatusKind.DONE,
        "new": StatusKind.PENDING,
        "bad": StatusKind.PENDING,
        "old": StatusKind.PRUNING,
    }
    core.next_work(0)
    core.done({"new": None, "bad": FAULT, "old": ValueError()}, 0)
    assert core.statuses() == {
        "done": Status(StatusKind.DONE),
        "new": Status(StatusKind.DONE),
        "bad": Status(StatusKind.ERROR, "no carrier", 1, 0.1),
        "old": Status(StatusKind.ERROR, "ValueError", 1, 0.1),
    }


def test_wakeup_is_now_while_there_is_work_and_never_while_work_is_out() -> None:
    core = started({"a": 1}, {})
    assert core.next_wakeup() == float("-inf")
    core.next_work(0)
    assert core.next_wakeup() is None
