"""FRR's bfdd in a network namespace of its own, on a segment with a node, and behind a router from it.

node n0 192.0.2.1, 2001:db8::1 -- br0 192.0.2.254 -- f0 192.0.2.2, 2001:db8::2 frr
node lo 203.0.113.1            --   one hop more   -- lo 203.0.113.2           frr
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

from netlb.testing.lab.namespaces import batch, inside, write_sysctls
from netlb.testing.lab.processes import Processes, spawn
from tests.support.waiting import eventually

__all__ = ["Frr", "frr_on_a_segment", "lacks"]

T = TypeVar("T")
_DAEMONS = Path("/usr/lib/frr")
_NUMBERS = count(1)


def lacks() -> list[str]:
    """What this machine lacks besides what a lab needs."""
    return [
        f"{path}: not found; install frr"
        for path in (_DAEMONS / "zebra", _DAEMONS / "bfdd", Path("/usr/bin/vtysh"))
        if not path.exists()
    ]


class Frr:
    """The three namespaces, and bfdd's own view of its peers."""

    def __init__(self, directory: Path) -> None:
        number = next(_NUMBERS)
        self.node, self.segment, self.frr = (f"bfd-{os.getpid()}-{number}-{part}" for part in ("node", "net", "frr"))
        self._directory = directory
        self._processes = Processes()

    def open(self) -> None:
        """Make the namespaces and start the daemons."""
        batch([f"netns add {name}" for name in (self.node, self.segment, self.frr)])
        batch(
            [
                "link add br0 address 02:00:5e:00:53:fe type bridge",  # its own: a port that is cut off takes no frame for it
                "link set br0 up",
                "address add 192.0.2.254/24 dev br0",
                f"link add pn type veth peer name n0 netns {self.node}",
                f"link add pf type veth peer name f0 netns {self.frr}",
                *(f"link set {port} master br0 up" for port in ("pn", "pf")),
                "route add 203.0.113.1/32 via 192.0.2.1",
                "route add 203.0.113.2/32 via 192.0.2.2",
            ],
            self.segment,
        )
        for name, interface, host in ((self.node, "n0", 1), (self.frr, "f0", 2)):
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
        write_sysctls(self.segment, {"net/ipv4/ip_forward": "1", **quiet})
        for daemon in ("zebra", "bfdd"):
            self._start(daemon)

    def close(self) -> None:
        """End the daemons, and remove the namespaces."""
        self._processes.end()
        for name in (self.node, self.segment, self.frr):
            if Path("/run/netns", name).exists():
                batch([f"netns delete {name}"])

    def configure(self, *lines: str) -> None:
        """Give bfdd lines of configuration."""
        self._vtysh("configure terminal", "bfd", *lines)

    def show(self, peer: str) -> dict[str, Any]:
        """What bfdd says of its session with an address; empty if it has none."""
        listed: list[dict[str, Any]] = json.loads(self._vtysh("show bfd peers json") or "[]")
        return next((one for one in listed if one["peer"] == peer), {})

    def counters(self, peer: str) -> dict[str, Any]:
        """What bfdd has counted in its session with an address."""
        listed: list[dict[str, Any]] = json.loads(self._vtysh("show bfd peers counters json"))
        return next(one for one in listed if one["peer"] == peer)

    def cut(self) -> None:
        """Cut the link in the middle: both ends keep their carrier."""
        batch(["link set pf nomaster"], self.segment)

    def mend(self) -> None:
        """Undo `cut`."""
        batch(["link set pf master br0"], self.segment)

    def inside_node(self, act: Callable[[], T]) -> T:
        """Act in the node's namespace."""
        return inside(self.node, act)

    def _start(self, daemon: str) -> None:
        common: list[str | Path] = [
            "-u",
            "frr",
            "-g",
            "frr",
            "--vty_socket",
            self._directory,
            "-f",
            self._directory / f"{daemon}.conf",
        ]
        sockets: list[str | Path] = [
            "-z",
            self._directory / "zserv.api",
            "-i",
            self._directory / f"{daemon}.pid",
            "-P",
            "0",
        ]
        control: list[str | Path] = ["--bfdctl", self._directory / "bfdd.sock"] if daemon == "bfdd" else []
        (self._directory / f"{daemon}.conf").touch()
        with (self._directory / f"{daemon}.log").open("w") as log:
            process = spawn(
                self.frr,
                [_DAEMONS / daemon, *common, *sockets, *control, "--log", "stdout"],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._processes.track(self.frr, process)

        def ready() -> bool:
            assert process.poll() is None, (self._directory / f"{daemon}.log").read_text()
            return self._try(daemon, ["show version"]).returncode == 0

        eventually(ready, f"{daemon} listens")

    def _vtysh(self, *commands: str) -> str:
        done = self._try("bfdd", commands)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _try(self, daemon: str, commands: Sequence[str]) -> subprocess.CompletedProcess[str]:
        words = [word for command in commands for word in ("-c", command)]
        return subprocess.run(
            ["/usr/bin/vtysh", "--vty_socket", self._directory, "-d", daemon, *words],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )


@contextmanager
def frr_on_a_segment() -> Iterator[Frr]:
    """Open one, and close it whatever happens."""
    directory = Path(tempfile.mkdtemp(prefix="netlb-frr-"))
    try:
        shutil.chown(directory, "frr", "frr")
        directory.chmod(0o755)
        frr = Frr(directory)
        try:
            frr.open()
            yield frr
        finally:
            frr.close()
    finally:
        shutil.rmtree(directory)
