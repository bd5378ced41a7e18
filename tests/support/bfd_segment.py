"""FRR's bfdd in a network namespace of its own, on a segment with a node, and behind a router from it.

node n0 192.0.2.1, 2001:db8::1 -- br0 192.0.2.254 -- f0 192.0.2.2, 2001:db8::2 frr
node lo 203.0.113.1            --   one hop more   -- lo 203.0.113.2           frr
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from netlb.testing.lab.namespaces import batch, inside, write_sysctls
from netlb.testing.lab.processes import Processes
from tests.support.frr import Frr, frr_daemons

__all__ = ["BfdSegment", "bfd_segment"]

T = TypeVar("T")
_NUMBERS = count(1)


class BfdSegment:
    """The three namespaces, and bfdd's own view of its peers."""

    def __init__(self) -> None:
        number = next(_NUMBERS)
        self.node, self.switch, self.router = (f"bfd-{os.getpid()}-{number}-{part}" for part in ("node", "net", "frr"))
        self.processes = Processes()
        self.frr: Frr | None = None

    def open(self) -> None:
        """Make the namespaces."""
        batch([f"netns add {name}" for name in (self.node, self.switch, self.router)])
        batch(
            [
                "link add br0 address 02:00:5e:00:53:fe type bridge",  # its own: a port that is cut off takes no frame for it
                "link set br0 up",
                "address add 192.0.2.254/24 dev br0",
                f"link add pn type veth peer name n0 netns {self.node}",
                f"link add pf type veth peer name f0 netns {self.router}",
                *(f"link set {port} master br0 up" for port in ("pn", "pf")),
                "route add 203.0.113.1/32 via 192.0.2.1",
                "route add 203.0.113.2/32 via 192.0.2.2",
            ],
            self.switch,
        )
        for name, interface, host in ((self.node, "n0", 1), (self.router, "f0", 2)):
            batch(
                [
                    "link set lo up",
                    f"address add 203.0.113.{host}/32 dev lo",
                    f"address add 192.0.2.{host}/24 dev {interface}",
                    f"address add 2001:db8::{host}/64 dev {interface} nodad",
                    f"link set {interface} up",
                    f"route add 203.0.113.{3 - host}/32 via 192.0.2.254 src 203.0.113.{host}",
                ],
                name,
            )
        quiet = {f"net/ipv4/conf/{name}/send_redirects": "0" for name in ("all", "br0")}
        write_sysctls(self.switch, {"net/ipv4/ip_forward": "1", **quiet})

    def close(self) -> None:
        """Remove the namespaces."""
        self.processes.end()
        for name in (self.node, self.switch, self.router):
            if Path("/run/netns", name).exists():
                batch([f"netns delete {name}"])

    def configure(self, *lines: str) -> None:
        """Give bfdd lines of configuration."""
        assert self.frr is not None
        self.frr.configure("bfd", *lines)

    def show(self, peer: str) -> dict[str, Any]:
        """What bfdd says of its session with an address; empty if it has none."""
        return next((one for one in self._list("show bfd peers") if one["peer"] == peer), {})

    def counters(self, peer: str) -> dict[str, Any]:
        """What bfdd has counted in its session with an address."""
        return next(one for one in self._list("show bfd peers counters") if one["peer"] == peer)

    def cut(self) -> None:
        """Cut the link in the middle: both ends keep their carrier."""
        batch(["link set pf nomaster"], self.switch)

    def mend(self) -> None:
        """Undo `cut`."""
        batch(["link set pf master br0"], self.switch)

    def inside_node(self, act: Callable[[], T]) -> T:
        """Act in the node's namespace."""
        return inside(self.node, act)

    def _list(self, command: str) -> list[dict[str, Any]]:
        assert self.frr is not None
        return list(self.frr.show(command))


@contextmanager
def bfd_segment() -> Iterator[BfdSegment]:
    """Open one, and close it whatever happens."""
    segment = BfdSegment()
    try:
        segment.open()
        with frr_daemons(segment.router, segment.processes, "bfdd") as segment.frr:
            yield segment
    finally:
        segment.close()
