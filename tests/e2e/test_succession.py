"""The speaker dies, and its responder and BFD go on: for the next speaker if one comes in time, and for nobody if not."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from netlb.l2.election import owner
from tests.manifests import advertisement, native, pool, service
from tests.support.cluster import Cluster
from tests.support.daemons import Daemon
from tests.support.steady import SteadyAsker
from tests.support.waiting import eventually

pytestmark = pytest.mark.root

ADDRESSES = ("192.168.122.90", "192.168.122.91", "fd00:122::90", "fd00:122::91")
LONG, SHORT = "60", "5"
"""Seconds for which an orphan goes on: more than a restart takes on a busy machine, and no more than must be."""
PATIENT = 100
"""Packets that others may miss: longer than it takes to start a process on a busy machine."""


class Segment:
    """Three nodes that watch each other and share addresses; one of them is tried."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self.names = list(cluster.lab.nodes)
        owned = {name: [a for a in ADDRESSES if owner(a, self.names) == name] for name in self.names}
        self.tried = max(self.names, key=lambda name: len(owned[name]))
        self.owned = owned[self.tried]
        self.mac = cluster.lab.nodes[self.tried].mac
        self.speakers: dict[str, Daemon] = {}
        self.doubted: list[str] = []
        """What others said when it was started."""

    def start(self, name: str, grace: str = LONG, *arguments: str) -> Daemon:
        """Start a node's speaker."""
        options = ("--orphan-grace", grace, "--worker-dir", str(self.folder / name))
        self.speakers[name] = self.cluster.speaker(name, *options, *arguments, patient=True)
        return self.speakers[name]

    def begin(self, grace: str = LONG, *, multiplier: int = 3) -> Daemon:
        """Start everything; return the speaker that is tried when all are heard and answer.

        The nodes miss each other after that many packets of 100 ms.
        """
        self.cluster.write_nodes(watched=True)
        self.cluster.write("pool.yaml", pool("some", *ADDRESSES, bfdProfile="some"), advertisement())
        profile = {"transmitInterval": 100, "receiveInterval": 100, "detectMultiplier": multiplier}
        self.cluster.write("profile.yaml", native("BFDProfile", "some", **profile))
        for number in (1, 2):
            families = {"ipFamilies": "[IPv4, IPv6]", "ipFamilyPolicy": "RequireDualStack"}
            self.cluster.write(f"web-{number}.yaml", service(f"web-{number}", **families))
            self.cluster.write_endpoints(f"web-{number}")
        self.cluster.controller()
        for name in self.names:
            self.start(name, grace)
        for speaker in self.speakers.values():
            self.cluster.await_ready(speaker)
        eventually(lambda: all(set(self.heard(name)) == {1.0} for name in self.names), "all are heard")
        eventually(lambda: all(self.answers(address) == [self.mac] for address in self.owned), "it answers")
        self.doubted = self.doubts()
        return self.speakers[self.tried]

    def answers(self, address: str) -> list[str]:
        return self.cluster.answerers(address, 0.2)

    def kill(self) -> None:
        """Kill the speaker that is tried, and nothing else."""
        self.speakers[self.tried].kill()
        self.speakers[self.tried].http.unlink()

    def fail(self) -> None:
        """Let the speaker that is tried end of a mistake of its own."""
        speaker = self.speakers[self.tried]
        os.kill(speaker.process.pid, signal.SIGUSR1)
        assert 1 == speaker.wait()

    def workers(self) -> list[int]:
        """Return its responder and its BFD process, whoever they work for."""
        return sorted(self.cluster.responders(self.tried))

    def process(self, room: str) -> int:
        """Return the one of them that serves a room: l2 or bfd."""
        wanted = f"netlb.{room}.adapter.worker"
        [found] = [pid for pid in self.workers() if wanted in Path(f"/proc/{pid}/cmdline").read_text()]
        return found

    def heard(self, name: str) -> list[float]:
        """Return for each other node whether a node hears it."""
        return self.counts(name, "netlb_speaker_node_alive") or [0.0]

    def counts(self, name: str, metric: str) -> list[float]:
        page = self.speakers[name].get("/metrics")
        lines = page.text.splitlines() if page is not None else []
        return [float(line.split()[-1]) for line in lines if line.startswith(f"{metric}{{")]

    def misses(self) -> list[float]:
        """Return how often a session with another node failed, as each of the others says."""
        others = [name for name in self.names if name != self.tried]
        return [count for name in others for count in self.counts(name, "netlb_bfd_session_down_events_total")]

    def doubts(self) -> list[str]:
        """Return what others have ever said of this one but that it is heard and ready."""
        others = [self.speakers[name] for name in self.names if name != self.tried]
        lines = [line for other in others for line in other.lines(f"node={self.tried}")]
        return [line for line in lines if "ready=True" not in line]


