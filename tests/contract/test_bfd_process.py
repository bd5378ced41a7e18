"""What the process of its own is for: a program that stands still, hangs or is killed, and a process that dies."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

import pytest

from netlb.bfd.adapter.bfd import WORKER, Bfd, Peer
from netlb.bfd.events import AdminDown, Down, Event, ParametersChanged, Up
from netlb.bfd.packet import Key, State
from netlb.bfd.sessions import SessionPath
from netlb.bfd.settings import Settings
from netlb.errors import SettingError
from netlb.testing.lab import requirements
from netlb.testing.lab.namespaces import batch, inside
from netlb.worker.adapter.shelter import Shelter
from tests.support.bfd_pair import PATIENCE, SLOW, Pair, be_patient, epoll_loop, until, workers
from tests.support.waiting import eventually

MISSING = requirements()
pytestmark = [pytest.mark.root, pytest.mark.skipif(bool(MISSING), reason="; ".join(MISSING))]

PEER = Peer(ip_address("192.0.0.2"), "n0")
ABSENT = Peer(ip_address("192.0.0.3"), "n0")
SECONDS = Settings(transmit_interval=100_000, receive_interval=100_000, detect_multiplier=30)
"""Three: nobody is taken for dead because the machine is busy, and who is dead is soon."""


def path() -> SessionPath:
    """The stranger's end."""
    ours, theirs = ip_address("192.0.0.1").packed, ip_address("192.0.0.2").packed
    return SessionPath(ours, theirs, socket.if_nametoindex("f0"), multihop=False)


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    be_patient(monkeypatch)


@pytest.fixture
def shelter() -> Iterator[Path]:
    """Where workers that are left have their sockets, whose paths must be short: pytest's own are not."""
    with tempfile.TemporaryDirectory(prefix="netlb-", dir="/tmp") as folder:
        yield Path(folder) / "w"


def stand_still(seconds: float) -> None:
    """Keep the event loop from turning, which is what is tried here: no condition could be waited for."""
    time.sleep(seconds)


def kinds(events: list[Event]) -> list[type[Event]]:
    return [type(event) for event in events if isinstance(event, Up | Down | AdminDown)]


async def the_worker() -> int:
    """Return the process that keeps the sessions; for a moment, there may be none."""
    found: list[int] = []

    def is_alone() -> bool:
        found[:] = workers()
        return len(found) == 1

    await until(is_alone, "one process keeps the sessions")
    return found[0]


@pytest.mark.usefixtures("_patient")
def test_a_loop_that_stands_still_for_longer_than_the_detection_time_is_alive(pair: Pair) -> None:
    async def play(bfd: Bfd, events: list[tuple[Peer, Event]]) -> None:
        bfd.add(PEER, SECONDS)
        await until(lambda: events and theirs, "up")
        received = bfd.status(PEER).received
        stand_still(6.0)
        assert bfd.status(PEER).received > received
        assert [[Up], [Up]] == [kinds(theirs), kinds([event for _, event in events])]

    with epoll_loop(pair, path, SECONDS) as theirs:
        pair.run(play)


@pytest.mark.usefixtures("_patient")
def test_a_loop_that_hangs_leaves_and_returns(pair: Pair) -> None:
    problems: list[str] = []

    async def play(bfd: Bfd, events: list[tuple[Peer, Event]]) -> None:
        bfd.add(PEER, SLOW)
        await until(lambda: events and theirs, "up")
        deadline = time.monotonic() + PATIENCE
        while Down not in kinds(theirs):
            assert time.monotonic() < deadline, "the peer was never told"
            stand_still(0.05)
        await until(lambda: [Up, Down, Up] == kinds(theirs), "up again")
        await until(lambda: [Up, Up] == kinds([event for _, event in events]), "and told so, with no failure")
        assert ["the program's event loop stood still for more than 4 s"] == problems

    with epoll_loop(pair, path, SLOW) as theirs:
        pair.run(play, on_problem=problems.append, patience=4.0)


