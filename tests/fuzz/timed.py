"""A fuzzer by itself: `python -m tests.fuzz.fuzz_frames 60`."""

import sys
import time
from collections.abc import Callable

__all__ = ["run"]


def run(fuzz: Callable[[int, int], None], what: str, rounds: int) -> None:
    """Fuzz for the seconds that the command line says, or ten, each time with another seed."""
    end = time.monotonic() + (float(sys.argv[1]) if len(sys.argv) > 1 else 10.0)
    done = 0
    while time.monotonic() < end:
        fuzz(rounds, time.monotonic_ns())
        done += rounds
    print(f"{done} {what}, and the invariant holds")