@pytest.fixture
def segment(cluster: Cluster) -> Iterator[Segment]:
    folder = Path(tempfile.mkdtemp(prefix="netlb-", dir="/tmp"))  # a socket's path must be short
    made = Segment(cluster, folder)
    try:
        yield made
        assert not any(speaker.stop() for speaker in made.speakers.values() if speaker.running())
        assert [] == [pid for name in made.names for pid in cluster.responders(name)]
        assert [] == list(folder.rglob("*.sock"))
    finally:
        for speaker in made.speakers.values():
            if speaker.running():
                speaker.kill()
        for name in made.names:
            for pid in cluster.responders(name):  # of a test that failed
                os.kill(pid, signal.SIGKILL)
        shutil.rmtree(folder)


@pytest.mark.parametrize("ended", ["killed", "failed"])
def test_a_speaker_that_dies_and_is_started_again_costs_no_answer(segment: Segment, ended: str) -> None:
    speaker = segment.begin(multiplier=PATIENT)
    workers = segment.workers()
    assert 2 == len(workers)
    with SteadyAsker(segment.cluster.client, segment.owned) as asker:
        asker.await_more(300)  # longer than from one round of a burst to the next
        asker.await_quiet()
        for _ in range(2):
            segment.kill() if ended == "killed" else segment.fail()
            asker.await_more(100)
            speaker = segment.start(segment.tried)
            segment.cluster.await_ready(speaker)
            asker.await_more(300)
    assert {(segment.mac,): len(asker.asked)} == asker.answers
    assert [] == asker.unasked
    assert workers == segment.workers()
    assert 2 == len(speaker.lines("earlier speaker", "taken over"))
    assert {0.0} == set(segment.misses())
    assert segment.doubted == segment.doubts()


def test_a_speaker_that_stands_still_costs_no_answer(segment: Segment) -> None:
    speaker = segment.begin(multiplier=PATIENT)
    workers = segment.workers()
    with SteadyAsker(segment.cluster.client, segment.owned) as asker:
        asker.await_more(100)
        os.kill(speaker.process.pid, signal.SIGSTOP)
        asker.await_more(300)
        os.kill(speaker.process.pid, signal.SIGCONT)
        asker.await_more(100)
    assert {(segment.mac,): len(asker.asked)} == asker.answers
    assert workers == segment.workers()
    assert {0.0} == set(segment.misses())
    assert segment.doubted == segment.doubts()


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["dead", "frozen"])
def test_what_nobody_takes_over_is_another_nodes_soon_after_its_time(segment: Segment, how: signal.Signals) -> None:
    speaker = segment.begin(SHORT, multiplier=PATIENT)
    workers = segment.workers()
    others = {host.mac for name, host in segment.cluster.lab.nodes.items() if name != segment.tried}

    def taken() -> bool:
        return {each.stations for each in asker.asked[-20:]} <= {(mac,) for mac in others}

    with SteadyAsker(segment.cluster.client, segment.owned) as asker:
        asker.await_more(100)
        killed_at = time.monotonic()
        os.kill(speaker.process.pid, how)
        asker.await_more(100)
        eventually(taken, "others answer", within=60)
        eventually(lambda: not set(workers) & set(segment.workers()), "what it has left is gone")
        asker.await_more(100)
    stations = [each.stations for each in asker.asked]
    last = max(at for at, found in enumerate(stations) if segment.mac in found)
    first = min(at for at, found in enumerate(stations) if others & set(found))
    apart = asker.asked[first].at - asker.asked[last].at
    assert abs(apart) < float(SHORT), "nobody answers, or two do, for as long as a busy machine takes at most"
    assert killed_at + float(SHORT) / 2 < asker.asked[last].at
    if how is signal.SIGSTOP:
        os.kill(speaker.process.pid, signal.SIGCONT)
        eventually(lambda: all(segment.answers(each) == [segment.mac] for each in segment.owned), "it is back")
    else:
        speaker.wait()
        speaker.http.unlink()


@pytest.mark.parametrize("frozen", [0, 1], ids=["responder or BFD", "BFD or responder"])
def test_a_successor_sees_off_what_hangs_and_all_that_goes_with_it(segment: Segment, frozen: int) -> None:
    segment.begin()
    workers = segment.workers()
    segment.kill()
    os.kill(workers[frozen], signal.SIGSTOP)
    speaker = segment.start(segment.tried)
    segment.cluster.await_ready(speaker)
    eventually(lambda: all(segment.answers(each) == [segment.mac] for each in segment.owned), "it answers")
    assert speaker.lines("earlier speaker", "replaced")
    assert not set(workers) & set(segment.workers())
    assert 2 == len(segment.workers())


