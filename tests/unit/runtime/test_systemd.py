"""What systemd hears."""

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from netlb.runtime.systemd import notify, watchdog
from tests.support.virtual_time import run


@pytest.fixture
def manager(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        yield sock


def test_it_hears_the_state(manager: socket.socket) -> None:
    notify("READY=1")
    assert manager.recv(100) == b"READY=1"


def test_an_abstract_name_works(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.bind(f"\0{tmp_path}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{tmp_path}")
        notify("STOPPING=1")
        assert sock.recv(100) == b"STOPPING=1"


@pytest.mark.parametrize("address", [None, "", "/nonexistent/notify"])
def test_without_a_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch, address: str | None) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    if address is not None:
        monkeypatch.setenv("NOTIFY_SOCKET", address)
    notify("READY=1")


@pytest.mark.parametrize(("microseconds", "expected"), [("2000000", 4), ("", 0), ("soon", 0)])
def test_the_watchdog_is_fed_twice_a_period(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch, microseconds: str, expected: int
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", microseconds)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3.5):
                await watchdog()

    run(main())
    heard = 0
    while True:
        try:
            assert manager.recv(100) == b"WATCHDOG=1"
        except BlockingIOError:
            break
        heard += 1
    assert heard == expected
