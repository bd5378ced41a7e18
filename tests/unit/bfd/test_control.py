"""Messages between a program and the process that keeps its sessions."""

import pytest

from netlb.bfd import control
from netlb.bfd.events import AdminDown, Down, Event, ParametersChanged, Up
from netlb.bfd.packet import Diagnostic, Key
from netlb.bfd.sessions import SessionPath
from netlb.bfd.settings import DEFAULTS, Settings

PATH = SessionPath(b"\xc0\0\2\2", b"\xc0\0\2\1", 3, multihop=False)
KEY = Key(3, b"secret", meticulous=False)
MESSAGES: list[control.Message] = [
    control.Add(1, 7, PATH, Settings(50_000, 60_000, 5, True, 250, KEY, (None, Key(4, b"\0\xff")), path_down=True)),
    control.Change(2, 7, DEFAULTS),
    control.Stop(3, 7),
    control.AskStatus(4, 7),
    control.AskCounts(5),
    control.AskSessions(5, 128),
    control.SessionsKept(5, (control.Kept(7, PATH, Up(1, 2, usable=False)), control.Kept(8, PATH, None))),
    control.SessionsKept(6, ()),
    control.Beat(decided=True),
    control.End(),
    control.Ready(),
    control.Ack(6, 98, "BFD: bind UDP port 3784"),
    control.Status(7, {"state": 3, "changed_at": 12.5}, {"WrongDigest": 2}),
    control.Counts(8, {"Accepted": 3}),
    control.Happened(7, Up(100_000, 300_000)),
    control.Over(7),
    control.Ending("Traceback"),
]


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: type(message).__name__)
def test_what_is_written_is_read(message: control.Message) -> None:
    read = control.decode(control.encode(message))
    assert message == read
    assert type(message) is type(read)


def test_every_kind_of_message_is_tested() -> None:
    assert set(control.Message.__args__) == {type(message) for message in MESSAGES}


@pytest.mark.parametrize(
    "event",
    [Up(1, 2, usable=False), ParametersChanged(3, 4), Down(Diagnostic.NEIGHBOR_SIGNALED_SESSION_DOWN, 29), AdminDown()],
    ids=lambda event: type(event).__name__,
)
def test_every_event_is_told_as_it_is(event: Event) -> None:
    read = control.decode(control.encode(control.Happened(1, event)))
    assert control.Happened(1, event) == read
    assert isinstance(read, control.Happened)
    assert type(event) is type(read.event)
    assert [type(field) for field in event] == [type(field) for field in read.event]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[]",
        b"7",
        b"\xff",
        b'["Nothing"]',
        b'["Stop",1]',
        b'["Stop",1,{}]',
        b'["Happened",1,["Sideways"]]',
        b'["Happened",1,["Down",77,0]]',
        b'["Add",1,7,["zz","00",0,0],[]]',
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=f"^{len(data)} octets that are not a message$"):
        control.decode(data)


def test_no_secret_is_in_what_is_said_of_a_message_that_cannot_be_read() -> None:
    key = Key(1, b"do not tell")
    data = control.encode(control.Change(2, 7, Settings(key=key))).replace(b"[300000", b"[1")
    with pytest.raises(ValueError, match="octets that are not a message") as refused:
        control.decode(data)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__
    assert key.secret.hex() not in str(refused.value)