@pytest.mark.parametrize("room", ["l2", "bfd"])
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["dies", "hangs"])
def test_an_orphan_that_dies_or_hangs_takes_the_other_along(segment: Segment, how: signal.Signals, room: str) -> None:
    segment.begin()
    other = segment.process("bfd" if room == "l2" else "l2")
    tried = segment.process(room)
    segment.kill()
    assert {tried, other} == set(segment.workers())
    os.kill(tried, how)
    eventually(lambda: other not in segment.workers(), "the other is gone")
    speaker = segment.start(segment.tried)
    segment.cluster.await_ready(speaker)
    eventually(lambda: all(segment.answers(each) == [segment.mac] for each in segment.owned), "it answers")


def test_a_successor_with_other_options_begins_anew(segment: Segment) -> None:
    segment.begin()
    workers = segment.workers()
    segment.kill()
    speaker = segment.start(segment.tried, LONG, "--l2-fastpath", "off")
    segment.cluster.await_ready(speaker)
    eventually(lambda: all(segment.answers(each) == [segment.mac] for each in segment.owned), "it answers")
    assert speaker.lines("earlier speaker", "replaced")
    assert not set(workers) & set(segment.workers())


def test_a_second_speaker_of_the_same_node_is_refused(segment: Segment) -> None:
    first = segment.begin()
    workers = segment.workers()
    root = segment.folder / "other"
    command = [*segment.cluster.command("speaker", "--node-name", segment.tried, "--orphan-grace", LONG)]
    command[command.index("--source") + 1] = f"dir:{segment.cluster.manifests}"
    command += ["--status-dir", str(root), "--http", "off", "--worker-dir", str(segment.folder / segment.tried)]
    ran = segment.cluster.lab.nodes[segment.tried].run(command, check=False, timeout=60)
    assert 1 == ran.returncode
    assert f"another program uses {segment.folder / segment.tried}" in ran.stdout + ran.stderr
    assert workers == segment.workers()
    assert first.running()


def test_what_was_declared_meanwhile_is_done(segment: Segment) -> None:
    segment.begin(multiplier=PATIENT)
    workers = segment.workers()
    gone, *kept = segment.owned
    segment.kill()
    left = next(name for name in ADDRESSES if name == gone)
    number = ADDRESSES.index(left) % 2 + 1
    segment.cluster.remove(f"web-{number}.yaml")
    eventually(lambda: f"web-{number}" not in segment.cluster.status.held(), "it is given back")
    eventually(lambda: [segment.mac] == segment.answers(gone), "it is answered for all the same")
    segment.cluster.await_ready(segment.start(segment.tried))
    eventually(lambda: not segment.answers(gone), "it is silent")
    assert workers == segment.workers()
    assert {0.0} == set(segment.misses())
    assert segment.doubted == segment.doubts()
    del kept


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hung"])
def test_while_there_is_no_bfd_nobody_goes_without_an_answer(segment: Segment, how: signal.Signals) -> None:
    """The others take over when they miss it, or hear the next one begin; until then it answers, and is never mute."""
    segment.begin(multiplier=PATIENT)
    responder, bfd = (segment.process(room) for room in ("l2", "bfd"))
    with SteadyAsker(segment.cluster.client, segment.owned) as asker:
        asker.await_more(100)
        os.kill(bfd, how)
        eventually(lambda: bfd not in segment.workers() and len(segment.workers()) == 2, "there is another")
        eventually(lambda: all(set(segment.heard(name)) == {1.0} for name in segment.names), "all are heard")
        eventually(lambda: all(segment.answers(each) == [segment.mac] for each in segment.owned), "it answers alone")
        asker.await_more(100)
    assert () not in asker.answers
    assert responder == segment.process("l2")


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "hung"])
def test_while_there_is_no_responder_others_are_told_and_answer(segment: Segment, how: signal.Signals) -> None:
    speaker = segment.begin(multiplier=PATIENT)
    responder, bfd = (segment.process(room) for room in ("l2", "bfd"))
    others = [segment.speakers[name] for name in segment.names if name != segment.tried]

    def told() -> list[int]:
        return [len(other.lines("node heard", f"node={segment.tried}", "ready=False")) for other in others]

    before = told()
    os.kill(responder, how)
    eventually(lambda: all(now > then for now, then in zip(told(), before, strict=True)), "it cannot answer")
    eventually(lambda: speaker.lines("responder restarted"), "there is another")
    eventually(lambda: all(segment.answers(each) == [segment.mac] for each in segment.owned), "it answers alone")
    assert bfd == segment.process("bfd")
    assert responder != segment.process("l2")
    assert {0.0} == set(segment.misses())
