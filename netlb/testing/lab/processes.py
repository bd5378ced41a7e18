"""The processes that a lab's user started in it, from their start to their end."""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

__all__ = ["Processes", "environment"]

Stream = int | IO[str] | IO[bytes] | None


def environment(changes: Mapping[str, str | None] | None) -> dict[str, str]:
    """This process's environment with changes: a value of None takes a variable away."""
    merged = {**os.environ, **(changes or {})}
    return {name: value for name, value in merged.items() if value is not None}


class Processes:
    """Starts processes inside namespaces, each in a session of its own, and ends them by their id."""

    def __init__(self) -> None:
        self._started: list[tuple[str, subprocess.Popen[str]]] = []

    def start(
        self,
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
        """Start a process; the pid is the command's own, for `ip netns exec` becomes the command."""
        process = subprocess.Popen(
            inside_command(namespace, command, env),
            stdin=stdin, stdout=stdout, stderr=stderr, env=environment(env), cwd=cwd,
            pass_fds=pass_fds, text=True, start_new_session=True,
        )  # fmt: skip
        self._started.append((namespace, process))
        return process

    def end(self, namespaces: Sequence[str] | None = None, patience: float = 3.0) -> None:
        """End and reap those of some namespaces, or all: SIGTERM, `patience` seconds together, SIGKILL."""
        chosen = [pair for pair in self._started if namespaces is None or pair[0] in namespaces]
        for _, process in chosen:
            process.terminate()
        deadline = time.monotonic() + patience
        for _, process in chosen:
            try:
                process.wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(patience)
        self._forget(chosen)

    def disown(self) -> None:
        """Let all of them live on after this process."""
        for _, process in self._started:
            if process.poll() is None:
                process.returncode = (
                    0  # or Popen's destructor would warn of a process that is left on purpose
                )
        self._forget(list(self._started))

    def _forget(self, chosen: Sequence[tuple[str, subprocess.Popen[str]]]) -> None:
        for pair in chosen:
            for stream in (pair[1].stdin, pair[1].stdout, pair[1].stderr):
                if stream is not None:
                    with contextlib.suppress(BrokenPipeError):
                        stream.close()
            self._started.remove(pair)


def inside_command(
    namespace: str, command: Sequence[str | Path], env: Mapping[str, str | None] | None = None
) -> list[str]:
    """The command line that runs a command inside a namespace; FileNotFoundError if there is none."""
    program, *arguments = map(str, command)
    found = shutil.which(program, path=environment(env).get("PATH"))
    if found is None:
        raise FileNotFoundError(f"no command {program!r} to run in {namespace}")
    return ["ip", "netns", "exec", namespace, found, *arguments]
