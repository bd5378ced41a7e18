"""The codec against scapy's, against a table of packets that section 6.8.6 discards, and against hashes made by hand."""

from dataclasses import replace
from hashlib import sha1

import pytest
from scapy.contrib.bfd import BFD, OptionalAuth

from netlb.bfd.packet import (
    Authentication,
    ControlPacket,
    Diagnostic,
    Key,
    State,
    authentic,
    decode,
    encode,
    sign,
)
from netlb.errors import SettingError
from netlb.reasons import BfdVerdict

UP = ControlPacket(0x01020304, 0x05060708, State.UP, 3, 300_000, 100_000)
OCTETS = encode(UP)
KEY = Key(17, b"correct horse")


def altered(at: int, value: int, octets: bytes = OCTETS) -> bytes:
    return octets[:at] + bytes((value,)) + octets[at + 1 :]


def test_scapy_reads_what_we_write() -> None:
    packet = UP._replace(diagnostic=Diagnostic.PATH_DOWN, poll=True, demand=True, control_plane_independent=True)
    seen = BFD(encode(packet))
    assert (1, 5, 3, 3, 24) == (seen.version, seen.diag, seen.sta, seen.detect_mult, seen.len)
    assert set("PCD") == set(str(seen.flags))
    assert (0x01020304, 0x05060708) == (seen.my_discriminator, seen.your_discriminator)
    assert (300_000, 100_000, 0) == (seen.min_tx_interval, seen.min_rx_interval, seen.echo_rx_interval)
    assert "F" == str(BFD(encode(UP._replace(final=True))).flags)


@pytest.mark.parametrize("state", State)
def test_we_read_what_scapy_writes(state: State) -> None:
    octets = bytes(
        BFD(
            sta=state, diag=2, flags="FD", detect_mult=9, my_discriminator=7, your_discriminator=8,
            min_tx_interval=1, min_rx_interval=2, echo_rx_interval=3,
        )
    )  # fmt: skip
    assert ControlPacket(7, 8, state, 9, 1, 2, 3, 2, final=True, demand=True) == decode(octets)


def test_scapy_reads_our_authentication_and_we_read_scapys() -> None:
    signed = sign(OCTETS, KEY, 0xFEDCBA98)
    seen = BFD(signed)
    assert (52, "A") == (seen.len, str(seen.flags))
    auth = seen.optional_auth
    assert (5, 28, 17, 0xFEDCBA98) == (auth.auth_type, auth.auth_len, auth.auth_keyid, auth.sequence_number)
    theirs = BFD(flags="A", optional_auth=OptionalAuth(auth_type=4, auth_keyid=9, sequence_number=5))
    packet = decode(bytes(theirs))
    assert isinstance(packet, ControlPacket)
    assert Authentication(4, 9, 5) == packet.authentication


def test_the_digest_is_that_of_the_packet_with_the_secret_in_its_place() -> None:
    signed = sign(OCTETS, KEY, 1)
    with_secret = signed[:32] + b"correct horse".ljust(20, b"\0")
    assert sha1(with_secret).digest() == signed[32:]
    assert authentic(signed, KEY)
    assert authentic(signed + b"behind the packet", KEY)
    assert not authentic(signed, replace(KEY, secret=b"wrong horse"))
    assert not any(authentic(altered(at, signed[at] ^ 1, signed), KEY) for at in range(4, 52))


SIGNED = sign(OCTETS, KEY, 1)
SIMPLE = altered(3, 24 + 9, altered(1, OCTETS[1] | 4)) + b"\x01\x09\x01secret"


@pytest.mark.parametrize(
    ("octets", "verdict"),
    [
        (b"", BfdVerdict.TOO_SHORT),
        (OCTETS[:23], BfdVerdict.TOO_SHORT),
        (altered(0, 0x00), BfdVerdict.WRONG_VERSION),
        (altered(0, 0x40), BfdVerdict.WRONG_VERSION),
        (altered(3, 23), BfdVerdict.WRONG_LENGTH),
        (altered(3, 25), BfdVerdict.WRONG_LENGTH),
        (altered(1, OCTETS[1] | 4), BfdVerdict.WRONG_LENGTH),
        (altered(3, 25, altered(1, OCTETS[1] | 4)) + b"\x04", BfdVerdict.WRONG_LENGTH),
        (altered(2, 0), BfdVerdict.ZERO_DETECT_MULT),
        (altered(1, OCTETS[1] | 1), BfdVerdict.MULTIPOINT),
        (encode(UP._replace(my_discriminator=0)), BfdVerdict.ZERO_DISCRIMINATOR),
        (encode(UP._replace(your_discriminator=0)), BfdVerdict.UNEXPECTED_STATE),
        (encode(UP._replace(your_discriminator=0, state=State.INIT)), BfdVerdict.UNEXPECTED_STATE),
        (altered(25, 27, SIGNED), BfdVerdict.MALFORMED_AUTHENTICATION),
        (altered(25, 255, SIGNED), BfdVerdict.MALFORMED_AUTHENTICATION),
        (altered(3, 51, SIGNED), BfdVerdict.MALFORMED_AUTHENTICATION),
        (altered(25, 1, SIMPLE), BfdVerdict.MALFORMED_AUTHENTICATION),
        (altered(25, 10, SIMPLE), BfdVerdict.MALFORMED_AUTHENTICATION),
    ],
)
def test_what_is_discarded_on_sight(octets: bytes, verdict: BfdVerdict) -> None:
    assert verdict == decode(octets)


@pytest.mark.parametrize("state", [State.ADMIN_DOWN, State.DOWN])
def test_a_session_that_is_down_need_not_name_ours(state: State) -> None:
    packet = UP._replace(your_discriminator=0, state=state)
    assert packet == decode(encode(packet))


def test_what_follows_the_packet_in_the_datagram_is_nothing() -> None:
    assert UP == decode(OCTETS + b"trailer")


def test_a_simple_password_is_recognized_and_not_read() -> None:
    packet = decode(SIMPLE)
    assert isinstance(packet, ControlPacket)
    assert Authentication(1, 0, 0) == packet.authentication


def test_a_diagnostic_that_nobody_has_assigned_is_a_number() -> None:
    packet = decode(altered(0, 0x20 | 31))
    assert isinstance(packet, ControlPacket)
    assert 31 == packet.diagnostic


def test_a_secret_is_in_no_text() -> None:
    assert "horse" not in repr(KEY) + str(KEY)
    with pytest.raises(SettingError, match="1 to 20 octets") as refused:
        Key(1, b"a very long horse indeed")
    assert "horse" not in str(refused.value)


@pytest.mark.parametrize(
    ("identifier", "secret", "field"),
    [(256, b"x", "key.identifier"), (-1, b"x", "key.identifier"), (1, b"", "key.secret"), (1, bytes(21), "key.secret")],
)
def test_a_key_that_cannot_be(identifier: int, secret: bytes, field: str) -> None:
    with pytest.raises(SettingError) as refused:
        Key(identifier, secret)
    assert field == refused.value.setting
