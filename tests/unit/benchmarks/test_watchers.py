"""Programs that watch: what they say on the loopback interface, and what is made of one that says nothing."""

import http.server
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

import benchmarks
from benchmarks.harness.watchers import ECHO, WatcherError, watching
from netlb.testing.lab import Host
from tests.support.waiting import eventually

PROGRAMS = Path(benchmarks.__path__[0])


class Here:
    """This machine, in a host's place."""

    name = "here"

    def popen(self, command: list[str | Path], **options: Any) -> "subprocess.Popen[str]":
        assert ["nice", "-n", "-20"] == command[:3]
        return subprocess.Popen(list(map(str, command[3:])), text=True, **options)


HERE = cast("Host", Here())


@pytest.fixture
def web() -> Iterator[http.server.HTTPServer]:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            answered.append(self.client_address)

    answered: list[Any] = []
    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        server.answered = answered  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_requests_are_counted_when_they_have_their_answers(web: http.server.HTTPServer) -> None:
    with watching(HERE, PROGRAMS / "failover" / "request.py", "127.0.0.1", web.server_port, 2000) as watcher:
        eventually(lambda: len(web.answered) >= 5, "five requests are answered")  # type: ignore[attr-defined]
        completed = watcher.finish()
    assert 4 <= len(completed) <= len(web.answered)  # type: ignore[attr-defined]
    assert sorted(completed) == completed


def test_requests_that_are_refused_are_not_counted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with watching(HERE, PROGRAMS / "failover" / "request.py", "127.0.0.1", port, 2000) as watcher:
        assert [] == watcher.finish()


def test_each_datagram_has_the_name_of_who_answered_it() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as node:
        node.bind(("127.0.0.1", 0))
        node.settimeout(20)
        program = PROGRAMS / "bgp" / "traffic.py"
        with watching(HERE, program, "127.0.0.1", node.getsockname()[1], 4, 1000) as watcher:
            for _ in range(5):
                datagram, client = node.recvfrom(100)
                node.sendto(datagram + b"node-1", client)
            sent = watcher.finish()
    assert ["node-1"] * 5 == [who for _, who in sent[:5]]
    assert {None} >= {who for _, who in sent[5:]}
    assert sorted(at for at, _ in sent) == [at for at, _ in sent]


def test_an_echo_has_a_name_behind_it() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (
        watching(HERE, ECHO, "127.0.0.1", port, "node-1"),
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(20)
        client.connect(("127.0.0.1", port))
        client.send(b"12345678")
        assert b"12345678node-1" == client.recv(100)


def test_datagrams_that_nobody_answers_are_kept_too() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.settimeout(20)
        program = PROGRAMS / "bgp" / "traffic.py"
        with watching(HERE, program, "127.0.0.1", deaf.getsockname()[1], 4, 1000) as watcher:
            assert 8 == len(deaf.recv(100))
            assert {None} == {who for _, who in watcher.finish()}


@pytest.mark.parametrize(
    ("text", "problem"),
    [("print('never')", "did not begin to watch"), ("print('ready', flush=True); print('no JSON')", "Expecting value")],
)
def test_a_program_that_does_not_tell_is_no_measurement(tmp_path: Path, text: str, problem: str) -> None:
    program = tmp_path / "program.py"
    program.write_text(text)
    with pytest.raises(WatcherError, match=problem), watching(HERE, program) as watcher:
        watcher.finish()


def test_programs_of_the_standard_library_alone_load_nothing_else() -> None:
    for path in ("failover/ask.py", "failover/request.py", "bgp/traffic.py", "bgp/monitor.py", "bgp/feed_exabgp.py"):
        command = [sys.executable, "-I", "-S", "-c", f"import runpy; runpy.run_path({str(PROGRAMS / path)!r})"]
        assert 0 == subprocess.run(command, check=False).returncode, path
