"""What a node's kernel has, as lines that two moments can be compared by; and what others might have in it."""

from contextlib import suppress

from netlb.testing.lab import Host
from tests.support.waiting import eventually

__all__ = ["difference", "plant_decoys", "state"]

_LISTS = {
    "link": "ip -o link show",
    "vxlan": "ip -o -d link show type vxlan",
    "address": "ip -o address show",
    "route": "ip -4 route show table all",
    "route6": "ip -6 route show table all",
    "rule": "ip -4 rule show",
    "rule6": "ip -6 rule show",
    "neighbour": "ip neighbor show nud permanent",
    "fdb": "bridge fdb show",
    "nft": "nft -s list ruleset",
}
# iproute2 numbers links, and the kernel counts them and their uses: that says nothing of what they are.
_VOLATILE = r"s/^[0-9]*: //; s/if[0-9]*:/:/; s/ state [A-Z]* mode/ mode/; s/ promiscuity [0-9]* *//; s/ allmulti [0-9]* *//; s/ gro_[a-z0-9_]* [0-9]*//g"
_STRANGERS = "dev ipsec0 table 9029"
"""In routes that kernel-libipsec makes and removes with its SAs."""

_DECOYS = """
ip link add decoy0 type vxlan id 9 local {ipv4} dstport 4789 nolearning
ip link set decoy0 address 02:de:c0:00:00:01 addrgenmode none
ip link set decoy0 up
ip address add 172.29.0.1/24 dev decoy0
bridge fdb append 02:de:c0:00:00:02 dev decoy0 dst 172.28.0.1 self permanent
ip neighbor add 172.29.0.2 lladdr 02:de:c0:00:00:02 dev decoy0 nud permanent
ip link add raven1 type bridge
ip route add 172.31.0.0/16 via {gateway4} table 9027 proto static
ip route add 172.31.0.0/16 via {gateway4} table 9028 proto bird
ip route add 172.30.0.0/16 via {gateway4} proto 107
ip route add unreachable 172.27.0.0/16 table 9029 proto 107
ip -6 route add fd00:dec0::/64 via {gateway6} table 9027 proto static
ip -6 route add fd00:dec0::/64 via {gateway6} table 9028 proto bird
ip rule add priority 102 fwmark 0x40 lookup 9028
ip rule add priority 98 fwmark 0x40 lookup 9027
ip rule add priority 99 to 172.31.0.0/16 lookup 9029 protocol 4
ip -6 rule add priority 102 fwmark 0x40 lookup 9028
nft add table inet raven-decoy
nft add chain inet raven-decoy postrouting {{ type nat hook postrouting priority 200 ; }}
nft add rule inet raven-decoy postrouting ip daddr 172.31.0.0/16 accept
nft add table ip raven
nft add set ip raven local4 {{ type ipv4_addr ; }}
"""


def plant_decoys(host: Host, gateway4: str, gateway6: str) -> None:
    """Give a node what other programs might have: in our tables, by our names, under our numbers."""
    text = _DECOYS.format(ipv4=host.ipv4, gateway4=gateway4, gateway6=gateway6)
    host.run(["sh", "-e"], input=text.replace("{ ", "'{ ").replace(" }", " }'"))


def difference(expected: set[str], host: Host, within: float = 30.0) -> tuple[list[str], list[str]]:
    """Wait until a node's state is this one again; return the lines that are missing in the end, and those too many.

    `within` bounds the wait of a test that fails.
    """
    with suppress(AssertionError):
        eventually(lambda: expected == state(host), "the state", within)
    found = state(host)
    return sorted(expected - found), sorted(found - expected)


def state(host: Host) -> set[str]:
    """Return everything that is in the kernel of a node, line by line; lines of a table bear its name and their number."""
    script = "".join(f"echo '== {name}'; {command} | sed '{_VOLATILE}'\n" for name, command in _LISTS.items())
    found: set[str] = set()
    kind = place = ""
    for line in host.run(["sh", "-e"], input=script).stdout.splitlines():
        if line.startswith("== "):
            kind, place, number = line[3:], "", 0
            continue
        if kind == "nft":
            place, number = (f" {line}", 0) if line.startswith("table") else (place, number + 1)
        if _STRANGERS in line:
            continue
        found.add(f"{kind}{place} {number}: {' '.join(line.split())}")
    return found
