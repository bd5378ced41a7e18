"""A router that watches its BGP neighbours by BFD: FRR's zebra, bfdd and bgpd in a host of a lab."""

import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from netlb.net import Address
from netlb.testing.lab import Host
from tests.support.waiting import eventually

__all__ = ["ASN", "BfdRouter", "bfd_router", "lacks"]

ASN = 65000
_DAEMONS = Path("/usr/lib/frr")


def lacks() -> list[str]:
    """What this machine lacks for it; tests skip with these words."""
    paths = (*(_DAEMONS / name for name in ("zebra", "bfdd", "bgpd")), Path("/usr/bin/vtysh"))
    return [f"{path}: not found; install frr" for path in paths if not path.exists()]


class BfdRouter:
    """FRR on a host, with one neighbour."""

    def __init__(self, host: Host, folder: Path) -> None:
        self._host = host
        self._folder = folder
        self._running: dict[str, subprocess.Popen[str]] = {}

    def start(self, daemon: str) -> None:
        """Start one of its daemons, and wait until it listens."""
        files: list[str | Path] = ["-f", self._folder / f"{daemon}.conf", "-i", self._folder / f"{daemon}.pid"]
        control: list[str | Path] = ["--bfdctl", self._folder / "bfdd.sock"] if daemon == "bfdd" else []
        common: list[str | Path] = ["-u", "frr", "-g", "frr", "--vty_socket", self._folder, "-P", "0"]
        zebra: list[str | Path] = ["-z", self._folder / "zserv.api"]
        command = [_DAEMONS / daemon, *common, *zebra, *files, *control, "--log", "stdout"]
        self._running[daemon] = self._host.popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # One that finds its predecessors not ready yet tries them again after ten seconds.
        eventually(lambda: self._vtysh(daemon, "show version").returncode == 0, f"{daemon} listens")

    def kill(self, daemon: str) -> None:
        """Kill one of its daemons, which has no time for a last word."""
        self._running[daemon].kill()
        self._running[daemon].wait()

    def bfd(self, neighbor: Address) -> dict[str, Any]:
        """Return what bfdd says of its session with a neighbour; empty if it has none."""
        listed: list[dict[str, Any]] = self._show("bfdd", "show bfd peers json") or []
        return next((one for one in listed if one["peer"] == str(neighbor)), {})

    def sessions(self, neighbor: Address) -> int:
        """Return how many BGP sessions there have been with a neighbour."""
        listed: dict[str, dict[str, Any]] = self._show("bgpd", f"show bgp neighbors {neighbor} json") or {}
        return int(listed.get(str(neighbor), {}).get("connectionsEstablished", 0))

    def _show(self, daemon: str, command: str) -> Any:
        try:
            return json.loads(self._vtysh(daemon, command).stdout)
        except ValueError:
            return None  # it is not running any more

    def _vtysh(self, daemon: str, command: str) -> subprocess.CompletedProcess[str]:
        return self._host.run(["vtysh", "--vty_socket", self._folder, "-d", daemon, "-c", command], check=False)


@contextmanager
def bfd_router(host: Host, neighbor: Address, asn: int, *, bfd: str, hops: int = 1) -> Iterator[BfdRouter]:
    """Run it, with one neighbour that may be so many hops away; `bfd` has lines for a profile of bfdd."""
    # FRR gives up root: what it writes and listens on is in a folder that is its own.
    folder = Path(tempfile.mkdtemp(prefix="netlb-frr-"))
    user = pwd.getpwnam("frr")
    far = f" neighbor {neighbor} ebgp-multihop {hops}\n" if hops > 1 else ""
    try:
        (folder / "zebra.conf").touch()
        (folder / "bfdd.conf").write_text(f"bfd\n profile node\n{bfd} !\n!\n")
        (folder / "bgpd.conf").write_text(
            f"router bgp {ASN}\n bgp router-id {host.ipv4}\n no bgp ebgp-requires-policy\n"
            f" neighbor {neighbor} remote-as {asn}\n neighbor {neighbor} timers 30 90\n"
            f" neighbor {neighbor} timers connect 1\n{far}"
            f" neighbor {neighbor} bfd\n neighbor {neighbor} bfd profile node\n"
        )
        for path in (folder, *folder.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
        router = BfdRouter(host, folder)
        for daemon in ("zebra", "bfdd", "bgpd"):
            router.start(daemon)
        yield router
    finally:
        shutil.rmtree(folder, ignore_errors=True)
