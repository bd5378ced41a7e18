"""A host of a lab, as a test sees it: run things inside it, ask the segment from it, read its tables."""

import http.client
import json
import socket
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import NamedTuple

from netlb.testing.lab.capture import ETH_P_ALL, Capture, open_packet_socket
from netlb.testing.lab.errors import LabError
from netlb.testing.lab.layout import INTERFACE, Address
from netlb.testing.lab.namespaces import inside
from netlb.testing.lab.processes import Processes, Stream, spawn
from netlb.testing.lab.question import (
    ETH_P_ARP,
    ETH_P_IPV6,
    Answer,
    Question,
    arp_request,
    arp_sender,
    neighbor_advertiser,
    neighbor_solicitation,
)

__all__ = ["Host", "HttpReply"]


class HttpReply(NamedTuple):
    """What an HTTP server answered."""

    status: int
    body: str


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Host:
    """One network namespace of a lab, joined to its switch (or, a pod, to its node) by `eth0`."""

    name: str
    namespace: str
    """For `ip netns exec`."""
    mac: str
    ipv4: IPv4Address
    ipv6: IPv6Address
    processes: Processes = field(repr=False)

    @property
    def addresses(self) -> tuple[IPv4Address, IPv6Address]:
        """Its own address of each family."""
        return self.ipv4, self.ipv6

    def run(
        self,
        command: Sequence[str | Path],
        *,
        check: bool = True,
        timeout: float = 10.0,
        input: str = "",  # noqa: A002 - subprocess.run's name
        env: Mapping[str, str | None] | None = None,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command here to its end and capture what it prints.

        `env` changes the caller's environment (None takes a variable away). With `check`, a command that
        fails is a LabError with its words. One that outlives `timeout` seconds is killed: TimeoutExpired.
        """
        pipe = subprocess.PIPE
        with spawn(self.namespace, command, stdin=pipe, stdout=pipe, stderr=pipe, env=env) as process:
            try:
                stdout, stderr = process.communicate(input, timeout)
            except BaseException:
                process.kill()
                raise
        if check and process.returncode:
            words = (stderr or stdout).strip()
            raise LabError(f"{self.name}: {' '.join(map(str, command))}: exit status {process.returncode}: {words}")
        return subprocess.CompletedProcess(list(map(str, command)), process.returncode, stdout, stderr)

    def popen(
        self,
        command: Sequence[str | Path],
        *,
        stdin: Stream = subprocess.DEVNULL,
        stdout: Stream = None,
        stderr: Stream = None,
        env: Mapping[str, str | None] | None = None,
        cwd: str | Path | None = None,
        pass_fds: Sequence[int] = (),
    ) -> subprocess.Popen[str]:
        """Start a process here, in a session of its own; the lab ends it at close (SIGTERM, 3 s, SIGKILL).

        `env` changes the caller's environment. Pipes are closed with the lab.
        """
        process = spawn(
            self.namespace, command, stdin=stdin, stdout=stdout, stderr=stderr, env=env, cwd=cwd, pass_fds=pass_fds
        )
        self.processes.track(self.namespace, process)
        return process

    def inside(self, open_socket: Callable[[], socket.socket]) -> socket.socket:
        """Make a socket here: it belongs to this host and is used from the calling process as usual."""
        return inside(self.namespace, open_socket)

    def connect(self, address: Address | str, port: int, timeout: float = 2.0) -> socket.socket:
        """A TCP connection from here; OSError where there is none, TimeoutError after `timeout` seconds."""
        target = ip_address(address)
        family = socket.AF_INET if target.version == 4 else socket.AF_INET6
        connection = self.inside(lambda: socket.socket(family, socket.SOCK_STREAM))
        try:
            connection.settimeout(timeout)
            connection.connect((str(target), port))
        except BaseException:
            connection.close()
            raise
        return connection

    def http_get(self, address: Address | str, port: int = 80, timeout: float = 2.0, path: str = "/") -> HttpReply:
        """GET a path from here, over a connection of its own; OSError if none can be made or it breaks."""
        target = ip_address(address)
        exchange = http.client.HTTPConnection(str(target), port, timeout=timeout)
        exchange.sock = self.connect(target, port, timeout)
        try:
            exchange.request("GET", path)
            response = exchange.getresponse()
            return HttpReply(response.status, response.read().decode())
        finally:
            exchange.close()

    def neighbor(self, address: Address | str, interface: str = INTERFACE) -> str | None:
        """The MAC that this host's neighbour table has for an address; None while it has none."""
        listed = self.run(["ip", "-json", "neighbor", "show", "to", str(address), "dev", interface]).stdout
        entries: list[dict[str, str]] = json.loads(listed or "[]")
        return entries[0].get("lladdr") if entries else None

    def flush_neighbors(self, interface: str = INTERFACE) -> None:
        """Forget every neighbour, static ones too."""
        self.run(["ip", "neighbor", "flush", "dev", interface, "nud", "all"])

    def question(self, address: Address | str, interface: str = INTERFACE) -> Question:
        """An ARP request or neighbour solicitation from here that can be asked many times over one socket."""
        target = ip_address(address)
        mac = self.mac if interface == INTERFACE else self._mac_of(interface)
        if isinstance(target, IPv4Address):
            ipv4, asked4 = self.ipv4, target
            return Question(
                lambda: self.inside(lambda: open_packet_socket(interface, ETH_P_ARP)),
                arp_request(mac, ipv4, asked4),
                lambda frame: arp_sender(frame, ipv4, asked4),
            )
        ipv6, asked6 = self.ipv6, target
        return Question(
            lambda: self.inside(lambda: open_packet_socket(interface, ETH_P_IPV6)),
            neighbor_solicitation(mac, ipv6, asked6),
            lambda frame: neighbor_advertiser(frame, ipv6, asked6),
        )

    def who_has(
        self,
        address: Address | str,
        timeout: float = 0.5,
        *,
        stop_after: int | None = None,
        interface: str = INTERFACE,
    ) -> list[Answer]:
        """Ask the segment once; every answer of `timeout` seconds, or the first `stop_after` of them."""
        with self.question(address, interface) as question:
            return question.ask(timeout, stop_after)

    def capture(
        self,
        match: Callable[[bytes], bool] | None = None,
        *,
        ethertype: int = ETH_P_ALL,
        outgoing: bool = False,
        interface: str = INTERFACE,
    ) -> Capture:
        """Begin to capture what reaches an interface and, with `outgoing`, what leaves it.

        The kernel filters by `ethertype`; frames that leave are seen only with its default, all types.
        """
        return Capture(self.inside(lambda: open_packet_socket(interface, ethertype)), match, outgoing)

    def _mac_of(self, interface: str) -> str:
        entries: list[dict[str, str]] = json.loads(self.run(["ip", "-json", "link", "show", "dev", interface]).stdout)
        return entries[0]["address"]
