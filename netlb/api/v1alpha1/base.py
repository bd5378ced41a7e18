"""What the native kinds have in common: strictness, and checks that several of them make."""

import re
from collections.abc import Sequence
from typing import ClassVar

import msgspec

from netlb.api.meta import Record
from netlb.net import AddressRange, family_of, is_station, parse_address, parse_prefix, parse_range

__all__ = [
    "U32",
    "Native",
    "Spec",
    "check_address",
    "check_bounds",
    "check_distinct",
    "check_prefixes",
    "check_ranges",
    "check_stations",
    "duration_seconds",
    "is_community",
]

U32 = 0xFFFFFFFF
"""The largest 32-bit number: of autonomous systems, local preferences and MEDs."""


class Spec(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Base of the specs and their parts: an unknown field is an error."""


class Native(Record, frozen=True, kw_only=True):
    """Base of the native kinds: each is cluster-wide."""

    NAMESPACED: ClassVar[bool] = False


def check_distinct(field: str, values: Sequence[object]) -> None:
    """Raise ValueError if a value stands in a list twice: most often a copy that was meant to be changed."""
    for index, value in enumerate(values):
        if (first := values.index(value)) < index:
            raise ValueError(f"{field}[{index}]: the same as {field}[{first}]")


def check_bounds(field: str, value: int | None, lowest: int, highest: int) -> None:
    """Raise ValueError if a number is out of its bounds; None is absent, and right."""
    if value is not None and not lowest <= value <= highest:
        raise ValueError(f"{field}: {value} is not from {lowest} to {highest}")


def check_address(field: str, text: str) -> None:
    """Raise ValueError if a text is no address; empty is absent, and right."""
    if text:
        try:
            parse_address(text)
        except ValueError as error:
            raise ValueError(f"{field}: {error}") from None


def check_ranges(field: str, texts: Sequence[str]) -> tuple[AddressRange, ...]:
    """Return the ranges that the texts say; ValueError names the first that says none."""
    ranges = []
    for index, text in enumerate(texts):
        try:
            ranges.append(parse_range(text))
        except ValueError as error:
            raise ValueError(f"{field}[{index}]: {error}") from None
    return tuple(ranges)


def check_prefixes(field: str, texts: Sequence[str]) -> None:
    """Raise ValueError for the first text that is no prefix."""
    for index, text in enumerate(texts):
        try:
            parse_prefix(text)
        except ValueError as error:
            raise ValueError(f"{field}[{index}]: {error}") from None


def check_stations(field: str, texts: Sequence[str]) -> None:
    """Raise ValueError unless the texts are addresses of one station: one of each family at most."""
    seen = set()
    for index, text in enumerate(texts):
        check_address(f"{field}[{index}]", text)
        if not text or not is_station(parse_address(text)):
            raise ValueError(f"{field}[{index}]: {text!r} is not the address of a station")
        family = family_of(parse_address(text))
        if family in seen:
            raise ValueError(f"{field}[{index}]: a second address of {family}; give one of each family")
        seen.add(family)


_COMMUNITY = re.compile(r"([0-9]{1,5}):([0-9]{1,5})")
_LARGE_COMMUNITY = re.compile(r"large:([0-9]{1,10}):([0-9]{1,10}):([0-9]{1,10})")


def is_community(text: str) -> bool:
    """Say whether a text is a community: `u16:u16` (RFC 1997), or `large:u32:u32:u32` (RFC 8092)."""
    for pattern, highest in ((_COMMUNITY, 0xFFFF), (_LARGE_COMMUNITY, U32)):
        if matched := pattern.fullmatch(text):
            return all(int(part) <= highest for part in matched.groups())
    return False


_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(h|ms|us|µs|ns|m|s)")


def duration_seconds(text: str) -> float | None:
    """Return the seconds of a duration in Go's form (`1m30s`), or None if it is none."""
    if text == "0":
        return 0.0
    parts = _PART.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        return None
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
