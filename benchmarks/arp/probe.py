"""The probe: compile it, run it in a client's namespace, read what it says."""

import json
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness.processes import pinned
from netlb.errors import NetlbError
from netlb.testing.lab import Host

__all__ = [
    "Flooded",
    "Isolated",
    "Probe",
    "ProbeError",
    "Windowed",
    "compile_probe",
    "parse_flooded",
    "parse_isolated",
    "parse_windowed",
]

_SOURCE = Path(__file__).parents[1] / "probe.c"
_LONGEST = 60.0  # seconds that one run of the probe may take


class ProbeError(NetlbError):
    """The probe could not run, or was answered wrongly or twice: there is no measurement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Isolated:
    """Answers to questions that were asked one at a time."""

    microseconds: list[float]
    """From the sending of each question to its right answer, in the order of the questions."""
    lost: int
    answered: int
    """With those of the warm-up, which are not in the list."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Windowed:
    """Answers while a number of questions was always outstanding."""

    per_second: float
    lost: int
    answered: int
    """With those that came after the measured time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Flooded:
    """Answers while so many questions a second were asked, whatever came back."""

    sent: int
    answered: int


@dataclass(frozen=True, slots=True)
class Probe:
    """A compiled probe and where it asks from and about."""

    program: Path
    client: Host
    cpu: int | None
    peer_mac: str
    sources: tuple[str, str]
    """The client's own address of each family on the interface."""
    interface: str = "eth0"
    addresses: int = 1
    """How many are asked for, from the one that is given; see probe.c."""
    broadcast: bool = False
    """ARP replies come to the broadcast address."""

    def ask_isolated(self, address: str, *, count: int, warmup: int, gap: int, jitter: int, timeout: int) -> Isolated:
        """Ask one question after the other, each `gap` plus up to `jitter` µs after the answer before.

        `timeout` in µs.
        """
        options = f"-n {count} -w {warmup} -g {gap} -j {jitter} -T {timeout}"
        return parse_isolated(self._run(address, options), count + warmup)

    def ask_window(self, address: str, *, window: int, duration: int, timeout: int) -> Windowed:
        """Keep `window` questions outstanding for `duration` µs; `timeout` in µs."""
        return parse_windowed(self._run(address, f"-W {window} -d {duration} -T {timeout}"))

    def ask_steadily(self, address: str, *, rate: int, duration: int, timeout: int) -> Flooded:
        """Ask `rate` questions a second for `duration` µs, and wait `timeout` µs for the last answers."""
        return parse_flooded(self._run(address, f"-R {rate} -d {duration} -T {timeout}"))

    def _run(self, address: str, options: str) -> str:
        where = ["-i", self.interface, "-s", self.sources[":" in address], "-t", address, "-m", self.peer_mac]
        more = ["-a", str(self.addresses), *(["-b"] if self.broadcast else [])]
        command = [str(self.program), *where, *options.split(), *more]
        return self.client.run(["nice", "-n", "-20", *pinned(command, self.cpu)], timeout=_LONGEST).stdout


def compile_probe(directory: Path) -> Path:
    """Compile the probe into a directory; ProbeError with the compiler's words."""
    program = directory / "probe"
    command: Sequence[str | Path] = ["cc", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-o", program, _SOURCE]
    try:
        subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    except FileNotFoundError as error:
        raise ProbeError("there is no C compiler `cc`; Debian's packages gcc and libc6-dev have one") from error
    except subprocess.CalledProcessError as error:
        raise ProbeError(f"the probe does not compile: {error.stderr.strip()}") from error
    return program


def parse_isolated(text: str, questions: int) -> Isolated:
    """Read the probe's output about isolated questions; ProbeError where no answer, or a wrong one, came."""
    said = _checked(text)
    return Isolated(
        microseconds=[nanoseconds / 1e3 for nanoseconds in said["latencies_ns"]],
        lost=questions - said["answered"],
        answered=said["answered"],
    )


def parse_windowed(text: str) -> Windowed:
    """Read the probe's output about a window of questions; ProbeError where no answer, or a wrong one, came."""
    said = _checked(text)
    return Windowed(
        per_second=said["in_time"] / (said["duration_ns"] / 1e9),
        lost=said["sent"] - said["answered"],
        answered=said["answered"],
    )


def parse_flooded(text: str) -> Flooded:
    """Read the probe's output about a steady rate of questions; ProbeError where no answer, or a wrong one, came."""
    said = _checked(text)
    return Flooded(sent=said["sent"], answered=said["answered"])


def _checked(text: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(text)
    if said["wrong"]:
        raise ProbeError(f"{said['wrong']} wrong answers of {said['sent']}, the first {said['wrong_frame']}")
    if said["surplus"]:
        raise ProbeError(f"{said['surplus']} answers that nobody waited for, to {said['sent']} questions")
    if not said["answered"] or said.get("latencies_ns") == [] or said.get("in_time") == 0:
        raise ProbeError(f"no answers in time to {said['sent']} questions")
    return said
