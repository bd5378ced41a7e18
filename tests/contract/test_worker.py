"""The way in to a worker whose program is dead, and who may take it: on real processes and sockets."""

import json
import os
import random
import select
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from netlb.errors import SettingError, TransientError
from netlb.worker.adapter.line import Line
from netlb.worker.adapter.process import WorkerProcess
from netlb.worker.adapter.shelter import Shelter
from netlb.worker.terms import Terms
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

RESPONDER, BFD = "netlb.l2.adapter.worker", "netlb.bfd.adapter.worker"
SETTING = "--worker-dir"
LONG = 60.0
NOBODY = 65534
MOST_RESIDENT = 30 << 10
"""KiB."""


class Workers:
    """Workers of this program, found in a directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.shelter = Shelter(folder, "one", LONG, SETTING)
        self.processes: list[WorkerProcess] = []

    def start(self, module: str, name: str = "", *, terms: Terms | None = None) -> WorkerProcess:
        """Start one, and wait until it serves."""
        process = WorkerProcess.start(module, terms or self.shelter.terms(name))
        self.processes.append(process)
        process.channel.settimeout(LONG)
        assert b"Ready" in process.channel.recv(4096)
        return process

    def orphan(self, module: str, name: str) -> WorkerProcess:
        """Start one whose program is gone."""
        process = self.start(module, name)
        process.channel.close()
        eventually(lambda: ["I am", self.shelter.terms(name).identity, True] == self.ask(name, "Who"), "it knows")
        return process

    def orphan_both(self) -> list[WorkerProcess]:
        """Start both of a program that is gone; anew where one has ended, as one does if the other is held up."""

        def living() -> list[WorkerProcess] | None:
            with suppress(OSError):  # it has ended while it was asked
                both = [self.orphan(RESPONDER, "responder"), self.orphan(BFD, "bfd")]
                if not any(process.wait(0) for process in both):
                    return both
            for process in self.processes:
                process.kill()
                process.wait()
            return None

        return eventually(living, "both live")

    def ask(self, name: str, *words: str) -> object:
        """Return what it answers, or None if it hangs up."""
        with self.call(name) as caller:
            caller.send(json.dumps(words).encode())
            return json.loads(caller.recv(4096) or b"null")

    def call(self, name: str) -> socket.socket:
        caller = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        caller.settimeout(LONG)
        caller.connect(str(self.folder / f"{name}.sock"))
        return caller


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Workers]:
    """None is taken for hung that a busy machine holds up."""
    monkeypatch.setattr("netlb.worker.adapter.shelter._ANSWER", LONG)
    monkeypatch.setattr("netlb.worker.adapter.shelter._END", LONG)
    made = Workers(Path(tempfile.mkdtemp(prefix="netlb-")) / "workers")
    try:
        yield made
    finally:
        for process in made.processes:
            process.channel.close()
            process.kill()
            process.wait()
            process.reap()
        shutil.rmtree(made.folder.parent)


def listening(pid: int) -> list[str]:
    """Return the paths of the sockets that a process listens at."""
    inodes = {str(entry.readlink()) for entry in Path(f"/proc/{pid}/fd").iterdir()}
    lines = [line.split() for line in Path(f"/proc/{pid}/net/unix").read_text().splitlines()[1:]]
    return [words[-1] for words in lines if int(words[3], 16) & 0x10000 and f"socket:[{words[6]}]" in inodes]


def test_where_nothing_outlives_the_program_nothing_listens(workers: Workers) -> None:
    process = workers.start(RESPONDER, terms=Terms(LONG))
    assert [] == listening(process.pid)
    process.channel.close()
    assert process.wait(LONG)


def test_all_are_taken_over_together(workers: Workers) -> None:
    successor = Shelter(workers.folder, "one", LONG, SETTING)
    pids = [process.pid for process in workers.orphan_both()]
    assert "taken over" == successor.claim(("responder", "bfd"))
    taken = [successor.take(name) for name in ("responder", "bfd")]
    assert pids == [process.pid for process in taken if process is not None]
    assert all(process.adopted for process in taken if process is not None)
    assert [str(workers.folder / "responder.sock")] == listening(pids[0])
    assert successor.take("bfd") is None
    with pytest.raises(TransientError, match=f"another program uses {workers.folder}: processes {pids[0]}, {pids[1]}"):
        Shelter(workers.folder, "one", LONG, SETTING).claim(("responder", "bfd"))
    for process in taken:
        assert process is not None
        process.channel.close()


def test_what_is_not_alike_is_seen_off(workers: Workers) -> None:
    successor = Shelter(workers.folder, "two", LONG, SETTING)
    processes = workers.orphan_both()
    assert "replaced" == successor.claim(("responder", "bfd"))
    assert all(process.wait(0) for process in processes)
    assert [] == list(workers.folder.iterdir())
    assert not successor.has("responder")


def test_what_was_not_all_there_is_seen_off(workers: Workers) -> None:
    bfd = workers.orphan(BFD, "bfd")
    (workers.folder / "responder.sock").write_bytes(b"")
    assert "replaced" == Shelter(workers.folder, "one", LONG, SETTING).claim(("responder", "bfd"))
    assert bfd.wait(0)


def test_a_socket_that_was_left_behind_is_nobody_and_in_nobodys_way(workers: Workers) -> None:
    process = workers.orphan(RESPONDER, "responder")
    process.kill()
    assert process.wait(LONG)
    assert (workers.folder / "responder.sock").exists()
    assert "nobody was left" == workers.shelter.claim(("responder", "bfd"))
    workers.start(RESPONDER, "responder")
    assert ["I am", workers.shelter.terms("responder").identity, False] == workers.ask("responder", "Who")


def test_while_its_program_lives_a_worker_obeys_nobody_else(workers: Workers) -> None:
    process = workers.start(RESPONDER, "responder")
    identity = workers.shelter.terms("responder").identity
    assert ["I am", identity, False] == workers.ask("responder", "Who")
    assert [["Refused"], ["Refused"]] == [workers.ask("responder", *words) for words in (("Adopt", identity), ("End",))]
    assert not process.wait(0)


def test_an_orphan_is_given_to_nobody_with_another_identity(workers: Workers) -> None:
    workers.orphan(RESPONDER, "responder")
    assert ["Refused"] == workers.ask("responder", "Adopt", "another")


STRANGER = """
import json, os, socket, sys
os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))
caller = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
try:
    caller.connect(sys.argv[1])
    caller.send(b'["Who"]')
    print(caller.recv(4096))
