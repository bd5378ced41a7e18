"""A worker's line to the program that it works for: requests come in, answers and news go out, and it may change hands.

What is said on it is the worker's own protocol. Nothing is ever waited for: a program that hangs must stop no worker.
"""

import os
import select
import socket
import time
from collections import Counter, deque
from contextlib import suppress
from typing import Final

from netlb.worker.adapter.door import MOST_BYTES, Door
from netlb.worker.beats import MOST_UNANSWERED, next_beat
from netlb.worker.leash import Leash
from netlb.worker.terms import Terms

__all__ = ["Line"]

_SUFFIX: Final = ".sock"
_CALL: Final = b'["Companion"]'


class Line:
    """Ends when it is told to, when the leash is at its end, or, among orphans, when one of them has ended.

    All of its sockets are watched for input by the epoll that it is given.
    """

    def __init__(self, epoll: select.epoll, channel: socket.socket, terms: Terms, most_bytes: int) -> None:
        self._epoll = epoll
        self._channel: socket.socket | None = channel
        self._terms = terms
        self._most_bytes = most_bytes
        self._leash = Leash(terms.patience, outlives=bool(terms.directory), now=time.monotonic())
        self._outbox: deque[bytes] = deque()
        self._full = False
        """The program takes nothing more now; it is told when it does."""
        self._companions: dict[int, socket.socket] = {}
        self._unanswered: Counter[int] = Counter()
        self._beat_at = 0.0
        self._ended: str | None = None
        self._door = Door(terms, self._watch, lambda: self._leash.orphaned) if terms.directory else None
        self._watch(channel)

    @property
    def waiting(self) -> int:
        """How many messages wait to be sent."""
        return len(self._outbox)

    def why_over(self) -> str | None:
        """Return why the worker is to end, or None; empty: it was told to."""
        if self._door is not None and self._door.told_to_end:
            return ""
        now = time.monotonic()
        if self._companions and now >= self._beat_at:
            self._beat_at = next_beat(now)
            self._call_companions()
        return self._leash.why_over(now) if self._ended is None else self._ended

    def next_wakeup(self) -> float:
        """Return when to ask that next."""
        return min(self._leash.ends_at, self._beat_at) if self._companions else self._leash.ends_at

    def has(self, fileno: int) -> bool:
        """Whether a socket that is readable is the line's."""
        of_channel = self._channel is not None and fileno == self._channel.fileno()
        return of_channel or fileno in self._companions or (self._door is not None and self._door.has(fileno))

    def read(self, fileno: int) -> bytes | None:
        """Take in what waits in one of its sockets; return a request, if it is one."""
        if self._channel is not None and fileno == self._channel.fileno():
            return self._read_request(self._channel)
        if fileno in self._companions:
            self._hear_companion(fileno)
        elif self._door is not None and self._door.has(fileno):
            channel = self._door.readable(fileno)
            if channel is not None:
                self._adopted(channel)
        return None

    def heard(self, *, decided: bool = False) -> None:
        """Take in that the program lives, as of `Leash`."""
        self._leash.heard(time.monotonic(), decided=decided)

    def end(self) -> None:
        """Take in that the program wants the worker to end."""
        self._ended = ""

    def tell(self, message: bytes) -> None:
        """Send a message as soon as `flush` can; nobody hears it while there is no program."""
        if self._channel is not None:
            self._outbox.append(message)

    def flush(self) -> None:
        """Send what the program takes now."""
        if self._channel is None or not self._outbox:
            return
        try:
            while self._outbox:
                self._channel.send(self._outbox[0])
                self._outbox.popleft()
        except BlockingIOError:
            pass
        except OSError:  # the program has closed it; what it said last, perhaps to end, is still to be read
            self._outbox.clear()
        if self._full != bool(self._outbox):
            self._full = bool(self._outbox)
            self._epoll.modify(self._channel, select.EPOLLIN | (select.EPOLLOUT if self._full else 0))

    def close(self, last_words: bytes | None = None) -> None:
        """Let go of everything; `last_words` are sent if that is possible at once."""
        if self._channel is not None:
            if last_words is not None:
                with suppress(OSError):
                    self._channel.send(last_words)
            self._channel.close()
        for companion in self._companions.values():
            companion.close()
        if self._door is not None:
            self._door.close()

    def _read_request(self, channel: socket.socket) -> bytes | None:
        try:
            data = channel.recv(self._most_bytes)
        except (BlockingIOError, ConnectionResetError):  # reset: the next call has what was said before
            return None
        except OSError:
            data = b""
        if not data:
            self._lose()
            return None
        self.heard()
        return data

    def _watch(self, sock: socket.socket) -> None:
        self._epoll.register(sock, select.EPOLLIN)

    def _lose(self) -> None:
        """Be an orphan: with the others of this program, of which none may go on without the rest."""
        if self._channel is not None:
            self._channel.close()
            self._channel = None
        self._outbox.clear()
        self._full = False
        self._leash.lost()
        if self._door is not None:
            self._join_companions()

    def _join_companions(self) -> None:
        own = self._terms.name + _SUFFIX
        for name in os.listdir(self._terms.directory):
            if not name.endswith(_SUFFIX) or name == own:
                continue
            companion = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            companion.setblocking(False)
            try:
                companion.connect(f"{self._terms.directory}/{name}")
            except FileNotFoundError:  # it has ended in order: nothing of its kind was wanted
                companion.close()
            except OSError:
                companion.close()
                self._ended = "another worker of the program that is gone had ended before"
            else:
                self._companions[companion.fileno()] = companion
                self._watch(companion)

    def _call_companions(self) -> None:
        for fileno, companion in self._companions.items():
            if self._unanswered[fileno] == MOST_UNANSWERED:
                self._ended = "another worker of the program that is gone hangs"
            self._unanswered[fileno] += 1
            with suppress(OSError):  # full, or gone: that is told elsewhere
                companion.send(_CALL)

    def _hear_companion(self, fileno: int) -> None:
        try:
            data = self._companions[fileno].recv(MOST_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._ended = "another worker of the program that is gone has ended"
        self._unanswered[fileno] = 0

    def _adopted(self, channel: socket.socket) -> None:
        for companion in self._companions.values():
            companion.close()
        self._companions.clear()
        self._unanswered.clear()
        self._channel = channel
        self._leash.adopted(time.monotonic())
