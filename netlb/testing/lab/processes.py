"""The processes that a lab's user started in it, from their start to their end."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from netlb.testing.lab.namespaces import inside

__all__ = ["Processes", "Stream", "spawn"]

Stream = int | IO[str] | IO[bytes] | None

_DYING = 30.0
"""Seconds in which the kernel has ended what was killed, however busy it is."""


def spawn(
    namespace: str,
    command: Sequence[str | Path],
    *,
    stdin: Stream = subprocess.DEVNULL,
    stdout: Stream = None,
    stderr: Stream = None,
    env: Mapping[str, str | None] | None = None,
    cwd: str | Path | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[str]:
    """Start a command inside a namespace, in a session of its own; FileNotFoundError if there is no such command.

    `env` changes this process's environment: a value of None takes a variable away. The process is born inside the
    namespace, so that whoever looks there at any time finds it; `ip netns exec` then gives it the /sys that belongs
    to the namespace and becomes the command.
    """
    merged = {**os.environ, **(env or {})}
    environment = {name: value for name, value in merged.items() if value is not None}
    program, *arguments = map(str, command)
    found = shutil.which(program, path=environment.get("PATH"))
    if found is None:
        raise FileNotFoundError(f"no command {program!r} to run in {namespace}")
    return inside(
        namespace,
        lambda: subprocess.Popen(
            ["ip", "netns", "exec", namespace, found, *arguments],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            env=environment,
            cwd=cwd,
            pass_fds=pass_fds,
            text=True,
            start_new_session=True,
        ),
    )


class Processes:
    """The processes of a lab that its user started and did not wait for."""

    def __init__(self) -> None:
        self._tracked: list[tuple[str, subprocess.Popen[str]]] = []

    def track(self, namespace: str, process: subprocess.Popen[str]) -> None:
        """Take charge of a process that lives in a namespace."""
        self._tracked.append((namespace, process))

    def end(self, namespaces: Sequence[str] | None = None, patience: float = 3.0) -> None:
        """End and reap those of some namespaces, or all: SIGTERM, `patience` seconds together, SIGKILL."""
        chosen = [pair for pair in self._tracked if namespaces is None or pair[0] in namespaces]
        for _, process in chosen:
            process.terminate()
        deadline = time.monotonic() + patience
        for _, process in chosen:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(_DYING)
        self._forget(chosen)

    def disown(self) -> None:
        """Let all of them live on after this process."""
        for _, process in self._tracked:
            if process.poll() is None:
                process.returncode = 0  # or Popen's destructor would warn of a process that is left on purpose
        self._forget(list(self._tracked))

    def _forget(self, chosen: Sequence[tuple[str, subprocess.Popen[str]]]) -> None:
        for pair in chosen:
            for stream in (pair[1].stdin, pair[1].stdout, pair[1].stderr):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
            self._tracked.remove(pair)
