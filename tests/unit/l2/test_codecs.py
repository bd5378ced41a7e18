"""What the codecs refuse, and the derived addresses of RFC 4291 and RFC 2464."""

from dataclasses import replace
from ipaddress import ip_address

import pytest

from netlb.l2 import arp, ndp
from netlb.l2.ethernet import BROADCAST, format_mac, is_group, parse_mac
from netlb.reasons import FrameVerdict
from tests.unit.l2.crafted import CLAIM, CRAFTED, HELD4, HELD6, NODE, REQUEST, SOLICITATION, Crafted

DROPPED = {FrameVerdict.MALFORMED, FrameVerdict.OFF_LINK}


def test_the_solicited_node_group_and_its_mac_address() -> None:
    group = ndp.solicited_node(ip_address("2001:db8::12:3456").packed)
    assert ip_address("ff02::1:ff12:3456").packed == group
    assert "33:33:ff:12:34:56" == format_mac(ndp.group_mac(group))


def test_gratuitous_arp_has_both_forms_to_everybody() -> None:
    request, reply = (arp.ArpPacket.decode(frame) for frame in arp.gratuitous(NODE, HELD4))
    assert (arp.REQUEST, arp.REPLY) == (request.operation, reply.operation)
    assert replace(request, operation=arp.REPLY) == reply
    assert (BROADCAST, NODE, BROADCAST) == (request.destination, request.sender_mac, request.target_mac)
    assert HELD4 == request.sender_address == request.target_address


def test_the_unsolicited_advertisement_overrides_and_is_no_router() -> None:
    notice = ndp.NeighborAdvertisement.decode(ndp.unsolicited(NODE, HELD6))
    assert (False, False, True) == (notice.router, notice.solicited, notice.override)
    assert (ndp.ALL_NODES_MAC, ndp.ALL_NODES, HELD6) == (notice.destination_mac, notice.destination, notice.target)
    assert ((ndp.TARGET_LINK_ADDRESS, NODE),) == notice.options


@pytest.mark.parametrize(
    "crafted",
    [c for c in CRAFTED if c.name.startswith("ns") and "tagged" not in c.name and "VLAN" not in c.name],
    ids=lambda crafted: crafted.name,
)
def test_the_codec_refuses_what_the_rfc_says_must_be_dropped(crafted: Crafted) -> None:
    if crafted.verdict in DROPPED:
        with pytest.raises(ValueError, match=r"\w"):
            ndp.NeighborSolicitation.decode(crafted.frame)
    else:
        assert crafted.frame.startswith(ndp.NeighborSolicitation.decode(crafted.frame).encode())


def test_each_codec_refuses_the_others_frames() -> None:
    with pytest.raises(ValueError, match="not ARP"):
        arp.ArpPacket.decode(SOLICITATION.encode())
    with pytest.raises(ValueError, match="not ICMPv6"):
        ndp.NeighborSolicitation.decode(REQUEST.encode().ljust(100, b"\0"))
    with pytest.raises(ValueError, match="type 135"):
        ndp.NeighborAdvertisement.decode(SOLICITATION.encode())
    with pytest.raises(ValueError, match="multicast group"):
        ndp.NeighborAdvertisement.decode(replace(CLAIM, solicited=True).encode())
    with pytest.raises(ValueError, match="too few"):
        arp.ArpPacket.decode(bytes(41))


def test_mac_addresses_as_text() -> None:
    assert "02:00:5e:00:53:01" == format_mac(parse_mac("02:00:5e:00:53:01"))
    assert is_group(BROADCAST)
    assert not is_group(NODE)
    for wrong in ("", "02:00", "02:00:5e:00:53:01:02", "02:00:5e:00:53:0g"):
        with pytest.raises(ValueError, match=r"\w"):
            parse_mac(wrong)
