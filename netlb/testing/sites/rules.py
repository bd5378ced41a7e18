"""What a router, the CNI and kube-proxy have in a node's netfilter, as text. Pure.

The CNI's and kube-proxy's rules go into the tables and chains that iptables makes, in their own order.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from netlb.testing.lab.layout import Address
from netlb.testing.sites.layout import PODS_IPV4, PODS_IPV6, Nat, NodePlace
from netlb.testing.sites.script import WAN

__all__ = ["ClusterService", "node_rules", "router_rules"]

_MARK = "0x4000"  # kube-proxy's own (--iptables-masquerade-bit 14)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterService:
    """A TCP port of a Service, as kube-proxy sees it."""

    name: str
    addresses: tuple[Address, ...]
    """Its cluster addresses, and those of a load balancer."""
    port: int = 80
    node_port: int = 0
    """0: none."""
    backends: Mapping[str, Sequence[tuple[Address, int]]]
    """By node: where its traffic may end that comes to that node. A node that is not in it has none."""


def router_rules(nat: Nat, *, drop_too_big: bool = False) -> str:
    """The ruleset of a site's router, for `nft -f -`; `drop_too_big` loses the messages of path MTU discovery."""
    table = ["flush ruleset", "table inet site {", "  chain forward {", "    type filter hook forward priority 0;"]
    if drop_too_big:
        table += ["    icmp type destination-unreachable drop", "    icmpv6 type packet-too-big drop"]
    if nat is not Nat.NONE:
        table.append(f"    iifname {WAN} ct state new drop")
    table.append("  }")
    if nat is not Nat.NONE:
        random = " random" if nat is Nat.SYMMETRIC else ""
        table += [
            "  chain postrouting {",
            "    type nat hook postrouting priority srcnat;",
            f"    meta nfproto ipv4 oifname {WAN} masquerade{random}",
            "  }",
        ]
    return "\n".join([*table, "}", ""])


def node_rules(node: NodePlace, services: Sequence[ClusterService], version: int) -> str:
    """A node's rules of one family, for `iptables-restore` or `ip6tables-restore`: they replace all that was there."""
    own, cluster = (node.pods4, PODS_IPV4) if version == 4 else (node.pods6, PODS_IPV6)
    chosen = list(_services(node, services, version, cluster))
    return "\n".join(
        [
            "*nat",
            ":KUBE-SERVICES - [0:0]",
            ":KUBE-NODEPORTS - [0:0]",
            ":KUBE-MARK-MASQ - [0:0]",
            ":KUBE-POSTROUTING - [0:0]",
            ":FLANNEL-POSTRTG - [0:0]",
            *(f":{chain} - [0:0]" for chain, _ in chosen),
            f"-A KUBE-MARK-MASQ -j MARK --or-mark {_MARK}",
            "-A PREROUTING -j KUBE-SERVICES",
            "-A OUTPUT -j KUBE-SERVICES",
            "-A POSTROUTING -j KUBE-POSTROUTING",
            "-A POSTROUTING -j FLANNEL-POSTRTG",
            f"-A KUBE-POSTROUTING -m mark ! --mark {_MARK}/{_MARK} -j RETURN",
            f"-A KUBE-POSTROUTING -j MARK --xor-mark {_MARK}",
            "-A KUBE-POSTROUTING -j MASQUERADE --random-fully",
            *_flannel(own, cluster),
            *(line for _, lines in chosen for line in lines),
            "-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS",
            "COMMIT",
            "*filter",
            ":KUBE-FORWARD - [0:0]",
            ":KUBE-SERVICES - [0:0]",
            "-A FORWARD -j KUBE-FORWARD",
            "-A FORWARD -j KUBE-SERVICES",
            "-A OUTPUT -j KUBE-SERVICES",
            "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
            *_refused(node, services, version),
            "COMMIT",
            "",
        ]
    )


def _flannel(own: IPv4Network | IPv6Network, cluster: IPv4Network | IPv6Network) -> list[str]:
    """flannel's rules: what leaves the cluster's prefix gets the node's address, and so does what comes into it."""
    everybody = "224.0.0.0/4" if cluster.version == 4 else "ff00::/8"
    return [
        f"-A FLANNEL-POSTRTG -s {own} -d {cluster} -j RETURN",
        f"-A FLANNEL-POSTRTG -s {cluster} -d {own} -j RETURN",
        f"-A FLANNEL-POSTRTG ! -s {cluster} -d {own} -j RETURN",
        f"-A FLANNEL-POSTRTG -s {cluster} ! -d {everybody} -j MASQUERADE --random-fully",
        f"-A FLANNEL-POSTRTG ! -s {cluster} -d {cluster} -j MASQUERADE --random-fully",
    ]


def _services(
    node: NodePlace, services: Sequence[ClusterService], version: int, cluster: IPv4Network | IPv6Network
) -> Iterable[tuple[str, list[str]]]:
    """Yield a chain for each Service that has somewhere to go, and all rules that have to do with it."""
    for number, service in enumerate(services):
        backends = _backends(node, service, version)
        if not backends:
            continue
        chain = f"KUBE-SVC-{number}"
        lines = [
            f"-A KUBE-SERVICES -d {address} -p tcp --dport {service.port} {jump}"
            for address in service.addresses
            if address.version == version
            for jump in (f"! -s {cluster} -j KUBE-MARK-MASQ", f"-j {chain}")
        ]
        if service.node_port:
            match = f"-A KUBE-NODEPORTS -p tcp --dport {service.node_port}"
            lines += [f"{match} -j KUBE-MARK-MASQ", f"{match} -j {chain}"]
        for place, (address, port) in enumerate(backends):
            left = len(backends) - place
            turn = f"-m statistic --mode random --probability {1 / left:.10f} " if left > 1 else ""
            host = f"[{address}]" if version == 6 else address
            lines.append(f"-A {chain} -p tcp {turn}-j DNAT --to-destination {host}:{port}")
        yield chain, lines


def _refused(node: NodePlace, services: Sequence[ClusterService], version: int) -> list[str]:
    """kube-proxy's answer where a Service has no endpoint: a connection is refused."""
    kind = "icmp-port-unreachable" if version == 4 else "icmp6-port-unreachable"
    return [
        f"-A KUBE-SERVICES -d {address} -p tcp --dport {service.port} -j REJECT --reject-with {kind}"
        for service in services
        if not _backends(node, service, version)
        for address in service.addresses
        if address.version == version
    ]


def _backends(node: NodePlace, service: ClusterService, version: int) -> list[tuple[Address, int]]:
    return [one for one in service.backends.get(node.name, ()) if one[0].version == version]