except OSError as error:
    print(type(error).__name__)
"""


def test_a_stranger_is_not_let_in_nor_heard_where_it_gets_to_the_door(workers: Workers) -> None:
    process = workers.orphan(RESPONDER, "responder")
    path = workers.folder / "responder.sock"
    command = [sys.executable, "-I", "-S", "-c", STRANGER, str(path)]

    def says(user: int) -> str:
        return subprocess.run([*command, str(user)], check=True, capture_output=True, text=True).stdout.strip()

    workers.folder.parent.chmod(0o711)
    assert "PermissionError" == says(NOBODY)
    workers.folder.chmod(0o711)
    path.chmod(0o666)
    assert says(NOBODY) in {"b''", "ConnectionResetError", "BrokenPipeError"}
    assert "I am" in says(0)
    assert not process.wait(0)


@pytest.mark.parametrize("mode", [0o755, 0o710, 0o701])
def test_a_directory_that_others_may_enter_is_refused(workers: Workers, mode: int) -> None:
    workers.folder.mkdir()
    workers.folder.chmod(mode)
    with pytest.raises(SettingError, match=f"{SETTING}: {workers.folder} is not a directory that is this user's alone"):
        workers.shelter.claim(("responder",))


def test_a_directory_of_another_user_or_by_a_link_is_refused(workers: Workers) -> None:
    workers.folder.mkdir(mode=0o700)
    os.chown(workers.folder, NOBODY, NOBODY)
    with pytest.raises(SettingError, match="this user's alone"):
        workers.shelter.claim(("responder",))
    workers.folder.rename(workers.folder.with_name("theirs"))
    workers.folder.symlink_to("theirs")
    with pytest.raises(SettingError, match="this user's alone"):
        workers.shelter.claim(("responder",))


def test_whatever_is_said_at_the_door_the_worker_goes_on(workers: Workers) -> None:
    """Neither an exception nor more than a few callers at once, whatever bytes come."""
    process = workers.start(BFD, "bfd")
    chance = random.Random(7)
    said = [b"null", b"[]", b"{}", b'["Adopt"]', b'["Adopt",7]', b'["Who",1]', b"[" * 2000, b'["\xff"]', b"\0"]
    said += [chance.randbytes(chance.randrange(1, 200)) for _ in range(300)]
    for words in said:
        with workers.call("bfd") as caller:
            caller.send(words)
            assert caller.recv(4096) in {b"", b'["Refused"]'}
    crowd = [workers.call("bfd") for _ in range(12)]
    for caller in crowd[8:]:
        assert b"" == caller.recv(4096)
    for caller in crowd:
        caller.close()
    assert not process.wait(0)

    def is_room() -> bool:
        with suppress(BrokenPipeError, ConnectionResetError):  # those who left have not been noticed yet
            return workers.ask("bfd", "Who") is not None
        return False

    eventually(is_room, "there is room again")


@pytest.mark.parametrize("module", [RESPONDER, BFD])
def test_it_is_small_and_keeps_what_it_has_in_memory(workers: Workers, module: str) -> None:
    process = workers.start(module, "any")
    lines = [line.split() for line in Path(f"/proc/{process.pid}/status").read_text().splitlines()]
    kibibytes = {words[0].removesuffix(":"): int(words[1]) for words in lines if words[-1] == "kB"}
    assert kibibytes["VmRSS"] < MOST_RESIDENT
    assert kibibytes["VmLck"] > 0
    assert os.SCHED_FIFO == os.sched_getscheduler(process.pid)


def test_what_a_program_said_last_is_read_though_it_takes_no_answer_any_more() -> None:
    program, channel = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel.setblocking(False)
    with select.epoll() as epoll:
        line = Line(epoll, channel, Terms(LONG, "", "", ""), 4096)
        program.send(b"end")
        program.close()
        line.tell(b"an answer to what it asked before")
        line.flush()
        assert b"end" == line.read(channel.fileno())
        line.close()
