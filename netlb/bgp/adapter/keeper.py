"""A child process that cannot outlive us, and the thread that keeps it.

The kernel can kill a child with its parent (PR_SET_PDEATHSIG), and by parent it means the thread that made the child.
So one thread makes it, reads what it says and waits for it, and lives exactly as long. Python that ran in the child
between fork and exec would find locks of our other threads, gRPC's among them; so an interpreter of its own asks the
kernel, sees that we are still there, and becomes the program.
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final, Self, TypeVarTuple, Unpack

__all__ = ["Keeper"]

_BOOTSTRAP: Final = (
    "import ctypes, os, signal, sys\n"
    "libc = ctypes.CDLL(None, use_errno=True)\n"
    f"assert libc.prctl(1, {int(signal.SIGKILL)}, 0, 0, 0) == 0, 'PR_SET_PDEATHSIG'\n"
    "signal.signal(signal.SIGPIPE, signal.SIG_DFL)\n"  # an interpreter ignores it, and exec would keep that
    "if os.getppid() == int(sys.argv[1]): os.execve(sys.argv[2], sys.argv[2:], {})\n"
)
_LAST_LINES: Final = 3
"""Lines of its log that are told when it ends: the reason is usually the last of them."""


_Arguments = TypeVarTuple("_Arguments")


class Keeper:
    """One running child. Made by `start`; it belongs to the event loop that it was started in."""

    def __init__(self, on_log: Callable[[str], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._on_log = on_log
        self._pidfd = -1
        self._started: asyncio.Future[int] = self._loop.create_future()
        self.pid = 0
        self.ended: asyncio.Future[str] = self._loop.create_future()
        """Done when the child has ended and is reaped; the result says how."""

    @classmethod
    async def start(cls, command: Sequence[str], on_log: Callable[[str], None]) -> Self:
        """Start the child in a session of its own, without our environment; OSError if that is not possible."""
        self = cls(on_log)
        threading.Thread(target=self._keep, args=(list(command),), name="keeper", daemon=True).start()
        self.pid = await self._started
        return self

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; a child that has ended is spared."""
        if self._pidfd >= 0:
            with suppress(ProcessLookupError):  # it has ended, and that is on its way to us
                signal.pidfd_send_signal(self._pidfd, number)

    # In the thread

    def _keep(self, command: list[str]) -> None:
        try:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter, and the program that was asked for
                [sys.executable, "-I", "-S", "-c", _BOOTSTRAP, str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={},
                text=True,
                errors="replace",
                start_new_session=True,  # or the terminal's Ctrl-C would end it before anything is withdrawn
            )
        except OSError as error:
            self._tell(self._failed, error)
            return
        self._tell(self._spawned, process.pid, os.pidfd_open(process.pid))
        last: deque[str] = deque(maxlen=_LAST_LINES)
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                last.append(line.rstrip())
                self._tell(self._on_log, line.rstrip())
        status = process.wait()
        how = f"ended with {signal.Signals(-status).name if status < 0 else f'status {status}'}"
        self._tell(self._report, f"{how}: {'; '.join(last)}" if status > 0 and last else how)

    def _tell(self, callback: Callable[[Unpack[_Arguments]], object], *arguments: *_Arguments) -> None:
        with suppress(RuntimeError):  # the loop is closed, and nobody listens any more
            self._loop.call_soon_threadsafe(callback, *arguments)

    # Back in the event loop

    def _failed(self, error: OSError) -> None:
        if not self._started.done():
            self._started.set_exception(error)

    def _spawned(self, pid: int, pidfd: int) -> None:
        self._pidfd = pidfd
        if self._started.done():
            self.signal(signal.SIGKILL)  # whoever wanted it was cancelled
        else:
            self._started.set_result(pid)

    def _report(self, how: str) -> None:
        os.close(self._pidfd)
        self._pidfd = -1
        if not self.ended.done():
            self.ended.set_result(how)
