"""FRR and BIRD on a host of the lab: routers that learn routes by BGP, and nodes that announce them."""

import contextlib
import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.harness.processes import ended
from netlb.testing.lab import Host
from tests.support.waiting import eventually

__all__ = ["INTERVAL", "MULTIPLIER", "NODES_ASN", "ROUTERS_ASN", "Frr", "bird", "frr_node", "frr_router", "missing"]

ROUTERS_ASN: Final = 65000
NODES_ASN: Final = 65001
INTERVAL: Final = 100
"""Milliseconds between two packets of BFD, in both directions."""
MULTIPLIER: Final = 3
_FRR: Final = Path("/usr/lib/frr")
_PROFILE: Final = f"""\
bfd
 profile quick
  transmit-interval {INTERVAL}
  receive-interval {INTERVAL}
  detect-multiplier {MULTIPLIER}
"""


def missing() -> list[str]:
    """Say what is not installed; a list that is empty if nothing is missing."""
    programs = {"frr": str(_FRR / "bgpd"), "bird2": "bird", "gobgpd": "gobgpd"}
    return [f"{program}: not found; install {package}" for package, program in programs.items() if not _found(program)]


def _found(program: str) -> bool:
    return Path(program).exists() or shutil.which(program) is not None


class Frr:
    """FRR's daemons on a host."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.processes: dict[str, subprocess.Popen[str]] = {}
        """By the names of the daemons."""
        self._host = host
        self._folder = folder

    def show(self, what: str) -> Any:
        """Return what a `show ... json` says; None while it says nothing."""
        command: list[str | Path] = ["vtysh", "--vty_socket", self._folder, "-c", f"show {what} json"]
        said = self._host.run(command, check=False).stdout
        try:
            return json.loads(said)
        except json.JSONDecodeError:
            return None

    def established(self) -> set[str]:
        """Return the neighbours with which it has sessions of BGP."""
        peers = (self.show("bgp ipv4 unicast summary") or {}).get("peers", {})
        return {address for address, peer in peers.items() if peer["state"] == "Established"}

    def watched(self) -> set[str]:
        """Return the neighbours with which it has sessions of BFD."""
        return {peer["peer"] for peer in self.show("bfd peers") or [] if peer["status"] == "up"}

    def drain(self, *, over: bool = False) -> None:
        """Ask all neighbours to prefer others (RFC 8326), or no more."""
        lines = ["configure terminal", f"router bgp {NODES_ASN}", f"{'no ' if over else ''}bgp graceful-shutdown"]
        words = [word for line in lines for word in ("-c", line)]
        self._host.run(["vtysh", "--vty_socket", self._folder, *words])

    def start(self, daemon: str) -> None:
        """Start a daemon, whose configuration is there, and wait until it listens: zebra first, bgpd last.

        One that does not find zebra tries again after 10 s, and bgpd then forgets some of its BFD sessions.
        """
        sockets = [self._folder / f"{daemon}.vty", *([self._folder / "zserv.api"] if daemon == "zebra" else [])]
        for path in sockets:
            path.unlink(missing_ok=True)
        files: list[str | Path] = ["-f", self._folder / f"{daemon}.conf", "-i", self._folder / f"{daemon}.pid"]
        files += ["--vty_socket", self._folder, "-z", self._folder / "zserv.api"]
        files += ["--bfdctl", self._folder / "bfdd.sock"] if daemon == "bfdd" else []
        command = [_FRR / daemon, "-u", "frr", "-g", "frr", "-P", "0", "--log", "stdout", *files]
        with (self._folder / f"{daemon}.log").open("a") as log:
            self.processes[daemon] = self._host.popen(command, stdout=log, stderr=log)
        eventually(lambda: all(path.exists() for path in sockets), f"{daemon} listens on {self._host.name}")


@contextlib.contextmanager
def _frr(host: Host, configurations: Mapping[str, str]) -> Iterator[Frr]:
    """Run daemons of FRR with their configurations."""
    # FRR gives up root: what it writes and listens on is in a folder that is its own.
    folder = Path(tempfile.mkdtemp(prefix="netlb-frr-"))
    user = pwd.getpwnam("frr")
    try:
        for daemon, configuration in configurations.items():
            (folder / f"{daemon}.conf").write_text(configuration)
        for path in (folder, *folder.iterdir()):
            os.chown(path, user.pw_uid, user.pw_gid)
        daemons = Frr(host, folder)
        try:
            for daemon in configurations:
                daemons.start(daemon)
            yield daemons
        finally:
            for process in daemons.processes.values():
                with ended(process):
                    pass
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def frr_router(router: Host, nodes: Sequence[Host], *, watched: bool = False) -> contextlib.AbstractContextManager[Frr]:
    """Run FRR as a router with the nodes as neighbours; if they are watched, by BFD too."""
    neighbors = "".join(
        f" neighbor {node.ipv4} remote-as {NODES_ASN}\n neighbor {node.ipv4} timers 3 9\n"
        f" neighbor {node.ipv4} timers connect 1\n" + (f" neighbor {node.ipv4} bfd profile quick\n" if watched else "")
        for node in nodes
    )
    activate = "".join(f"  neighbor {node.ipv4} activate\n" for node in nodes)
    bgpd = (
        f"router bgp {ROUTERS_ASN}\n bgp router-id {router.ipv4}\n no bgp ebgp-requires-policy\n"
        f" no bgp default ipv4-unicast\n{neighbors}"
        f" address-family ipv4 unicast\n  maximum-paths 8\n{activate} exit-address-family\n"
    )
    return _frr(router, {"zebra": "", **({"bfdd": _PROFILE} if watched else {}), "bgpd": bgpd})


def frr_node(node: Host, router: Host, prefix: str) -> contextlib.AbstractContextManager[Frr]:
    """Run FRR as a node that announces a prefix to a router, which it watches by BFD."""
    bgpd = (
        f"router bgp {NODES_ASN}\n bgp router-id {node.ipv4}\n no bgp ebgp-requires-policy\n"
        f" no bgp network import-check\n no bgp default ipv4-unicast\n neighbor {router.ipv4} remote-as {ROUTERS_ASN}\n"
        f" neighbor {router.ipv4} timers 3 9\n neighbor {router.ipv4} timers connect 1\n"
        f" neighbor {router.ipv4} bfd profile quick\n"
        f" address-family ipv4 unicast\n  network {prefix}\n  neighbor {router.ipv4} activate\n exit-address-family\n"
    )
    return _frr(node, {"zebra": "", "bfdd": _PROFILE, "bgpd": bgpd})


@contextlib.contextmanager
def bird(router: Host, nodes: Sequence[Host]) -> Iterator[None]:
    """Run BIRD as a router with the nodes as neighbours."""
    with tempfile.TemporaryDirectory(prefix="netlb-bird-") as name:
        folder = Path(name)
        sessions = "".join(
            f"protocol bgp {{ local {router.ipv4} as {ROUTERS_ASN}; neighbor {node.ipv4} as {NODES_ASN}; hold time 9;\n"
            " connect delay time 1; connect retry time 1; error wait time 1, 2;\n"
            " ipv4 { import all; export none; }; }\n"
            for node in nodes
        )
        (folder / "bird.conf").write_text(
            f"router id {router.ipv4};\nprotocol device {{ }}\n"
            "protocol kernel { merge paths yes limit 8; ipv4 { import none; export where source = RTS_BGP; }; }\n"
            f"{sessions}"
        )
        command: list[str | Path] = ["bird", "-f", "-c", folder / "bird.conf", "-s", folder / "bird.ctl"]
        with ended(router.popen(command, stderr=subprocess.DEVNULL)):
            yield
