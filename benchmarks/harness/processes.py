"""Processes that are measured: all of one's family, the CPU time and the memory they take, their end."""

import contextlib
import os
import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path

__all__ = ["cpu_nanoseconds", "ended", "family", "pinned", "resident_bytes"]

_PROC = Path("/proc")
_PATIENCE = 1.0  # seconds


def family(pid: int) -> list[int]:
    """Return a process and all its descendants, itself first; empty if it is gone."""
    found = []
    waiting = [pid]
    while waiting:
        parent = waiting.pop()
        children = list(_read_threads(parent, "children"))
        if children:
            found.append(parent)
        waiting += [int(child) for text in children for child in text.split()]
    return found


def cpu_nanoseconds(pids: Iterable[int]) -> int:
    """Return the time that all threads of these processes have been on a CPU (the first field of schedstat).

    Work that the kernel does in interrupts while one of them runs is counted as theirs.
    """
    return sum(int(text.split()[0]) for pid in pids for text in _read_threads(pid, "schedstat"))


def resident_bytes(pid: int) -> int:
    """Return a process's resident memory, shared pages included."""
    return int((_PROC / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def pinned(command: list[str], cpu: int | None) -> list[str]:
    """Return a command that runs on one CPU alone, or as it is where `cpu` is None."""
    return command if cpu is None else ["taskset", "--cpu-list", str(cpu), *command]


@contextlib.contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    """End and reap the process, whatever happens meanwhile: SIGTERM, one second, SIGKILL."""
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_PATIENCE)


def _read_threads(pid: int, name: str) -> Iterator[str]:
    """Yield a file of each thread of a process; threads that end meanwhile are passed over."""
    with contextlib.suppress(OSError):
        for thread in (_PROC / str(pid) / "task").iterdir():
            with contextlib.suppress(OSError):
                yield (thread / name).read_text()
