"""The program's side of the process that keeps its sessions: start it, ask it, hear of its end, end it if it hangs.

Asking waits, for fractions of a millisecond: the process has nothing else to do, and a program that adds a session
wants to know at once whether the kernel refuses. No OSError leaves.
"""

import asyncio
import errno
import select
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import count
from typing import Final, TypeVar

from netlb.bfd import control
from netlb.bfd.sessions import SessionPath
from netlb.bfd.settings import Settings
from netlb.errors import DataplaneError, TransientError
from netlb.worker.adapter.process import WorkerProcess
from netlb.worker.beats import BEAT, MOST_UNANSWERED, next_beat
from netlb.worker.terms import Terms

__all__ = ["EngineProcess"]

_Answer = TypeVar("_Answer", bound=control.Reply)
News = control.Happened | control.Over
"""What the process tells unasked."""

_MODULE: Final = "netlb.bfd.adapter.worker"
_START_TIMEOUT: Final = 10.0
_ANSWER_TIMEOUT: Final = 0.4
_STOP_TIMEOUT: Final = 1.0


class EngineProcess:
    """One running process. It belongs to the event loop that it was started in, and beats while that turns."""

    def __init__(
        self,
        process: WorkerProcess | None,
        terms: Terms,
        *,
        on_news: Callable[[News], None],
        on_end: Callable[[str], None],
    ) -> None:
        """Take over a process, or start one: DataplaneError, or TransientError where it does not come up.

        `on_end` is called once, from the loop, with the reason in a few words or a traceback, when the process has
        ended by itself.
        """
        try:
            self._process = process or WorkerProcess.start(_MODULE, terms)
        except OSError as error:
            raise DataplaneError("start the BFD process", error.errno or errno.EIO) from error
        self.decided = not self._process.adopted
        """Whether its program knows what it wants; to be set of a process that was adopted."""
        self._channel = self._process.channel
        self._on_news = on_news
        self._on_end = on_end
        self._numbers = count(1)
        self._news: deque[News] = deque()
        self._reason = ""
        self._unanswered = 0
        self._loop = asyncio.get_running_loop()
        if process is None:
            try:
                self._await(control.Ready, _START_TIMEOUT)
            except TransientError:
                self._reap()
                raise
        self._loop.add_reader(self._channel, self._read)
        self._beat()

    @property
    def pid(self) -> int:
        """Its process ID."""
        return self._process.pid

    def add(self, session: int, path: SessionPath, settings: Settings) -> None:
        """Begin a session under a number that is not taken; DataplaneError where the kernel refuses."""
        self._carry_out(control.Add(next(self._numbers), session, path, settings))

    def change(self, session: int, settings: Settings) -> None:
        """Put other settings in force."""
        self._carry_out(control.Change(next(self._numbers), session, settings))

    def stop(self, session: int) -> None:
        """Take a session down on purpose; it is told when it is over."""
        self._carry_out(control.Stop(next(self._numbers), session))

    def status(self, session: int) -> control.Status:
        """Return how a session is."""
        return self._ask(control.AskStatus(next(self._numbers), session), control.Status)

    def counts(self) -> control.Counts:
        """Return what became of all packets that came in."""
        return self._ask(control.AskCounts(next(self._numbers)), control.Counts)

    def sessions(self) -> list[control.Kept]:
        """Return the sessions that it keeps."""
        kept: list[control.Kept] = []
        while True:
            page = self._ask(control.AskSessions(next(self._numbers), len(kept)), control.SessionsKept).sessions
            if not page:
                return kept
            kept += page

    def close(self) -> None:
        """End the process; nothing is told any more."""
        if self._channel.fileno() >= 0:
            with suppress(OSError):  # it hangs, or is gone
                self._channel.send(control.encode(control.End()))
            self._disconnect()
            self._reap()

    def leave(self) -> None:
        """Let go of the process: it goes on for as long as its terms say that it does without a program."""
        if self._channel.fileno() >= 0:
            self._disconnect()
            self._process.let_go()

    def _carry_out(self, request: control.Request) -> None:
        ack = self._ask(request, control.Ack)
        if ack.errno:
            raise DataplaneError(ack.operation, ack.errno)

    def _ask(self, request: control.Request, kind: type[_Answer]) -> _Answer:
        if self._channel.fileno() < 0:
            raise TransientError("the BFD process is not running")
        try:
            self._channel.send(control.encode(request))
            reply = self._await(kind, _ANSWER_TIMEOUT)
        except OSError as error:
            self._end()
            raise TransientError("the BFD process is gone") from error
        except TransientError:
            self._process.kill()
            self._end()
            raise
        if reply.seq != request.seq:
            raise TypeError(f"answer {reply.seq} to request {request.seq}")
        if self._news:
            self._loop.call_soon(self._tell)
        return reply

    def _await(self, kind: type[_Answer] | type[control.Ready], seconds: float) -> _Answer:
        """Wait for a message of this kind; what else comes in is told later."""
        deadline = time.monotonic() + seconds
        while True:
            with select.epoll() as waiting:
                waiting.register(self._channel, select.EPOLLIN)
                if not waiting.poll(max(0.0, deadline - time.monotonic())):
                    raise TransientError(f"the BFD process does not answer within {seconds:g} s")
            message = self._receive()
            if message is None:
                raise TransientError(f"the BFD process is gone {self._reason}".strip())
            if isinstance(message, kind):
                return message  # type: ignore[return-value] # of two kinds, one is Ready
            self._take(message)

    def _receive(self) -> control.Message | None:
        """Return the next message, or None at the end."""
        try:
            data = self._channel.recv(control.MOST_BYTES)
        except ConnectionResetError:
            data = b""
        self._unanswered = 0
        return control.decode(data) if data else None

    def _take(self, message: control.Message) -> None:
        match message:
            case control.Happened() | control.Over():
                self._news.append(message)
            case control.Beat():
                pass
            case control.Ending(reason):
                self._reason = reason
            case _:
                raise TypeError(f"the BFD process sent {type(message).__name__}")

    def _read(self) -> None:
        try:
            while True:
                message = self._receive()
                if message is None:
                    self._tell()
                    self._end()
                    return
                self._take(message)
        except BlockingIOError:
            self._tell()

    def _tell(self) -> None:
        while self._news:
            self._on_news(self._news.popleft())

    def _beat(self) -> None:
        if self._unanswered == MOST_UNANSWERED:
            self._reason = f"the BFD process did not answer for {BEAT * MOST_UNANSWERED:g} s, and was killed"
            self._process.kill()
            return  # its end is told by the socket
        self._unanswered += 1
        with suppress(OSError):  # full: it has heard enough of us; gone: that is told elsewhere
            self._channel.send(control.encode(control.Beat(self.decided)))
        self._beating = self._loop.call_at(next_beat(self._loop.time()), self._beat)

    def _end(self) -> None:
        self._disconnect()
        ended = self._reap()
        self._loop.call_soon(self._on_end, self._reason or ended)

    def _disconnect(self) -> None:
        self._beating.cancel()
        self._loop.remove_reader(self._channel)
        self._channel.close()

    def _reap(self) -> str:
        """See the process off, which goes when its control socket closes, and is killed if it does not."""
        self._channel.close()
        if not self._process.wait(_STOP_TIMEOUT):
            self._process.kill()
            self._process.wait()
        return self._process.reap()
