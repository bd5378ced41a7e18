"""Addresses and ranges."""

import pytest

from netlb.net import Family, confuses_buggy_firmware, first_overlap, is_station, parse_address, parse_range


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("192.0.2.0/24", "192.0.2.0", "192.0.2.255"),
        ("192.0.2.77/24", "192.0.2.0", "192.0.2.255"),
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("192.0.2.7-192.0.2.9", "192.0.2.7", "192.0.2.9"),
        (" 192.0.2.7 - 192.0.2.9 ", "192.0.2.7", "192.0.2.9"),
        ("0.0.0.0/0", "0.0.0.0", "255.255.255.255"),
        ("2001:db8::/32", "2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"),
        ("fd00::1-fd00::ff", "fd00::1", "fd00::ff"),
    ],
)
def test_ranges_are_read_exactly(text: str, first: str, last: str) -> None:
    span = parse_range(text)
    assert (int(parse_address(first)), int(parse_address(last))) == (span.first, span.last)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("192.0.2.9-192.0.2.7", "turned round"),
        ("192.0.2.9-fd00::1", "begins in IPv4 and ends in IPv6"),
        ("192.0.2.0/33", "from 0 to 32"),
        ("192.0.2.0/", "from 0 to 32"),
        ("192.0.2.0/²", "from 0 to 32"),
        ("192.0.2.256", "is not an IPv4 or IPv6 address"),
        (" 192.0.2.0/24", "is not an IPv4 or IPv6 address"),
        ("fe80::1%eth0", "zone"),
        ("::ffff:192.0.2.1", "write 192.0.2.1"),
        ("", "is not an IPv4 or IPv6 address"),
    ],
)
def test_what_is_wrong_with_a_range_is_said(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        parse_range(text)


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        ("192.0.2.0-192.0.2.255", "192.0.2.0/24"),
        ("192.0.2.1-192.0.2.255", "192.0.2.1-192.0.2.255"),
        ("192.0.2.4-192.0.2.4", "192.0.2.4"),
        ("::/0", "::/0"),
    ],
)
def test_ranges_print_as_people_write_them(text: str, printed: str) -> None:
    assert printed == str(parse_range(text))


def test_prefix_lengths_cover_a_range_exactly() -> None:
    assert (32, 31, 30, 30, 32) == parse_range("192.0.2.1-192.0.2.12").prefix_lengths()


@pytest.mark.parametrize(
    ("text", "usable"),
    [
        *(
            (text, False)
            for text in ("0.0.0.0", "127.0.0.0/8", "127.0.0.7", "224.0.0.0/4", "239.1.2.3", "255.255.255.255")
        ),
        *((text, False) for text in ("::", "::1", "ff02::1", "ff00::/8")),
        *(
            (text, True)
            for text in ("0.0.0.0/0", "0.0.0.0-0.0.0.1", "126.255.255.255-127.0.0.1", "::/0", "fe80::1", "::2")
        ),
    ],
)
def test_what_a_single_station_can_have(text: str, usable: bool) -> None:
    assert usable is is_station(parse_range(text))


def test_overlap_is_found_across_the_list_and_not_across_families() -> None:
    spans = [parse_range(text) for text in ("192.0.2.0/24", "10.0.0.0/8", "192.0.2.255-192.0.3.1")]
    assert (spans[0], spans[2]) == first_overlap(spans)
    assert first_overlap([parse_range("0.0.0.1"), parse_range("::1")]) is None


@pytest.mark.parametrize(
    ("text", "buggy"),
    [
        ("192.0.2.0", True),
        ("192.0.2.255", True),
        ("192.0.2.1", False),
        ("fd00::ff", False),
        ("fd00::", False),
    ],
)
def test_buggy_addresses_are_those_ending_in_0_and_255(text: str, buggy: bool) -> None:
    address = parse_address(text)
    family = Family.IPV4 if address.version == 4 else Family.IPV6
    assert confuses_buggy_firmware(family, int(address)) is buggy
