"""A whole speaker on a node of the lab that follows the double: what it takes, and how soon it does what it is told."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from benchmarks.bench_daemons import is_ready
from benchmarks.harness.processes import cpu_nanoseconds, ended, family
from benchmarks.harness.watchers import WatcherError, watching
from benchmarks.watch.objects import LOCAL, NODE, address, endpoints, service
from netlb.testing.lab import Host, Lab

__all__ = [
    "KINDS",
    "Changes",
    "Server",
    "Speaker",
    "Sync",
    "followed",
    "measure_creation",
    "measure_speaker",
    "read_once",
]

_PROGRAMS: Final = Path(__file__).parent
_PATIENCE: Final = 600.0  # seconds: kr8s takes its time, on a busy machine more so
_GAP: Final = (0.15, 0.25)  # seconds between two changes
_IDLE: Final = 20.0  # seconds for which an idle speaker is watched
_QUIET: Final = 0.02
"""Of one CPU: what takes less has done all that it had to do."""
_BURST: Final = 10**6
KINDS: Final = ("the Service gets its address", "its endpoint becomes ready")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sync:
    """One reading of the whole cluster."""

    seconds: float
    cpu_seconds: float
    objects: int
    before_bytes: int
    after_bytes: int
    peak_bytes: int


@dataclass(slots=True, kw_only=True)
class Speaker:
    """What a speaker took."""

    ready_seconds: float = 0.0
    steady_bytes: int = 0
    peak_bytes: int = 0
    others_bytes: list[int] = field(default_factory=list)
    """Of its other processes."""
    idle_cpu: float = 0.0
    """Of one CPU, all its processes."""


@dataclass(slots=True, kw_only=True)
class Changes:
    """Milliseconds from an event on the socket to the gratuitous frame on the wire."""

    single: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    burst: list[float] = field(default_factory=list)
    """Of each of many changes at once, from its own event."""
    burst_events_ms: float = 0.0
    """Until the API server had sent the last one."""
    burst_all_ms: float = 0.0
    """From the first event to the last frame."""
    created: list[float] = field(default_factory=list)
    """From before a Service is created until it is answered for."""

    def as_json(self) -> dict[str, object]:
        """Return it in the form of the results file."""
        return asdict(self)


class Server:
    """The double, in a host of the lab."""

    def __init__(self, process: subprocess.Popen[str], host: Host, kubeconfig: Path) -> None:
        self._process = process
        self.host = host
        self.kubeconfig = kubeconfig
        self.port = int(kubeconfig.read_text().partition("server: http://")[2].split()[0].rpartition(":")[2])

    def put(self, *bodies: Mapping[str, Any]) -> None:
        """Create or replace objects, all of them in one go."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(bodies) + "\n")
        self._process.stdin.flush()
        if self._process.stdout.readline() != "done\n":
            raise WatcherError("the double of the API server does not answer")


