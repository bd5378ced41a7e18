"""When a claim of another station is acted upon."""

from netlb.l2.announces import Conflict
from netlb.l2.defence import SETTLED, Defence
from netlb.net import parse_address

ONE, TWO = parse_address("192.0.2.1"), parse_address("2001:db8::1")
CLAIM = Conflict(ONE, "02:00:00:00:00:99", "eth0")


def test_a_claim_that_lasts_is_acted_upon_once() -> None:
    defence = Defence()
    assert defence.next_wakeup() is None
    defence.claimed(CLAIM, 100.0)
    defence.claimed(CLAIM, 102.0)
    assert 100.0 + SETTLED == defence.next_wakeup()
    assert [] == defence.due(100.0 + SETTLED - 0.1, {ONE})
    assert [CLAIM] == defence.due(100.0 + SETTLED, {ONE})
    assert defence.next_wakeup() is None
    assert [] == defence.due(100.0 + SETTLED, {ONE})


def test_what_was_a_handover_is_not() -> None:
    defence = Defence()
    defence.claimed(CLAIM, 100.0)
    assert [] == defence.due(100.0 + SETTLED, {TWO})
    assert defence.next_wakeup() is None


def test_an_address_is_defended_at_most_once_in_ten_seconds_and_each_by_itself() -> None:
    defence = Defence(settled=0.0)
    acted: list[tuple[float, str]] = []
    for tenth in range(400):
        now = tenth / 10
        for address in (ONE, TWO):
            defence.claimed(Conflict(address, CLAIM.mac, "eth0"), now)
        acted += [(now, str(conflict.address)) for conflict in defence.due(now, {ONE, TWO})]
    assert [(at, str(each)) for at in (0.0, 10.0, 20.0, 30.0) for each in (ONE, TWO)] == acted
