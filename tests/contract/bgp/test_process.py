"""A gobgpd of our own: what it is given, what it survives, and that it is never left behind."""

import asyncio
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from netlb.bgp.adapter.errors import BgpError
from netlb.bgp.adapter.gobgpd import Gobgpd, check_version
from netlb.bgp.adapter.operations import Tenancy
from netlb.bgp.adapter.target import Target
from netlb.bgp.events import Event, ProcessEnded, ProcessStarted
from netlb.testing.lab import requirements
from tests.support import waiting
from tests.support.bgp import PATIENCE, STATE, RealRig, connected, kept, real_rig, without_gobgpd
from tests.support.needs import needs, needs_command
from tests.support.waiting import becomes

ROOT = Path(__file__).parents[3]


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[RealRig]:
    needs([*requirements(), *without_gobgpd()])
    with real_rig(tmp_path) as rig:
        yield rig


def program(folder: Path, script: str) -> str:
    path = folder / "gobgpd"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def of_process(pid: int, file: str) -> str:
    return Path(f"/proc/{pid}/{file}").read_text().replace("\0", " ")


def tcp_sockets() -> list[str]:
    files = (Path(f"/proc/thread-self/net/{name}").read_text() for name in ("tcp", "tcp6"))
    return [line for text in files for line in text.splitlines()[1:]]


def spawn(command: list[str]) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize(
    ("script", "problem"),
    [
        ("echo gobgpd version 2.34.0", "gobgpd version 2.34.0 speaks an API of its own; install GoBGP 3 or 4"),
        ("echo hello", "it is no gobgpd"),
        ("exit 1", "it is no gobgpd"),
    ],
)
def test_what_is_too_old_or_something_else_is_refused(tmp_path: Path, script: str, problem: str) -> None:
    with pytest.raises(BgpError, match=problem):
        check_version(program(tmp_path, script))


def test_what_is_not_there_is_refused_with_the_remedy() -> None:
    with pytest.raises(BgpError, match="not found on PATH; install it"):
        check_version("no-such-gobgpd")


@pytest.mark.parametrize("version", ["3.10.0", "4.8.0"])
def test_what_is_new_enough_is_taken(tmp_path: Path, version: str) -> None:
    path = program(tmp_path, f"echo gobgpd version {version}")
    assert path == check_version(path)


def test_a_directory_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    path = program(tmp_path, "echo gobgpd version 3.10.0")
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o750)

    async def scenario() -> None:
        async with Gobgpd(directory=shared, program=path):
            pass

    with pytest.raises(BgpError, match="chmod it to 0700"):
        asyncio.run(scenario())


def test_one_that_ends_at_once_is_told_of_with_its_words_and_started_again(tmp_path: Path) -> None:
    path = program(tmp_path, '[ "$1" = --version ] && echo gobgpd version 3.10.0 && exit; echo no luck; exit 3')
    events: list[Event] = []

    async def scenario() -> None:
        async with Gobgpd(directory=tmp_path / "own", program=path, on_event=events.append) as gobgpd:
            await becomes(lambda: gobgpd.restarts >= 3)
            assert gobgpd.restarts <= events.count(ProcessEnded("ended with status 3: no luck"))

    asyncio.run(scenario())


@pytest.mark.root
def test_it_is_given_a_private_socket_and_nothing_else(rig: RealRig, tmp_path: Path) -> None:
    directory = tmp_path / "own"
    directory.mkdir(mode=0o700)
    (directory / "api.sock").touch()  # one that was killed has left it
    lines: list[str] = []

    async def scenario() -> None:
        async with Gobgpd(directory=directory, on_log=lines.append) as gobgpd:
            pid = gobgpd.pid
            assert pid is not None
            async with kept(gobgpd.target, tenancy=Tenancy.OWN) as one:
                await one.settle(STATE)
            assert [
                shutil.which("gobgpd"),
                f"--api-hosts=unix://{directory}/api.sock",
                "--pprof-disable",
                "--log-plain",
            ] == of_process(pid, "cmdline").split()
            assert "" == of_process(pid, "environ")
            assert pid == os.getsid(pid)
            assert stat.S_IMODE(directory.stat().st_mode) == 0o700
            assert [] == tcp_sockets()  # neither pprof nor the API
        assert ended(pid)
        assert not (directory / "api.sock").exists()

    rig.run(scenario)
    assert any("Add a peer configuration" in line for line in lines)
    assert "correct horse" not in "".join(lines)


@pytest.mark.root
def test_one_that_is_killed_is_replaced(rig: RealRig, tmp_path: Path) -> None:
    events: list[Event] = []

    async def scenario() -> None:
        async with Gobgpd(directory=tmp_path / "own", on_event=events.append) as gobgpd:
            for number in range(1, 4):
                async with connected(gobgpd.target):
                    gobgpd.kill()
                    await becomes(lambda number=number: gobgpd.restarts == number and gobgpd.pid is not None)  # type: ignore[misc]
            assert 4 == len({event.pid for event in events if isinstance(event, ProcessStarted)})
            assert 3 == events.count(ProcessEnded("ended with SIGKILL"))

    rig.run(scenario)


