"""Running the fast path's program on one frame, without a packet on any wire (BPF_PROG_TEST_RUN)."""

import struct
from ctypes import addressof, create_string_buffer

from netlb.l2.adapter.bpf import bpf, pack
from netlb.l2.adapter.fastpath import FastPath

__all__ = ["REDIRECT", "fastpath_requirements", "run_program"]

REDIRECT = 7
"""TC_ACT_REDIRECT: the frame leaves by the interface that it came in by."""
_PROG_TEST_RUN = 10
_IFINDEX = 40
"""Offset in struct __sk_buff."""
_CONTEXT_SIZE = 192


def fastpath_requirements() -> list[str]:
    """Return what the machine lacks for a fast path, in words."""
    try:
        FastPath(1, bytes(6)).close()
    except OSError as error:
        return [f"the kernel refuses to {error.strerror} ({error.errno})"]
    return []


def run_program(program: int, index: int, frame: bytes) -> tuple[int, bytes]:
    """Return what the program says of a frame that comes in by an interface, and the frame as it is then."""
    context = bytearray(_CONTEXT_SIZE)
    struct.pack_into("=I", context, _IFINDEX, index)
    given, taken = create_string_buffer(frame, len(frame)), create_string_buffer(4096)
    around = create_string_buffer(bytes(context), len(context))
    frames = (len(frame), len(taken), addressof(given), addressof(taken))
    attributes = pack("=IIIIQQIIIIQQ", program, 0, *frames, 1, 0, len(around), 0, addressof(around), 0)
    bpf(_PROG_TEST_RUN, attributes)
    verdict, _, length = struct.unpack_from("=iII", attributes, 4)
    return verdict, taken.raw[:length]
