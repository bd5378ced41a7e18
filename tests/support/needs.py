"""What a test needs of the machine. `make test` installs all of it (NEEDS_test in the Makefile); elsewhere tests say what
they miss."""

import shutil
from collections.abc import Iterable

import pytest

__all__ = ["needs", "needs_command"]


def needs(missing: Iterable[str]) -> None:
    """Skip the test by the names of what is missing, if anything is."""
    if words := "; ".join(missing):
        pytest.skip(words)  # without it there is nothing to try: a fake stands in other tests


def needs_command(name: str, package: str) -> str:
    """Return the path of a command; skip if Debian's package is not installed."""
    path = shutil.which(name)
    needs([] if path else [f"{name}: the command is not found; install {package}"])
    return path or name
