"""Many sessions: whose a packet is, and that waking them costs what is due and no more."""

import json
import subprocess
import sys
from collections import Counter
from itertools import cycle
from pathlib import Path

import pytest

import netlb
from netlb.bfd.events import Down, Up
from netlb.bfd.packet import ControlPacket, State, encode
from netlb.bfd.session import Session
from netlb.bfd.sessions import Arrival, SessionPath, Sessions
from netlb.bfd.settings import Settings
from netlb.reasons import BfdVerdict

FAST = Settings(transmit_interval=100_000, receive_interval=100_000)
HERE, PEER, OTHER = b"\xc0\0\2\1", b"\xc0\0\2\2", b"\xc0\0\2\3"
PATH = SessionPath(PEER, HERE, 4, multihop=False)
CAME = Arrival(PEER, HERE, 4, 255, multihop=False)
HELLO = ControlPacket(9, 0, State.DOWN, 3, 100_000, 100_000)
NAMED = encode(HELLO._replace(your_discriminator=77))


def node() -> Sessions:
    sessions = Sessions(lambda: 0.0)
    sessions.add(77, PATH, FAST, 1, 10.0)
    return sessions


def test_a_packet_that_names_no_session_goes_by_its_path_and_one_that_does_by_its_name() -> None:
    sessions = node()
    assert BfdVerdict.ACCEPTED == sessions.receive(encode(HELLO), CAME, 10.0)
    assert BfdVerdict.ACCEPTED == sessions.receive(NAMED, CAME, 10.1)
    assert State.INIT is sessions[77].state
    assert {BfdVerdict.ACCEPTED: 2} == sessions.counts


@pytest.mark.parametrize(
    "came",
    [
        CAME._replace(source=OTHER),
        CAME._replace(destination=OTHER),
        CAME._replace(interface=5),
        CAME._replace(multihop=True),
    ],
)
def test_who_comes_another_way_is_not_the_peer(came: Arrival) -> None:
    sessions = node()
    assert BfdVerdict.UNKNOWN_PEER == sessions.receive(encode(HELLO), came, 10.0)
    assert BfdVerdict.WRONG_PATH == sessions.receive(NAMED, came, 10.0)
    assert (State.DOWN, 0) == (sessions[77].state, sessions[77].received)


def test_a_session_without_an_interface_takes_any() -> None:
    sessions = Sessions(lambda: 0.0)
    sessions.add(5, PATH._replace(interface=0), FAST, 1, 10.0)
    assert BfdVerdict.ACCEPTED == sessions.receive(encode(HELLO), CAME, 10.0)
    assert BfdVerdict.ACCEPTED == sessions.receive(encode(HELLO._replace(your_discriminator=5)), CAME, 10.0)


def test_a_link_that_comes_up_is_for_its_own_sessions() -> None:
    sessions = node()
    sessions.add(78, PATH._replace(interface=5), FAST, 1, 10.0)
    sessions.due(10.0)
    sessions.take_packets()
    sessions.link_up(5, 10.1)
    assert [78] == [discriminator for discriminator, _ in sessions.take_packets()]


def test_a_discriminator_that_nobody_has() -> None:
    sessions = node()
    named = encode(HELLO._replace(your_discriminator=78))
    assert BfdVerdict.UNKNOWN_DISCRIMINATOR == sessions.receive(named, CAME, 10.0)
    sessions.remove(77)
    assert BfdVerdict.UNKNOWN_DISCRIMINATOR == sessions.receive(NAMED, CAME, 10.0)
    assert BfdVerdict.UNKNOWN_PEER == sessions.receive(encode(HELLO), CAME, 10.0)
    assert None is sessions.next_wakeup()


def test_garbage_is_counted_and_nothing_else() -> None:
    sessions = node()
    assert BfdVerdict.TOO_SHORT == sessions.receive(b"garbage", CAME, 10.0)
    assert {BfdVerdict.TOO_SHORT: 1} == sessions.counts
    assert {} == sessions[77].dropped


@pytest.mark.parametrize("discriminator", [0, 77, 1 << 32])
def test_discriminators_that_cannot_be(discriminator: int) -> None:
    with pytest.raises(ValueError, match="discriminator"):
        node().add(discriminator, PATH._replace(interface=9), FAST, 1, 10.0)


def test_there_is_one_session_to_a_path() -> None:
    sessions = node()
    with pytest.raises(ValueError, match="exists"):
        sessions.add(78, PATH, FAST, 1, 10.0)
    assert (77, [77]) == (sessions.find(PATH), list(sessions))


def test_a_thousand_sessions_are_woken_when_they_must_be_and_hardly_more_often(monkeypatch: pytest.MonkeyPatch) -> None:
    woken: Counter[int] = Counter()
    real_due = Session.due

    def due(session: Session, now: float, slack: float) -> None:
        wakeup = session.next_wakeup(slack)
        assert wakeup is not None
        assert now - 0.0011 < wakeup
        woken[session.local_discriminator] += 1
        real_due(session, now, slack)

    monkeypatch.setattr(Session, "due", due)
    lots = cycle([0.1, 0.5, 0.9, 0.3])
    nodes = [Sessions(lambda: next(lots)) for _ in range(2)]
    paths = [SessionPath(number.to_bytes(4, "big"), bytes(4), 1, multihop=False) for number in range(1000)]
    for sessions in nodes:
        for number, path in enumerate(paths, 1):
            sessions.add(number, path, FAST, 1, 0.0)
    now, sent = 0.0, 0
    for step in range(3000):
        now = step / 1000
        for sender, receiver in (nodes, nodes[::-1]):
            if (wakeup := sender.next_wakeup()) is not None and wakeup <= now:
                sender.due(now)
            for number, octets in sender.take_packets():
                sent += 1
                came = Arrival(paths[number - 1].peer, bytes(4), 1, 255, multihop=False)
                assert BfdVerdict.ACCEPTED == receiver.receive(octets, came, now)
    for sessions in nodes:
        assert {State.UP} == {sessions[number].state for number in sessions}
        assert 1000 == len([event for _, event in sessions.take_events() if isinstance(event, Up)])
        assert sum(woken.values()) <= sent
    monkeypatch.undo()
    nodes[0].due(now + 0.3)
    assert 1000 == len([event for _, event in nodes[0].take_events() if isinstance(event, Down)])


LOAD = "import json, sys; sys.path.append(sys.argv[1]); import netlb.bfd.adapter.engine; print(json.dumps(list(sys.modules)))"
ROOT = str(Path(netlb.__file__).parents[1])


def test_the_engine_loads_the_standard_library_and_this_room_alone() -> None:
    shown = subprocess.run(
        [sys.executable, "-I", "-S", "-c", LOAD, ROOT], check=True, capture_output=True, text=True
    ).stdout
    modules = set(json.loads(shown))
    assert {name.partition(".")[0] for name in modules} - {"netlb", "__main__"} <= set(sys.stdlib_module_names)
    ours = {name for name in modules if name.startswith("netlb") and not name.startswith("netlb.bfd")}
    assert {"netlb", "netlb.errors", "netlb.findings", "netlb.reasons"} == ours
    assert not modules & {"asyncio", "subprocess", "ctypes", "ipaddress", "logging", "random", "ssl", "threading"}
