#!/usr/bin/env python3
"""Write netlb/bgp/gobgp.desc from gobgp.proto; with --check only say whether it differs.

Needs grpcio-tools or protoc, which nobody who only uses netlb does.
"""

import argparse
import importlib.util
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).parent.parent / "netlb" / "bgp"
SOURCE, TARGET = FOLDER / "gobgp.proto", FOLDER / "gobgp.desc"


def compiler() -> list[str] | None:
    """Return the command of a compiler, or None where there is none."""
    if importlib.util.find_spec("grpc_tools") is not None:
        return [sys.executable, "-m", "grpc_tools.protoc"]
    protoc = shutil.which("protoc")
    return [protoc] if protoc else None


def compiled(command: list[str]) -> bytes:
    """Return the FileDescriptorSet that the compiler makes."""
    with tempfile.NamedTemporaryFile() as out:
        arguments = [f"--proto_path={FOLDER}", f"--descriptor_set_out={out.name}", SOURCE.name]
        subprocess.run([*command, *arguments], check=True)  # noqa: S603 - a compiler, and our own file
        return Path(out.name).read_bytes()


def main() -> None:
    """Write or compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit with 1 if the file differs")
    check = parser.parse_args().check
    command = compiler()
    if command is None:
        sys.exit("no compiler: pip install grpcio-tools, or install protobuf-compiler")
    descriptors = compiled(command)
    if not check:
        TARGET.write_bytes(descriptors)
    elif descriptors != TARGET.read_bytes():
        sys.exit(f"{TARGET.name}: not what {SOURCE.name} says; run tools/compile_proto.py")


if __name__ == "__main__":
    main()
