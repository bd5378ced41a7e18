"""The `ip -batch` lines that build sites. Pure: text in, text out."""

from collections.abc import Sequence

from netlb.testing.lab.layout import INTERFACE
from netlb.testing.sites.layout import POD_MTU, NodePlace, SitePlace, mac

__all__ = [
    "LAN",
    "OVERLAY",
    "STRICT",
    "WAN",
    "flannel_entries",
    "flannel_lines",
    "internet_lines",
    "link_lines",
    "node_lines",
    "pod_lines",
    "router_lines",
    "strict_of",
]

WAN, LAN, OVERLAY, _BRIDGE = "wan", "lan", "flannel.1", "cni0"

STRICT = {
    "net/ipv4/conf/{}/rp_filter": "1",
    "net/ipv4/conf/{}/accept_redirects": "0",
    "net/ipv4/conf/{}/send_redirects": "0",
    "net/ipv6/conf/{}/accept_dad": "0",
    "net/ipv6/conf/{}/accept_ra": "0",
    "net/ipv6/conf/{}/accept_redirects": "0",
}
"""For `all` and `default` of every host: packets are taken only where their answers would leave (RFC 3704)."""


def strict_of(which: Sequence[str] = ("all", "default")) -> dict[str, str]:
    """Return these settings by their paths."""
    return {path.format(name): value for path, value in STRICT.items() for name in which}


def link_lines(site: SitePlace, internet: str, router: str, node: str, pod: str) -> list[str]:
    """From anywhere: the links of a site; `node` and `pod` are the namespaces' names with `{}` for the host's."""
    lines = [
        (
            f"link add w-{site.name} netns {internet} type veth "
            f"peer name {WAN} address {mac('02:4e', site.outer4.ip)} netns {router}"
        )
    ]
    for one in site.nodes:
        where = node.format(one.name)
        inner = f"peer name {INTERFACE} address"
        lines += [
            f"link add {one.name} netns {router} type veth {inner} {one.mac('02:4e')} netns {where}",
            f"link add pod netns {where} type veth {inner} {mac('0a:58', one.pods4[2])} netns {pod.format(one.pod)}",
        ]
    return lines


def internet_lines(sites: Sequence[SitePlace]) -> list[str]:
    """In the internet: a link to every site's router; it knows public LANs, and the others' of IPv6."""
    lines = ["link set lo up"]
    for site in sites:
        device = f"w-{site.name}"
        lines += [
            f"link set {device} up",
            f"address add {site.inner4} dev {device}",
            f"address add {site.inner6} dev {device} nodad",
            f"route add {site.lan6} via {site.outer6.ip}",
        ]
    return lines


def router_lines(site: SitePlace) -> list[str]:
    """In a site's router: a bridge for the LAN, and everything else outside."""
    own = mac("02:4f", site.outer4.ip)  # else the bridge has a port's, and another one as soon as that port is cut off
    lines = [
        "link set lo up",
        f"link set {WAN} up",
        f"address add {site.outer4} dev {WAN}",
        f"address add {site.outer6} dev {WAN} nodad",
        f"route add default via {site.inner4.ip}",
        f"route add default via {site.inner6.ip}",
        f"link add {LAN} address {own} type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
        f"address add {site.gateway4}/{site.lan4.prefixlen} dev {LAN}",
        f"address add {site.gateway6}/{site.lan6.prefixlen} dev {LAN} nodad",
        f"link set {LAN} up",
    ]
    for node in site.nodes:
        lines += [f"link set {node.name} master {LAN}", f"link set {node.name} up"]
    return lines


def node_lines(site: SitePlace, node: NodePlace) -> list[str]:
    """In a node: its place on the LAN, and a bridge for its pods."""
    return [
        "link set lo up",
        f"link set {INTERFACE} up",
        f"address add {node.ipv4} dev {INTERFACE}",
        f"address add {node.ipv6} dev {INTERFACE} nodad",
        f"route add default via {site.gateway4}",
        f"route add default via {site.gateway6}",
        f"link add {_BRIDGE} mtu {POD_MTU} type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
        f"address add {node.pods4[1]}/{node.pods4.prefixlen} dev {_BRIDGE}",
        f"address add {node.pods6[1]}/{node.pods6.prefixlen} dev {_BRIDGE} nodad",
        f"link set {_BRIDGE} up",
        f"link set pod mtu {POD_MTU} master {_BRIDGE}",
        "link set pod up",
    ]


def pod_lines(node: NodePlace) -> list[str]:
    """In a pod: its addresses, and its node as the way out."""
    return [
        "link set lo up",
        f"link set {INTERFACE} mtu {POD_MTU} up",
        f"address add {node.pods4[2]}/{node.pods4.prefixlen} dev {INTERFACE}",
        f"address add {node.pods6[2]}/{node.pods6.prefixlen} dev {INTERFACE} nodad",
        f"route add default via {node.pods4[1]}",
        f"route add default via {node.pods6[1]}",
    ]


def flannel_lines(node: NodePlace, others: Sequence[NodePlace]) -> list[str]:
    """In a node: the CNI's VXLAN to every other node, also to those that it cannot reach, as flannel makes it."""
    lines = [
        (
            f"link add {OVERLAY} address {node.mac('aa:fe')} mtu {POD_MTU} type vxlan id 1 dstport 8472 "
            f"local {node.ipv4.ip} nolearning"
        ),
        f"address add {node.pods4[0]}/32 dev {OVERLAY}",
        f"address add {node.pods6[0]}/128 dev {OVERLAY} nodad",
        f"link set {OVERLAY} up",
    ]
    for other in others:
        for pods in (other.pods4, other.pods6):
            lines += [
                f"neighbor add {pods[0]} lladdr {other.mac('aa:fe')} dev {OVERLAY} nud permanent",
                f"route add {pods} via {pods[0]} dev {OVERLAY} onlink",
            ]
    return lines


def flannel_entries(others: Sequence[NodePlace]) -> list[str]:
    """In a node, for `bridge -batch`: at which node each MAC of the VXLAN is."""
    return [f"fdb append {one.mac('aa:fe')} dev {OVERLAY} dst {one.ipv4.ip} self permanent" for one in others]
