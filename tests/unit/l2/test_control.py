"""Messages between program and responder process."""

import pytest

from netlb.l2 import control
from netlb.l2.probe import RFC_TIMINGS, ProbeTimings

ADDRESSES = (b"\xc0\0\2\1", bytes(15) + b"\1")
MAC = b"\2\0\0\0\0\1"
MESSAGES: list[control.Message] = [
    control.SetInterface(1, 2, MAC),
    control.RemoveInterface(2, 2),
    control.Hold(3, 2, ADDRESSES, more=True),
    control.Release(4, 2, ADDRESSES, more=False),
    control.Announce(5, 2, ADDRESSES, 1),
    control.Probe(6, 2, ADDRESSES, ProbeTimings(probe_wait=0.25, probe_num=4)),
    control.AskStats(6),
    control.AskCounters(7, 2, 256),
    control.AskOpen(6),
    control.Opened(6, ((3, b"\2\0\0\0\0\1"),)),
    control.Beat(7, decided=True),
    control.End(),
    control.Ready(1),
    control.Ack(8, 19, ((ADDRESSES[1], 12),)),
    control.Accelerate(8, 2),
    control.Accelerated(8, 0, "tcx"),
    control.Stats(9, {2: {"Answered": 3}}, {2: ("tcx", 7)}, 4, 5),
    control.Counters(10, ((ADDRESSES[0], 1, 2, 3),)),
    control.ClaimSeen(2, ADDRESSES[0], MAC),
    control.Probed(2, ((ADDRESSES[0], MAC), (ADDRESSES[1], b""))),
    control.Crashed("Traceback"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_what_is_written_is_read(message: control.Message) -> None:
    read = control.decode(control.encode(message))
    assert message == read
    assert type(message) is type(read)


def test_every_kind_of_message_is_tested() -> None:
    assert set(control.Message.__args__) == {type(message) for message in MESSAGES}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"{}",
        b"[]",
        b"null",
        b'"AskStats"',
        b'["Nothing",1]',
        b'["AskStats"]',
        b'["AskStats",1,2]',
        b'["AskStats",[]]',
        b'["Hold",1,2,["zz"],true]',
        b'["Hold",1,2,7,true]',
        b'["Probe",1,2,["c0000201"],[1,2,3,4,5,6,7,8,9]]',
        b'["Probed",1,["c0000201"]]',
        b'["Stats",1,[],2,3]',
        b"[" * 5000,
    ],
)
def test_all_else_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        control.decode(data)


def test_the_largest_messages_fit_and_larger_ones_are_refused() -> None:
    most = tuple(number.to_bytes(16, "big") for number in range(control.MOST_ADDRESSES))
    huge = 1 << 40
    for message in (
        control.Hold(huge, huge, most, more=False),
        control.Ack(huge, 0, tuple((address, 105) for address in most)),
        control.Probe(huge, huge, most, RFC_TIMINGS),
        control.Probed(huge, tuple((address, MAC) for address in most)),
        control.Counters(huge, tuple((address, huge, huge, huge) for address in most)),
    ):
        assert message == control.decode(control.encode(message))
    with pytest.raises(ValueError, match="257 addresses"):
        control.decode(control.encode(control.Announce(1, 2, (*most, bytes(16)), 1)))
    with pytest.raises(ValueError, match="bytes"):
        control.encode(control.Announce(1, 2, most * 10, 1))


def test_batches_keep_the_order_and_the_bound() -> None:
    addresses = [number.to_bytes(4, "big") for number in range(600)]
    batches = list(control.batches(addresses))
    assert [256, 256, 88] == [len(batch) for batch in batches]
    assert addresses == [address for batch in batches for address in batch]
    assert [] == list(control.batches([]))
