"""The two kinds of host that are more than a host: a pod serves HTTP, a node carries pods."""

import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

from netlb.testing.lab.host import Host
from netlb.testing.lab.services import Backend

__all__ = ["Node", "Pod"]

_BACKEND = Path(__file__).with_name("backend.py")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pod(Host):
    """A pod whose HTTP server answers, on both families, `{"pod": …, "node": …, "client": …}`."""

    node: str
    port: int = 8080
    link: str
    """The node's interface towards the pod."""
    _server: list[subprocess.Popen[str]] = field(default_factory=list, repr=False)

    @property
    def backends(self) -> tuple[Backend, Backend]:
        """The server's address of each family, ready for a ServiceRule."""
        return Backend(self.node, self.ipv4, self.port), Backend(self.node, self.ipv6, self.port)

    def start(self) -> None:
        """Start the server unless it runs; connections are taken from the moment this returns."""
        if self._server and self._server[0].poll() is None:
            return
        with self.inside(self._listen) as listening:
            command: list[str | Path] = [
                sys.executable,
                "-I",
                "-S",
                _BACKEND,
                str(listening.fileno()),
                self.name,
                self.node,
            ]
            self._server[:] = [
                self.popen(
                    command,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    pass_fds=[listening.fileno()],
                )
            ]

    def stop(self) -> None:
        """Kill the server, as a crash would: connections are refused from the moment this returns."""
        for server in self._server:
            server.kill()
            server.wait(5.0)

    def _listen(self) -> socket.socket:
        return socket.create_server(("::", self.port), family=socket.AF_INET6, dualstack_ipv6=True, backlog=128)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Node(Host):
    """A node of the cluster: forwards, and carries pods."""

    pods: dict[str, Pod] = field(default_factory=dict)
