"""What an elector reads and writes, one case each; that there are never two leaders is in tests/property."""

import pytest

from netlb.source.lease import Action, Create, Elector, Lease, LeasePace, LeaseRecord, Read, Replace, Wait

WALL = 1_800_000_000_000_000
THEIRS = LeaseRecord(holder="other", duration=15, acquired=7, renewed=8, transitions=3)


def elector() -> Elector:
    return Elector("me", jitter=lambda: 0.5)


def read(one: Elector, lease: Lease | None, now: float) -> Action:
    """Let it read this, and return what it wants then."""
    action = one.next_action(now, WALL)
    assert Read() == action
    one.answered(action, lease, now)
    return one.next_action(now, WALL)


def leading(now: float = 0.0) -> tuple[Elector, Lease]:
    one = elector()
    action = read(one, None, now)
    assert isinstance(action, Create)
    lease = Lease(action.record, "1")
    one.answered(action, lease, now)
    assert one.leads(now)
    return one, lease


def test_a_lease_that_does_not_exist_is_created() -> None:
    action = read(elector(), None, 0.0)
    assert Create(LeaseRecord(holder="me", duration=15, acquired=WALL, renewed=WALL, transitions=0)) == action


def test_a_lease_that_was_released_is_taken_at_once() -> None:
    action = read(elector(), Lease(LeaseRecord(duration=1, renewed=8, transitions=3), "5"), 0.0)
    mine = LeaseRecord(holder="me", duration=15, acquired=WALL, renewed=WALL, transitions=4)
    assert Replace(mine, "5") == action


def test_what_another_holds_is_taken_when_it_has_not_changed_for_its_own_duration() -> None:
    one = elector()
    slow = Lease(LeaseRecord(holder="other", duration=60, renewed=8), "5")
    assert Wait(2.0) == read(one, slow, 0.0)
    now = 2.0
    while not isinstance(action := read(one, slow, now), Replace):
        assert "other" == one.holder
        now = action.until if isinstance(action, Wait) else now
    assert 60.0 == now
    assert "5" == action.resource_version


def test_every_change_begins_the_wait_anew_whatever_the_times_in_it_say() -> None:
    one = elector()
    read(one, Lease(THEIRS, "5"), 0.0)
    assert isinstance(read(one, Lease(THEIRS, "6"), 14.0), Wait)
    assert isinstance(read(one, Lease(THEIRS, "6"), 28.0), Wait)
    assert isinstance(read(one, Lease(THEIRS, "6"), 29.0), Replace)


def test_the_leader_renews_and_every_record_differs_even_if_the_calendar_stands_still() -> None:
    one, lease = leading()
    assert Wait(2.0) == one.next_action(1.9, WALL)
    action = one.next_action(2.0, WALL)
    assert isinstance(action, Replace)
    assert WALL + 1 == action.record.renewed
    assert (WALL, 0) == (action.record.acquired, action.record.transitions)
    one.answered(action, Lease(action.record, "2"), 3.0)
    assert 12.0 == one.leads_until, "counted from when the write was sent"
    assert lease.record != action.record


def test_a_leader_that_cannot_write_ceases_to_lead_at_its_deadline() -> None:
    one, _ = leading()
    now = 2.0
    while one.leads(now):
        action = one.next_action(now, WALL)
        if not isinstance(action, Wait):
            one.failed(action, now)
        assert one.next_wakeup(now) <= 10.0
        now = one.next_wakeup(now)
    assert 10.0 == now


def test_a_leader_that_reads_that_it_is_not_ceases_at_once() -> None:
    one, _ = leading()
    action = one.next_action(2.0, WALL)
    one.refused(action, 2.0)
    assert one.leads(2.0)
    assert isinstance(read(one, Lease(THEIRS, "9"), 2.0), Wait)
    assert not one.leads(2.0)


def test_a_write_whose_answer_is_lost_is_found_out_by_reading() -> None:
    one, _ = leading()
    action = one.next_action(2.0, WALL)
    assert isinstance(action, Replace)
    assert Wait(6.0) == one.next_action(2.0, WALL), "its answer is waited for"
    assert Wait(8.0) == one.next_action(6.0, WALL)
    one.answered(action, Lease(action.record, "2"), 6.5)
    assert 10.0 == one.leads_until, "too late to count"
    again = read(one, Lease(action.record, "2"), 8.0)
    assert isinstance(again, Replace)
    assert "2" == again.resource_version


def test_conflicts_in_a_row_are_not_answered_without_pause() -> None:
    one = elector()
    free = LeaseRecord()
    one.refused(read(one, Lease(free, "5"), 100.0), 100.0)
    one.refused(read(one, Lease(free, "6"), 100.0), 100.0)
    assert Wait(102.0) == one.next_action(100.0, WALL)


def test_a_lease_that_is_deleted_under_its_holder_is_not_taken_before_that_one_has_stopped() -> None:
    one = elector()
    read(one, Lease(THEIRS, "5"), 0.0)
    assert isinstance(read(one, None, 4.0), Wait)
    assert isinstance(read(one, None, 18.9), Wait)
    assert isinstance(read(one, None, 19.0), Create)


def test_resigning_leaves_a_record_that_is_nobodys() -> None:
    one, lease = leading()
    one.resign(1.0)
    assert not one.leads(1.0)
    assert not one.finished(1.0)
    action = one.next_action(1.0, WALL)
    assert isinstance(action, Replace)
    assert ("", 1, lease.resource_version) == (action.record.holder, action.record.duration, action.resource_version)
    one.answered(action, Lease(action.record, "2"), 1.1)
    assert one.finished(1.1)
    assert Wait(float("inf")) == one.next_action(1.1, WALL)


def test_resigning_ends_with_the_deadline_when_the_server_is_away_and_at_once_for_all_others() -> None:
    one, _ = leading()
    one.resign(1.0)
    one.failed(one.next_action(1.0, WALL), 5.0)
    assert not one.finished(9.9)
    assert one.finished(10.0)
    other = elector()
    other.resign(0.0)
    assert other.finished(0.0)


def test_settings_that_could_give_two_leaders_are_refused() -> None:
    with pytest.raises(ValueError, match="renew_deadline < duration"):
        LeasePace(duration=10, renew_deadline=10)
    with pytest.raises(ValueError, match="renew_deadline < duration"):
        LeasePace(answer_timeout=9)
    with pytest.raises(ValueError, match="nobody"):
        Elector("", jitter=lambda: 0.0)


def test_who_hurries_writes_at_once_or_after_what_is_under_way() -> None:
    one, lease = leading()
    assert isinstance(one.next_action(1.0, WALL), Wait)
    one.hurry(1.0)
    action = one.next_action(1.0, WALL)
    assert isinstance(action, Replace)
    one.hurry(1.1)
    assert isinstance(one.next_action(1.1, WALL), Wait)
    one.answered(action, Lease(action.record, "2"), 1.2)
    again = one.next_action(1.2, WALL)
    assert isinstance(again, Replace)
    assert "2" == again.resource_version
    one.answered(again, lease, 1.3)
    assert isinstance(one.next_action(1.3, WALL), Wait)
