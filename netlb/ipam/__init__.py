"""Who gets which address. Pure: no clock, no I/O, no randomness."""

from netlb.ipam.allocate import Allocation, PoolUsage, Refused, Result, allocate
from netlb.ipam.request import Request, is_served, read_request

__all__ = [
    "Allocation",
    "PoolUsage",
    "Refused",
    "Request",
    "Result",
    "allocate",
    "is_served",
    "read_request",
]
