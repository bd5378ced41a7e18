"""Who gets which address. Pure: no clock, no I/O, no randomness."""

from netlb.ipam.allocate import Allocator, allocate
from netlb.ipam.explain import Verdict, explain
from netlb.ipam.leases import Claims, Leases
from netlb.ipam.pools import NO_LEASES, Pools
from netlb.ipam.request import Request, read_request
from netlb.ipam.result import Allocation, PoolUsage, Refused, Result

__all__ = [
    "NO_LEASES",
    "Allocation",
    "Allocator",
    "Claims",
    "Leases",
    "PoolUsage",
    "Pools",
    "Refused",
    "Request",
    "Result",
    "Verdict",
    "allocate",
    "explain",
    "read_request",
]