@pytest.mark.usefixtures("_patient")
@pytest.mark.parametrize("key", [None, Key(1, b"a secret")], ids=["plain", "authenticated"])
def test_a_process_that_dies_is_replaced(pair: Pair, key: Key | None) -> None:
    settings, problems = replace(SECONDS, key=key), list[str]()
    died: list[Callable[[], None]] = []
    found: list[object] = []

    def on_problem(problem: str) -> None:
        problems.append(problem)
        for look in died:  # at once: a moment later another process may have the session
            look()

    async def play(bfd: Bfd, events: list[tuple[Peer, Event]]) -> None:
        bfd.add(PEER, settings)
        await until(lambda: events and theirs, "up")
        first = await the_worker()
        died.append(lambda: found.append((bfd.status(PEER).state, bfd.status(PEER).local_discriminator, bfd.counts())))
        os.kill(first, signal.SIGKILL)
        await until(lambda: problems, "its end is told")
        assert [(State.DOWN, 0, {})] == found
        bfd.change(PEER, replace(settings, detect_multiplier=40))
        await until(lambda: [Up, Up] == kinds([event for _, event in events]), "up again, with no failure")
        await until(lambda: kinds(theirs)[-1:] == [Up], "over there too")
        assert ["ended with SIGKILL"] == problems
        assert [first] != workers()
        await until(lambda: 4_000_000 == getattr(theirs[-1], "detection_time", 0), "with the settings of now")

    with epoll_loop(pair, path, settings) as theirs:
        pair.run(play, on_problem=on_problem)
    assert [] == workers()


