"""A lab is always removed: at close, after an exception, and after its process was killed."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner

from netlb.testing.lab import Lab, LabError, LabUnavailable, labs, records, requirements, sweep
from netlb.testing.lab.__main__ import main
from netlb.testing.lab.janitor import NAMESPACES, STATE, processes_in

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(requirements()), reason="; ".join(requirements())),
]

OWNER = """
import os, sys, time
from netlb.testing.lab import Lab
with Lab(nodes=1, clients=0, name="orphan") as lab:
    node = lab.nodes["node-1"]
    sleeping = node.popen(["sleep", "600"], stdout=-3, stderr=-3)
    print(lab.name, sleeping.pid, flush=True)
    if "keep" not in sys.argv:
        time.sleep(600)
    lab.keep()
    if "crash" in sys.argv:
        os.kill(os.getpid(), 9)
"""


def wait_until(happened: Callable[[], bool], timeout: float = 60.0) -> bool:
    deadline = time.monotonic() + timeout
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.02)
    return happened()


def is_gone(lab: str) -> bool:
    return not (STATE / lab).exists() and lab not in {each.name for each in labs()}


def has_namespace(prefix: str) -> bool:
    return any(path.name.startswith(prefix) for path in NAMESPACES.iterdir())


def owns_nothing(pid: int) -> bool:
    return pid not in {lab.owner for lab in labs()}


def is_running(pid: int) -> bool:
    """Whether there is such a process; a zombie has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def owner(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-W", "error", "-c", OWNER, *arguments]
    was = signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, and inherited so, if we run under `&`
    try:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    finally:
        signal.signal(signal.SIGINT, was)


def read_owner(process: "subprocess.Popen[str]") -> tuple[str, int]:
    assert process.stdout is not None
    name, pid = process.stdout.readline().split()
    return name, int(pid)


def test_a_closed_lab_leaves_nothing() -> None:
    with Lab(nodes=1) as lab:
        pods = list(lab.pods.values())
        inside = processes_in([pods[0].namespace])
        assert len(inside) == 1
        assert not is_gone(lab.name)
        files = set(Path("/etc/netns").glob("*")) if Path("/etc/netns").exists() else set()
    assert is_gone(lab.name)
    assert not any(map(is_running, inside))
    assert not {path for path in files if lab.name in path.name}
    lab.close()


def test_an_exception_removes_the_lab() -> None:
    lab = Lab(nodes=1, clients=0)
    with pytest.raises(KeyboardInterrupt), lab:
        raise KeyboardInterrupt
    assert is_gone(lab.name)


def test_a_step_that_fails_removes_what_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise LabError("refused")

    lab = Lab(nodes=1, clients=0)
    monkeypatch.setattr("netlb.testing.lab.fabric.batches", refuse)
    with pytest.raises(LabError, match="refused"):
        lab.open()
    assert is_gone(lab.name)


def test_a_process_that_ignores_sigterm_is_killed() -> None:
    with Lab(nodes=0, clients=1, name="stubborn") as lab:
        script = "import signal; signal.signal(15, signal.SIG_IGN); print(flush=True); signal.pause()"
        process = lab.clients["client-1"].popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        lab._processes.end(patience=0.1)
    assert -signal.SIGKILL == process.returncode


def test_a_grandchild_in_a_session_of_its_own_is_ended_too() -> None:
    with Lab(nodes=0, clients=1) as lab:
        client = lab.clients["client-1"]
        client.popen(["setsid", "--fork", "sleep", "600"]).wait(60)
        assert wait_until(lambda: len(processes_in([client.namespace])) == 1)
        [pid] = processes_in([client.namespace])
    assert not is_running(pid)


def test_two_labs_live_side_by_side() -> None:
    with Lab(nodes=1) as one, Lab(nodes=1) as other:
        for lab in (one, other):
            node = lab.nodes["node-1"]
            assert [node.mac] == [answer.mac for answer in lab.clients["client-1"].who_has(node.ipv4, 0.1)]
        one.close()
        assert other.clients["client-1"].who_has(other.nodes["node-1"].ipv4, stop_after=1)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_a_killed_owners_lab_is_removed(signum: signal.Signals) -> None:
    with owner() as process:
        name, pid = read_owner(process)
        assert is_running(pid)
        process.send_signal(signum)
        process.wait(60)
        assert wait_until(lambda: is_gone(name))
    assert not is_running(pid)


@pytest.mark.parametrize("signum", [signal.SIGKILL, signal.SIGINT])
def test_an_owner_stopped_halfway_through_opening_leaves_nothing(signum: signal.Signals) -> None:
    for delay in (0.0, 0.01, 0.03, 0.05):
        with owner() as process:
            made = f"netlb-orphan.{process.pid}."
            assert wait_until(partial(has_namespace, made))
            time.sleep(delay)
            process.send_signal(signum)
            process.wait(60)
            assert wait_until(partial(owns_nothing, process.pid))


@pytest.mark.parametrize(("end", "status"), [("exit", 0), ("crash", -signal.SIGKILL)])
def test_a_kept_lab_outlives_its_owner_until_it_is_swept(end: str, status: int) -> None:
    with owner("keep", end) as process:
        name, pid = read_owner(process)
        assert status == process.wait(60)
        assert process.stdout is not None
        assert process.stdout.read() == ""  # no warning about the process that is left
    time.sleep(0.3)  # a janitor that had not been dismissed would have removed it by now
    [kept] = [lab for lab in labs() if lab.name == name]
    assert (True, False, True) == (kept.kept, kept.owned, is_running(pid))
    listed = CliRunner().invoke(main, ["list"]).output
    assert f"{name}: kept, its owner is gone" in listed
    assert f"    netlb-{name}-node-1\n" in listed
    assert f"removed {name}\n" == CliRunner().invoke(main, ["sweep", name]).output
    assert is_gone(name)
    assert not is_running(pid)


def test_a_sweep_spares_labs_that_are_owned(monkeypatch: pytest.MonkeyPatch) -> None:
    with Lab(nodes=0, clients=1, name="owned") as lab:
        mine = [record for record in labs() if record.name == lab.name]
        with monkeypatch.context() as only_mine:  # a lab that somebody keeps on this machine is not ours to remove
            only_mine.setattr(records, "labs", lambda: mine)
            assert [] == sweep()
        with pytest.raises(LabError, match=f"{lab.name} belongs to process {os.getpid()}, which still runs"):
            sweep("owned")
        assert not is_gone(lab.name)
    refused = CliRunner().invoke(main, ["sweep", "owned"])
    assert (1, "Error: no lab is called owned\n") == (refused.exit_code, refused.output)


def test_a_file_whose_owners_pid_was_reused_is_swept() -> None:
    name = f"reused.{os.getpid()}.0a1b2c"
    with Lab(nodes=0, clients=0):  # or another lab's removal may take the empty directory away in between
        (STATE / name).write_text('{"began": 1, "kept": false}')
    assert [False] == [lab.owned for lab in labs() if lab.name == name]
    assert [name] == sweep("reused")
    assert is_gone(name)


def test_a_forked_child_does_not_close_its_parents_lab(monkeypatch: pytest.MonkeyPatch) -> None:
    with Lab(nodes=0, clients=1) as lab:
        with monkeypatch.context() as in_child:
            in_child.setattr(os, "getpid", lambda: 1)
            lab.close()
        assert not is_gone(lab.name)


def test_a_machine_that_cannot_carry_a_lab_says_what_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netlb.testing.lab.lab.requirements", lambda: ["nft: the command is not found"])
    lab = Lab()
    with pytest.raises(LabUnavailable, match="no lab on this machine: nft: the command is not found"):
        lab.open()
    assert is_gone(lab.name)
