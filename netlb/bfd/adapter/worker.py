"""The process that keeps the sessions of a program, alone in its interpreter.

It is a process because peers must hear from us within fractions of a second, and a program that parses, plans or
collects garbage stands still for longer: its peers would take the node for dead. It loads the standard library only.

Nor must it keep a dead program's node alive: when the program ends, however it does, or its event loop has stood still
for too long, every peer is told that its session is taken down, and the process ends.
"""

import contextlib
import gc
import os
import select
import signal
import socket
import sys
import time
import traceback
from collections import deque
from contextlib import suppress
from typing import Final

from netlb.bfd import control
from netlb.bfd.adapter.engine import Engine
from netlb.errors import DataplaneError

__all__ = ["main"]

_LONGEST_SLEEP: Final = 0.5
_STOOD_STILL: Final = 1.5
"""Seconds between two turns of this loop after which the whole machine, or all of the node, has been asleep."""


class _HungError(Exception):
    """The program hangs."""


class Worker:
    """The loop of the process, and the requests it serves."""

    def __init__(self, channel: socket.socket, patience: float) -> None:
        self._channel = channel
        self._patience = patience
        self._engine = Engine()
        self._epoll = select.epoll()
        self._epoll.register(channel, select.EPOLLIN)
        self._watched: set[int] = set()
        self._sessions: dict[int, int] = {}
        """Discriminators by the program's numbers, and the reverse."""
        self._numbers: dict[int, int] = {}
        self._leaving: set[int] = set()
        self._outbox: deque[bytes] = deque()
        self._listening = True
        self._heard_at = self._turned_at = time.monotonic()

    def run(self) -> None:
        """Serve until the program is gone, or hangs."""
        self._tell(control.Ready())
        gc.freeze()
        while self._listening and not self._hangs():
            for fileno, _ in self._epoll.poll(self._timeout()):
                if fileno == self._channel.fileno():
                    self._read_requests()
                else:
                    self._engine.readable(fileno, time.monotonic())
            wakeup = self._engine.next_wakeup()
            if wakeup is not None and wakeup <= time.monotonic():
                self._engine.run_due(time.monotonic())
            self._tell_news()
        self._engine.abandon(time.monotonic())
        if self._listening:
            raise _HungError(f"the program's event loop stood still for more than {self._patience:g} s")

    def _timeout(self) -> float:
        wakeup = self._engine.next_wakeup()
        return _LONGEST_SLEEP if wakeup is None else min(_LONGEST_SLEEP, max(0.0, wakeup - time.monotonic()))

    def _hangs(self) -> bool:
        """Say whether the program hangs: it was silent for too long, while this process was awake."""
        now = time.monotonic()
        if now - self._turned_at > _STOOD_STILL:
            self._heard_at = now
        self._turned_at = now
        return now - self._heard_at > self._patience

    # Requests

    def _read_requests(self) -> None:
        while True:
            try:
                data = self._channel.recv(control.MOST_BYTES)
            except BlockingIOError:
                return
            except ConnectionResetError:
                data = b""
            if not data:
                self._listening = False
                return
            self._heard_at = time.monotonic()
            request = control.decode(data)
            if isinstance(request, control.Beat):
                self._tell(request)
            else:
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
        raise ValueError("not a request")

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
            self._epoll.register(fileno, select.EPOLLIN)

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
        if self._outbox:
            self._flush()

    def _tell(self, message: control.Message) -> None:
        self._outbox.append(control.encode(message))

    def _flush(self) -> None:
        try:
            while self._outbox:
                self._channel.send(self._outbox[0])
                self._outbox.popleft()
            self._epoll.modify(self._channel, select.EPOLLIN)
        except BlockingIOError:
            self._epoll.modify(self._channel, select.EPOLLIN | select.EPOLLOUT)
        except (BrokenPipeError, ConnectionResetError):
            self._listening = False


def main(descriptor: int, patience: float) -> None:
    """Be the process, with the control socket as this file descriptor.

    `patience` is for how many seconds the program may be silent.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(PermissionError):  # without CAP_SYS_NICE a busy node delays packets by milliseconds
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    with socket.socket(fileno=descriptor) as channel:
        channel.setblocking(False)
        try:
            Worker(channel, patience).run()
        except Exception as error:
            reason = str(error) if isinstance(error, _HungError) else traceback.format_exc()[-4000:]
            with suppress(OSError):
                channel.send(control.encode(control.Ending(reason)))
            sys.exit(1)
