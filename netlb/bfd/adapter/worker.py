"""The process that keeps the sessions of a program, alone in its interpreter.

It is a process because peers must hear from us within fractions of a second, and a program that parses, plans or
collects garbage stands still for longer: its peers would take the node for dead. It loads the standard library only.

It is woken for what is due and what has come in within some milliseconds together, and not for every packet: with
many peers, waking costs more than all else. Its program is heard at once.

Nor must it keep a dead program's node alive for long. When the program is dead, however it ended, or its event loop has
stood still, the process goes on for as long as its terms say (`netlb.worker`), and another program may take it over
meanwhile; then every peer is told that its session has failed, and the process ends.
"""

import gc
import select
import socket
import sys
import time
import traceback
from itertools import islice
from typing import Final

from netlb.bfd import control
from netlb.bfd.adapter.engine import Engine
from netlb.bfd.adapter.links import Links
from netlb.errors import DataplaneError
from netlb.worker.adapter.line import Line
from netlb.worker.adapter.start import begin
from netlb.worker.terms import Terms

__all__ = ["main"]

_LONGEST_SLEEP: Final = 0.5


class Worker:
    """The loop of the process, and the requests it serves."""

    def __init__(self, channel: socket.socket, terms: Terms) -> None:
        self._epoll = select.epoll()
        """The line's sockets, and the one for links; `_all` has those of the sessions too."""
        self._all = select.epoll()
        self._all.register(self._epoll, select.EPOLLIN)
        self._reads_at = 0.0
        """What comes in before waits in the sockets; 0: little is to be expected, and what comes is read at once."""
        self.line = Line(self._epoll, channel, terms, control.MOST_BYTES)
        self._engine = Engine()
        self._links = Links()
        self._epoll.register(self._links, select.EPOLLIN)
        self._watched: set[int] = set()
        self._sessions: dict[int, int] = {}
        """Discriminators by the program's numbers, and the reverse."""
        self._numbers: dict[int, int] = {}
        self._leaving: set[int] = set()

    def run(self) -> str:
        """Serve until the line is at its end; return why."""
        self._tell(control.Ready())
        gc.freeze()
        while (why := self.line.why_over()) is None:
            self.line.flush()
            for fileno in self._wait():
                if self.line.has(fileno):
                    self._serve_program(fileno)
                elif fileno == self._links.fileno():
                    for interface in self._links.running():
                        self._engine.link_up(interface, time.monotonic())
            self._tell_news()
        self._engine.abandon(time.monotonic())
        return why

    def _wait(self) -> list[int]:
        """Wait for what comes first; run the sessions if it is theirs, and return the others that are to be read."""
        now, wakeup = time.monotonic(), self._engine.next_wakeup()
        until = min(now + _LONGEST_SLEEP, self.line.next_wakeup())
        if wakeup is not None:
            until = min(until, wakeup)
        if self._reads_at:
            ready = _wait_for(self._epoll, min(until, self._reads_at) - now)
            came = False
        else:
            found = dict(_wait_for(self._all, until - now))
            ready = self._epoll.poll(0) if found.pop(self._epoll.fileno(), 0) else []
            came = bool(found)
        now = time.monotonic()
        if came or (wakeup is not None and wakeup <= now) or 0.0 < self._reads_at <= now:
            sessions = self._engine.sessions
            self._reads_at = now + sessions.slack if self._engine.run_due(now) or sessions.crowded else 0.0
        return [fileno for fileno, _ in ready]

    # Requests

    def _serve_program(self, fileno: int) -> None:
        data = self.line.read(fileno)
        if data is None:
            return
        match control.decode(data):
            case control.Beat(decided) as beat:
                self.line.heard(decided=decided)
                self._tell(beat)
            case control.End():
                self.line.end()
            case request:
                self._tell(self._carry_out(request))
                self._watch()

    def _carry_out(self, request: control.Message) -> control.Reply:
        now = time.monotonic()
        match request:
            case control.Add(seq, number, path, settings):
                try:
                    discriminator = self._engine.add(path, settings, now)
                except DataplaneError as error:
                    return control.Ack(seq, error.errno, error.operation)
                self._sessions[number], self._numbers[discriminator] = discriminator, number
                return control.Ack(seq, 0, "")
            case control.Change(seq, number, settings):
                self._engine.change(self._sessions[number], settings, now)
                return control.Ack(seq, 0, "")
            case control.Stop(seq, number):
                self._leaving.add(number)
                self._engine.stop(self._sessions[number], now)
                return control.Ack(seq, 0, "")
            case control.AskStatus(seq, number):
                return self._status(seq, self._sessions[number])
            case control.AskCounts(seq):
                return control.Counts(seq, {str(name): count for name, count in self._engine.sessions.counts.items()})
            case control.AskSessions(seq, start):
                kept = (self._kept(number) for number in self._sessions if number not in self._leaving)
                return control.SessionsKept(seq, tuple(islice(kept, start, start + control.MOST_KEPT)))
        raise ValueError("not a request")

    def _kept(self, number: int) -> control.Kept:
        discriminator = self._sessions[number]
        return control.Kept(
            number, self._engine.sessions.path(discriminator), self._engine.sessions[discriminator].reported
        )

    def _status(self, seq: int, discriminator: int) -> control.Status:
        session = self._engine.sessions[discriminator]
        fields: dict[str, float] = {
            "state": session.state,
            "remote_state": session.remote_state,
            "diagnostic": session.diagnostic,
            "remote_diagnostic": session.remote_diagnostic,
            "local_discriminator": session.local_discriminator,
            "remote_discriminator": session.remote_discriminator,
            "transmit_interval": session.transmit_interval,
            "detection_time": session.detection_time,
            "polling": session.polling,
            "changed_at": session.changed_at,
            "sent": session.sent,
            "unsent": self._engine.unsent[discriminator],
            "received": session.received,
            "ups": session.ups,
            "downs": session.downs,
        }
        return control.Status(seq, fields, {str(name): count for name, count in session.dropped.items()})

    def _watch(self) -> None:
        for fileno in self._engine.filenos() - self._watched:
            self._watched.add(fileno)
            self._all.register(fileno, select.EPOLLIN)

    # Messages to the program: never waited for

    def _tell_news(self) -> None:
        for discriminator, event in self._engine.take_events():
            number = self._numbers.get(discriminator)
            if number is not None and number not in self._leaving:
                self._tell(control.Happened(number, event))
        for number in [one for one in self._leaving if self._sessions[one] not in self._engine.sessions]:
            self._leaving.discard(number)
            del self._numbers[self._sessions.pop(number)]
            self._tell(control.Over(number))
        self.line.flush()

    def _tell(self, message: control.Message) -> None:
        self.line.tell(control.encode(message))


def _wait_for(epoll: select.epoll, seconds: float) -> list[tuple[int, int]]:
    """Poll for some time: by `select`, since an epoll counts in milliseconds, and would be late."""
    return epoll.poll(0) if select.select([epoll], [], [], max(0.0, seconds))[0] else []


def main(arguments: list[str]) -> None:
    """Be the process, with the arguments that `begin` takes."""
    worker = Worker(*begin(arguments))
    try:
        reason = worker.run()
    except Exception:
        reason = traceback.format_exc()[-4000:]
    worker.line.close(control.encode(control.Ending(reason)) if reason else None)
    sys.exit(1 if reason else 0)