@contextlib.contextmanager
def followed(host: Host, directory: Path, services: int) -> Iterator[Server]:
    """Run the double with a whole cluster in it."""
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "benchmarks.watch.server",
        directory,
        str(host.ipv4),
        str(services),
    ]
    with ended(host.popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise WatcherError("the double of the API server did not start")
        yield Server(process, host, directory / "kubeconfig")


def read_once(host: Host, server: Server, peer: str) -> Sync:
    """Let one program read all Services and EndpointSlices, in a process of its own."""
    command: list[str | Path] = [sys.executable, "-m", "benchmarks.watch.sync", peer, server.kubeconfig]
    return Sync(**json.loads(host.run(command, timeout=_PATIENCE).stdout))


def measure_speaker(
    node: Host, directory: Path, server: Server, services: int, *, rounds: int, random: Random
) -> tuple[Speaker, Changes]:
    """Start a speaker, leave it alone, change one Service after the other, and then all that are its own at once."""
    found, changes = Speaker(), Changes()
    many = list(range(0, services, LOCAL))
    marks: list[tuple[str, str, str]] = []
    with (
        watching(server.host, _PROGRAMS / "sniff.py", "eth0", server.port) as watcher,
        speaking(node, directory, server, found) as pids,
    ):
        for number in range(rounds):
            one = random.choice(many)
            for turn, kind in enumerate(KINDS):
                mark = f"mark-{2 * number + turn}"
                server.put(endpoints(one, ready=False) if turn else service(one, held=False))
                time.sleep(random.uniform(*_GAP))
                server.put(endpoints(one, mark=mark) if turn else service(one, mark=mark))
                time.sleep(random.uniform(*_GAP))
                marks.append((mark, address(one), kind))
        server.put(*(service(one, held=False) for one in many))
        settle(pids)
        server.put(*(service(one, mark=f"mark-{_BURST + one}") for one in many))
        settle(pids)
        found.peak_bytes = _memory(pids[0], "VmHWM")
        said = watcher.finish()
    for mark, held, kind in marks:
        changes.single[kind].append(_until_frame(said, mark, held))
    changes.burst = [_until_frame(said, f"mark-{_BURST + one}", address(one)) for one in many]
    sent = [said["events"][f"mark-{_BURST + one}"] for one in many]
    changes.burst_events_ms = (max(sent) - min(sent)) / 1e6
    ends = [when / 1e6 + late for when, late in zip(sent, changes.burst, strict=True)]
    changes.burst_all_ms = max(ends) - min(sent) / 1e6
    return found, changes


def measure_creation(lab: Lab, directory: Path, server: Server, first: int, rounds: int) -> list[float]:
    """Create Services that the speaker's node is to announce, with both daemons; return milliseconds to the answer."""
    asker = lab.clients["client-2"]
    controller = [str(Path(sys.executable).with_name("netlb-controller")), "--source", f"kube:{server.kubeconfig}"]
    controller += ["--namespace", "netlb-system", "--leader-election", "off", "--log-level", "warning"]
    asking: list[str | Path] = [sys.executable, "-I", "-S", _PROGRAMS / "create.py", "eth0", asker.mac, str(asker.ipv4)]
    asking += [f"{server.host.ipv4}:{server.port}", "bench"]
    found: list[float] = []
    with (
        speaking(lab.nodes[NODE], directory, server, Speaker()),
        ended(server.host.popen([*controller, "--http", f"unix:{directory / 'controller'}"])) as process,
    ):
        _await_ready(process, directory / "controller")
        settle(family(process.pid))
        with ended(asker.popen(asking, stdin=subprocess.PIPE, stdout=subprocess.PIPE)) as asker_process:
            assert asker_process.stdin is not None
            assert asker_process.stdout is not None
            if asker_process.stdout.readline() != "ready\n":
                raise WatcherError("nobody asks")
            for number in range(first, first + rounds * LOCAL, LOCAL):
                created = service(number, held=False)
                created["metadata"]["annotations"] = {"netlb.io/addresses": address(number)}
                del created["status"]
                asker_process.stdin.write(json.dumps([created, endpoints(number), address(number)]) + "\n")
                asker_process.stdin.flush()
                took = json.loads(asker_process.stdout.readline())
                if took is None:
                    raise WatcherError(f"nobody answers for {address(number)}")
                found.append(took / 1e6)
    return found


@contextlib.contextmanager
def speaking(node: Host, directory: Path, server: Server, found: Speaker) -> Iterator[list[int]]:
    """Run a speaker; what it takes from its start until it has been idle is found out first. Gives its processes."""
    http = directory / "speaker"
    command = [str(Path(sys.executable).with_name("netlb-speaker")), "--source", f"kube:{server.kubeconfig}"]
    command += ["--node-name", NODE, "--interface", "eth0", "--liveness", "static", "--log-level", "warning"]
    command += ["--state-dir", str(directory / "state"), "--http", f"unix:{http}"]
    begin = time.monotonic()
    with ended(node.popen(command)) as process:
        _await_ready(process, http)
        found.ready_seconds = time.monotonic() - begin
        pids = family(process.pid)
        settle(pids)
        found.steady_bytes, *found.others_bytes = (_memory(pid, "VmRSS") for pid in pids)
        found.idle_cpu = _share(pids, _IDLE)
        yield pids


def settle(pids: list[int]) -> None:
    """Wait until processes have little to do, at the latest for a minute."""
    for _ in range(30):
        if _share(pids, 2.0) < _QUIET:
            return


def _await_ready(process: subprocess.Popen[str], http: Path) -> None:
    end = time.monotonic() + _PATIENCE
    while not is_ready(http):
        if process.poll() is not None or time.monotonic() > end:
            raise WatcherError(f"a daemon is not ready: {process.args!r}")
        time.sleep(0.01)  # how often it is asked: the error of what is measured


def _share(pids: list[int], seconds: float) -> float:
    """Return the share of one CPU that processes take meanwhile."""
    before, begin = cpu_nanoseconds(pids), time.monotonic_ns()
    time.sleep(seconds)
    return (cpu_nanoseconds(pids) - before) / (time.monotonic_ns() - begin)


def _memory(pid: int, name: str) -> int:
    """Return a line of a process's status, in bytes."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _until_frame(said: Any, mark: str, held: str) -> float:
    """Return the milliseconds from when a mark passed until the address was announced."""
    event = said["events"].get(mark)
    frame = next((when for when, claimed in said["frames"] if claimed == held and event and when >= event), None)
    if event is None or frame is None:
        raise WatcherError(f"{held} was not announced after {mark}")
    return float(frame - event) / 1e6
