"""Two endpoints in namespaces of their own, joined by a wire, each with an event loop on which its backend lives."""

import asyncio
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address, ip_network
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from netlb.net import Address
from netlb.raven.adapter.wireguard import WireGuard
from netlb.raven.adapter.wireguard_go import Userspace
from netlb.raven.backend import DEVICE, Backend, Device, Part, Remote
from netlb.raven.keys import Keys, PrivateKey, SharedKey
from netlb.raven.model import Prefix
from netlb.testing.lab.namespaces import batch, inside
from netlb.testing.tunnels import FakeDevice, fake_backend

__all__ = ["PORT", "End", "Namespaces", "World", "keys_of", "memory", "prefixes", "process_of", "userspace"]

T = TypeVar("T")
PORT = 51820
_NUMBERS = count(1)


def keys_of(number: int, shared: bytes | None = b"a secret of all") -> Keys:
    """The keys of an endpoint, the same for the same number."""
    return Keys(PrivateKey.of(bytes([number]) * 32), None if shared is None else SharedKey(shared))


def prefixes(*texts: str) -> frozenset[Prefix]:
    return frozenset(ip_network(text) for text in texts)


class End:
    """One endpoint: number 1 or 2 of a pair, with the addresses 192.0.2.N and 2001:db8::N on the wire, and 10.77.N.1
    and fd77:N::1 behind it."""

    def __init__(self, number: int, namespace: str, make: "Callable[[End], Backend]") -> None:
        self.number = number
        self.namespace = namespace
        self.keys = keys_of(number)
        self.losses = 0
        self._make = make
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._live, name=f"end {number}")
        self._thread.start()
        self.backend = self.begin()

    def begin(self, *, keys: Keys | None = None) -> Backend:
        """A process begins: a backend that knows nothing."""
        self.keys = keys or self.keys
        self.losses = 0
        self.backend = self._make(self)
        self.backend.use(self.keys)
        self.backend.watch(self._lost)
        return self.backend

    def restart(self) -> None:
        """The process ends, and another one begins."""
        self.do(self.backend.close())
        self.begin()

    def do(self, what: Coroutine[Any, Any, T]) -> T:
        return self.begun(what).result(timeout=60)

    def begun(self, what: Coroutine[Any, Any, T]) -> "Future[T]":
        return asyncio.run_coroutine_threadsafe(what, self._loop)

    def call(self, what: Callable[[], object]) -> None:
        """Call it in the event loop."""

        async def call() -> None:
            what()

        self.do(call())

    def observed(self) -> dict[str, Part]:
        return dict(self.do(self.backend.observe()))

    def apply(self, changes: dict[str, Part]) -> dict[str, Exception]:
        return dict(self.do(self.backend.apply(changes)))

    def end(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def address(self) -> Address:
        return ip_address(f"192.0.2.{self.number}")

    @property
    def inner4(self) -> str:
        return f"10.77.{self.number}.1"

    @property
    def inner6(self) -> str:
        return f"fd77:{self.number}::1"

    @property
    def own(self) -> frozenset[Prefix]:
        return prefixes(f"10.77.{self.number}.0/24", f"fd77:{self.number}::/64")

    def device(self, mtu: int = 1380) -> Device:
        return Device(key=self.keys.public, port=PORT, mtu=mtu)

    def as_peer(self, *, dialled: bool = True, keepalive: int = 0) -> Remote:
        """This endpoint, as the other one wants it."""
        destination = (self.address, PORT) if dialled else None
        return Remote(allowed=self.own, destination=destination, keepalive=keepalive)

    def wanted(self, other: "End") -> dict[str, Part]:
        return {DEVICE: self.device(), other.keys.public: other.as_peer()}

    def ip(self, *lines: str) -> None:
        batch(lines, self.namespace)

    def route(self, other: "End") -> None:
        for prefix, source in ((f"10.77.{other.number}.0/24", self.inner4), (f"fd77:{other.number}::/64", self.inner6)):
            self.ip(f"route replace {prefix} dev {self.backend.device} src {source}")

    def pings(self, address: str, count: int = 1, within: int = 2) -> bool:
        """Whether the other end's inner address answers."""
        return 0 == self.run("ping", "-n", "-q", "-c", str(count), "-W", str(within), "-i", "0.05", address).returncode

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        words = ("ip", "netns", "exec", self.namespace, *command)
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=60)

    def popen(self, *command: str) -> "subprocess.Popen[str]":
        words = ("ip", "netns", "exec", self.namespace, *command)
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def _lost(self) -> None:
        self.losses += 1

    def _live(self) -> None:
        asyncio.set_event_loop(self._loop)
        if self.namespace:
            inside(self.namespace, self._loop.run_forever)
        else:
            self._loop.run_forever()


