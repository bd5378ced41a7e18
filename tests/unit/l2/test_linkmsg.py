"""Links as rtnetlink says them."""

import struct

import pytest

from netlb.l2.interfaces import Link
from netlb.l2.linkmsg import LinkMessage, decode, encode_list
from netlb.l2.netlink import attribute, encode

NEW, GONE = 16, 17
BRIDGE = 7  # AF_BRIDGE
NAME, MAC, MASTER = attribute(3, b"eth0\0"), attribute(1, bytes(range(6))), attribute(10, struct.pack("=I", 9))


def about(kind: int, *attributes: bytes, family: int = 0, flags: int = 0, sequence: int = 0) -> bytes:
    body = struct.pack("=BxHiII", family, 1, 4, 0x1003, 0) + b"".join(attributes)
    return encode(kind, flags, sequence, body)


def test_a_link_is_read_with_its_address_and_master() -> None:
    link = Link(index=4, name="eth0", mac=bytes(range(6)), flags=0x1003, master=9)
    assert [LinkMessage(3, 4, link)] == list(decode(about(NEW, NAME, MAC, MASTER, sequence=3)))


def test_a_link_without_an_address_or_master_is_a_link() -> None:
    link = Link(index=4, name="eth0", mac=b"", flags=0x1003, master=None)
    assert [LinkMessage(0, 4, link)] == list(decode(about(NEW, NAME)))


def test_a_link_that_is_gone_is_none() -> None:
    assert [LinkMessage(0, 4, None)] == list(decode(about(GONE, NAME, MAC)))


@pytest.mark.parametrize("kind", [NEW, GONE])
def test_what_a_bridge_says_of_its_port_is_passed_over(kind: int) -> None:
    assert [] == list(decode(about(kind, NAME, MAC, family=BRIDGE)))


def test_a_list_ends_or_is_refused_or_was_interrupted() -> None:
    expected = [
        LinkMessage(1, ended=True, interrupted=True),
        LinkMessage(2, ended=True, errno=16),
        LinkMessage(3, ended=True),
    ]
    said = encode(3, 0x10, 1, bytes(4)) + encode(2, 0, 2, struct.pack("=i", -16)) + encode(3, 0, 3, bytes(4))
    assert expected == list(decode(said))


def test_what_is_cut_short_is_passed_over() -> None:
    whole = about(NEW, NAME, MAC)
    for length in range(len(whole)):
        assert [] == list(decode(whole[:length]))
    assert [] == list(decode(about(NEW, struct.pack("=HH", 1, 3))))


def test_what_is_asked_for_are_the_links_of_every_family() -> None:
    assert encode(18, 0x301, 5, bytes(16)) == encode_list(5)
