"""What the sources of pools have reserved for us, as last seen: the input of planning that comes from elsewhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from netlb.ipam.source import Claim
from netlb.net import Address

__all__ = ["Claims", "Leases"]

Claims = Mapping[Claim, Address | None]
"""What is to be reserved in one pool's source: one address for each claim, that one or any."""


@dataclass(frozen=True, slots=True)
class Leases:
    """What one pool's source said."""

    held: Mapping[Claim, Address] = field(default_factory=dict)
    refused: Mapping[Claim, str] = field(default_factory=dict)
    """Claims for which the source has nothing, in its own words; they are tried again."""
    problem: str = ""
    """Why the source cannot be asked at present; empty while it can."""
