"""A gobgpd of our own: found on PATH, started on a private socket, watched, restarted, and never left behind.

It gets nothing but its API socket: configuration, passwords included, goes through the API.
"""

import asyncio
import fcntl
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Final, Self

from netlb.bgp.adapter.errors import BgpError
from netlb.bgp.adapter.keeper import Keeper
from netlb.bgp.adapter.target import Target
from netlb.bgp.events import Event, ProcessEnded, ProcessStarted
from netlb.reasons import BgpRefusal

__all__ = ["Gobgpd", "check_version"]

_OLDEST: Final = (3, 0)
_SETTLED: Final = 60.0
"""Seconds after which a gobgpd that ends is restarted at once again."""
_LONGEST_PAUSE: Final = 5.0
_PATIENCE: Final = 5.0
"""Seconds that it has for an orderly end."""


class Gobgpd:
    """One gobgpd, used as `async with Gobgpd(directory=...) as gobgpd`, whose API is at `gobgpd.target`.

    It is restarted when it ends, with a back-off, and has forgotten everything then. It is killed when this process
    ends in whatever way. Leaving the context sends SIGTERM: withdraw first, since gobgpd then closes its sessions.
    """

    def __init__(
        self,
        *,
        directory: Path,
        program: str = "gobgpd",
        on_event: Callable[[Event], None] = lambda _: None,
        on_log: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Keep its socket in `directory`, which is made with mode 0700 and must belong to us alone.

        `on_log` is given each line that it logs; both callbacks are called from the event loop and must not raise.
        """
        self.restarts = 0
        self._directory = directory
        self._program = program
        self._emit = on_event
        self._on_log = on_log
        self._keeper: Keeper | None = None
        self._exit = AsyncExitStack()

    @property
    def target(self) -> Target:
        """Where its API is."""
        return Target.unix(self._socket)

    @property
    def pid(self) -> int | None:
        """Its process id; None while it is not running."""
        return None if self._keeper is None or self._keeper.ended.done() else self._keeper.pid

    async def __aenter__(self) -> Self:
        """Start it. BgpError: it is not installed, too old, or the directory is not ours alone."""
        program = await asyncio.to_thread(check_version, self._program)
        async with AsyncExitStack() as stack:
            stack.callback(os.close, _own_directory(self._directory))
            stack.push_async_callback(self._stop)
            await self._start(program)
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            stack.callback(tasks.create_task(self._supervise(program)).cancel)
            self._exit = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        # The body's own error is not handed to the task group, which would wrap it.
        await self._exit.aclose()

    def kill(self) -> None:
        """Kill it, for instance because it hangs; another one is started in its place."""
        if self._keeper is not None:
            self._keeper.signal(signal.SIGKILL)

    @property
    def _socket(self) -> Path:
        return self._directory / "api.sock"

    async def _start(self, program: str) -> None:
        self._socket.unlink(missing_ok=True)  # gobgpd does not start over the socket of one that was killed
        command = [program, f"--api-hosts=unix://{self._socket.absolute()}", "--pprof-disable", "--log-plain"]
        self._keeper = await Keeper.start(command, self._on_log)
        self._emit(ProcessStarted(self._keeper.pid))
        while not (_listens(self._socket) or self._keeper.ended.done()):  # noqa: ASYNC110 - nobody here makes it true
            await asyncio.sleep(0.005)

    async def _supervise(self, program: str) -> None:
        loop = asyncio.get_running_loop()
        pause = 0.0
        while self._keeper is not None:
            started = loop.time()
            self._emit(ProcessEnded(await asyncio.shield(self._keeper.ended)))
            pause = 0.0 if loop.time() - started > _SETTLED else min(_LONGEST_PAUSE, pause * 2 or 0.1)
            while True:
                await asyncio.sleep(pause)
                try:
                    await self._start(program)
                    self.restarts += 1
                    break
                except OSError as error:
                    self._emit(ProcessEnded(f"{program}: {error.strerror}"))
                    pause = min(_LONGEST_PAUSE, pause * 2 or 0.1)

    async def _stop(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is None:
            return
        keeper.signal(signal.SIGTERM)
        keeper.signal(signal.SIGCONT)  # one that is stopped would not hear of it
        try:
            async with asyncio.timeout(_PATIENCE):
                await asyncio.shield(keeper.ended)
        except TimeoutError:
            keeper.signal(signal.SIGKILL)
            await keeper.ended
        self._socket.unlink(missing_ok=True)


def _listens(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def check_version(program: str) -> str:
    """Return the path of a gobgpd that is new enough; BgpError if there is none."""
    path = shutil.which(program)
    if path is None:
        raise BgpError(
            BgpRefusal.NO_GOBGPD,
            f"{program}: not found on PATH; install it (Debian: apt-get install gobgpd), or name a running one",
        )
    try:
        ran = subprocess.run([path, "--version"], capture_output=True, text=True, check=False, timeout=_PATIENCE)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BgpError(BgpRefusal.NO_GOBGPD, f"{path} --version: {error}; it is no gobgpd that works here") from None
    said = (ran.stdout + ran.stderr).strip()
    match = re.match(r"gobgpd version (\d+)\.(\d+)", said)
    if match is None:
        raise BgpError(BgpRefusal.NO_GOBGPD, f"{path} --version: {said[:80]!r}; it is no gobgpd")
    version = int(match[1]), int(match[2])
    if version < _OLDEST:
        raise BgpError(BgpRefusal.NO_GOBGPD, f"{path}: {said} speaks an API of its own; install GoBGP 3 or 4")
    return path


def _own_directory(directory: Path) -> int:
    """Make the directory, or see that it is ours alone; return a lock on it, which ends when it is closed."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    with ExitStack() as undo:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        undo.callback(os.close, descriptor)
        found = os.fstat(descriptor)
        if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
            raise BgpError(
                BgpRefusal.DIRECTORY_NOT_PRIVATE,
                f"{directory}: whoever may write there may announce routes; "
                f"chown it to user {os.geteuid()} and chmod it to 0700",
            )
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise BgpError(
                BgpRefusal.DIRECTORY_NOT_PRIVATE,
                f"{directory}: another netlb runs a gobgpd there; give each its own directory",
            ) from None
        undo.pop_all()
    return descriptor
