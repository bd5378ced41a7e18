"""The machine that the numbers belong to, and which of its CPUs does what."""

import os
import platform
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import netlb

__all__ = ["Cpus", "debian_version", "machine_facts", "machine_facts_after"]


@dataclass(frozen=True, slots=True)
class Cpus:
    """The CPU of whoever measures and the CPU of what is measured; None where they cannot be kept apart."""

    measuring: int | None
    measured: int | None

    @classmethod
    def allot(cls) -> Self:
        """Take the first two of the CPUs that this process may use."""
        usable = sorted(os.sched_getaffinity(0))
        return cls(usable[0], usable[1]) if len(usable) > 1 else cls(None, None)

    def describe(self) -> str:
        """Say it in a sentence of the method."""
        if self.measuring is None:
            return "One CPU: nothing is pinned, and the probe takes time from what it measures."
        return f"The probe is pinned to CPU {self.measuring}, every peer to CPU {self.measured}."


def machine_facts() -> dict[str, object]:
    """Return what a reader must know of this machine and this moment; load is the average of the last minute."""
    models = [line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")]
    return {
        "taken": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "cpu": models[0] if models else "unknown",
        "cpus": len(os.sched_getaffinity(0)),
        "load": os.getloadavg()[0],
        "python": platform.python_version(),
        "netlb": netlb.__version__,
    }


def machine_facts_after(before: dict[str, object]) -> dict[str, object]:
    """Return the facts from before a run with the load after it, and whether others may have disturbed the run.

    A benchmark alone keeps fewer processes busy than there are CPUs; with more, somebody waited.
    """
    after = os.getloadavg()[0]
    calm = max(after, float(str(before["load"]))) <= len(os.sched_getaffinity(0))
    return {**before, "load_after": after, "calm": "yes" if calm else "no, what is slowest is the load's doing"}


def debian_version(package: str) -> str:
    """Return the version of an installed Debian package, or "unknown"."""
    query = shutil.which("dpkg-query")
    if query is None:
        return "unknown"
    command = [query, "--show", "--showformat=${Version}", package]
    return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout or "unknown"


def _lines(path: str) -> list[str]:
    return Path(path).read_text().splitlines()
