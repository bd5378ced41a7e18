"""Programs that watch from inside a host of the lab, and tell what they saw when they are told to stop."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness.processes import ended
from netlb.errors import NetlbError
from netlb.testing.lab import Host

__all__ = ["ECHO", "Watcher", "WatcherError", "watching"]

ECHO = Path(__file__).with_name("echo.py")
"""Answers datagrams; see there for its arguments."""

_PATIENCE = 30.0  # seconds


class WatcherError(NetlbError):
    """A program that watches did not begin, or did not tell: there is no measurement."""


class Watcher:
    """A program that watches now."""

    def __init__(self, process: subprocess.Popen[str], name: str) -> None:
        self._process = process
        self._name = name

    def finish(self) -> Any:
        """End it and return what it saw; WatcherError if it does not say."""
        self._process.terminate()
        try:
            said, _ = self._process.communicate(timeout=_PATIENCE)
            return json.loads(said)
        except (subprocess.TimeoutExpired, json.JSONDecodeError) as error:
            raise WatcherError(f"{self._name}: {error}") from None


@contextlib.contextmanager
def watching(host: Host, program: Path, *arguments: object) -> Iterator[Watcher]:
    """Run a program of the standard library alone inside a host, from when it says "ready" to the end of the context.

    It is given the CPU before others (nice -20): what is timed must not be its own waiting.
    """
    command: list[str | Path] = ["nice", "-n", "-20", sys.executable, "-I", "-S", program, *map(str, arguments)]
    with ended(host.popen(command, stdout=subprocess.PIPE)) as process:
        assert process.stdout is not None
        with process.stdout as said:
            if said.readline() != "ready\n":
                raise WatcherError(f"{program.name} did not begin to watch from {host.name}")
            yield Watcher(process, program.name)
