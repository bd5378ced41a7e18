"""Two endpoints in namespaces of their own, joined by a wire, each with an event loop on which its backend lives."""

import asyncio
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
from netlb.testing.lab.janitor import processes_in
from netlb.testing.lab.namespaces import batch, inside
from netlb.testing.tunnels import FakeDevice, fake_backend
from tests.support.waiting import eventually

__all__ = [
    "PORT",
    "End",
    "Flow",
    "Namespaces",
    "World",
    "carriers",
    "keys_of",
    "memory",
    "prefixes",
    "process_of",
    "take_over",
    "userspace",
]

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

    def __init__(self, number: int, namespace: str, make: "Callable[[End], Backend]", keys: Keys | None = None) -> None:
        self.number = number
        self.namespace = namespace
        self.keys = keys or keys_of(number)
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

    def reaches(self, address: str) -> None:
        """Wait until the other end's inner address answers."""
        eventually(lambda: self.pings(address), f"{address} answers")

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
        return f"nt{os.getpid() % 10**7}-{self.number % 1000}{'abc'[number - 1]}"

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

    def open_third(self) -> str:
        """Make another namespace at a wire of its own to the first one (192.0.3.1 and 192.0.3.2), with the inner addresses
        of the second one: what can take over for it."""
        name = f"{self.names[0][:-1]}c"
        batch([f"netns add {name}"])
        self.names.append(name)
        batch(
            (
                f"link add third mtu 1500 type veth peer name wire netns {name}",
                "address add 192.0.3.1/24 dev third",
                "link set third up",
            ),
            self.names[0],
        )
        batch(
            (
                "link set lo up",
                "address add 192.0.3.2/24 dev wire",
                "link set wire up",
                "address add 10.77.2.1/32 dev lo",
                "address add fd77:2::1/128 dev lo nodad",
            ),
            name,
        )
        return name

    def close(self) -> None:
        batch([f"netns delete {name}" for name in self.names])


class Flow:
    """A ping every 10 ms; what was lost is counted when it is stopped, up to the last one that was answered."""

    def __init__(self, end: End, address: str) -> None:
        self._process = end.popen("ping", "-n", "-i", "0.01", "-O", address)
        assert self._process.stdout is not None
        self._output = self._process.stdout
        self._answered: set[int] = set()
        self.proceed(5)

    def proceed(self, count: int) -> None:
        """Wait for more answers."""
        while count:
            count -= self._hear(self._output.readline())

    def lost(self) -> int:
        with self._process:
            self._process.send_signal(signal.SIGINT)
            for line in self._output:
                self._hear(line)
        return max(self._answered) - len(self._answered)

    def _hear(self, line: str) -> bool:
        found = re.search(r"bytes from .* icmp_seq=(\d+)", line)
        if found:
            self._answered.add(int(found[1]))
        return found is not None


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


def take_over(a: End, b: End, third: End) -> int:
    """Let the third endpoint take over for the second under a flow of packets, and back; return how many were lost.

    Both dial the first one, which does not know where they are, as where a hub has peers behind NATs.
    """
    hubs = {end: (ip_address(text), PORT) for end, text in ((b, "192.0.2.1"), (third, "192.0.3.1"))}
    hub = {end: Remote(allowed=a.own, destination=where, keepalive=1) for end, where in hubs.items()}
    known = {end: replace(remote, allowed=frozenset()) for end, remote in hub.items()}
    everything = Remote(allowed=b.own)
    a.apply({DEVICE: a.device(), b.keys.public: everything, third.keys.public: Remote()})
    b.apply({DEVICE: b.device(), a.keys.public: hub[b]})
    third.apply({DEVICE: third.device(), a.keys.public: known[third]})
    for end, other in ((a, b), (b, a), (third, a)):
        end.route(other)
    eventually(lambda: a.pings(b.inner4), "a packet passes")
    flow = Flow(a, b.inner4)

    def received(end: End) -> int:
        return a.do(a.backend.states())[end.keys.public].received

    for new, old in ((third, b), (b, third)):
        new.apply({a.keys.public: hub[new]})
        before = received(new)
        a.apply({old.keys.public: Remote(), new.keys.public: everything})
        flow.proceed(20)
        eventually(lambda: received(new) >= before + 20 * 64, "the flow is there")  # noqa: B023
        old.apply({a.keys.public: known[old]})
        flow.proceed(20)
    return flow.lost()


def process_of(device: str) -> int:
    """The wireguard-go of a device."""
    command = b"wireguard-go\0" + device.encode() + b"\0"
    found = [int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cmdline") if _content(path) == command]
    assert 1 == len(found), found
    return found[0]


def carriers(namespace: str) -> list[int]:
    """The wireguard-gos in a namespace."""
    return [
        pid for pid in processes_in([namespace]) if _content(Path(f"/proc/{pid}/cmdline")).startswith(b"wireguard-go\0")
    ]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