@pytest.mark.root
def test_one_that_hangs_ends_with_the_context(rig: RealRig, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Gobgpd(directory=tmp_path / "own") as gobgpd:
            pid = gobgpd.pid
            assert pid is not None
            os.kill(pid, signal.SIGSTOP)
        assert ended(pid)

    rig.run(scenario)


@pytest.mark.root
def test_two_in_one_directory_would_take_each_others_socket(rig: RealRig, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Gobgpd(directory=tmp_path / "own") as first:
            with pytest.raises(BgpError, match="another netlb runs a gobgpd there"):
                async with Gobgpd(directory=tmp_path / "own"):
                    pass
            async with connected(first.target) as client:
                assert await client.get_bgp() is None

    rig.run(scenario)


PARENT = """
    import asyncio, sys, threading
    from pathlib import Path
    from netlb.bgp.adapter.gobgpd import Gobgpd

    async def live() -> None:
        async with Gobgpd(directory=Path(sys.argv[1])) as gobgpd:
            print(gobgpd.pid, flush=True)
            await asyncio.sleep(600)

    # Not the main thread: whoever makes a child is its parent for the kernel, and this thread did not make it.
    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    thread.join()
"""


@pytest.mark.root
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_it_ends_with_its_parent_however_that_ends(rig: RealRig, tmp_path: Path, number: signal.Signals) -> None:
    parents: list[subprocess.Popen[str]] = []

    async def scenario() -> None:
        command = [sys.executable, "-c", textwrap.dedent(PARENT), str(tmp_path / "own")]
        parents.append(spawn(command))

    rig.run(scenario)
    [parent] = parents
    try:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        assert not ended(pid)
        parent.send_signal(number)
        parent.wait(PATIENCE)
        waiting.eventually(lambda: ended(pid), f"process {pid} has ended")
    finally:
        parent.kill()
        parent.communicate()


@pytest.mark.root
def test_the_end_of_the_thread_that_asked_for_it_is_not_its_end(rig: RealRig, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with Gobgpd(directory=tmp_path / "own") as gobgpd:
            # The default executor's threads, in which the version was looked at, come and go.
            await asyncio.get_running_loop().shutdown_default_executor()
            async with connected(gobgpd.target) as client:
                assert await client.get_bgp() is None
            assert 0 == gobgpd.restarts

    rig.run(scenario)


@pytest.mark.root
def test_tls_where_the_server_has_it(rig: RealRig, tmp_path: Path) -> None:
    needs_command("openssl", "openssl")
    key, certificate, socket = tmp_path / "key.pem", tmp_path / "cert.pem", tmp_path / "tls.sock"
    request = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=gobgpd"
    subprocess.run(
        ["openssl", *request.split(), "-addext", "subjectAltName=DNS:gobgpd", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )

    async def listens() -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(socket)
        except OSError:
            return False
        writer.close()
        return True

    async def scenario() -> None:
        tls = ["--tls", f"--tls-cert-file={certificate}", f"--tls-key-file={key}"]
        command = ["gobgpd", f"--api-hosts=unix://{socket}", "--pprof-disable", *tls]
        with spawn(command) as process:
            try:
                await becomes(listens)
                target = Target(
                    address=f"unix:{socket}", root_certificates=certificate.read_bytes(), server_name="gobgpd"
                )
                async with connected(target) as client:
                    assert await client.get_bgp() is None
            finally:
                process.kill()

    rig.run(scenario)


def blocks() -> list[str]:
    """The Python in the documentation: a program, and states that another one could have."""
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "bgp.md").read_text(), re.DOTALL)


def test_the_documentations_states_can_be(tmp_path: Path) -> None:
    _, *states = blocks()
    assert states
    for text in states:
        file = tmp_path / "state.py"
        file.write_text(f"{text}\nprint(*STATE.records(), sep='\\n')\n")
        ran = subprocess.run([sys.executable, "-W", "error", str(file)], capture_output=True, text=True, check=False)
        assert (0, "") == (ran.returncode, ran.stderr)
        assert "203.0.113.10/32" in ran.stdout


@pytest.mark.root
def test_the_documentations_program_runs(rig: RealRig, tmp_path: Path) -> None:
    block, *_ = blocks()
    file = tmp_path / "program.py"
    file.write_text(block.replace("/run/netlb/bgp", str(tmp_path / "own")))
    processes: list[subprocess.Popen[str]] = []

    async def scenario() -> None:
        processes.append(spawn([sys.executable, "-W", "error", str(file)]))

    rig.run(scenario)
    [process] = processes
    output, _ = process.communicate(timeout=PATIENCE)
    assert 0 == process.returncode
    assert "192.0.2.254" in output
    assert not (tmp_path / "own" / "api.sock").exists()
