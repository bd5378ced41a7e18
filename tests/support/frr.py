"""FRR's daemons in a network namespace, and FRR as a router that speaks BGP."""

import json
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

from netlb.net import Address, Family
from netlb.testing.lab import Host
from netlb.testing.lab.processes import Processes, spawn
from tests.support.routers import ASN, Learned, Neighbor, own_address
from tests.support.waiting import eventually

__all__ = ["Frr", "FrrRouter", "frr_daemons", "frr_router", "missing_frr"]

_PROGRAMS = Path("/usr/lib/frr")
_DYNAMIC = "NODES"
_AFI = {Family.IPV4: "ipv4", Family.IPV6: "ipv6"}


def missing_frr(*daemons: str) -> list[str]:
    """What is missing for FRR; tests skip with these words."""
    paths = [*(_PROGRAMS / name for name in ("zebra", *daemons)), Path("/usr/bin/vtysh")]
    return [f"{path}: not found; install frr" for path in paths if not path.exists()]


class Frr:
    """Some of FRR's daemons; vtysh configures them and asks them."""

    def __init__(self, namespace: str, processes: Processes, directory: Path, daemons: Sequence[str]) -> None:
        self._namespace = namespace
        self._tracked = processes
        self._directory = directory
        self._daemons = daemons
        self._running: dict[str, subprocess.Popen[str]] = {}

    def start(self, *daemons: str) -> None:
        """Start some of the daemons, or all, without any configuration."""
        # In their order: one that finds its predecessors not ready yet tries them again after ten seconds.
        for daemon in daemons or self._daemons:
            self._start(daemon)

    def kill(self, *daemons: str) -> None:
        """End some of them, or all, as if the power went."""
        ending = [self._running.pop(daemon) for daemon in daemons or list(self._running)]
        for process in ending:
            process.kill()
        for process in ending:
            process.wait()

    def configure(self, *lines: str) -> None:
        """Give the daemons lines of configuration."""
        self.ask("configure terminal", *lines)

    def ask(self, *commands: str) -> str:
        """Return what they say to commands; AssertionError if one is refused."""
        done = self._try(commands)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def show(self, command: str) -> Any:
        """Return what they show, of a command that can show JSON; nothing known is an empty dict."""
        return json.loads(self.ask(f"{command} json") or "{}")

    def _start(self, daemon: str) -> None:
        directory, log = self._directory, self._directory / f"{daemon}.log"
        (directory / f"{daemon}.conf").touch()
        settings: dict[str, str | Path] = {
            "-u": "frr",
            "-g": "frr",
            "-P": "0",
            "-f": directory / f"{daemon}.conf",
            "-i": directory / f"{daemon}.pid",
            "-z": directory / "zserv.api",
            "--vty_socket": directory,
            "--log": "stdout",
            **({"--bfdctl": directory / "bfdd.sock"} if daemon == "bfdd" else {}),
        }
        words: list[str | Path] = [word for pair in settings.items() for word in pair]
        if daemon == "zebra":
            words.append("--v6-rr-semantics")  # or of IPv6 it deletes each route before it replaces it
        with log.open("w") as file:
            process = spawn(self._namespace, [_PROGRAMS / daemon, *words], stdout=file, stderr=subprocess.STDOUT)
        self._tracked.track(self._namespace, process)
        self._running[daemon] = process

        def ready() -> bool:
            assert process.poll() is None, log.read_text()
            return self._try(["show version"], daemon).returncode == 0

        eventually(ready, f"{daemon} listens")

    def _try(self, commands: Sequence[str], daemon: str = "") -> subprocess.CompletedProcess[str]:
        words = [word for command in commands for word in ("-c", command)]
        which = ["-d", daemon] if daemon else []
        return subprocess.run(
            ["/usr/bin/vtysh", "--vty_socket", self._directory, *which, *words],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )


@contextmanager
def frr_daemons(namespace: str, processes: Processes, *daemons: str) -> Iterator[Frr]:
    """Run zebra and these daemons."""
    # FRR gives up root: what it writes and listens on is in a folder that is its own.
    directory = Path(tempfile.mkdtemp(prefix="netlb-frr-"))
    user = pwd.getpwnam("frr")
    os.chown(directory, user.pw_uid, user.pw_gid)
    try:
        frr = Frr(namespace, processes, directory, ("zebra", *daemons))
        try:
            frr.start()
            yield frr
        finally:
            frr.kill()
    finally:
        shutil.rmtree(directory)


