"""Where is asked: over a bridge, as in a data centre, and over a cable (a veth pair) with nothing in between."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from benchmarks.arp.probe import Probe
from netlb.testing.lab import Host, Lab

__all__ = ["DIRECT", "Family", "Place", "Way", "lay_cable", "places"]

Family = Literal["ARP", "NDP"]
Way = Literal["veth", "bridge"]

DIRECT: Final = "direct0"
_DIRECT_MAC: Final = "02:00:5e:00:66:01"
_PREFIXES: Final[dict[Way, tuple[str, str]]] = {
    "bridge": ("192.168.122.", "fd00:122::"),
    "veth": ("10.66.0.", "fd00:66::"),
}


@dataclass(frozen=True, slots=True)
class Place:
    """A segment between the client and the node."""

    way: Way
    node: Host
    interface: str
    """Of the node."""
    probe: Probe

    def address(self, family: Family, number: int) -> str:
        """Return the address whose last part is the number, on this segment."""
        return address(self.way, family, number)


def address(way: Way, family: Family, number: int) -> str:
    """Return an address on a segment; many of them begin with number 0 of a prefix that is theirs alone."""
    return f"{_PREFIXES[way][family == 'NDP']}{number}"


def lay_cable(node: Host, client: Host) -> None:
    """Join a node and a client by a veth pair, beside the bridge."""
    pair = ["ip", "link", "add", "name", DIRECT, "address", _DIRECT_MAC, "type", "veth", "peer", "name", DIRECT]
    node.run([*pair, "netns", client.namespace])
    for host, number in ((node, 1), (client, 2)):
        host.run(["ip", "link", "set", DIRECT, "up"])
        host.run(["ip", "address", "add", f"10.99.255.{number}/8", "dev", DIRECT])
        host.run(["ip", "address", "add", f"fd00:66::ff:{number}/32", "dev", DIRECT, "nodad"])


def places(lab: Lab, program: Path, cpu: int | None) -> dict[Way, Place]:
    """Return both ways from the lab's client to its node; the cable must have been laid."""
    node, client = lab.nodes["node-1"], lab.clients["client-1"]
    bridge = Probe(program, client, cpu, node.mac, (str(client.ipv4), str(client.ipv6)))
    own = ("10.99.255.2", "fd00:66::ff:2")
    veth = replace(bridge, peer_mac=_DIRECT_MAC, sources=own, interface=DIRECT)
    return {"veth": Place("veth", node, DIRECT, veth), "bridge": Place("bridge", node, "eth0", bridge)}
