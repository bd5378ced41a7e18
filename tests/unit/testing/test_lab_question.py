"""The lab's own ARP and neighbour discovery frames, against scapy's."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptDstLLAddr, ICMPv6NDOptSrcLLAddr, IPv6
from scapy.layers.l2 import ARP, Ether

from netlb.testing.lab.question import arp_request, arp_sender, neighbor_advertiser, neighbor_solicitation

ASKER, OWNER = "02:4e:4c:02:00:01", "02:4e:4c:01:00:01"
ASKER4, OWNER4 = IPv4Address("192.168.122.201"), IPv4Address("192.168.122.11")
ASKER6, OWNER6 = IPv6Address("fd00:122::201"), IPv6Address("fd00:122::11")


def test_a_request_is_what_scapy_would_send() -> None:
    expected = Ether(src=ASKER, dst="ff:ff:ff:ff:ff:ff") / ARP(
        op=1, hwsrc=ASKER, psrc=str(ASKER4), hwdst="00:00:00:00:00:00", pdst=str(OWNER4)
    )
    assert bytes(expected) == arp_request(ASKER, ASKER4, OWNER4)


def test_a_solicitation_is_what_scapy_would_send() -> None:
    expected = (
        Ether(src=ASKER, dst="33:33:ff:00:00:11")
        / IPv6(src=str(ASKER6), dst="ff02::1:ff00:11", hlim=255)
        / ICMPv6ND_NS(tgt=str(OWNER6))
        / ICMPv6NDOptSrcLLAddr(lladdr=ASKER)
    )
    assert bytes(expected) == neighbor_solicitation(ASKER, ASKER6, OWNER6)


def test_a_reply_names_its_sender() -> None:
    reply = Ether(src=OWNER, dst=ASKER) / ARP(op=2, hwsrc=OWNER, psrc=str(OWNER4), hwdst=ASKER, pdst=str(ASKER4))
    assert OWNER == arp_sender(bytes(reply), ASKER4, OWNER4)
    assert OWNER == arp_sender(bytes(reply) + bytes(18), ASKER4, OWNER4)  # padded to 60 bytes, as wires do


@pytest.mark.parametrize("change", [("op", 1), ("psrc", "192.168.122.12"), ("pdst", "192.168.122.11")])
def test_other_arp_is_no_answer(change: tuple[str, object]) -> None:
    reply = ARP(op=2, hwsrc=OWNER, psrc=str(OWNER4), hwdst=ASKER, pdst=str(ASKER4))
    reply.setfieldval(*change)
    assert arp_sender(bytes(Ether(src=OWNER, dst=ASKER) / reply), ASKER4, OWNER4) is None


@pytest.mark.parametrize("with_option", [True, False])
def test_an_advertisement_names_its_sender(with_option: bool) -> None:
    frame = Ether(src=OWNER, dst=ASKER) / IPv6(src=str(OWNER6), dst=str(ASKER6), hlim=255)
    frame /= ICMPv6ND_NA(tgt=str(OWNER6), S=1)
    if with_option:
        frame /= ICMPv6NDOptDstLLAddr(lladdr=OWNER)
    assert OWNER == neighbor_advertiser(bytes(frame), ASKER6, OWNER6)
    assert neighbor_advertiser(bytes(frame), ASKER6, ASKER6) is None
    assert neighbor_advertiser(bytes(frame), OWNER6, OWNER6) is None


def test_a_frame_cut_short_is_no_answer() -> None:
    assert arp_sender(bytes(41), ASKER4, OWNER4) is None
    assert neighbor_advertiser(bytes(77), ASKER6, OWNER6) is None
