"""What passed on a wire, and whether it was meant for everybody's eyes."""

from collections import Counter
from collections.abc import Iterable
from ipaddress import ip_address, ip_network

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from netlb.testing.sites.layout import PODS_IPV4, PODS_IPV6

__all__ = ["clear_text", "tunnelled"]

_PODS = (PODS_IPV4, PODS_IPV6, ip_network("10.96.0.0/16"), ip_network("fd00:96::/112"))


def tunnelled(frames: Iterable[bytes], ports: Iterable[int]) -> int:
    """Count the packets of tunnels: those to or from one of these UDP ports."""
    return sum(_of_tunnel(Ether(frame), set(ports)) for frame in frames)


def clear_text(frames: Iterable[bytes], ports: Iterable[int]) -> Counter[str]:
    """Return what is neither a tunnel's packet, to or from one of these UDP ports, nor of use to the link itself.

    Questions of ICMP count, and other messages of it where they quote, or go to, an address of a pod.
    """
    allowed = set(ports)
    found: Counter[str] = Counter()
    for frame in frames:
        packet = Ether(frame)
        if ARP in packet or (_is_message(packet) and not _inner(packet)):
            continue
        if _of_tunnel(packet, allowed):
            continue
        found[_kind(packet)] += 1
    return found


def _is_message(packet: Ether) -> bool:
    """Whether it is a message of ICMP that no program asks for."""
    if ICMP in packet:
        return packet[ICMP].type not in (0, 8)
    return IPv6 in packet and packet[IPv6].nh == 58 and packet[IPv6].payload.type not in (128, 129)


def _of_tunnel(packet: Ether, ports: set[int]) -> bool:
    return UDP in packet and ICMP not in packet and bool({packet[UDP].sport, packet[UDP].dport} & ports)


def _inner(packet: Ether) -> bool:
    """Whether an address of a pod or a Service is in any header, also of a packet that is quoted."""
    layer: Packet = packet
    while layer:
        if isinstance(layer, IP | IPv6) or layer.name in ("IP in ICMP", "IPv6 in ICMPv6"):
            for text in (layer.src, layer.dst):
                if any(ip_address(text) in network for network in _PODS):
                    return True
        layer = layer.payload
    return False


def _kind(packet: Ether) -> str:
    for layer in (TCP, UDP):
        if layer in packet:
            return f"{layer.__name__} from port {packet[layer].sport} to {packet[layer].dport}"
    return str(packet.summary())
