"""What can befall the nodes of a cluster: each fault is begun and mended, and tells who answers meanwhile."""

import os
import random
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import Final

from netlb.testing.lab import Host
from tests.manifests import node
from tests.support.cluster import Cluster
from tests.support.daemons import Daemon
from tests.support.waiting import eventually

__all__ = ["FAULTS", "Fault", "World"]

_YEAR: Final = 365 * 86_400
_EXCLUDED: Final = "{node.kubernetes.io/exclude-from-external-load-balancers: ''}"


class World:
    """A cluster whose speakers come and go, and a stranger on its segment."""

    def __init__(self, cluster: Cluster, stranger: Host, chance: random.Random) -> None:
        self.cluster = cluster
        self.stranger = stranger
        self.chance = chance
        self.speakers: dict[str, Daemon] = {}
        self._clocks = cluster.root.parent / "clocks"
        self._clocks.mkdir()

    def start(self, name: str) -> None:
        """Start a node's speaker, with a wall clock that can be set."""
        if not self._clock(name).exists():
            self.set_clock(name, 0)
        self.speakers[name] = self.cluster.speaker(name, clock=self._clock(name))

    def set_clock(self, name: str, seconds: int) -> None:
        """Let a node's wall clock jump to so many seconds from the right time."""
        temporary = self._clocks / f".{name}"
        temporary.write_text(str(seconds))
        temporary.rename(self._clock(name))

    def _clock(self, name: str) -> Path:
        return self._clocks / name

    def host(self, name: str) -> Host:
        """Return a node."""
        return self.cluster.lab.nodes[name]

    def declare(self, name: str, labels: str = "{}") -> None:
        """Declare a node."""
        self.cluster.write(f"node-{name}.yaml", node(name, labels, addresses=self.host(name).addresses))

    def process(self, name: str, room: str) -> int:
        """Return the process of a node's speaker that serves a room: l2 or bfd."""
        return eventually(lambda: self.found(name, room), f"{name} has a process of {room}")

    def found(self, name: str, room: str) -> int | None:
        """Return it, if there is one now."""
        wanted = f"netlb.{room}.adapter.worker"
        with suppress(FileNotFoundError, ProcessLookupError):
            for pid in self.cluster.responders(name):
                if wanted in Path(f"/proc/{pid}/cmdline").read_text():
                    return pid
        return None

    def everything(self, name: str) -> list[int]:
        """Return all processes of a node's speaker."""
        return [self.speakers[name].process.pid, self.process(name, "l2"), self.process(name, "bfd")]


Fault = Callable[[World, str], AbstractContextManager[bool]]
"""Befalls a node as long as its context lasts; it says whether the node is lost to the others meanwhile."""


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)


@contextmanager
def cut(world: World, name: str) -> Iterator[bool]:
    """Its cable is pulled."""
    world.cluster.lab.cut(world.host(name))
    try:
        yield True
    finally:
        world.cluster.lab.mend(world.host(name))


@contextmanager
def lost(world: World, name: str) -> Iterator[bool]:
    """A switch in the middle fails: the link stays up."""
    world.cluster.lab.cut(world.host(name), carrier=True)
    try:
        yield True
    finally:
        world.cluster.lab.mend(world.host(name))


@contextmanager
def mute(world: World, name: str) -> Iterator[bool]:
    """A one-way link: what it sends is lost."""
    world.cluster.lab.mute(world.host(name))
    try:
        yield True
    finally:
        world.cluster.lab.mend(world.host(name))


@contextmanager
def deaf(world: World, name: str) -> Iterator[bool]:
    """A one-way link: what is sent to it is lost."""
    world.cluster.lab.deafen(world.host(name))
    try:
        yield True
    finally:
        world.cluster.lab.mend(world.host(name))


@contextmanager
def flapping(world: World, name: str) -> Iterator[bool]:
    """Its link goes down and up a few times."""
    for _ in range(world.chance.randrange(2, 6)):
        world.cluster.lab.cut(world.host(name))
        world.cluster.lab.mend(world.host(name))
    yield False


@contextmanager
def paused(world: World, name: str) -> Iterator[bool]:
    """All of it stands still, wakes up, and still believes that it owns what it did."""
    pids = world.everything(name)
    _send(pids, signal.SIGSTOP)
    try:
        yield True
    finally:
        world.chance.shuffle(pids)
        _send(pids, signal.SIGCONT)


@contextmanager
def frozen_speaker(world: World, name: str) -> Iterator[bool]:
    """The process that decides stands still for longer than others bear, and goes on."""
    pids = [world.speakers[name].process.pid]
    _send(pids, signal.SIGSTOP)
    try:
        yield True
    finally:
        _send(pids, signal.SIGCONT)


