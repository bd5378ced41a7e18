"""Addresses, prefixes and ranges: parsing and arithmetic.

Single addresses are `ipaddress` objects, ranges hold plain integers, so that a /0 or an IPv6 /32 costs no
more than one address. This is the only module that uses netaddr.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import pairwise
from typing import Final

import netaddr  # noqa: TID251  this is the one place

__all__ = [
    "NO_STATION",
    "Address",
    "AddressRange",
    "Family",
    "confuses_buggy_firmware",
    "family_of",
    "first_overlap",
    "is_station",
    "parse_address",
    "parse_prefix",
    "parse_range",
    "subtract",
    "to_address",
]

Address = IPv4Address | IPv6Address


class Family(StrEnum):
    """An address family, spelt as in `Service.spec.ipFamilies`."""

    IPV4 = "IPv4"
    IPV6 = "IPv6"

    @property
    def bits(self) -> int:
        """Length of an address in bits."""
        return 32 if self is Family.IPV4 else 128


def family_of(address: Address) -> Family:
    """Return the family of one address."""
    return Family.IPV4 if address.version == 4 else Family.IPV6


def to_address(family: Family, value: int) -> Address:
    """Return the address of a family with this number."""
    return IPv4Address(value) if family is Family.IPV4 else IPv6Address(value)


def parse_address(text: str) -> Address:
    """Parse one address; ValueError says what is wrong with it.

    Zone identifiers (`fe80::1%eth0`) and IPv4-mapped IPv6 addresses are refused: neither names one
    address on a segment.
    """
    try:
        address = ip_address(text)
    except ValueError:
        raise ValueError(f"{text!r} is not an IPv4 or IPv6 address") from None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            raise ValueError(f"{text!r} carries a zone; an address is written without one")
        if address.ipv4_mapped is not None:
            raise ValueError(f"{text!r} is an IPv4 address in IPv6 clothes; write {address.ipv4_mapped}")
    return address


@dataclass(frozen=True, slots=True, order=True)
class AddressRange:
    """All addresses of one family from `first` to `last`, both included, as integers."""

    family: Family
    first: int
    last: int

    @property
    def size(self) -> int:
        """How many addresses; exact at any length of prefix."""
        return self.last - self.first + 1

    def __contains__(self, address: object) -> bool:
        return (
            isinstance(address, IPv4Address | IPv6Address)
            and family_of(address) is self.family
            and self.first <= int(address) <= self.last
        )

    def overlaps(self, other: "AddressRange") -> bool:
        """Say whether some address is in both ranges."""
        return self.family is other.family and self.first <= other.last and other.first <= self.last

    def prefix_lengths(self) -> tuple[int, ...]:
        """Return the lengths of the fewest prefixes that cover the range exactly, in address order."""
        first, last = to_address(self.family, self.first), to_address(self.family, self.last)
        return tuple(net.prefixlen for net in netaddr.iprange_to_cidrs(str(first), str(last)))

    def __str__(self) -> str:
        first, last = to_address(self.family, self.first), to_address(self.family, self.last)
        if self.first == self.last:
            return str(first)
        host_bits = self.size.bit_length() - 1
        if self.size == 1 << host_bits and self.first % self.size == 0:
            return f"{first}/{self.family.bits - host_bits}"
        return f"{first}-{last}"


def parse_prefix(text: str) -> AddressRange:
    """Parse `address/length`; bits behind the length are masked off, as MetalLB does."""
    address_text, slash, length_text = text.partition("/")
    address = parse_address(address_text)
    bits = family_of(address).bits
    if not slash or not (length_text.isascii() and length_text.isdecimal()) or int(length_text) > bits:
        raise ValueError(f"{text!r} is not a prefix: its length is a number from 0 to {bits}")
    network = netaddr.IPNetwork(f"{address}/{int(length_text)}")
    return AddressRange(family_of(address), network.first, network.last)


@lru_cache(maxsize=4096)
def parse_range(text: str) -> AddressRange:
    """Parse an address, a prefix (`192.0.2.0/24`) or a range (`192.0.2.10-192.0.2.20`, blanks allowed)."""
    if "-" in text:
        first_text, _, last_text = text.partition("-")
        first, last = parse_address(first_text.strip()), parse_address(last_text.strip())
        if first.version != last.version:
            raise ValueError(f"range {text!r} begins in {family_of(first)} and ends in {family_of(last)}")
        if int(first) > int(last):
            raise ValueError(f"range {text!r} is turned round: its first address is above its last")
        return AddressRange(family_of(first), int(first), int(last))
    if "/" in text:
        return parse_prefix(text)
    address = parse_address(text)
    return AddressRange(family_of(address), int(address), int(address))


NO_STATION: Final = tuple(
    parse_range(text)
    for text in ("0.0.0.0/32", "127.0.0.0/8", "224.0.0.0/4", "255.255.255.255", "::", "::1", "ff00::/8")
)
"""What no single station can have (RFC 6890, RFC 5771, RFC 4291): this host, loopback, multicast, broadcast."""


def is_station(what: Address | AddressRange) -> bool:
    """Say whether a single station can have the address, or some address of the range."""
    span = what if isinstance(what, AddressRange) else AddressRange(family_of(what), int(what), int(what))
    return bool(subtract(span, NO_STATION))


def subtract(span: AddressRange, others: Iterable[AddressRange]) -> list[AddressRange]:
    """Return what is left of a range without the others, in address order."""
    left = []
    first = span.first
    for other in sorted(other for other in others if other.overlaps(span)):
        if first < other.first:
            left.append(AddressRange(span.family, first, other.first - 1))
        first = max(first, other.last + 1)
    if first <= span.last:
        left.append(AddressRange(span.family, first, span.last))
    return left


def first_overlap(ranges: Sequence[AddressRange]) -> tuple[AddressRange, AddressRange] | None:
    """Return two ranges that share an address, or None."""
    ordered = sorted(ranges)
    for lower, upper in pairwise(ordered):
        if lower.overlaps(upper):
            return lower, upper
    return None


def confuses_buggy_firmware(family: Family, value: int) -> bool:
    """Say whether an address ends in .0 or .255, which some devices take for a broadcast."""
    return family is Family.IPV4 and value & 0xFF in (0, 0xFF)
