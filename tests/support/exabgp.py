"""ExaBGP as a router: it installs nothing, and tells of every message that it is sent."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from netlb.net import Address, Family
from netlb.testing.lab import Host
from tests.support.routers import ASN, Learned, Neighbor, own_address
from tests.support.waiting import eventually

__all__ = ["ExabgpRouter", "exabgp_router", "missing_exabgp"]

_AFI = {Family.IPV4: "ipv4 unicast", Family.IPV6: "ipv6 unicast"}
_SETTINGS = {
    "exabgp.daemon.user": "root",  # or it becomes nobody, who has no way into a test's folder
    "exabgp.api.cli": "false",
    "exabgp.api.ack": "false",
    "exabgp.log.level": "WARNING",
    "PYTHONPATH": None,  # it is a program of its own
}
_END = 10.0


def missing_exabgp() -> list[str]:
    """What is missing for ExaBGP; tests skip with these words."""
    return [] if shutil.which("exabgp") else ["exabgp: the command is not found; install exabgp"]


class ExabgpRouter:
    """ExaBGP as a router (`tests.support.routers.Router`)."""

    def __init__(self, host: Host, folder: Path) -> None:
        self.host = host
        self._folder = folder
        self._process: subprocess.Popen[str] | None = None
        self._neighbors: tuple[Neighbor, ...] = ()
        self._asn = ASN
        self._life = 0
        self._read = 0
        self._routes: dict[tuple[str, str], Learned] = {}
        self._up: set[str] = set()
        self.messages: list[dict[str, Any]] = []
        """All that it told since it was started last: states, and messages that came in, in their order."""

    def peer_with(self, *neighbors: Neighbor, asn: int = ASN) -> None:
        """See `Router`. It dials once at its start, and then ever more seldom: have the node ready before."""
        self._neighbors, self._asn = neighbors, asn
        self.reset()

    def established(self, address: Address) -> bool:
        """See `Router`."""
        self._listen()
        return str(address) in self._up

    def learned(self, prefix: str) -> list[Learned]:
        """See `Router`."""
        self._listen()
        network = str(ip_network(prefix))
        found = [path for (_, known), path in self._routes.items() if known == network]
        return sorted(found, key=lambda path: path.next_hop)

    def count(self, family: Family) -> int:
        """See `Router`."""
        self._listen()
        return len({known for _, known in self._routes if (":" in known) == (family is Family.IPV6)})

    def reset(self) -> None:
        """See `Router`."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_END)
        self._start()

    def reboot(self) -> None:
        """See `Router`."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(_END)
        self._start()

    def _start(self) -> None:
        """Start it, if it has neighbours: it does not run without."""
        self._process, self._read, self._life = None, 0, self._life + 1
        self._routes.clear()
        self._up.clear()
        self.messages.clear()
        if not self._neighbors:
            return
        teller = self._folder / f"tell-{self._life}"
        # It has to keep its standard output, where commands would come from.
        teller.write_text(f"#!/bin/sh\nexec cat 3>&1 >{self._told}\n")
        teller.chmod(0o755)
        configuration = self._folder / "exabgp.conf"
        configuration.write_text(_configuration(self.host, self._asn, self._neighbors, teller))
        with (self._folder / "exabgp.log").open("a") as log:
            self._process = self.host.popen(["exabgp", configuration], stdout=log, stderr=log, env=_SETTINGS)
        eventually(self._told.exists, "exabgp tells")

    @property
    def _told(self) -> Path:
        return self._folder / f"told-{self._life}"

    def _listen(self) -> None:
        """Take in what it told since the last time."""
        if self._process is None:
            return
        with self._told.open() as lines:
            lines.seek(self._read)
            while (line := lines.readline()).endswith("\n"):
                self._read = lines.tell()
                self._take(json.loads(line))

    def _take(self, message: dict[str, Any]) -> None:
        neighbor = message.get("neighbor", {})
        address = neighbor.get("address", {}).get("peer", "")
        self.messages.append(message)
        if message["type"] == "state":
            self._up -= {address}
            if neighbor["state"] == "up":
                self._up |= {address}
            else:
                self._routes = {key: path for key, path in self._routes.items() if key[0] != address}
        update = neighbor.get("message", {}).get("update", {})
        for withdrawn in update.get("withdraw", {}).values():
            for each in withdrawn:
                self._routes.pop((address, each["nlri"]), None)
        for announced in update.get("announce", {}).values():
            for next_hop, prefixes in announced.items():
                path = _learned(next_hop, update["attribute"])
                self._routes |= {(address, each["nlri"]): path for each in prefixes}


@contextmanager
def exabgp_router(host: Host) -> Iterator[ExabgpRouter]:
    """Have ExaBGP on a host of a lab; it runs as soon as it has neighbours."""
    with tempfile.TemporaryDirectory(prefix="netlb-exabgp-") as name:
        router = ExabgpRouter(host, Path(name))
        yield router
        router.peer_with()


def _configuration(host: Host, asn: int, neighbors: Sequence[Neighbor], teller: Path) -> str:
    process = f"process teller {{ run {teller}; encoder json; }}\n"
    return process + "".join(_neighbor(host, asn, neighbor) for neighbor in neighbors)


def _neighbor(host: Host, asn: int, neighbor: Neighbor) -> str:
    mixed = (neighbor.family, Family.IPV4 in neighbor.families) == (Family.IPV6, True)
    parts = [
        f"router-id {host.ipv4};",
        f"local-address {own_address(host, neighbor)};",
        f"local-as {asn};",
        f"peer-as {neighbor.asn};",
        f"hold-time {neighbor.hold_time};",
        f"md5-password '{neighbor.password}';" if neighbor.password else "",
        f"incoming-ttl {256 - neighbor.hops}; outgoing-ttl 255;" if neighbor.ttl_security else "",
        f"outgoing-ttl {neighbor.hops};" if neighbor.hops > 1 and not neighbor.ttl_security else "",
        f"capability {{ graceful-restart 120; {'nexthop enable;' if mixed else ''} }}",
        f"family {{ {' '.join(f'{_AFI[family]};' for family in neighbor.families)} }}",
        "nexthop { ipv4 unicast ipv6; }" if mixed else "",
        "api { processes [ teller ]; neighbor-changes; receive { parsed; update; notification; } }",
    ]
    return f"neighbor {neighbor.address} {{ {' '.join(parts)} }}\n"


def _learned(next_hop: str, attributes: dict[str, Any]) -> Learned:
    return Learned(
        next_hop=next_hop,
        as_path=tuple(attributes.get("as-path", ())),
        med=attributes.get("med"),
        local_pref=attributes.get("local-preference"),
        communities=frozenset(":".join(map(str, each)) for each in attributes.get("community", ())),
        large_communities=frozenset(":".join(map(str, each)) for each in attributes.get("large-community", ())),
    )
