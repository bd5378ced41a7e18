"""The maps of the fast path, as `fastpath.c` has them, and what is in them as bytes.

Numbers are in the machine's own byte order, which must be little-endian: the program compares fields of frames with
constants that were turned round when it was compiled.
"""

import struct
from typing import Final, NamedTuple

__all__ = ["HELD", "LISTENED", "MAPS", "MOST_ADDRESSES", "MapShape", "answered", "encode_state", "totals"]

MOST_ADDRESSES: Final = 1 << 17
"""Of one family on one interface; the responder's sockets answer for what is more. A map takes 2 MiB of the kernel."""

_HASH, _ARRAY, _PERCPU_ARRAY = 1, 2, 6
_NO_PREALLOC = 1


class MapShape(NamedTuple):
    """What the kernel must know to create a map: BPF_MAP_TYPE_*, sizes in bytes, and BPF_F_* flags."""

    kind: int
    key_size: int
    value_size: int
    max_entries: int
    flags: int = 0


_ADDRESS = struct.Struct("=QII")
_STATE = struct.Struct("=Q6sH")
_COUNTS = struct.Struct("=QQ")

MAPS: Final = {
    "addresses4": MapShape(_HASH, 4, _ADDRESS.size, MOST_ADDRESSES, _NO_PREALLOC),
    "addresses6": MapShape(_HASH, 16, _ADDRESS.size, MOST_ADDRESSES, _NO_PREALLOC),
    "state": MapShape(_ARRAY, 4, _STATE.size, 1),
    "counts": MapShape(_PERCPU_ARRAY, 4, _COUNTS.size, 1),
}
"""By the names of the symbols in `fastpath.c`. Keys of addresses are the addresses; of the others, 0."""

HELD: Final = _ADDRESS.pack(0, 1, 0)
"""The value of an address that is answered for; nothing was answered yet."""
LISTENED: Final = _ADDRESS.pack(0, 0, 0)
"""The value of an address that is only listened for: what comes from it goes to the responder."""


def answered(value: bytes) -> int:
    """Return how many requests for an address were answered."""
    return int(_ADDRESS.unpack(value)[0])


def encode_state(deadline: int, mac: bytes) -> bytes:
    """Return the state: answer as `mac` until then, in nanoseconds of CLOCK_BOOTTIME."""
    return _STATE.pack(deadline, mac, 0)


def totals(value: bytes) -> int:
    """Return how many requests were answered, of the counts of all CPUs."""
    return sum(arp + nd for arp, nd in _COUNTS.iter_unpack(value))
