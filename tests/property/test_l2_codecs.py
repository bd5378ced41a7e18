"""Laws of the codecs, with scapy as the oracle: same bytes, same fields, back and forth."""

import warnings
from socket import AF_INET6, inet_ntop, inet_pton

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netlb.l2 import arp, ndp

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # scapy's own, about ciphers it does not find
    from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6ND_NS, ICMPv6NDOptUnknown, IPv6
    from scapy.layers.l2 import ARP, Ether
    from scapy.utils6 import in6_getnsma, in6_getnsmac

macs = st.binary(min_size=6, max_size=6)
stations = macs.map(lambda mac: bytes((mac[0] & 0xFE,)) + mac[1:])
ipv4 = st.binary(min_size=4, max_size=4)
ipv6 = st.binary(min_size=16, max_size=16)
unicast6 = ipv6.filter(lambda address: address[0] != 0xFF and any(address))
other_options = st.builds(
    lambda kind, units: (kind, units),
    st.integers(3, 255),
    st.integers(0, 3).flatmap(lambda more: st.binary(min_size=6 + 8 * more, max_size=6 + 8 * more)),
)


def options(kind: int) -> st.SearchStrategy[ndp.Options]:
    link = stations.map(lambda mac: (kind, mac))
    return st.lists(st.one_of(link, other_options), max_size=4).map(tuple)


arp_packets = st.builds(
    arp.ArpPacket,
    destination=macs,
    source=macs,
    operation=st.integers(0, 0xFFFF),
    sender_mac=macs,
    sender_address=ipv4,
    target_mac=macs,
    target_address=ipv4,
)
solicitations = st.builds(
    ndp.NeighborSolicitation,
    destination_mac=macs,
    source_mac=macs,
    source=unicast6,
    destination=ipv6,
    target=unicast6,
    options=options(ndp.SOURCE_LINK_ADDRESS),
)
advertisements = st.builds(
    ndp.NeighborAdvertisement,
    destination_mac=macs,
    source_mac=macs,
    source=unicast6,
    destination=unicast6,
    target=unicast6,
    router=st.booleans(),
    solicited=st.booleans(),
    override=st.booleans(),
    options=options(ndp.TARGET_LINK_ADDRESS),
)


def colons(mac: bytes) -> str:
    return mac.hex(":")


def scapy_arp(packet: arp.ArpPacket) -> bytes:
    ether = Ether(dst=colons(packet.destination), src=colons(packet.source))
    return bytes(
        ether
        / ARP(
            op=packet.operation,
            hwsrc=colons(packet.sender_mac),
            psrc=".".join(map(str, packet.sender_address)),
            hwdst=colons(packet.target_mac),
            pdst=".".join(map(str, packet.target_address)),
        )
    )


def text6(address: bytes) -> str:
    return ":".join(address[at : at + 2].hex() for at in range(0, 16, 2))


def scapy_nd(packet: ndp.NeighborSolicitation | ndp.NeighborAdvertisement) -> bytes:
    built = Ether(dst=colons(packet.destination_mac), src=colons(packet.source_mac)) / IPv6(
        src=text6(packet.source), dst=text6(packet.destination), hlim=packet.hop_limit
    )
    if isinstance(packet, ndp.NeighborSolicitation):
        built /= ICMPv6ND_NS(tgt=text6(packet.target))
    else:
        built /= ICMPv6ND_NA(
            tgt=text6(packet.target), R=int(packet.router), S=int(packet.solicited), O=int(packet.override)
        )
    for kind, body in packet.options:
        built /= ICMPv6NDOptUnknown(type=kind, len=(len(body) + 2) // 8, data=body)
    return bytes(built)


@given(arp_packets)
def test_arp_is_written_as_scapy_writes_it_and_read_back(packet: arp.ArpPacket) -> None:
    built = scapy_arp(packet)
    assert built + arp.PADDING == packet.encode()
    assert packet == arp.ArpPacket.decode(built)
    assert packet == arp.ArpPacket.decode(packet.encode())


@given(solicitations)
def test_solicitations_are_written_as_scapy_writes_them_and_read_back(packet: ndp.NeighborSolicitation) -> None:
    assert scapy_nd(packet) == packet.encode()
    assert packet == ndp.NeighborSolicitation.decode(packet.encode())


@given(advertisements)
def test_advertisements_are_written_as_scapy_writes_them_and_read_back(packet: ndp.NeighborAdvertisement) -> None:
    assert scapy_nd(packet) == packet.encode()
    assert packet == ndp.NeighborAdvertisement.decode(packet.encode())


@given(ipv6, ipv6, st.binary(max_size=64).map(lambda body: body[: len(body) // 2 * 2]))
def test_the_checksum_is_the_ones_complement_sum_of_rfc_1071(source: bytes, destination: bytes, body: bytes) -> None:
    message = b"\x87\x00\x00\x00" + body
    octets = source + destination + len(message).to_bytes(4, "big") + bytes(3) + b"\x3a" + message
    total = sum(int.from_bytes(octets[at : at + 2], "big") for at in range(0, len(octets), 2))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    assert total ^ 0xFFFF == ndp.checksum(source, destination, message)


@given(st.binary(max_size=200))
def test_decoding_raises_value_error_or_nothing(octets: bytes) -> None:
    for decode in (arp.ArpPacket.decode, ndp.NeighborSolicitation.decode, ndp.NeighborAdvertisement.decode):
        try:
            decode(octets)
        except ValueError:
            continue


@given(macs, ipv4)
def test_an_arp_probe_is_what_scapy_makes_of_rfc_5227(mac: bytes, address: bytes) -> None:
    built = Ether(dst="ff:ff:ff:ff:ff:ff", src=colons(mac)) / ARP(
        op="who-has", hwsrc=colons(mac), psrc="0.0.0.0", hwdst="00:00:00:00:00:00", pdst=".".join(map(str, address))
    )
    assert bytes(built) + arp.PADDING == arp.probe(mac, address)


@given(macs, unicast6)
def test_a_duplicate_address_probe_is_what_scapy_makes_of_rfc_4862(mac: bytes, address: bytes) -> None:
    group = inet_ntop(AF_INET6, in6_getnsma(inet_pton(AF_INET6, text6(address))))
    built = (
        Ether(dst=in6_getnsmac(inet_pton(AF_INET6, group)), src=colons(mac))
        / IPv6(src="::", dst=group, hlim=255)
        / ICMPv6ND_NS(tgt=text6(address))
    )
    assert bytes(built) == ndp.probe(mac, address)


@given(solicitations, st.integers(0, 85), st.integers(1, 255))
def test_no_changed_byte_behind_the_ethernet_header_goes_unseen(
    packet: ndp.NeighborSolicitation, at: int, change: int
) -> None:
    frame = bytearray(packet.encode())
    at = 54 + at % (len(frame) - 54)
    frame[at] ^= change
    with pytest.raises(ValueError, match=r"\w"):
        ndp.NeighborSolicitation.decode(bytes(frame))
