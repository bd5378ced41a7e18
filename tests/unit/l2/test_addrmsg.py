"""Addresses of interfaces as rtnetlink says them."""

import struct
from ipaddress import ip_address

import pytest

from netlb.l2.addrmsg import Flag, InterfaceAddress, Kind, Message, decode, encode_add, encode_remove

HEADER = struct.Struct("=IHHII")


@pytest.mark.parametrize("text", ["192.0.2.10", "2001:db8::10"])
def test_what_is_asked_for_reads_as_it_would_be_told(text: str) -> None:
    address = ip_address(text)
    added = encode_add(7, address, 10, Flag.REQUEST | Flag.ACK, 3)
    removed = encode_remove(7, address, Flag.REQUEST, 4)
    there = InterfaceAddress(7, address, address, address.max_prefixlen, ours=True)
    unmarked = InterfaceAddress(7, address, address, address.max_prefixlen, ours=False)
    expected = [Message(Kind.ADDED, 3, address=there), Message(Kind.REMOVED, 4, address=unmarked)]
    assert expected == list(decode(added + removed))


def test_answers_are_errors_with_their_number_and_ends_of_lists() -> None:
    def message(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
        return HEADER.pack(HEADER.size + len(body), kind, flags, sequence, 0) + body

    refused = message(Kind.ERROR, 0, 1, struct.pack("=i", -17) + bytes(16))
    worked = message(Kind.ERROR, 0, 2, bytes(20))
    end = message(Kind.DONE, 0x10, 3, bytes(4))
    other = message(16, 0, 4, bytes(16))  # RTM_NEWLINK
    expected = [Message(Kind.ERROR, 1, errno=17), Message(Kind.ERROR, 2), Message(Kind.DONE, 3, interrupted=True)]
    assert expected == list(decode(refused + worked + other + end))


def test_what_is_cut_short_is_passed_over() -> None:
    whole = encode_add(7, ip_address("192.0.2.10"), 10, Flag.REQUEST, 3)
    for length in range(len(whole)):
        assert [] == list(decode(whole[:length]))
    broken = HEADER.pack(HEADER.size + 12, Kind.ADDED, 0, 1, 0) + struct.pack("=BBBBIHH", 2, 32, 0, 0, 7, 1, 1)
    assert [] == list(decode(broken))
