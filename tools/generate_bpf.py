#!/usr/bin/env python3
"""Write netlb/l2/bpf/program.py from fastpath.c; needs clang. A test compares what the same clang makes of it now."""

import hashlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "netlb" / "l2" / "bpf"
SOURCE, TARGET = FOLDER / "fastpath.c", FOLDER / "program.py"
SECTION = "tc"
FLAGS = ["-O2", "-target", "bpf", "-mcpu=v2", "-Wall", "-Wextra", "-Werror"]
HEAD = '''"""The instructions of the fast path: made by `tools/generate_bpf.py` from `fastpath.c`; do not edit."""

from typing import Final

__all__ = ["COMPILER", "INSTRUCTIONS", "RELOCATIONS", "SOURCE"]

COMPILER: Final = "{compiler}"
SOURCE: Final = "{source}"
"""SHA-256 of the source."""

RELOCATIONS: Final = (
{relocations}
)
"""Where an instruction takes the file descriptor of a map: its number, and the map's name."""

INSTRUCTIONS: Final = bytes.fromhex(
{instructions}
)
'''


def compiler() -> str | None:
    """Return the name and major version of the clang that is installed; None where there is none."""
    clang = shutil.which("clang")
    if clang is None:
        return None
    said = subprocess.run([clang, "--version"], check=True, capture_output=True, text=True).stdout  # noqa: S603 - a compiler
    found = re.search(r"clang version (\d+)", said)
    return f"clang {found[1]}" if found else None


def compile_object() -> bytes:
    """Return the ELF object that clang makes of the source."""
    with tempfile.TemporaryDirectory() as directory:
        made = Path(directory) / "fastpath.o"
        command = [shutil.which("clang") or "clang", *FLAGS, "-c", SOURCE.name, "-o", str(made)]
        subprocess.run(command, check=True, cwd=FOLDER)  # noqa: S603 - a compiler, and our own file
        return made.read_bytes()


def read_object(elf: bytes) -> tuple[bytes, tuple[tuple[int, str], ...]]:
    """Return the program of a 64-bit little-endian object, and its relocations as instruction number and symbol."""
    (offset,) = struct.unpack_from("<Q", elf, 40)
    count, names_at = struct.unpack_from("<HH", elf, 60)
    headers = [struct.unpack_from("<IIQQQQIIQQ", elf, offset + 64 * number) for number in range(count)]

    def text(table: int, at: int) -> str:
        start = headers[table][4] + at
        return elf[start : elf.index(b"\0", start)].decode()

    def body(name: str) -> bytes:
        _, _, _, _, at, size, *_ = sections[name]
        return elf[at : at + size]

    sections = {text(names_at, header[0]): header for header in headers}
    filled = {name for name, header in sections.items() if header[1] == 1 and header[5]}  # SHT_PROGBITS
    if filled != {SECTION}:
        raise SystemExit(f"{SOURCE.name}: everything must be in the section {SECTION}, and there are {sorted(filled)}")
    symbols = body(".symtab")
    strings = sections[".symtab"][6]
    relocations = [
        (where // 8, text(strings, struct.unpack_from("<I", symbols, 24 * (information >> 32))[0]))
        for where, information in struct.iter_unpack("<QQ", body(f".rel{SECTION}"))
    ]
    return body(SECTION), tuple(relocations)


def generate(elf: bytes, made_by: str) -> str:
    """Return the module."""
    instructions, relocations = read_object(elf)
    digits = instructions.hex()
    return HEAD.format(
        compiler=made_by,
        source=hashlib.sha256(SOURCE.read_bytes()).hexdigest(),
        relocations="\n".join(f'    ({number}, "{name}"),' for number, name in relocations),
        instructions="\n".join(f'    "{digits[at : at + 96]}"' for at in range(0, len(digits), 96)),
    )


def main() -> None:
    """Write the module."""
    made_by = compiler()
    if made_by is None:
        sys.exit("no compiler: install Debian's package clang")
    TARGET.write_text(generate(compile_object(), made_by))


if __name__ == "__main__":
    main()