class FrrRouter:
    """FRR as a router (`tests.support.routers.Router`)."""

    def __init__(self, host: Host, frr: Frr) -> None:
        self.host = host
        self.frr = frr
        self._asn = 0
        self._lines: list[str] = []
        self._profiles: list[str] = []

    def peer_with(self, *neighbors: Neighbor, asn: int = ASN) -> None:
        """See `Router`."""
        forget = [f"no router bgp {self._asn}"] if self._asn else []
        self._asn, self._lines = asn, _configuration(self.host, asn, neighbors)
        self._profiles = _profiles(neighbors)
        self.frr.configure(*forget, *self._profiles, *self._lines)

    def established(self, address: Address) -> bool:
        """See `Router`."""
        return bool(self.session(address).get("bgpState") == "Established")

    def session(self, address: Address) -> dict[str, Any]:
        """Return what FRR says of a session; empty if it has none."""
        shown: dict[str, dict[str, Any]] = self.frr.show(f"show bgp neighbors {address}")
        return shown.get(str(address), {})

    def bfd(self, address: Address) -> dict[str, Any]:
        """Return what FRR says of BFD with a node; empty if it has none."""
        return next((one for one in self.frr.show("show bfd peers") if one["peer"] == str(address)), {})

    def bfd_failures(self) -> dict[str, int]:
        """Return how often FRR has taken BFD with each node for down."""
        return {one["peer"]: one["session-down"] for one in self.frr.show("show bfd peers counters")}

    def learned(self, prefix: str) -> list[Learned]:
        """See `Router`."""
        paths = self.frr.show(f"show bgp {'ipv6' if ':' in prefix else 'ipv4'} unicast {prefix}").get("paths", [])
        return sorted(map(_learned, paths), key=lambda path: path.next_hop)

    def count(self, family: Family) -> int:
        """See `Router`."""
        shown = self.frr.show(f"show bgp {_AFI[family]} unicast statistics")
        [statistics] = shown[f"{_AFI[family]}Unicast"]
        return int(statistics["totalPrefixes"])

    def reset(self) -> None:
        """See `Router`."""
        self.frr.ask("clear bgp *")

    def reboot(self) -> None:
        """See `Router`."""
        self.frr.kill()
        self.host.run(["ip", "nexthop", "flush"])  # and the routes to them
        self.frr.start()
        self.frr.configure(*self._profiles, *self._lines)

    def kill_bfd(self) -> None:
        """End bfdd alone, without a last word."""
        self.frr.kill("bfdd")

    def start_bfd(self) -> None:
        """Start it again."""
        self.frr.start("bfdd")
        self.frr.configure(*self._profiles)


@contextmanager
def frr_router(host: Host, *, bfd: bool = False) -> Iterator[FrrRouter]:
    """Run FRR on a host of a lab; it has no neighbours yet."""
    with frr_daemons(host.namespace, host.processes, *(["bfdd"] if bfd else []), "bgpd") as frr:
        yield FrrRouter(host, frr)


def _profiles(neighbors: Sequence[Neighbor]) -> list[str]:
    """The timers of BFD, which neighbours refer to by name."""
    lines = [
        line
        for interval, multiplier in sorted({(each.bfd, each.bfd_multiplier) for each in neighbors if each.bfd})
        for line in (
            f"profile {interval}ms-{multiplier}",
            f"transmit-interval {interval}",
            f"receive-interval {interval}",
            f"detect-multiplier {multiplier}",
            "exit",
        )
    ]
    return ["bfd", *lines, "exit"] if lines else []


def _configuration(host: Host, asn: int, neighbors: Sequence[Neighbor]) -> list[str]:
    lines = [
        f"router bgp {asn}",
        f"bgp router-id {host.ipv4}",
        "no bgp ebgp-requires-policy",  # without a policy, FRR would accept nothing
        "no bgp default ipv4-unicast",
        "bgp graceful-restart",
    ]
    lines += [line for neighbor in neighbors for line in _neighbor(host, asn, neighbor)]
    for family, afi in _AFI.items():
        lines += [f"address-family {afi} unicast", "maximum-paths 8", "maximum-paths ibgp 8"]
        for neighbor in neighbors:
            if family in neighbor.families:
                limit = [f"maximum-prefix {neighbor.limit}"] if neighbor.limit else []
                lines += [f"neighbor {_name(neighbor)} {words}" for words in ("activate", *limit)]
        lines.append("exit-address-family")
    return lines + [f"no neighbor {_name(neighbor)} shutdown" for neighbor in neighbors]


def _neighbor(host: Host, asn: int, neighbor: Neighbor) -> list[str]:
    # Each line would begin a session anew that is up already, and GoBGP waits 5 s after that: no session before the last.
    words = [f"remote-as {neighbor.asn}", "shutdown", f"timers {neighbor.hold_time // 3} {neighbor.hold_time}"]
    words.append("timers connect 1")
    if neighbor.password:
        words.append(f"password {neighbor.password}")
    if neighbor.source:
        words.append(f"update-source {own_address(host, neighbor)}")
    if neighbor.hops > 1 and neighbor.asn != asn:
        words.append(f"ebgp-multihop {neighbor.hops}")
    if neighbor.ttl_security:
        words.append(f"ttl-security hops {neighbor.hops}")
    if neighbor.family is Family.IPV6:
        words.append("capability extended-nexthop")
    if neighbor.bfd:
        words += ["bfd", f"bfd profile {neighbor.bfd}ms-{neighbor.bfd_multiplier}"]
    lines = [f"neighbor {_name(neighbor)} {each}" for each in words]
    if isinstance(neighbor.address, IPv4Network | IPv6Network):
        listen = f"bgp listen range {neighbor.address} peer-group {_DYNAMIC}"
        return [f"neighbor {_DYNAMIC} peer-group", *lines, listen]
    return lines


def _name(neighbor: Neighbor) -> str:
    return _DYNAMIC if isinstance(neighbor.address, IPv4Network | IPv6Network) else str(neighbor.address)


def _learned(path: dict[str, Any]) -> Learned:
    hop = next(hop["ip"] for hop in path["nexthops"] if hop.get("scope") != "link-local")
    return Learned(
        next_hop=hop,
        as_path=tuple(map(int, path["aspath"]["string"].split())) if path["aspath"]["length"] else (),
        med=path.get("metric"),
        local_pref=path.get("locPrf"),
        communities=frozenset(path.get("community", {}).get("string", "").split()),
        large_communities=frozenset(path.get("largeCommunity", {}).get("string", "").split()),
    )
