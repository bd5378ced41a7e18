"""The parent's side of the responder process: start it, ask it, hear of its end, and end it when it hangs.

No OSError leaves: what the kernel refused becomes DataplaneError, and a process that is gone TransientError.
"""

import asyncio
import errno
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Any, Final, Self, TypeVar

from netlb.errors import DataplaneError, TransientError
from netlb.l2 import control
from netlb.l2.probe import ProbeTimings
from netlb.worker.adapter.process import WorkerProcess
from netlb.worker.beats import BEAT, MOST_UNANSWERED, next_beat
from netlb.worker.terms import Terms

__all__ = ["ResponderProcess"]

_Answer = TypeVar("_Answer", bound=control.Reply)
OnEvent = Callable[[control.ClaimSeen | control.Probed], None]
"""Called with what the process saw."""

_MODULE: Final = "netlb.l2.adapter.worker"
_START_TIMEOUT: Final = 10.0
_STOP_TIMEOUT: Final = 2.0
_MOST_UNANSWERED: Final = 8
"""Requests under way at once: few enough that neither end's socket buffer fills."""


class ResponderProcess:
    """One running responder process. Made by `start` or `adopt`; all of it belongs to the event loop that ran then.

    Each of the two hears the other's loop beat. A parent that stands still for longer than the patience has a process
    that ends; a process that does not answer for half a second is killed.
    """

    def __init__(self, process: WorkerProcess, on_event: OnEvent) -> None:
        loop = asyncio.get_running_loop()
        self.pid = process.pid
        self.closed: asyncio.Future[str] = loop.create_future()
        """Done when the process has ended and is reaped; the result says why in a few words or a traceback."""
        self._process = process
        self._channel = process.channel
        self._on_event = on_event
        self._ready: asyncio.Future[int] = loop.create_future()
        self._answers: dict[int, asyncio.Future[control.Reply]] = {}
        self._numbers = count(1)
        self._window = asyncio.Semaphore(_MOST_UNANSWERED)
        self._crash = ""
        self._unanswered_beats = 0
        self.decided = not process.adopted
        """Whether its program knows what it wants; to be set of a process that was adopted."""
        self._loop = loop
        self._beating: asyncio.TimerHandle | None = None
        loop.add_reader(self._channel, self._read)
        loop.add_reader(process.pidfd, self._ended)

    @classmethod
    async def start(cls, on_event: OnEvent, terms: Terms) -> Self:
        """Start the process and wait until it serves; DataplaneError where it may not open packet sockets."""
        try:
            process = WorkerProcess.start(_MODULE, terms)
        except OSError as error:
            raise DataplaneError("start the responder process", error.errno or errno.EIO) from error
        self = cls(process, on_event)
        try:
            async with asyncio.timeout(_START_TIMEOUT):
                refused = await self._ready
        except TimeoutError:
            await self.stop()
            raise TransientError(f"the responder process did not come up within {_START_TIMEOUT:.0f} s") from None
        except BaseException:
            await self.stop()
            raise
        if refused:
            await self.stop()
            raise DataplaneError("open a packet socket (it needs CAP_NET_RAW)", refused)
        self._beat()
        return self

    @classmethod
    def adopt(cls, on_event: OnEvent, process: WorkerProcess) -> Self:
        """Take over a process that another program started, with all that it holds."""
        self = cls(process, on_event)
        self._ready.set_result(0)
        self._beat()
        return self

    async def opened(self) -> tuple[tuple[int, bytes], ...]:
        """Return the open interfaces: index and MAC address."""
        return (await self._ask(control.AskOpen(next(self._numbers)), control.Opened)).interfaces

    async def set_interface(self, index: int, mac: bytes) -> None:
        """Open an interface, with nothing held on it."""
        await self._carry_out(control.SetInterface(next(self._numbers), index, mac), f"open interface {index}")

    async def accelerate(self, index: int) -> str:
        """Open the fast path of an open interface; return how it is attached. DataplaneError where it is refused.

        Of interface 0: only find out whether this process may load it.
        """
        reply = await self._ask(control.Accelerate(next(self._numbers), index), control.Accelerated)
        if reply.errno:
            raise DataplaneError(reply.how, reply.errno)
        return reply.how

    async def remove_interface(self, index: int) -> None:
        """Close an interface with all that is held on it."""
        await self._carry_out(control.RemoveInterface(next(self._numbers), index), f"close interface {index}")

    async def hold(self, index: int, addresses: tuple[bytes, ...], *, more: bool) -> dict[bytes, int]:
        """Hold addresses on an interface; return those that the kernel refused, each with its errno."""
        request = control.Hold(next(self._numbers), index, addresses, more)
        return dict((await self._carry_out(request, f"hold addresses on interface {index}")).refused)

    async def release(self, index: int, addresses: tuple[bytes, ...], *, more: bool) -> None:
        """Hold addresses on an interface no more."""
        request = control.Release(next(self._numbers), index, addresses, more)
        await self._carry_out(request, f"release addresses on interface {index}")

    async def announce(self, index: int, addresses: tuple[bytes, ...], rounds: int) -> None:
        """Send a burst of so many rounds for those of the addresses that are held on the interface."""
        request = control.Announce(next(self._numbers), index, addresses, rounds)
        await self._carry_out(request, f"announce addresses on interface {index}")

    async def probe(self, index: int, addresses: tuple[bytes, ...], timings: ProbeTimings) -> dict[bytes, int]:
        """Begin to probe addresses on an interface; return those that the kernel refused, each with its errno."""
        request = control.Probe(next(self._numbers), index, addresses, timings)
        return dict((await self._carry_out(request, f"probe addresses on interface {index}")).refused)

    async def stats(self) -> control.Stats:
        """Ask for the counters of frames."""
        return await self._ask(control.AskStats(next(self._numbers)), control.Stats)

    async def counters(self, index: int, start: int) -> control.Counters:
        """Ask for one page of the counters of addresses; an empty one ends the list."""
        return await self._ask(control.AskCounters(next(self._numbers), index, start), control.Counters)

    async def stop(self) -> None:
        """End the process: it is told to go, and killed if it does not."""
        with suppress(OSError):  # it hangs, or is gone
            self._channel.send(control.encode(control.End()))
        self._close_channel()
        try:
            async with asyncio.timeout(_STOP_TIMEOUT):
                await asyncio.shield(self.closed)
        except TimeoutError:
            self._process.kill()
            await self.closed

    def leave(self) -> None:
        """Let go of the process: it goes on for as long as its terms say that it does without a program."""
        if not self.closed.done():
            self._close_channel()
            self._loop.remove_reader(self._process.pidfd)
            self._process.let_go()

    async def _carry_out(self, request: control.Request, operation: str) -> control.Ack:
        ack = await self._ask(request, control.Ack)
        if ack.errno:
            raise DataplaneError(operation, ack.errno)
        return ack

    async def _ask(self, request: control.Request, kind: type[_Answer]) -> _Answer:
        async with self._window:
            if self.closed.done() or self._channel.fileno() < 0:
                raise TransientError("the responder process is not running")
            answer: asyncio.Future[control.Reply] = asyncio.get_running_loop().create_future()
            self._answers[request.seq] = answer
            try:
                self._channel.send(control.encode(request))
                reply = await answer
            except OSError as error:
                raise TransientError("the responder process is gone") from error
            finally:
                self._answers.pop(request.seq, None)
        if not isinstance(reply, kind):
            raise TypeError(f"{reply} answers {request}")
        return reply

    def _beat(self) -> None:
        if self._channel.fileno() < 0:
            return
        if self._unanswered_beats == MOST_UNANSWERED:
            self._crash = f"did not answer for {BEAT * MOST_UNANSWERED:g} s, and was killed"
            self._process.kill()
            return
        self._unanswered_beats += 1
        with suppress(OSError):  # full: it does not read; gone: that is told elsewhere
            self._channel.send(control.encode(control.Beat(next(self._numbers), self.decided)))
        self._beating = self._loop.call_at(next_beat(self._loop.time()), self._beat)

    def _read(self) -> bool:
        """Take one message; False if there is none."""
        try:
            data = self._channel.recv(control.MOST_BYTES)
        except BlockingIOError:
            return False
        except OSError:
            data = b""
        if not data:
            self._close_channel()
            return False
        self._unanswered_beats = 0
        self._take(control.decode(data))
        return True

    def _take(self, message: control.Message) -> None:
        match message:
            case control.Ready(refused):
                if not self._ready.done():
                    self._ready.set_result(refused)
            case control.ClaimSeen() | control.Probed() as event:
                self._on_event(event)
            case control.Crashed(text):
                self._crash = text
            case (
                control.Ack() | control.Accelerated() | control.Opened() | control.Stats() | control.Counters() as reply
            ):
                answer = self._answers.get(reply.seq)
                if answer is not None and not answer.done():
                    answer.set_result(reply)
            case request:
                raise TypeError(f"the responder process sent a request: {request}")

    def _close_channel(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
        if self._channel.fileno() >= 0:
            self._loop.remove_reader(self._channel)
            self._channel.close()
        gone = TransientError("the responder process is gone")
        unanswered: list[asyncio.Future[Any]] = [self._ready, *self._answers.values()]
        for answer in unanswered:
            if not answer.done():
                answer.set_exception(gone)
                answer.exception()  # whoever asked may have been cancelled meanwhile

    def _ended(self) -> None:
        while self._channel.fileno() >= 0 and self._read():
            pass  # what it said last is still in the socket
        self._close_channel()
        self._loop.remove_reader(self._process.pidfd)
        ended = self._process.reap()
        if not self.closed.done():
            self.closed.set_result(self._crash or ended)
