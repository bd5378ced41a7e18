"""A program's hold on a worker's process, whether it started the process itself or took it over."""

import os
import select
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final, Self

import netlb
from netlb.worker.terms import Terms

__all__ = ["WorkerProcess"]

_BOOTSTRAP: Final = "import sys; sys.path.append(sys.argv[1]); from {module} import main; main(sys.argv[2:])"
_ROOT: Final = str(Path(netlb.__file__).parents[1])


class WorkerProcess:
    """One process, and the channel to it, which whoever has this closes."""

    def __init__(
        self, pid: int, pidfd: int, channel: socket.socket, process: subprocess.Popen[bytes] | None = None
    ) -> None:
        """Hold a process; one that is not this program's child was `adopted`, and tells nobody how it ended."""
        self.pid = pid
        self.pidfd = pidfd
        """Readable when it has ended."""
        self.channel = channel
        self._process = process

    @property
    def adopted(self) -> bool:
        """Whether another program started it."""
        return self._process is None

    @classmethod
    def start(cls, module: str, terms: Terms) -> Self:
        """Start one that runs `main` of a module; OSError where that cannot be."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setblocking(False)
        with theirs, ExitStack() as undo:
            undo.callback(ours.close)
            bootstrap = [sys.executable, "-I", "-S", "-c", _BOOTSTRAP.format(module=module), _ROOT]
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and code
                [*bootstrap, str(theirs.fileno()), *terms.arguments()],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                cwd="/",
                env={name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ},
            )
            undo.callback(process.wait)
            undo.callback(process.kill)
            pidfd = os.pidfd_open(process.pid)
            undo.pop_all()
        return cls(process.pid, pidfd, ours, process)

    def kill(self) -> None:
        """End it whatever it does."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until it has ended; False if it has not."""
        waiting = select.poll()
        waiting.register(self.pidfd, select.POLLIN)
        return bool(waiting.poll(None if seconds is None else seconds * 1000))

    def let_go(self) -> None:
        """Leave it to another program."""
        self.channel.close()
        os.close(self.pidfd)
        if self._process is not None:
            self._process.returncode = 0  # or the interpreter complains at its end of a child that runs

    def reap(self) -> str:
        """Return how it ended, once it has, and let go of it."""
        os.close(self.pidfd)
        if self._process is None:
            return "ended"
        status = self._process.wait()
        return f"ended with {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"
