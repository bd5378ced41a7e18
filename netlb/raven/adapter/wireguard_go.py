"""WireGuard beside the kernel: a wireguard-go that is started once and outlives us, spoken to through its socket."""

import asyncio
import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from netlb.errors import DataplaneError, NetlbError, TransientError
from netlb.raven.adapter.links import Link, NetLink
from netlb.raven.backend import Choice
from netlb.raven.uapi import END, GET, AnswerError, answer_to_get, answer_to_set, request_to_set
from netlb.raven.wireguard import DeviceDump, Write

__all__ = ["PROGRAM", "SOCKETS", "Userspace", "missing"]

PROGRAM: Final = "wireguard-go"
SOCKETS: Final = Path("/var/run/wireguard")
"""Where every implementation of WireGuard beside the kernel has its socket; it cannot be told another place."""
_TUN: Final = Path("/dev/net/tun")
_PATIENCE: Final = 10.0
"""Seconds for a program that is started, or ends, or answers."""
_ENDING: Final = 1.0
"""Seconds after which a program without a link of its own here is one that has it elsewhere."""


def missing() -> str | None:
    """Return what keeps wireguard-go from working here; None if nothing does."""
    if shutil.which(PROGRAM) is None:
        return f"{PROGRAM} is not installed"
    if not _TUN.exists():
        return f"there is no {_TUN}"
    return None


class Userspace(NetLink):
    """The socket of a wireguard-go (a `Socket`).

    It is started in a session of its own and puts itself into the background, so it stays when we end; the next
    process finds its device. It ends when its link is removed. While we are connected we hear at once that it ended.
    """

    choice: Final = Choice.USERSPACE
    kind: Final = "tun"

    def __init__(self, device: str) -> None:
        super().__init__(device)
        self._lost: Callable[[], None] = lambda: None
        self._connection: _Connection | None = None
        self._turn = asyncio.Lock()

    def watch(self, lost: Callable[[], None]) -> None:
        """See `Socket`."""
        self._lost = lost

    async def make(self) -> None:
        """Start it. A socket that a killed one left is replaced by wireguard-go itself."""
        if not await self._ended():
            raise NetlbError(
                f"{self.device}: another network namespace has a {PROGRAM} of this name; name the device differently"
            )
        if problem := missing():
            raise NetlbError(f"{self.device}: {problem}; install it, or choose another backend")
        # It would log to what it is started with for as long as it lives: to nobody, since readers may end before it.
        process = await asyncio.create_subprocess_exec(
            PROGRAM,
            self.device,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
            env={"PATH": os.environ.get("PATH", os.defpath), "LOG_LEVEL": "silent"},
        )
        try:
            async with asyncio.timeout(_PATIENCE):
                code = await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise TransientError(f"{self.device}: {PROGRAM} does not start within {_PATIENCE:.0f} s") from None
        if code:
            raise TransientError(f"{self.device}: {PROGRAM} does not start; `{PROGRAM} -f {self.device}` says why")

    async def dump(self) -> DeviceDump | None:
        """See `Socket`."""
        answer = await self._ask(GET)
        if answer is None:
            return None
        with self._understanding():
            dump, errno = answer_to_get(answer)
        if dump is None:
            raise DataplaneError(f"read {self.device}", errno)
        return dump

    async def write(self, write: Write) -> None:
        """See `Socket`."""
        answer = await self._ask(request_to_set(write))
        if answer is None:
            raise TransientError(f"{self.device}: {PROGRAM} ended")
        with self._understanding():
            errno = answer_to_set(answer)
        if errno:
            raise DataplaneError(f"write to {self.device}", errno)

    async def remove(self, link: Link) -> None:
        """Remove the link, and wait until wireguard-go has ended of it: it would be in the way of the next one."""
        async with self._turn:
            connection = await self._connect()
            if connection is None:
                await self.delete_link(link)
                return
            connection.expected = True
            try:
                async with asyncio.timeout(_PATIENCE):
                    await self.delete_link(link)
                    await connection.ended.wait()
            except TimeoutError:
                raise TransientError(f"{self.device}: {PROGRAM} does not end") from None
            finally:
                await self.close()

    async def close(self) -> None:
        """See `Socket`."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.expected = True
            connection.close()

    async def _ended(self) -> bool:
        """Whether no wireguard-go has the name; one whose link was removed ends a moment later."""
        async with self._turn:
            connection = await self._connect()
            if connection is None:
                return True
            connection.expected = True
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_ENDING):
                    await connection.ended.wait()
            await self.close()
            return connection.ended.is_set()

    async def _ask(self, request: bytes) -> bytes | None:
        """Return the answer; None if nobody answers."""
        async with self._turn:
            connection = await self._connect()
            if connection is None:
                return None
            answered = False
            try:
                async with asyncio.timeout(_PATIENCE):
                    answer = await connection.ask(request)
                answered = True
            except TimeoutError:
                raise TransientError(f"{self.device}: {PROGRAM} does not answer") from None
            finally:
                if not answered:
                    await self.close()  # an answer that comes late would be taken for that to the next request
            return answer

    async def _connect(self) -> "_Connection | None":
        if self._connection is None or self._connection.ended.is_set():
            path = str(SOCKETS / f"{self.device}.sock")
            loop = asyncio.get_running_loop()
            try:
                _, self._connection = await loop.create_unix_connection(lambda: _Connection(self._gone), path)
            except OSError:
                self._connection = None
        return self._connection

    def _gone(self) -> None:
        self._connection = None
        self._lost()

    @contextlib.contextmanager
    def _understanding(self) -> Iterator[None]:
        try:
            yield
        except AnswerError as error:
            raise NetlbError(f"{self.device}: what {PROGRAM} answers is not understood: {error}") from error


class _Connection(asyncio.Protocol):
    """One connection, on which one request is out at a time."""

    def __init__(self, gone: Callable[[], None]) -> None:
        self.ended = asyncio.Event()
        self.expected = False
        self._gone = gone
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[bytes | None] | None = None
        self._read = bytearray()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._read += data
        if self._read.endswith(END):
            self._tell(bytes(self._read))

    def connection_lost(self, _: Exception | None) -> None:
        self.ended.set()
        self._tell(None)
        if not self.expected:
            self._gone()

    async def ask(self, request: bytes) -> bytes | None:
        """Return the answer; None if the connection ends."""
        assert self._transport is not None
        self._read.clear()
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _tell(self, answer: bytes | None) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(answer)
