"""Act inside a network namespace: `ip`, `nft` and sysctls by process, sockets by a thread that goes there.

A socket belongs for good to the namespace where it was made, so only its making happens in the thread; the
process's other threads never leave their own namespace.
"""

import ctypes
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv6Address
from pathlib import Path
from typing import TypeVar

from netlb.testing.lab.errors import LabError
from netlb.testing.lab.janitor import NAMESPACES

__all__ = ["await_address", "await_forwarding", "batch", "batches", "inside", "load_rules", "write_sysctls"]

_T = TypeVar("_T")
_CLONE_NEWNET = 0x40000000
_PATIENCE = 10.0


def inside(namespace: str, act: Callable[[], _T]) -> _T:
    """Call `act` in a thread inside the namespace; return what it returned or raise what it raised."""
    results: list[_T] = []
    errors: list[BaseException] = []

    def enter_and_act() -> None:
        try:
            _enter(NAMESPACES / namespace)
            results.append(act())
        except BaseException as error:
            errors.append(error)

    thread = threading.Thread(target=enter_and_act, name=f"inside {namespace}")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _enter(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if sys.version_info >= (3, 12):
            os.setns(descriptor, _CLONE_NEWNET)
        elif ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET) != 0:
            errno = ctypes.get_errno()
            raise OSError(errno, os.strerror(errno), str(path))
    finally:
        os.close(descriptor)


def batch(lines: Iterable[str], namespace: str | None = None) -> None:
    """Run `ip -batch` over the lines; the first that the kernel refuses ends it with LabError."""
    where = ["-n", namespace] if namespace else []
    _feed(["ip", *where, "-batch", "-"], list(lines))


def batches(scripts: Mapping[str, Sequence[str]]) -> None:
    """Run one batch in each namespace, some at a time."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        for _ in pool.map(lambda item: batch(item[1], item[0]), scripts.items()):
            pass


def load_rules(texts: Mapping[str, str]) -> None:
    """Load an nft ruleset in each namespace, some at a time."""
    with ThreadPoolExecutor(max_workers=4) as pool:
        for _ in pool.map(
            lambda item: _feed(["ip", "netns", "exec", item[0], "nft", "-f", "-"], item[1].splitlines()),
            texts.items(),
        ):
            pass


def write_sysctls(namespace: str, settings: Mapping[str, str]) -> None:
    """Write sysctls of the namespace, given as paths under /proc/sys."""

    def write() -> None:
        for name, value in settings.items():
            Path("/proc/sys", name).write_text(value)

    inside(namespace, write)


def await_address(namespace: str, address: IPv6Address) -> None:
    """Wait until the kernel delivers to an IPv6 address: its local route comes a little after it."""
    route = f"{int(address):032x} 80 "

    def wait() -> None:
        deadline = time.monotonic() + _PATIENCE
        while route not in Path("/proc/thread-self/net/ipv6_route").read_text():
            if time.monotonic() > deadline:
                raise LabError(f"{namespace}: {address} is not delivered to after {_PATIENCE:.0f} s")
            time.sleep(0.001)

    inside(namespace, wait)


def await_forwarding(namespace: str, ports: Iterable[str]) -> None:
    """Wait until a bridge passes frames through its ports: it hears of their carrier some time after they have it."""
    waiting = set(ports)
    deadline = time.monotonic() + _PATIENCE
    while waiting:
        listed = _feed(["ip", "-n", namespace, "-json", "-details", "link", "show", "type", "bridge_slave"], [])
        for port in filter(None, json.loads(listed)):  # a link that `type` leaves out is listed as {}
            if port["linkinfo"]["info_slave_data"]["state"] == "forwarding":
                waiting.discard(port["ifname"])
        if waiting and time.monotonic() > deadline:
            raise LabError(f"{namespace}: {', '.join(sorted(waiting))}: not forwarding after {_PATIENCE:.0f} s")


def _feed(command: Sequence[str], lines: Sequence[str]) -> str:
    result = subprocess.run(
        command,
        input="\n".join([*lines, ""]),
        capture_output=True,
        text=True,
        timeout=_PATIENCE,
        check=False,
        start_new_session=True,
    )
    if result.returncode:
        raise LabError(f"{' '.join(command)}: {result.stderr.strip()}\n  " + "\n  ".join(lines[:40]))
    return result.stdout
