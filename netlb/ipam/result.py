"""What allocation comes to: addresses held, refusals with their reasons, and how full the pools are."""

from collections.abc import Mapping
from dataclasses import dataclass

from immutables import Map

from netlb.findings import ObjectRef
from netlb.ipam.leases import Claims
from netlb.net import Address, Family
from netlb.reasons import Refusal

__all__ = ["Allocation", "PoolUsage", "Refused", "Result"]


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a Service's request was not served."""

    reason: Refusal
    message: str


@dataclass(frozen=True, slots=True)
class Allocation:
    """The addresses that a Service holds from now on, IPv4 first."""

    addresses: tuple[Address, ...]
    pools: tuple[str, ...]
    """The pool of each address; empty while it cannot be read."""
    refused: Refused | None = None
    """Set where these are the addresses from before, because what is asked for now was refused."""

    @property
    def pool(self) -> str:
        """The pool, or the two of them with a comma in between."""
        return ",".join(dict.fromkeys(self.pools))


@dataclass(frozen=True, slots=True)
class PoolUsage:
    """Addresses of one pool and family; exact integers of any size."""

    size: int
    held: int
    """Distinct addresses: one that is shared counts once."""

    @property
    def free(self) -> int:
        """Addresses that nobody holds."""
        return self.size - self.held


@dataclass(frozen=True, slots=True)
class Result:
    """The outcome for every Service that asked or held something."""

    allocations: Map[ObjectRef, Allocation]
    refusals: Map[ObjectRef, Refused]
    """Services that have no address."""
    usage: Mapping[str, Mapping[Family, PoolUsage]]
    claims: Mapping[str, Claims]
    """By pool that has a source: what is to be reserved there."""
