"""Our end of wireguard-go's socket, against one that answers as it is told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from netlb.errors import DataplaneError, NetlbError, SettingError, TransientError
from netlb.raven.adapter import wireguard_go, wireguard_kernel
from netlb.raven.adapter.choice import choose
from netlb.raven.adapter.wireguard_go import Userspace
from netlb.raven.backend import Choice
from netlb.raven.wireguard import DeviceDump, Write

DEVICE = "raven-wg0"


class Server:
    """Answers each request with the next of its answers, in pieces between bars; None: not at all."""

    def __init__(self, *answers: bytes | None) -> None:
        self.requests: list[tuple[int, bytes]] = []
        """The number of the connection, and what was asked on it."""
        self.ended = asyncio.Event()
        """The first connection has ended."""
        self._answers = list(answers)
        self._connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        number = self._connections
        try:
            while True:
                self.requests.append((number, await reader.readuntil(b"\n\n")))
                answer = self._answers.pop(0)
                for piece in (answer or b"").split(b"|"):
                    writer.write(piece)
                    await asyncio.sleep(0)  # so that each is received by itself
        except asyncio.IncompleteReadError:
            self.ended.set()
        finally:
            writer.close()


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(wireguard_go, "SOCKETS", tmp_path)
    return tmp_path


@asynccontextmanager
async def serving(directory: Path, *answers: bytes | None) -> AsyncIterator[tuple[Server, Userspace]]:
    server = Server(*answers)
    device = Userspace(DEVICE)
    listening = await asyncio.start_unix_server(server.serve, directory / f"{DEVICE}.sock")
    async with listening:
        try:
            yield server, device
        finally:
            await device.close()
            await asyncio.wait_for(server.ended.wait(), 30)


def test_one_connection_serves_all_requests(directory: Path) -> None:
    async def play() -> None:
        async with serving(directory, b"listen_port=7\nerrno=0\n\n", b"errno=0\n\n") as (server, device):
            assert DeviceDump(port=7) == await device.dump()
            await device.write(Write(port=8))
            assert [(1, b"get=1\n\n"), (1, b"set=1\nlisten_port=8\n\n")] == server.requests

    asyncio.run(play())


def test_an_answer_that_comes_in_pieces_is_one(directory: Path) -> None:
    async def play() -> None:
        async with serving(directory, b"listen_port=7\n|errno=0\n|\n") as (_, device):
            assert DeviceDump(port=7) == await device.dump()

    asyncio.run(play())


def test_after_a_request_without_an_answer_the_next_one_has_a_connection_of_its_own(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wireguard_go, "_PATIENCE", 0.05)

    async def play() -> None:
        losses: list[None] = []
        async with serving(directory, None, b"errno=0\n\n") as (server, device):
            device.watch(lambda: losses.append(None))
            with pytest.raises(TransientError, match="raven-wg0: wireguard-go does not answer"):
                await device.dump()
            await asyncio.wait_for(server.ended.wait(), 30)
            monkeypatch.setattr(wireguard_go, "_PATIENCE", 30.0)
            await device.write(Write(port=8))
            assert [1, 2] == [number for number, _ in server.requests]
        assert [] == losses

    asyncio.run(play())


@pytest.mark.parametrize(
    ("answer", "error", "why"),
    [
        (b"errno=-1\n\n", DataplaneError, "raven-wg0: EPERM"),
        (b"hello\n\n", NetlbError, "raven-wg0: what wireguard-go answers is not understood: line 1 is not key=value"),
    ],
)
def test_what_is_refused_or_not_understood_is_told(
    directory: Path, answer: bytes, error: type[Exception], why: str
) -> None:
    async def play() -> None:
        async with serving(directory, answer, answer) as (_, device):
            with pytest.raises(error, match=why):
                await device.dump()
            with pytest.raises(error, match=why):
                await device.write(Write(port=8))

    asyncio.run(play())


def test_nobody_answers_where_there_is_no_socket_or_a_dead_one(directory: Path) -> None:
    async def play() -> None:
        assert None is await Userspace(DEVICE).dump()
        listening = await asyncio.start_unix_server(lambda _, __: None, directory / f"{DEVICE}.sock")
        listening.close()
        await listening.wait_closed()
        assert (directory / f"{DEVICE}.sock").exists()
        assert None is await Userspace(DEVICE).dump()
        with pytest.raises(TransientError, match="raven-wg0: wireguard-go ended"):
            await Userspace(DEVICE).write(Write(port=8))

    asyncio.run(play())


def test_what_is_not_installed_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    async def no_kernel() -> str:
        return "this kernel has no WireGuard"

    monkeypatch.setattr(wireguard_kernel, "missing", no_kernel)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SettingError, match="--backend: wireguard-go is not installed; install it, or choose another"):
        asyncio.run(choose(Choice.USERSPACE, DEVICE, setting="--backend"))
    both = "--backend: this kernel has no WireGuard, and wireguard-go is not installed; install wireguard-go, or load"
    with pytest.raises(SettingError, match=both):
        asyncio.run(choose(Choice.AUTO, DEVICE, setting="--backend"))
    with pytest.raises(NetlbError, match="raven-wg0: wireguard-go is not installed"):
        asyncio.run(Userspace(DEVICE).make())
    (tmp_path / "wireguard-go").touch(0o755)
    monkeypatch.setattr(wireguard_go, "_TUN", tmp_path / "tun")
    with pytest.raises(SettingError, match=r"--backend: there is no .*/tun; install"):
        asyncio.run(choose(Choice.USERSPACE, DEVICE, setting="--backend"))


def test_one_that_does_not_start_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program = tmp_path / "wireguard-go"
    program.write_text("#!/bin/sh\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    monkeypatch.setattr(wireguard_go, "missing", lambda: None)
    with pytest.raises(
        TransientError, match="raven-wg0: wireguard-go does not start; `wireguard-go -f raven-wg0` says"
    ):
        asyncio.run(Userspace(DEVICE).make())