@contextmanager
def hesitating_speaker(world: World, name: str) -> Iterator[bool]:
    """The process that decides stands still for a moment."""
    pids = [world.speakers[name].process.pid]
    _send(pids, signal.SIGSTOP)
    try:
        yield False
    finally:
        _send(pids, signal.SIGCONT)


def _befalls(room: str, number: signal.Signals) -> Fault:
    @contextmanager
    def fault(world: World, name: str) -> Iterator[bool]:
        pid = world.process(name, room)
        _send([pid], number)
        eventually(lambda: not Path(f"/proc/{pid}").exists() and world.found(name, room), "another is in its place")
        yield False

    return fault


@contextmanager
def killed(world: World, name: str) -> Iterator[bool]:
    """Its speaker is killed, and started again."""
    world.speakers[name].kill()
    world.speakers[name].http.unlink()
    try:
        yield True
    finally:
        world.start(name)


@contextmanager
def stopped(world: World, name: str) -> Iterator[bool]:
    """Its speaker is stopped in order, and started again."""
    status = world.speakers[name].stop()
    assert 0 == status, f"it ended with {status}"
    try:
        yield True
    finally:
        world.start(name)


@contextmanager
def drained(world: World, name: str) -> Iterator[bool]:
    """It is excluded from load balancing, and returns."""
    world.declare(name, _EXCLUDED)
    try:
        yield True
    finally:
        world.declare(name)


@contextmanager
def declared_too_early(world: World, name: str) -> Iterator[bool]:
    """It leaves the cluster and is declared again before its speaker runs: others keep what they have until it does."""
    status = world.speakers[name].stop()
    assert 0 == status, f"it ended with {status}"
    world.cluster.remove(f"node-{name}.yaml")
    others = world.speakers.keys() - {name}
    eventually(lambda: all(name not in (world.cluster.status.node(each)["nodes"] or {}) for each in others), "it left")
    world.declare(name)
    eventually(lambda: all(name in world.cluster.status.node(each)["nodes"] for each in others), "it is expected")
    try:
        yield True
    finally:
        world.start(name)


@contextmanager
def clock_jumping(world: World, name: str) -> Iterator[bool]:
    """Its wall clock is put forward by a year, and then back by two."""
    world.set_clock(name, _YEAR)
    try:
        yield False
    finally:
        world.set_clock(name, -_YEAR)


def _copied(source: Path, target: Path) -> bool:
    """Copy a directory tree, if nobody removes a file meanwhile."""
    try:
        shutil.copytree(source, target, ignore=shutil.ignore_patterns(".*", "*.tmp"), dirs_exist_ok=True)
    except shutil.Error:
        return False
    return True


@contextmanager
def impersonated(world: World, name: str) -> Iterator[bool]:
    """Another machine believes that it is this node."""
    root = world.cluster.root / "impostor"
    root.mkdir()
    shutil.copytree(world.cluster.manifests, root / "cluster")
    eventually(lambda: _copied(world.cluster.status.root, root / "cluster.status"), "what is told is copied")
    command = [*world.cluster.command("speaker", "--node-name", name, "--interface", "eth0", http="impostor")]
    command[command.index("--source") + 1] = f"dir:{root / 'cluster'}"
    (world.cluster.root / "impostor.log").unlink(missing_ok=True)  # of another one, which was told apart
    with world.cluster.log("impostor") as log:
        process = world.stranger.popen(command, stdout=log, stderr=log, env={"TMPDIR": str(world.cluster.temporary)})
    impostor = world.cluster.enrol("impostor", process)
    try:
        eventually(lambda: impostor.lines("this is not node"), "it is told apart")
        yield False
    finally:
        status = impostor.stop()
        assert 0 == status, f"the impostor ended with {status}"
        shutil.rmtree(root)


@contextmanager
def silent_source(world: World, name: str) -> Iterator[bool]:
    """What is declared, and who holds what, is out of reach for all."""
    away = [(path, path.with_name(f"{path.name}.away")) for path in (world.cluster.manifests,)]
    for path, moved in away:
        path.rename(moved)
    try:
        yield False
    finally:
        for path, moved in away:
            moved.rename(path)


FAULTS: Final[dict[str, Fault]] = {
    "cable pulled": cut,
    "frames lost": lost,
    "mute": mute,
    "deaf": deaf,
    "link flapping": flapping,
    "machine paused": paused,
    "speaker frozen": frozen_speaker,
    "speaker hesitating": hesitating_speaker,
    "responder frozen": _befalls("l2", signal.SIGSTOP),
    "BFD frozen": _befalls("bfd", signal.SIGSTOP),
    "speaker killed": killed,
    "responder killed": _befalls("l2", signal.SIGKILL),
    "BFD killed": _befalls("bfd", signal.SIGKILL),
    "speaker restarted": stopped,
    "node drained": drained,
    "node declared early": declared_too_early,
    "clock jumping": clock_jumping,
    "two of one name": impersonated,
    "source silent": silent_source,
}
