"""Sessions on real sockets, for any event loop: whoever has one says when a socket is readable and what time it is.

    engine = Engine()
    discriminator = engine.add(path, settings, now)
    ...                                     # watch engine.filenos() for input, after each `add`
    engine.readable(fileno, now)            # when one has some
    engine.run_due(now)                     # at engine.next_wakeup(), which every call may change; it reads all too
    for discriminator, event in engine.take_events(): ...

The standard library is all it needs. `now` is seconds of one clock that never goes back.
"""

import errno
import os
import socket
from _random import Random  # as the module `random` has it, which takes longer to load than all else here
from collections import Counter
from typing import NamedTuple

from netlb.bfd.adapter.sockets import (
    MULTIHOP_PORT,
    SINGLE_HOP_PORT,
    arrivals,
    destination,
    open_receiver,
    open_sender,
)
from netlb.bfd.events import Event
from netlb.bfd.sessions import SessionPath, Sessions
from netlb.bfd.settings import Settings
from netlb.errors import DataplaneError

__all__ = ["Engine"]


class _Receiver(NamedTuple):
    sock: socket.socket
    multihop: bool


class _Sender(NamedTuple):
    sock: socket.socket
    destination: tuple[str, int] | tuple[str, int, int, int]


class Engine:
    """The sessions of this node, their sockets, and the lots that they draw."""

    def __init__(self) -> None:
        self.sessions = Sessions(Random().random)
        """To be looked at."""
        self.unsent: Counter[int] = Counter()
        """Packets that the kernel would not send, by discriminator: no route, the link is down, the queue is full."""
        self._receivers: dict[int, _Receiver] = {}
        self._senders: dict[int, _Sender] = {}
        self._leaving: set[int] = set()

    def filenos(self) -> frozenset[int]:
        """Return the sockets to watch for input; a new family or kind of session brings another."""
        return frozenset(self._receivers)

    def add(self, path: SessionPath, settings: Settings, now: float) -> int:
        """Begin a session and return its discriminator; its first packet is due at once.

        A session that was stopped on the same path makes way; ValueError if there is another. DataplaneError where the
        kernel refuses: the port is taken, or the local address is not this node's.
        """
        earlier = self.sessions.find(path)
        if earlier in self._leaving:
            self.remove(earlier)
        self._listen(path)
        try:
            sender = open_sender(path, _random32())
        except OSError as error:
            where = socket.inet_ntop(socket.AF_INET if len(path.local) == 4 else socket.AF_INET6, path.local)
            raise DataplaneError(f"BFD from {where}: open a UDP socket", error.errno or errno.EIO) from error
        discriminator = _random32()
        while not discriminator or discriminator in self.sessions:
            discriminator = _random32()
        try:
            self.sessions.add(discriminator, path, settings, _random32(), now)
        except ValueError:
            sender.close()
            raise
        self._senders[discriminator] = _Sender(sender, destination(path))
        return discriminator

    def change(self, discriminator: int, settings: Settings, now: float) -> None:
        """Put other settings in force; KeyError if there is no such session, as below."""
        self.sessions.change(discriminator, settings, now)
        self._send()

    def link_up(self, interface: int, now: float) -> None:
        """Let the sessions of an interface that are down speak at once."""
        self.sessions.link_up(interface, now)
        self._send()

    def stop(self, discriminator: int, now: float) -> None:
        """Take a session down on purpose; it is removed when its peer knows, or has had the time to."""
        self._leaving.add(discriminator)
        self.sessions.stop(discriminator, now)
        self._send()
        self._dismiss()

    def abandon(self, now: float) -> None:
        """Tell all peers that whoever these sessions were for is gone, and close."""
        for discriminator in self.sessions:
            if discriminator not in self._leaving:
                self.sessions.abandon(discriminator, now)
        self._send()
        self.close()

    def remove(self, discriminator: int) -> None:
        """Forget a session at once: the peer sees a failure, unless the session was stopped before."""
        self.sessions.remove(discriminator)
        self._senders.pop(discriminator).sock.close()
        self._leaving.discard(discriminator)
        del self.unsent[discriminator]

    def readable(self, fileno: int, now: float) -> None:
        """Take in what waits in a socket of `filenos`."""
        self._take_in(self._receivers[fileno], now)
        self._send()
        self._dismiss()

    def next_wakeup(self) -> float | None:
        """Return when to call `run_due` next, or None while nothing is due."""
        return self.sessions.next_wakeup()

    def run_due(self, now: float) -> bool:
        """Do what the time has come for, after all that came in: nobody is dead whose packets only wait here.

        Return whether anything had come in.
        """
        came = 0
        for receiver in self._receivers.values():
            came += self._take_in(receiver, now)
        self.sessions.due(now)
        self._send()
        self._dismiss()
        return came > 0

    def take_events(self) -> list[tuple[int, Event]]:
        """Return what happened since the last call, with the discriminators of the sessions."""
        return self.sessions.take_events()

    def close(self) -> None:
        """Close every socket and forget every session."""
        for discriminator in list(self.sessions):
            self.remove(discriminator)
        for receiver in self._receivers.values():
            receiver.sock.close()
        self._receivers.clear()

    def _take_in(self, receiver: _Receiver, now: float) -> int:
        came = 0
        for data, arrival in arrivals(receiver.sock, multihop=receiver.multihop):
            self.sessions.receive(data, arrival, now)
            came += 1
        return came

    def _listen(self, path: SessionPath) -> None:
        family = socket.AF_INET if len(path.local) == 4 else socket.AF_INET6
        if any(one.sock.family == family and one.multihop is path.multihop for one in self._receivers.values()):
            return
        port = MULTIHOP_PORT if path.multihop else SINGLE_HOP_PORT
        try:
            sock = open_receiver(family, port)
        except OSError as error:
            operation = f"BFD: bind UDP port {port} (does another BFD daemon run here? stop it)"
            raise DataplaneError(operation, error.errno or errno.EIO) from error
        self._receivers[sock.fileno()] = _Receiver(sock, path.multihop)

    def _send(self) -> None:
        for discriminator, octets in self.sessions.take_packets():
            sock, where = self._senders[discriminator]
            try:
                sock.sendto(octets, where)
            except OSError:  # a packet lost, as the path may lose it
                self.unsent[discriminator] += 1

    def _dismiss(self) -> None:
        if self._leaving:
            for discriminator in [one for one in self._leaving if self.sessions[one].over]:
                self.remove(discriminator)


def _random32() -> int:
    return int.from_bytes(os.urandom(4), "big")
