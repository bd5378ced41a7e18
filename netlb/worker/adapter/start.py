"""How a worker's process begins: its signals, its priority and its memory."""

import os
import resource
import signal
import socket
from contextlib import suppress
from typing import Final

from netlb.worker.terms import Terms

__all__ = ["begin"]

_MCL_CURRENT, _MCL_FUTURE, _MCL_ONFAULT = 1, 2, 4
_CAP_IPC_LOCK: Final = 14


def begin(arguments: list[str]) -> tuple[socket.socket, Terms]:
    """Make this process a worker; return its line to its program, the first argument, and its terms, the others.

    Signals to the whole group are the program's to decide about.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with suppress(PermissionError):  # without CAP_SYS_NICE a busy node delays it by milliseconds
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    if _may_lock_memory():
        _lock_memory()
    channel = socket.socket(fileno=int(arguments[0]))
    channel.setblocking(False)
    return channel, Terms.parse(arguments[1:])


def _may_lock_memory() -> bool:
    """Say whether memory may be locked without a limit: at a limit, what is allocated later would be refused."""
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] == resource.RLIM_INFINITY:
        return True
    with open("/proc/self/status", encoding="ascii") as status:
        [capabilities] = [line.split()[1] for line in status if line.startswith("CapEff:")]
    return bool(int(capabilities, 16) >> _CAP_IPC_LOCK & 1)


def _lock_memory() -> None:
    """Let no page be taken that is in use: a node short of memory would have to read it back before an answer."""
    import ctypes  # noqa: PLC0415 - it takes 1 MiB: for those who need it

    ctypes.CDLL(None).mlockall(_MCL_CURRENT | _MCL_FUTURE | _MCL_ONFAULT)  # refused, it is as without
