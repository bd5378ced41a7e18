"""Communities as BGPAdvertisements write them: numbers, names of Communities, and the names that everybody knows."""

from collections.abc import Mapping
from typing import Final

from netlb.bgp.model import LargeCommunity

__all__ = ["community"]

_WELL_KNOWN: Final = {
    "graceful-shutdown": "65535:0",
    "accept-own": "65535:1",
    "llgr-stale": "65535:6",
    "no-llgr": "65535:7",
    "blackhole": "65535:666",
    "no-export": "65535:65281",
    "no-advertise": "65535:65282",
    "no-export-subconfed": "65535:65283",
    "no-peer": "65535:65284",
}
"""RFC 1997, RFC 8326, RFC 7999 and the registry of well-known communities."""


def community(text: str, aliases: Mapping[str, str]) -> int | LargeCommunity | None:
    """Return what a text stands for, `aliases` being the values of Communities by name; None if it names nothing."""
    value = text if ":" in text else aliases.get(text) or _WELL_KNOWN.get(text)
    if value is None:
        return None
    if value.startswith("large:"):
        return LargeCommunity(*map(int, value.split(":")[1:]))
    high, low = map(int, value.split(":"))
    return high << 16 | low
