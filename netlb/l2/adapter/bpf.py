"""bpf(2) by ctypes: create maps, load a program, attach it to an interface. Errors are plain OSErrors.

No compiler, no ELF, no BTF and no library but libc. Descriptors close with the process, and with them goes a program
that is attached by a link.
"""

import ctypes
import errno
import os
import struct
import sys
from collections.abc import Iterable, Mapping, Sequence
from ctypes import addressof, create_string_buffer
from typing import Final

from netlb.l2.bpf.maps import MapShape

__all__ = ["BpfMap", "attach_tcx", "bpf", "load", "pack"]

_NUMBERS: Final = {"x86_64": 321, "aarch64": 280, "riscv64": 280, "loongarch64": 280, "ppc64le": 361}
"""bpf(2) on the little-endian machines; elsewhere the program would compare fields of frames the wrong way round."""
_NUMBER: Final = _NUMBERS.get(os.uname().machine) if sys.byteorder == "little" else None
_MAP_CREATE, _MAP_LOOKUP, _MAP_UPDATE, _PROG_LOAD, _LINK_CREATE = 0, 1, 2, 5, 28
_UPDATE_BATCH, _DELETE_BATCH = 26, 27
_SCHED_CLS = 3
_TCX_INGRESS = 46
_BEFORE = 1 << 3
_PSEUDO_MAP_FD = 1
_PERCPU_ARRAY = 6
_LICENSE: Final = b"Apache-2.0"
"""No helper is used that wants more."""

_libc = ctypes.CDLL(None, use_errno=True)


def pack(format_: str, *fields: int | bytes) -> "ctypes.Array[ctypes.c_char]":
    """Return attributes as the kernel reads them, and may write into them."""
    return _buffer(struct.pack(format_, *fields))


def bpf(command: int, attributes: "ctypes.Array[ctypes.c_char]") -> int:
    """Call bpf(2) and return what it returns; OSError."""
    if _NUMBER is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    result = int(_libc.syscall(_NUMBER, command, ctypes.byref(attributes), len(attributes)))
    if result < 0:
        failed = ctypes.get_errno()
        raise OSError(failed, os.strerror(failed))
    return result


class BpfMap:
    """A map, from its creation until `close`."""

    def __init__(self, name: str, shape: MapShape) -> None:
        """Create it; OSError."""
        kind, key_size, value_size, entries, flags = shape
        self._entry = value_size
        self._value_size = (value_size + 7) // 8 * 8 * _possible_cpus() if kind == _PERCPU_ARRAY else value_size
        attributes = (kind, key_size, value_size, entries, flags, 0, 0, name.encode())
        self.descriptor = bpf(_MAP_CREATE, pack("=IIIIIII16s", *attributes))

    def close(self) -> None:
        """Let go of it."""
        os.close(self.descriptor)

    def lookup(self, key: bytes) -> bytes | None:
        """Return the value, of all CPUs where each has one; None if there is none."""
        keys, value = _buffer(key), create_string_buffer(self._value_size)
        try:
            bpf(_MAP_LOOKUP, pack("=IxxxxQQQ", self.descriptor, addressof(keys), addressof(value), 0))
        except OSError as error:
            if error.errno != errno.ENOENT:
                raise
            return None
        return value.raw

    def update(self, key: bytes, value: bytes) -> None:
        """Put a value in; OSError."""
        keys, values = _buffer(key), _buffer(value)
        bpf(_MAP_UPDATE, pack("=IxxxxQQQ", self.descriptor, addressof(keys), addressof(values), 0))

    def update_many(self, keys: Sequence[bytes], value: bytes) -> int:
        """Put one value in for all keys, by one call; return for how many of them, from the first, it was possible."""
        return self._batch(_UPDATE_BATCH, keys, value * len(keys), {errno.E2BIG, errno.ENOMEM, errno.EBUSY})

    def delete_many(self, keys: Sequence[bytes]) -> int:
        """Take all these keys out, by one call; return how many, from the first: it ends at one that is not in.

        OSError where the kernel refuses for another reason.
        """
        return self._batch(_DELETE_BATCH, keys, b"", {errno.ENOENT})

    def _batch(self, command: int, keys: Sequence[bytes], values: bytes, ends: set[int]) -> int:
        key_buffer, value_buffer = _buffer(b"".join(keys)), _buffer(values)
        fields = (0, 0, addressof(key_buffer), addressof(value_buffer), len(keys), self.descriptor, 0, 0)
        attributes = pack("=QQQQIIQQ", *fields)
        try:
            bpf(command, attributes)
        except OSError as error:
            if error.errno not in ends:
                raise
        return int(struct.unpack_from("=I", attributes, 32)[0])


def load(instructions: bytes, relocations: Iterable[tuple[int, str]], maps: Mapping[str, BpfMap], name: str) -> int:
    """Load a program for tc that uses these maps; return its descriptor. OSError."""
    code = bytearray(instructions)
    for at, used in relocations:
        code[8 * at + 1] = code[8 * at + 1] & 0x0F | _PSEUDO_MAP_FD << 4
        struct.pack_into("=i", code, 8 * at + 4, maps[used].descriptor)
    buffer, license_ = _buffer(bytes(code)), create_string_buffer(_LICENSE)
    program = (_SCHED_CLS, len(code) // 8, addressof(buffer), addressof(license_))
    return bpf(_PROG_LOAD, pack("=IIQQIIQII16s", *program, 0, 0, 0, 0, 0, name.encode()))


def attach_tcx(program: int, index: int) -> int:
    """Attach a program to what comes in on an interface, before all others; return the link.

    OSError, with EINVAL before Linux 6.6. The program is detached when the link closes, and the kernel closes it when
    the process ends in any way.
    """
    return bpf(_LINK_CREATE, pack("=IIIIIIQ", program, index, _TCX_INGRESS, _BEFORE, 0, 0, 0))


def _buffer(octets: bytes) -> "ctypes.Array[ctypes.c_char]":
    return create_string_buffer(octets, len(octets))


def _possible_cpus() -> int:
    """Return for how many CPUs the kernel fills a value, which may be more than there are."""
    descriptor = os.open(
        "/sys/devices/system/cpu/possible", os.O_RDONLY
    )  # pathlib takes longer to load than this module
    try:
        ranges = os.read(descriptor, 4096).decode()
    finally:
        os.close(descriptor)
    return int(ranges.strip().replace(",", "-").rpartition("-")[2]) + 1