class Namespaces:
    """The two namespaces and what is behind them."""

    def __init__(self) -> None:
        self.number = next(_NUMBERS)
        self.names = [f"tunnel-{os.getpid()}-{self.number}-{letter}" for letter in "ab"]

    def device(self, number: int) -> str:
        """A name for a device that nobody else on the machine has: sockets are where all namespaces see them."""
        return f"nt{os.getpid() % 10**7}-{self.number % 1000}{'ab'[number - 1]}"

    def open(self) -> None:
        batch([f"netns add {name}" for name in self.names])
        batch([f"link add wire mtu 1500 type veth peer name wire netns {self.names[1]}"], self.names[0])
        for number, name in enumerate(self.names, start=1):
            batch(
                (
                    "link set lo up",
                    f"address add 192.0.2.{number}/24 dev wire",
                    f"address add 2001:db8::{number}/64 dev wire nodad",
                    "link set wire up",
                    f"address add 10.77.{number}.1/32 dev lo",
                    f"address add fd77:{number}::1/128 dev lo nodad",
                ),
                name,
            )

    def close(self) -> None:
        batch([f"netns delete {name}" for name in self.names])


@dataclass(frozen=True)
class World:
    """Two endpoints, and how the device of one is killed."""

    a: End
    b: End
    kill: Callable[[End], None]
    says_all: bool = True
    """Whether the device itself says all that a new process has to know."""

    @property
    def ends(self) -> tuple[End, End]:
        return self.a, self.b

    def join(self) -> None:
        """Make the tunnel from both ends."""
        for end, other in ((self.a, self.b), (self.b, self.a)):
            assert {} == end.do(end.backend.apply(end.wanted(other)))

    def routes(self) -> None:
        """Lead what is behind the other end into the tunnel: somebody else's work."""
        for end, other in ((self.a, self.b), (self.b, self.a)):
            end.route(other)


@contextmanager
def memory(devices: Sequence[FakeDevice]) -> Iterator[World]:
    ends = [End(number, "", lambda end: fake_backend(devices[end.number - 1])) for number in (1, 2)]
    try:
        yield World(ends[0], ends[1], kill=lambda end: end.call(devices[end.number - 1].kill))
    finally:
        for end in ends:
            end.end()


@contextmanager
def userspace(namespaces: Namespaces) -> Iterator[World]:
    def make(end: End) -> Backend:
        name = namespaces.device(end.number)
        return WireGuard(name, Userspace(name))

    ends = [End(number, name, make) for number, name in enumerate(namespaces.names, start=1)]
    try:
        yield World(ends[0], ends[1], kill=lambda end: os.kill(process_of(end.backend.device), signal.SIGKILL))
    finally:
        for end in ends:
            end.run("ip", "link", "delete", end.backend.device)
            end.do(end.backend.close())
            end.end()
            # One that was killed leaves it, and the name is not used again.
            Path(f"/var/run/wireguard/{end.backend.device}.sock").unlink(missing_ok=True)


def process_of(device: str) -> int:
    """The wireguard-go of a device."""
    command = b"wireguard-go\0" + device.encode() + b"\0"
    found = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if _content(path) == command]
    assert 1 == len(found), found
    return found[0]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