def test_a_process_that_hangs_is_replaced(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netlb.bfd.adapter.bfd._RETURN", PATIENCE)
    monkeypatch.setattr("netlb.bfd.adapter.process._ANSWER_TIMEOUT", PATIENCE)  # nobody asks the one that hangs
    problems = list[str]()

    async def play(bfd: Bfd, events: list[tuple[Peer, Event]]) -> None:
        bfd.add(PEER, SECONDS)
        await until(lambda: events and theirs, "up")
        first = await the_worker()
        before = len(problems), len(events)  # none, unless the machine is busy
        os.kill(first, signal.SIGSTOP)
        await until(lambda: len(problems) > before[0], "its end is told")
        await until(lambda: Up in kinds([event for _, event in events[before[1] :]]), "up again")
        assert {Up} == {*kinds([event for _, event in events])}, "with no failure"
        assert {"the BFD process did not answer for 0.4 s, and was killed"} == set(problems)

    with epoll_loop(pair, path, SECONDS) as theirs:
        pair.run(play, on_problem=problems.append)
    assert [] == workers()


@pytest.mark.usefixtures("_patient")
def test_a_peer_that_dies_with_the_process_is_given_up(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netlb.bfd.adapter.bfd._RETURN", 5.0)

    async def play(bfd: Bfd, events: list[tuple[Peer, Event]]) -> None:
        with epoll_loop(pair, path, SLOW) as theirs:
            bfd.add(PEER, SLOW)
            await until(lambda: events and theirs, "up")
            first = await the_worker()
            os.kill(first, signal.SIGSTOP)
        os.kill(first, signal.SIGKILL)
        await until(lambda: [Up, Down] == kinds([event for _, event in events]), "it is told")
        assert {PEER} == bfd.peers()

    pair.run(play)


@pytest.mark.usefixtures("_patient")
def test_a_removal_ends_with_the_process(pair: Pair) -> None:
    async def play(bfd: Bfd, events: list[tuple[Peer, Event]]) -> None:
        bfd.add(PEER, SLOW)
        await until(lambda: events, "up")
        first = await the_worker()
        os.kill(first, signal.SIGKILL)
        await bfd.remove(PEER)
        bfd.add(PEER, SLOW)
        await until(lambda: [Up, Up] == kinds([event for _, event in events]), "another session")

    with epoll_loop(pair, path, SECONDS):
        pair.run(play)


@pytest.mark.usefixtures("_patient")
def test_what_a_link_that_was_down_has_swallowed_is_said_again_when_it_comes_up(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.bfd_pair.PATIENCE", 30.0)  # the second packet is due after 45 s
    rare = replace(SECONDS, transmit_interval=60_000_000, receive_interval=60_000_000)

    batch(["link set f0 address 02:00:00:00:00:02"], pair.far)
    batch(["neighbor add 192.0.0.2 dev n0 lladdr 02:00:00:00:00:02"], pair.node)  # or the kernel keeps the first packet

    async def play(bfd: Bfd, events: list[tuple[Peer, Event]]) -> None:
        batch(["link set f0 down"], pair.far)
        bfd.add(PEER, rare)
        await until(lambda: bfd.status(PEER).sent, "the first packet is lost")
        batch(["link set f0 up"], pair.far)
        await until(lambda: events and theirs, "up")

    with epoll_loop(pair, path, replace(rare, passive=True)) as theirs:
        pair.run(play)


@pytest.mark.usefixtures("_patient")
def test_sessions_that_are_left_go_on_under_the_next_program_and_the_peer_notices_nothing(
    pair: Pair, shelter: Path
) -> None:
    predecessor = Shelter(shelter, "one", PATIENCE, "--worker-dir")

    async def first(bfd: Bfd, events: list[tuple[Peer, Event]]) -> None:
        bfd.add(PEER, SECONDS)
        bfd.add(ABSENT, SECONDS)
        await until(lambda: events and theirs, "up")
        pids.append(workers())
        predecessor.leaves = True

    async def second(bfd: Bfd, events: list[tuple[Peer, Event]]) -> None:
        assert frozenset() == bfd.peers()
        bfd.add(PEER, SECONDS)
        with pytest.raises(SettingError, match="there is a session with it"):
            bfd.add(PEER, SECONDS)
        await until(lambda: [Up] == kinds([event for _, event in events]), "it is told what is up")
        before = bfd.status(PEER)
        assert (State.UP, 1, 0) == (before.state, before.ups, before.downs)
        bfd.add(replace(PEER, address=ip_address("192.0.0.4")), SECONDS)
        await until(lambda: bfd.status(PEER).received > before.received, "packets come in")
        bfd.change(PEER, replace(SECONDS, path_down=True))
        await until(lambda: not getattr(theirs[-1], "usable", True), "what is changed is said")
        assert [Up] == kinds([event for event in theirs if not isinstance(event, ParametersChanged)])

    pids: list[list[int]] = []
    with epoll_loop(pair, path, SECONDS) as theirs:
        pair.run(first, shelter=predecessor)
        successor = Shelter(shelter, "one", PATIENCE, "--worker-dir")
        assert "taken over" == inside(pair.node, lambda: successor.claim((WORKER,)))
        pair.run(second, shelter=successor)
        eventually(lambda: [AdminDown] == kinds(theirs[-1:]), "the peer is told")
    assert [] == list(shelter.iterdir())


@pytest.mark.usefixtures("_patient")
def test_a_session_that_nobody_adds_again_is_stopped(
    pair: Pair, shelter: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netlb.bfd.adapter.bfd._UNCLAIMED", 0.1)
    predecessor = Shelter(shelter, "one", PATIENCE, "--worker-dir")

    async def first(bfd: Bfd, events: list[tuple[Peer, Event]]) -> None:
        bfd.add(PEER, SECONDS)
        await until(lambda: events and theirs, "up")
        predecessor.leaves = True

    async def second(bfd: Bfd, _: list[tuple[Peer, Event]]) -> None:
        await until(lambda: [Up, AdminDown] == kinds(theirs), "the peer is told")
        assert frozenset() == bfd.peers()

    with epoll_loop(pair, path, SECONDS) as theirs:
        pair.run(first, shelter=predecessor)
        successor = Shelter(shelter, "one", PATIENCE, "--worker-dir")
        assert "taken over" == inside(pair.node, lambda: successor.claim((WORKER,)))
        pair.run(second, shelter=successor)


PROGRAM = """
import asyncio
from ipaddress import ip_address
from netlb.bfd.adapter import process
from netlb.bfd.adapter.bfd import Bfd, Peer
from netlb.bfd.settings import Settings

process.MOST_UNANSWERED, process._ANSWER_TIMEOUT = 300, 60.0  # as it is patient here with a busy machine

async def main():
    async with Bfd() as bfd:
        bfd.add(Peer(ip_address("192.0.0.2"), "n0"), Settings(50_000, 50_000, 200))
        await asyncio.Event().wait()

asyncio.run(main())
"""


def test_the_peers_of_a_program_that_is_killed_are_told_at_once(pair: Pair) -> None:
    program = inside(pair.node, lambda: subprocess.Popen([sys.executable, "-c", PROGRAM]))
    try:
        with epoll_loop(pair, path, SLOW) as theirs:
            deadline = time.monotonic() + PATIENCE
            while (found := kinds(theirs)) != [Up, Down]:
                assert time.monotonic() < deadline, found
                if found and program.poll() is None:
                    program.kill()
                    program.wait()
                time.sleep(0.01)  # the stranger's thread goes on meanwhile
    finally:
        program.kill()
        program.wait()
