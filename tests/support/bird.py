"""BIRD as a router that speaks BGP."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path

from netlb.net import Address, Family
from netlb.testing.lab import Host
from tests.support.routers import ASN, Learned, Neighbor, own_address
from tests.support.waiting import eventually

__all__ = ["BirdRouter", "bird_router", "missing_bird"]

_TABLES = {Family.IPV4: "master4", Family.IPV6: "master6"}


def missing_bird() -> list[str]:
    """What is missing for BIRD; tests skip with these words."""
    return [] if shutil.which("bird") else ["bird: the command is not found; install bird2"]


class BirdRouter:
    """BIRD as a router (`tests.support.routers.Router`)."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host = host
        self._folder = folder
        self._sessions: dict[str, str] = {}
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Start it with the configuration that it has."""
        command: list[str | Path] = ["bird", "-f", "-c", self._folder / "bird.conf", "-s", self._folder / "bird.ctl"]
        self._process = self.host.popen(command, stderr=subprocess.DEVNULL)
        eventually(lambda: self._try("show status").returncode == 0, "bird listens")

    def peer_with(self, *neighbors: Neighbor, asn: int = ASN) -> None:
        """See `Router`."""
        self._sessions = {str(neighbor.address): f"n{number}" for number, neighbor in enumerate(neighbors)}
        (self._folder / "bird.conf").write_text(_configuration(self.host, asn, neighbors))
        if self._process is None:
            self.start()
        else:
            self.ask("configure")

    def established(self, address: Address) -> bool:
        """See `Router`."""
        return "BGP state:          Established" in self._protocol(address)

    def learned(self, prefix: str) -> list[Learned]:
        """See `Router`."""
        shown = self._try(f"show route all for {prefix}").stdout
        blocks = re.split(r"^\S*\s+(?:unicast|unreachable) \[", shown, flags=re.MULTILINE)[1:]
        return sorted(map(_learned, blocks), key=lambda path: path.next_hop)

    def count(self, family: Family) -> int:
        """See `Router`."""
        shown = self.ask(f"show route table {_TABLES[family]} count")
        found = re.search(r"of \d+ routes for (\d+) networks in table", shown)
        assert found, shown
        return int(found[1])

    def reset(self) -> None:
        """See `Router`."""
        for name in self._sessions.values():
            self.ask(f"restart {name}")

    def reboot(self) -> None:
        """See `Router`."""
        assert self._process is not None
        self._process.kill()
        self._process.wait()
        for family in ("-4", "-6"):
            self.host.run(["ip", family, "route", "flush", "proto", "bird"])
        self.start()

    def enable(self, address: Address) -> None:
        """Begin a session anew that was ended for good."""
        self.ask(f"enable {self._sessions[str(address)]}")

    def ask(self, command: str) -> str:
        """Return what it says to a command; AssertionError if it is refused."""
        done = self._try(command)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _protocol(self, address: Address) -> str:
        return self._try(f"show protocols all {self._sessions.get(str(address), 'none')}").stdout

    def _try(self, command: str) -> "subprocess.CompletedProcess[str]":
        return self.host.run(["birdc", "-s", self._folder / "bird.ctl", *command.split()], check=False)


@contextmanager
def bird_router(host: Host) -> Iterator[BirdRouter]:
    """Run BIRD on a host of a lab; it has no neighbours yet."""
    with tempfile.TemporaryDirectory(prefix="netlb-bird-") as name:
        router = BirdRouter(host, Path(name))
        router.peer_with()
        yield router


def _configuration(host: Host, asn: int, neighbors: Sequence[Neighbor]) -> str:
    kernel = "".join(
        f"protocol kernel {{ merge paths yes limit 8; {family} {{ import none; export where source = RTS_BGP; }}; }}\n"
        for family in ("ipv4", "ipv6")
    )
    sessions = "".join(_session(host, asn, f"n{number}", neighbor) for number, neighbor in enumerate(neighbors))
    return f"router id {host.ipv4};\nprotocol device {{ }}\n{kernel}{sessions}"


def _session(host: Host, asn: int, name: str, neighbor: Neighbor) -> str:
    dynamic = isinstance(neighbor.address, IPv4Network | IPv6Network)
    distance = f"multihop {neighbor.hops};" if neighbor.hops > 1 else "direct;"
    parts = [
        f"local {own_address(host, neighbor)} as {asn};",
        f"neighbor {'range ' if dynamic else ''}{neighbor.address} as {neighbor.asn};",
        'dynamic name "dynamic";' if dynamic else "",
        distance,
        f'password "{neighbor.password}";' if neighbor.password else "",
        "ttl security on;" if neighbor.ttl_security else "",
        f"hold time {neighbor.hold_time}; keepalive time {neighbor.hold_time // 3};",
        "connect delay time 1; connect retry time 1; error wait time 1, 2;",
        *(_channel(neighbor, family) for family in neighbor.families),
    ]
    return f"protocol bgp {name} {{ {' '.join(parts)} }}\n"


def _channel(neighbor: Neighbor, family: Family) -> str:
    limit = f" import limit {neighbor.limit} action disable;" if neighbor.limit else ""
    extended = " extended next hop on;" if (neighbor.family, family) == (Family.IPV6, Family.IPV4) else ""
    name = "ipv4" if family is Family.IPV4 else "ipv6"
    return f"{name} {{ import all; export none;{limit}{extended} }};"


def _learned(block: str) -> Learned:
    attributes = dict(re.findall(r"^\tBGP\.(\w+): (.*)$", block, flags=re.MULTILINE))
    [next_hop, *_] = attributes["next_hop"].split()
    internal = attributes["as_path"].strip() == "" or re.match(r".*\(\d+/\?\)", block.splitlines()[0]) is not None
    return Learned(
        next_hop=next_hop,
        as_path=tuple(map(int, attributes["as_path"].split())),
        med=int(attributes["med"]) if "med" in attributes else None,
        local_pref=int(attributes["local_pref"]) if internal else None,
        communities=_numbers(attributes.get("community", "")),
        large_communities=_numbers(attributes.get("large_community", "")),
    )


def _numbers(text: str) -> frozenset[str]:
    """`(65001,100) (65001, 1, 2)` as others write it: 65001:100."""
    return frozenset(":".join(re.findall(r"\d+", each)) for each in re.findall(r"\([^)]*\)", text))
