"""The `ip -batch` lines that build a lab. Pure: text in, text out, so that what will be done can be read.

Links are made with both ends in their namespaces from the first moment: the machine's own namespace never
sees them. Addresses and routes use `replace`, so that a link that went down and came back is
given what it lost with the same lines.
"""

from collections.abc import Iterable

from netlb.testing.lab.layout import INTERFACE, Member, PodPlace, Role, Segment, pod_networks

__all__ = [
    "BRIDGE",
    "FORWARDING",
    "OTHER_BRIDGE",
    "QUIET",
    "SILENT",
    "host_lines",
    "join_lines",
    "loss_rules",
    "no_loss_rules",
    "pod_join_lines",
    "pod_lines",
    "pod_port_lines",
    "port_lines",
    "route_lines",
    "switch_lines",
    "withdrawal_lines",
]

BRIDGE = "br0"
OTHER_BRIDGE = "br1"
"""The other half, while the switch is split."""
_BRIDGE_MACS = {BRIDGE: "02:4e:4c:00:00:01", OTHER_BRIDGE: "02:4e:4c:00:00:02"}

QUIET = {
    "net/ipv4/conf/{}/rp_filter": "0",
    "net/ipv4/conf/{}/accept_redirects": "0",
    "net/ipv4/conf/{}/send_redirects": "0",
    "net/ipv6/conf/{}/accept_dad": "0",
    "net/ipv6/conf/{}/accept_ra": "0",
    "net/ipv6/conf/{}/accept_redirects": "0",
    "net/ipv6/conf/{}/autoconf": "0",
    "net/ipv6/conf/{}/keep_addr_on_down": "1",
    "net/ipv6/conf/{}/router_solicitations": "0",
}
"""For `all` and `default` of every host: nothing waits, nothing is learnt behind the test's back."""

FORWARDING = {
    "net/ipv4/ip_forward": "1",
    "net/ipv6/conf/all/forwarding": "1",
    "net/ipv6/conf/default/forwarding": "1",
}

SILENT = {"net/ipv6/conf/all/disable_ipv6": "1", "net/ipv6/conf/default/disable_ipv6": "1"}
"""For the switch, which has no addresses of its own."""


def switch_lines(bridge: str = BRIDGE) -> list[str]:
    """In the switch's namespace: a bridge, which forwards at once and floods what it does not know."""
    return [
        f"link add name {bridge} address {_BRIDGE_MACS[bridge]} type bridge",
        f"link set {bridge} type bridge stp_state 0 forward_delay 0 mcast_snooping 0",
        f"link set {bridge} up",
    ]


def loss_rules(name: str, ports: Iterable[str], hook: str) -> str:
    """For nft, in the switch's namespace: drop what comes in at a host's ports (ingress), or goes out (egress)."""
    chains = "".join(
        f'    chain port-{number} {{ type filter hook {hook} device "{port}" priority 0; policy drop; }}\n'
        for number, port in enumerate(ports)
    )
    return f"{no_loss_rules(name)}table netdev loss-{name} {{\n{chains}}}\n"


def no_loss_rules(name: str) -> str:
    """Undo `loss_rules`, if there are any."""
    return f"add table netdev loss-{name}\ndelete table netdev loss-{name}\n"


def join_lines(switch: str, port: str, namespace: str, interface: str, mac: str) -> list[str]:
    """From anywhere: a link between a port of the switch and a host's interface."""
    peer = f"peer name {interface} address {mac} netns {namespace}"
    return [f"link add name {port} netns {switch} type veth {peer}"]


def port_lines(port: str, bridge: str = BRIDGE) -> list[str]:
    """In the switch's namespace: plug the port in."""
    return [f"link set {port} master {bridge}", f"link set {port} up"]


def host_lines(host: Member) -> list[str]:
    """In the host's namespace: interfaces up, addresses usable at once."""
    return [
        "link set lo up",
        f"link set {INTERFACE} up",
        f"address replace {host.ipv4} brd + dev {INTERFACE}",
        f"address replace {host.ipv6} dev {INTERFACE} nodad",
    ]


def route_lines(segment: Segment, host: Member, members: Iterable[Member]) -> list[str]:
    """In the host's namespace: the other nodes' pods by host gateway, everything else by the first router."""
    lines = []
    for other in members:
        if other.name == host.name:
            continue
        if other.role is Role.NODE and host.role is Role.NODE:
            pods4, pods6 = pod_networks(segment, other)
            lines += [
                f"route replace {pods4} via {other.ipv4.ip}",
                f"route replace {pods6} via {other.ipv6.ip}",
            ]
        elif other.role is Role.ROUTER and other.number == 1:
            lines += [f"route replace default via {gateway}" for gateway in (other.ipv4.ip, other.ipv6.ip)]
    return lines


def withdrawal_lines(segment: Segment, node: Member) -> list[str]:
    """In another node's namespace: forget the pods of a node that left."""
    return [f"route del {pods}" for pods in pod_networks(segment, node)]


def pod_join_lines(node: str, pod: str, place: PodPlace) -> list[str]:
    """From anywhere: the link between a node and its pod."""
    peer = f"peer name {INTERFACE} address {place.mac} netns {pod}"
    return [f"link add name {place.link} netns {node} type veth {peer}"]


def pod_port_lines(place: PodPlace) -> list[str]:
    """In the node's namespace: its end of the pod's link."""
    return [
        f"link set {place.link} up",
        f"address replace {place.gateway4} peer {place.ipv4}/32 dev {place.link}",
        f"address replace {place.gateway6}/128 dev {place.link} nodad",
        f"route replace {place.ipv6} dev {place.link}",
    ]


def pod_lines(place: PodPlace) -> list[str]:
    """In the pod's namespace: its address, and the node as its way out."""
    return [
        "link set lo up",
        f"link set {INTERFACE} up",
        f"address replace {place.ipv4} peer {place.gateway4}/32 dev {INTERFACE}",
        f"address replace {place.ipv6}/128 dev {INTERFACE} nodad",
        f"route replace {place.gateway6} dev {INTERFACE}",
        f"route replace default via {place.gateway4} dev {INTERFACE}",
        f"route replace default via {place.gateway6} dev {INTERFACE}",
    ]
