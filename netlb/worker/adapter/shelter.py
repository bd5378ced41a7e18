"""Where the workers of a program that has died are found by the next one, and taken over all together or not at all."""

import json
import os
import select
import socket
import stat
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple

from netlb.errors import SettingError, TransientError
from netlb.worker.adapter.door import MOST_BYTES, peer_credentials
from netlb.worker.adapter.process import WorkerProcess
from netlb.worker.terms import Terms

__all__ = ["Shelter"]

_ANSWER: Final = 1.0
"""Seconds in which a worker that does not hang has answered."""
_END: Final = 2.0
_DYING: Final = 2.0
"""Seconds in which the kernel closes what a program that is being killed had open."""
_LONGEST_PATH: Final = 100
"""Octets, of 107 that unix(7) takes."""
_PAUSE: Final = 0.05
_NAMESPACE: Final = Path("/proc/thread-self/ns/net")


class _Found(NamedTuple):
    """A worker that listens."""

    process: WorkerProcess
    said: tuple[str, bool] | None
    """Its identity, and whether its program is dead; None: it hangs."""


class Shelter:
    """A directory that is this user's alone, with a socket for each worker of the one program that uses it."""

    def __init__(self, directory: Path, identity: str, patience: float, setting: str) -> None:
        """For workers that go on without a program for `patience` seconds; `setting` gave the directory.

        `identity` is what two programs must have in common for one to take over the other's workers; the network
        namespace counts anyhow.
        """
        self.leaves = False
        """The program goes down by itself: its workers are left to whoever is next."""
        self._directory = directory
        self._identity = identity
        self._patience = patience
        self._setting = setting
        self._taken: dict[str, WorkerProcess] = {}

    def terms(self, name: str) -> Terms:
        """Return the terms of a worker that is to be found here, as soon as it is started."""
        self._prepare()
        return Terms(self._patience, str(self._directory), name, f"{self._identity} {_NAMESPACE.readlink()}")

    def claim(self, names: tuple[str, ...]) -> str:
        """Take over the workers of these names, which `take` then has, or see them off: say which.

        They are taken over if all that were there still are, and are like our own would be. SettingError where the
        directory does not serve, TransientError while the program that they work for lives.
        """
        identity = self.terms("").identity
        deadline = time.monotonic() + _DYING
        while True:
            found, stale = self._look(names)
            if all(one.said is None or one.said[1] for one in found.values()):
                break
            pids = ", ".join(str(one.process.pid) for one in found.values())
            _let_go(found)
            if time.monotonic() > deadline:
                raise TransientError(f"another program uses {self._directory}: processes {pids} work for it")
            time.sleep(_PAUSE)  # nothing is told when it is dead
        if not found:
            return "nobody was left"
        if not stale and all(one.said is not None and one.said[0] == identity for one in found.values()):
            adopted = {name: one.process for name, one in found.items() if self._adopt(one.process, identity)}
            if len(adopted) == len(found):
                self._taken = adopted
                return "taken over"
        for one in found.values():
            _see_off(one)
        return "replaced"

    def take(self, name: str) -> WorkerProcess | None:
        """Return a worker that was taken over, once."""
        return self._taken.pop(name, None)

    def has(self, name: str) -> bool:
        """Whether `take` would return it."""
        return name in self._taken

    def _prepare(self) -> None:
        directory = self._directory
        if len(os.fsencode(directory)) > _LONGEST_PATH - len("/responder.sock"):
            raise SettingError(self._setting, f"{directory} is too long for a socket's path", "choose a shorter one")
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            found = directory.lstat()
        except OSError as error:
            remedy = "name a directory that this user may make"
            raise SettingError(self._setting, f"{directory}: {error.strerror or error}", remedy) from None
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            problem = f"{directory} is not a directory that is this user's alone"
            raise SettingError(self._setting, problem, "remove it, or name another")

    def _look(self, names: tuple[str, ...]) -> tuple[dict[str, _Found], bool]:
        """Return the workers that listen, and whether one has left its socket behind."""
        found: dict[str, _Found] = {}
        stale = False
        for name in names:
            channel = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with ExitStack() as undo:
                undo.callback(channel.close)
                channel.setblocking(False)
                try:
                    channel.connect(str(self._directory / f"{name}.sock"))
                    pid, user = peer_credentials(channel)
                    pidfd = os.pidfd_open(pid)
                except FileNotFoundError:
                    continue
                except OSError:
                    stale = True
                    continue
                undo.callback(os.close, pidfd)
                if user != os.geteuid():
                    continue
                undo.pop_all()
            process = WorkerProcess(pid, pidfd, channel)
            match _ask(process, "Who"):
                case ["I am", str(identity), bool(orphaned)]:
                    found[name] = _Found(process, (identity, orphaned))
                case _:
                    found[name] = _Found(process, None)
        return found, stale

    def _adopt(self, process: WorkerProcess, identity: str) -> bool:
        return bool(_ask(process, "Adopt", identity) == ["Adopted"])


def _ask(process: WorkerProcess, *words: str) -> Any:
    """Return what a worker answers, or None if it does not."""
    try:
        process.channel.send(json.dumps(words).encode())
        waiting = select.poll()
        waiting.register(process.channel, select.POLLIN)
        if not waiting.poll(_ANSWER * 1000):
            return None
        return json.loads(process.channel.recv(MOST_BYTES))
    except (OSError, ValueError):
        return None


def _see_off(found: _Found) -> None:
    """End a worker: in order, or by force if it does not go."""
    process = found.process
    if found.said is not None:
        _ask(process, "End")
    process.channel.close()
    if found.said is None or not process.wait(_END):
        process.kill()
        process.wait()
    process.reap()


def _let_go(found: dict[str, _Found]) -> None:
    for one in found.values():
        one.process.let_go()
