"""A node and a stranger in namespaces of their own, and BFD sessions between them."""

import asyncio
import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from netlb.bfd.adapter.bfd import Bfd, Peer
from netlb.bfd.adapter.engine import Engine
from netlb.bfd.events import Event
from netlb.bfd.sessions import SessionPath
from netlb.bfd.settings import Settings
from netlb.testing.lab.namespaces import batch, inside
from netlb.worker.beats import BEAT

__all__ = ["PATIENCE", "SLOW", "Pair", "be_patient", "epoll_loop", "until", "workers"]

SLOW = Settings(transmit_interval=50_000, receive_interval=50_000, detect_multiplier=200)
"""Ten seconds: nobody is taken for dead because the machine is busy."""
_NUMBERS = count(1)
PATIENCE = 60.0
"""Seconds; only what never happens takes this long."""


class Pair:
    """A node and a stranger, joined by the links 0 and 1."""

    def __init__(self) -> None:
        number = next(_NUMBERS)
        self.node, self.far = f"bfd-{os.getpid()}-{number}-a", f"bfd-{os.getpid()}-{number}-b"

    def open(self) -> None:
        batch([f"netns add {self.node}", f"netns add {self.far}"])
        batch([f"link add n{at} type veth peer name f{at} netns {self.far}" for at in (0, 1)], self.node)
        for name, letter, host in ((self.node, "n", 1), (self.far, "f", 2)):
            batch(
                [
                    line
                    for at in (0, 1)
                    for line in (
                        f"address add 192.0.{at}.{host}/24 dev {letter}{at}",
                        f"address add 2001:db8:{at}::{host}/64 dev {letter}{at} nodad",
                        f"address add fe80::{host}/64 dev {letter}{at} nodad",
                        f"link set {letter}{at} up",
                    )
                ],
                name,
            )

    def close(self) -> None:
        batch([f"netns delete {self.node}", f"netns delete {self.far}"])

    def run(self, play: Callable[[Bfd, list[tuple[Peer, Event]]], Coroutine[Any, Any, None]], **options: Any) -> None:
        """Play it on an event loop inside the node, with further options of `Bfd`."""

        async def main() -> None:
            events: list[tuple[Peer, Event]] = []
            async with Bfd(on_event=lambda peer, event: events.append((peer, event)), **options) as bfd:
                await play(bfd, events)

        inside(self.node, lambda: asyncio.run(main()))

    def stranger(self, address: str, port: int, ttl: int = 255, interface: str = "f0") -> socket.socket:
        """A socket of the stranger's that sees from where and with what TTL packets come."""

        def make() -> socket.socket:
            six = ":" in address
            sock = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
            sock.settimeout(PATIENCE)
            level = socket.IPPROTO_IPV6 if six else socket.IPPROTO_IP
            sock.setsockopt(level, socket.IPV6_UNICAST_HOPS if six else socket.IP_TTL, ttl)
            sock.setsockopt(level, socket.IPV6_RECVHOPLIMIT if six else 12, 1)
            sock.setsockopt(level, socket.IPV6_RECVTCLASS if six else 13, 1)
            sock.bind((address, port, 0, socket.if_nametoindex(interface)) if six else (address, port))
            return sock

        return inside(self.far, make)


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no process that keeps sessions be replaced because the machine is busy, and what was up return in its time."""
    monkeypatch.setattr("netlb.bfd.adapter.process.MOST_UNANSWERED", PATIENCE / BEAT)
    monkeypatch.setattr("netlb.bfd.adapter.process._ANSWER_TIMEOUT", PATIENCE)
    monkeypatch.setattr("netlb.bfd.adapter.bfd._RETURN", PATIENCE)
    for name in ("_ANSWER", "_DYING"):
        monkeypatch.setattr(f"netlb.worker.adapter.shelter.{name}", PATIENCE)


async def until(look: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < deadline, f"never: {what}"
        await asyncio.sleep(0.005)


@contextmanager
def epoll_loop(pair: Pair, path: Callable[[], SessionPath], settings: Settings) -> Iterator[list[Event]]:
    """A session of the stranger's, in a thread with an epoll loop and no asyncio, which is how a small process has it."""
    events: list[Event] = []
    closing = os.eventfd(0)

    def loop() -> None:
        engine = Engine()
        try:
            discriminator = engine.add(path(), settings, time.monotonic())
            with select.epoll() as epoll:
                for fileno in (*engine.filenos(), closing):
                    epoll.register(fileno, select.EPOLLIN)
                while discriminator in engine.sessions:
                    wakeup = engine.next_wakeup()
                    timeout = None if wakeup is None else max(0.0, wakeup - time.monotonic())
                    for fileno, _ in epoll.poll(timeout):
                        if fileno == closing:
                            os.eventfd_read(closing)
                            engine.stop(discriminator, time.monotonic())
                        else:
                            engine.readable(fileno, time.monotonic())
                    engine.run_due(time.monotonic())
                    events.extend(event for _, event in engine.take_events())
        finally:
            engine.close()

    thread = threading.Thread(target=lambda: inside(pair.far, loop))
    thread.start()
    try:
        yield events
    finally:
        os.eventfd_write(closing, 1)
        thread.join()
        os.close(closing)


def workers() -> list[int]:
    """Return the processes of this one that keep BFD sessions."""
    found: list[int] = []
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):  # a thread, or a process, that ends meanwhile
            children = (task / "children").read_text().split()
            found += [
                int(pid) for pid in children if b"netlb.bfd.adapter.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
            ]
    return found
