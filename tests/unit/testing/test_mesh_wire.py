"""What our tests take for clear text on a wire."""

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoRequest, ICMPv6ND_NS, ICMPv6PacketTooBig, IPv6
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from tests.support.mesh.wire import clear_text, tunnelled

ROUTER, NODE = "203.0.113.6", "198.51.100.11"
POD, POD6 = "10.244.21.2", "fd00:244:21::2"
BETWEEN = IPv6(src="fd00:c0:1::11", dst="fd00:b0:2::2")


@pytest.mark.parametrize(
    "packet",
    [
        ARP(),
        IPv6(src="fe80::1") / ICMPv6ND_NS(),
        IP(src=ROUTER, dst=NODE) / UDP(sport=40000, dport=51820) / b"secret",
        IP(src=NODE, dst=ROUTER) / UDP(sport=51820, dport=40000) / b"secret",
        IP(src=ROUTER, dst=NODE) / ICMP(type=3, code=4) / IP(src=NODE, dst=ROUTER) / UDP(dport=51820),
        BETWEEN / ICMPv6PacketTooBig() / BETWEEN / UDP(dport=51820),
    ],
)
def test_tunnels_and_what_a_link_needs_are_no_clear_text(packet: Packet) -> None:
    assert {} == clear_text([bytes(Ether() / packet)], [51820])


@pytest.mark.parametrize(
    "packet",
    [
        IP(src=POD, dst=NODE) / ICMP(),
        IP(src=NODE, dst=POD) / ICMP(),
        IP(src=NODE, dst=ROUTER) / ICMP(),
        BETWEEN / ICMPv6EchoRequest(),
        IPv6(src=POD6, dst="fd00:244:11::2") / ICMPv6EchoRequest(),
        IP(src=NODE, dst=ROUTER) / UDP(sport=40000, dport=8472) / b"VXLAN",
        IP(src=NODE, dst=ROUTER) / TCP(dport=80),
        IP(src=ROUTER, dst=NODE) / ICMP(type=3, code=1) / IP(src=NODE, dst=POD) / TCP(dport=80),
        BETWEEN / ICMPv6DestUnreach() / IPv6(src=POD6, dst="fd00:244:11::2") / TCP(dport=80),
    ],
)
def test_whatever_else_is_seen_is_clear_text(packet: Packet) -> None:
    assert 1 == clear_text([bytes(Ether() / packet)], [51820]).total()


def test_packets_of_tunnels_are_counted() -> None:
    packets = [IP() / UDP(sport=1, dport=51820), IP() / UDP(sport=51820, dport=2), IP() / UDP(sport=1, dport=2)]
    assert 2 == tunnelled([bytes(Ether() / packet) for packet in packets], [51820])
