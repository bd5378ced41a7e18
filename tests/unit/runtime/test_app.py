"""The life of a daemon: how it ends, in what order, and with which exit code."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from prometheus_client import CollectorRegistry

from netlb.errors import DataplaneError, NetlbError, SettingError, TransientError
from netlb.runtime.app import App, Callback, exit_code, reporting, run
from netlb.runtime.listen import UnixListen, bind

SETTING = SettingError("--x", "is wrong", "mend it")


@pytest.fixture(autouse=True)
def logs() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as entries:
        yield entries


def daemon(services: dict[str, Callback], **more: Any) -> App:
    return App(name="netlb-test", registry=CollectorRegistry(), services=services, **more)


async def forever() -> None:
    await asyncio.Event().wait()


def raising(error: Exception) -> Callback:
    async def service() -> None:
        raise error

    return service


def noting(notes: list[str], text: str) -> Callback:
    async def callback() -> None:
        notes.append(text)

    return callback


def sending(number: signal.Signals) -> Callback:
    async def service() -> None:
        os.kill(os.getpid(), number)
        await forever()

    return service


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_in_order(number: signal.Signals) -> None:
    notes: list[str] = []

    async def worker() -> None:
        try:
            await forever()
        finally:
            notes.append("worker ends")

    on_stop = {"first": noting(notes, "withdrawn"), "second": noting(notes, "told the peers")}
    assert run(daemon({"worker": worker, "killer": sending(number)}, on_stop=on_stop)) == 0
    assert notes == ["withdrawn", "told the peers", "worker ends"]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_systemd_hears_of_start_and_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[bytes] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))

        async def service() -> None:
            heard.append(manager.recv(100))
            os.kill(os.getpid(), signal.SIGTERM)
            await forever()

        async def withdraw() -> None:
            heard.append(manager.recv(100))

        assert run(daemon({"service": service}, on_stop={"withdraw": withdraw})) == 0
    assert heard == [b"READY=1", b"STOPPING=1"]


def test_a_second_signal_does_not_lose_the_withdrawal() -> None:
    notes: list[str] = []

    async def withdraw() -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
            await asyncio.sleep(0.01)
        notes.append("withdrawn")

    assert run(daemon({"killer": sending(signal.SIGTERM)}, on_stop={"withdraw": withdraw})) == 0
    assert notes == ["withdrawn"]


def test_a_withdrawal_that_does_not_end_is_bounded(logs: list[Any]) -> None:
    app = daemon({"killer": sending(signal.SIGTERM)}, on_stop={"withdraw": forever}, stop_timeout=0.01)
    assert run(app) == 1
    assert logs[-1]["part"] == "withdraw"
    assert logs[-1]["error"] == "not finished after 0.01 seconds"


def test_a_withdrawal_that_fails_does_not_stop_the_next_one() -> None:
    notes: list[str] = []
    on_stop = {"bad": raising(TransientError("peer is gone")), "good": noting(notes, "withdrawn")}
    assert run(daemon({"killer": sending(signal.SIGTERM)}, on_stop=on_stop)) == 1
    assert notes == ["withdrawn"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (SETTING, 64),
        (DataplaneError("open packet socket", 1), 77),
        (DataplaneError("open packet socket", 13), 77),
        (DataplaneError("open packet socket", 19), 1),
        (TransientError("not there"), 1),
        (ZeroDivisionError("a bug"), 70),
    ],
)
def test_a_failed_service_stops_the_daemon_in_order(error: Exception, code: int, logs: list[Any]) -> None:
    notes: list[str] = []
    app = daemon({"good": forever, "bad": raising(error)}, on_stop={"withdraw": noting(notes, "withdrawn")})
    assert run(app) == code == exit_code(error)
    assert notes == ["withdrawn"]
    (entry,) = logs
    assert entry["part"] == "bad"
    if isinstance(error, NetlbError):
        assert entry["error"] == str(error)
        assert "exc_info" not in entry, "a fault of the surroundings has no traceback"
    else:
        assert entry["exc_info"] is error


def test_the_first_failure_decides_the_exit_code() -> None:
    app = daemon({"bad": raising(SETTING)}, on_stop={"worse": raising(ZeroDivisionError())})
    assert run(app) == 64


@pytest.mark.parametrize("cancels", [False, True])
def test_a_service_that_ends_by_itself_ends_the_daemon(cancels: bool, logs: list[Any]) -> None:
    async def leaves() -> None:
        if cancels:
            raise asyncio.CancelledError

    assert run(daemon({"leaver": leaves, "good": forever})) == 70
    assert logs[0]["part"] == "leaver"


def test_a_service_may_end_when_it_is_cancelled() -> None:
    async def polite() -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            return

    assert run(daemon({"polite": polite, "killer": sending(signal.SIGTERM)})) == 0


def test_a_service_that_fails_while_it_is_cancelled_is_reported() -> None:
    async def clumsy() -> None:
        try:
            await forever()
        finally:
            raise ZeroDivisionError

    assert run(daemon({"clumsy": clumsy, "killer": sending(signal.SIGTERM)})) == 70


def test_an_address_in_use_is_said_before_anything_starts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    notes: list[str] = []
    listen = UnixListen(tmp_path / "s")
    with bind(listen):
        assert run(daemon({"worker": noting(notes, "started")}, http=listen)) == 64
        assert listen.path.exists(), "the file belongs to the other process"
    assert notes == []
    err = capsys.readouterr().err
    assert err.startswith("netlb-test: --http: cannot listen on unix:")
    assert err.count("\n") == 1


def test_reporting_turns_an_error_into_a_line_and_a_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught, reporting("netlb-test"):
        raise SETTING
    assert caught.value.code == 64
    assert capsys.readouterr().err == "netlb-test: --x: is wrong; mend it\n"


def test_reporting_leaves_bugs_alone() -> None:
    def bug() -> Callable[[], None]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError), reporting("netlb-test"):
        bug()


@pytest.mark.parametrize("fails", [False, True])
def test_what_is_done_at_a_failure_takes_the_place_of_what_is_done_at_a_stop(fails: bool) -> None:
    notes: list[str] = []
    service = raising(TransientError("out of luck")) if fails else sending(signal.SIGTERM)
    app = daemon({"one": service}, on_stop={"it": noting(notes, "stop")}, on_failure={"it": noting(notes, "failure")})
    assert int(fails) == run(app)
    assert ["failure" if fails else "stop"] == notes
