"""Remove a lab, whoever asks: its owner at close, `sweep`, or this file as a process that outlives the owner.

Run as a program it waits, out of reach of the terminal's signals, until the owner either dismisses it or
dies, and in the second case removes what the owner left. It imports the standard library alone, so that it
starts in a few milliseconds with `python -I -S`. It touches nothing but namespaces whose names begin with
the lab's, the processes inside them, and the lab's file.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterable
from pathlib import Path

__all__ = [
    "NAMESPACES",
    "STATE",
    "end_processes",
    "namespaces_of",
    "processes_in",
    "remove_lab",
    "remove_namespaces",
]

NAMESPACES = Path("/run/netns")
"""Where iproute2 keeps named namespaces."""
STATE = Path("/run/netlb-lab")
"""One small file for each lab that is up."""

_PASSES = 10  # an `ip -batch` of a killed owner may still be making namespaces: look again until none are left
_PAUSE = 0.2


def namespaces_of(lab: str) -> list[str]:
    """The names of the lab's namespaces that exist now."""
    try:
        return sorted(path.name for path in NAMESPACES.iterdir() if path.name.startswith(f"netlb-{lab}-"))
    except FileNotFoundError:
        return []


def processes_in(namespaces: Iterable[str]) -> list[int]:
    """The processes whose network namespace is one of these, this process never among them."""
    identities = _identities(namespaces)
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return [pid for pid in pids if pid != os.getpid() and _is_inside(pid, identities)]


def end_processes(namespaces: Iterable[str], patience: float) -> None:
    """End what lives in these namespaces: SIGTERM, at most `patience` seconds, then SIGKILL.

    A process is held by a pidfd and then looked at once more: a pid that was reused is never signalled.
    """
    names = list(namespaces)
    for signum in (signal.SIGTERM, signal.SIGKILL, signal.SIGKILL):
        identities = _identities(names)
        with contextlib.ExitStack() as held:
            waiting = []
            for pid in processes_in(names):
                with contextlib.suppress(ProcessLookupError):
                    pidfd = os.pidfd_open(pid)
                    held.callback(os.close, pidfd)
                    if _is_inside(pid, identities):
                        signal.pidfd_send_signal(pidfd, signum)
                        waiting.append(pidfd)
            if not waiting:
                return
            _wait_for(waiting, patience)


def remove_namespaces(namespaces: Iterable[str]) -> None:
    """Delete these namespaces; one that is gone already is no error."""
    lines = "".join(f"netns delete {name}\n" for name in namespaces)
    if lines:
        subprocess.run(
            ["ip", "-force", "-batch", "-"],
            input=lines, text=True, capture_output=True, timeout=10, check=False, start_new_session=True,
        )  # fmt: skip


def remove_lab(lab: str, patience: float = 2.0) -> None:
    """Remove a lab whole: processes, namespaces, file. Removing one that is not there changes nothing."""
    for _ in range(_PASSES):
        namespaces = namespaces_of(lab)
        if not namespaces:
            break
        end_processes(namespaces, patience)
        remove_namespaces(namespaces)
    (STATE / lab).unlink(missing_ok=True)
    with contextlib.suppress(OSError):
        STATE.rmdir()


def main(lab: str, owner: int) -> None:
    """Wait for a byte on standard input (dismissed) or the owner's end (remove its lab)."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    poller = select.poll()
    poller.register(0, select.POLLIN)
    with contextlib.suppress(ProcessLookupError):  # dead already: standard input is at its end
        poller.register(os.pidfd_open(owner), select.POLLIN)
    ready = dict(poller.poll())
    if ready.get(0) and os.read(0, 1):
        return
    for _ in range(2):
        remove_lab(lab)
        time.sleep(_PAUSE)
    remove_lab(lab)


def _identities(namespaces: Iterable[str]) -> set[tuple[int, int]]:
    found = set()
    for name in namespaces:
        with contextlib.suppress(OSError):
            status = (NAMESPACES / name).stat()
            found.add((status.st_dev, status.st_ino))
    return found


def _is_inside(pid: int, identities: set[tuple[int, int]]) -> bool:
    try:
        status = Path(f"/proc/{pid}/ns/net").stat()
    except OSError:
        return False
    return (status.st_dev, status.st_ino) in identities


def _wait_for(pidfds: Iterable[int], patience: float) -> None:
    poller = select.poll()
    left = set(pidfds)
    for pidfd in left:
        poller.register(pidfd, select.POLLIN)
    deadline = time.monotonic() + patience
    while left and (remaining := deadline - time.monotonic()) > 0:
        for pidfd, _ in poller.poll(remaining * 1000):
            poller.unregister(pidfd)
            left.discard(pidfd)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
