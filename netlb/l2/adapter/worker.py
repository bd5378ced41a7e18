"""The responder's process: answers on all interfaces, alone in its interpreter.

It is a process because answers must not wait for a program that parses, plans or collects garbage (a busy thread in
the same interpreter delays them a hundredfold), and it loads the standard library only. It does what its parent
tells it (`netlb.l2.control`), tells the parent what it sees, and logs nothing. When the parent is dead, which the
control socket reports even after `kill -9`, or its event loop has stood still, it goes on for as long as its terms say
(`netlb.worker`): later the addresses may be another node's, and nobody would say so.
"""

import errno
import gc
import os
import select
import socket
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from netlb.l2 import control
from netlb.l2.adapter.port import Port
from netlb.l2.adapter.sockets import link_local
from netlb.l2.burst import GratuitousBurst
from netlb.l2.conflicts import ConflictReports
from netlb.l2.ethernet import MAC_LENGTH
from netlb.l2.probe import Probing
from netlb.worker.adapter.line import Line
from netlb.worker.adapter.start import begin
from netlb.worker.terms import Terms

__all__ = ["main"]

_MOST_UNSENT_EVENTS: Final = 64
_RENEWAL, _LATEST_RENEWAL = 0.15, 0.25
"""Seconds between two renewals of the fast paths' leases, of which each lasts 0.5 s, at least and at most: they go with
what wakes the process anyhow, as its program's beats do, or else have a turn of their own."""
_LONGEST_SLEEP: Final = 0.5
_UNSENT_PROBE: Final = 1.0
"""Seconds until a probe that could not be sent begins anew: what was not asked tells nothing."""


class Worker:
    """The loop of the process, and the requests it serves."""

    def __init__(self, channel: socket.socket, terms: Terms) -> None:
        self._epoll = select.epoll()
        self.line = Line(self._epoll, channel, terms, control.MOST_BYTES)
        self._handlers: dict[int, Callable[[], None]] = {}
        self._ports: dict[int, Port] = {}
        self._macs: set[bytes] = set()
        self._burst = GratuitousBurst()
        self._probing = Probing(_lot)
        self._conflicts = ConflictReports()
        self._renewed_at: float | None = None

    def run(self) -> str:
        """Serve until the line is at its end; return why."""
        self._tell(control.Ready(_packet_sockets_errno()))
        gc.freeze()
        while True:
            self.line.flush()
            listened_until = time.monotonic()
            ready = [descriptor for descriptor, _ in self._epoll.poll(self._timeout())]
            for descriptor in ready:
                if self.line.has(descriptor):
                    self._serve_parent(descriptor)
            if (why := self.line.why_over()) is not None:  # before what has waited longer than it may is answered
                return why
            for descriptor in ready:
                if (handler := self._handlers.get(descriptor)) is not None:
                    handler()
            self._renew_leases()
            self._announce()
            self._probe(listened_until)

    def close(self) -> None:
        """Be silent at once: the end of a process takes its time."""
        for port in self._ports.values():
            with suppress(OSError):  # the interface is gone, and all that was there with it
                port.close()

    def _timeout(self) -> float:
        renewal = None if self._renewed_at is None else self._renewed_at + _LATEST_RENEWAL
        due = (self.line.next_wakeup(), self._burst.next_wakeup(), self._probing.next_wakeup(), renewal)
        return min(_LONGEST_SLEEP, max(0.0, min(at for at in due if at is not None) - time.monotonic()))

    def _register(self, sock: socket.socket, handler: Callable[[], None]) -> None:
        self._handlers[sock.fileno()] = handler
        self._epoll.register(sock, select.EPOLLIN)

    # Frames

    def _serve(self, port: Port, drain: Callable[[], None]) -> None:
        drain()
        for claim in port.responder.claims():
            if self._conflicts.due(port.index, claim, time.monotonic()):
                self._tell(control.ClaimSeen(port.index, claim.address, claim.mac))

    def _announce(self) -> None:
        wakeup = self._burst.next_wakeup()
        if wakeup is None or wakeup > (now := time.monotonic()):
            return
        for index, address, frame in self._burst.frames_to_send(now):
            self._ports[index].announce(address, frame)

    def _probe(self, now: float) -> None:
        """Send what is due, and tell which probes have ended.

        All that came in before `now` has been judged: nobody counts as absent whose answer only waits here.
        """
        wakeup = self._probing.next_wakeup()
        if wakeup is not None and wakeup <= now:
            for index, address, frame in self._probing.frames_to_send(now):
                if not self._ports[index].send_probe(address, frame):
                    self._probing.begin_anew(index, address, now + _UNSENT_PROBE)
        verdicts = self._probing.verdicts()
        for index in {verdict.interface for verdict in verdicts}:
            found = [(verdict.address, verdict.mac) for verdict in verdicts if verdict.interface == index]
            for address, _ in found:
                self._ports[index].end_probe(address)
            for batch in control.batches(found):
                self._tell(control.Probed(index, batch))

    def _renew_leases(self) -> None:
        """Let the fast paths go on: this loop turns, so that addresses would be withdrawn if that were asked for."""
        leased = [path for port in self._ports.values() if (path := port.fastpath) is not None and not path.idle]
        now = time.monotonic()
        if not leased:
            self._renewed_at = None
        elif self._renewed_at is None or self._renewed_at + _RENEWAL <= now:
            for path in leased:
                path.renew()
            self._renewed_at = now

    # Requests

    def _serve_parent(self, descriptor: int) -> None:
        data = self.line.read(descriptor)
        if data is None:
            return
        request = control.decode(data)
        if isinstance(request, control.End):
            self.line.end()
            return
        try:
            self._tell(self._carry_out(request))
        except OSError as error:
            self._tell(control.Ack(int(request[0]), error.errno or errno.EIO, ()))

    def _carry_out(self, request: control.Message) -> control.Reply:
        match request:
            case control.SetInterface(seq, index, mac):
                self._set_interface(index, mac)
                return control.Ack(seq, 0, ())
            case control.Accelerate(seq, index):
                return self._accelerate(seq, index)
            case control.RemoveInterface(seq, index):
                self._remove_interface(index)
                return control.Ack(seq, 0, ())
            case control.Hold(seq, index, addresses, more):
                port = self._port(index)
                held, refused = port.hold(addresses)
                self._conflicts.forget(index, held)
                self._renew_filters(more)
                self._burst.start(index, held, time.monotonic())
                return control.Ack(seq, 0, refused)
            case control.Release(seq, index, addresses, more):
                port = self._port(index)
                for address in addresses:
                    self._burst.stop(index, address)
                port.release(addresses)
                self._renew_filters(more)
                return control.Ack(seq, 0, ())
            case control.Announce(seq, index, addresses, rounds):
                port = self._port(index)
                held_now = [address for address in addresses if port.responder.counters(address) is not None]
                self._burst.start(index, held_now, time.monotonic(), rounds)
                return control.Ack(seq, 0, ())
            case control.Probe(seq, index, addresses, timings):
                probed, refused = self._port(index).probe(addresses)
                self._probing.start(index, probed, timings, time.monotonic(), link_local(index))
                return control.Ack(seq, 0, refused)
            case control.Beat(seq, decided):
                self.line.heard(decided=decided)
                return control.Ack(seq, 0, ())
            case control.AskOpen(seq):
                return control.Opened(seq, tuple((port.index, port.mac) for port in self._ports.values()))
            case control.AskStats(seq):
                return self._stats(seq)
            case control.AskCounters(seq, index, start):
                return control.Counters(seq, tuple(self._port(index).counters(start, control.MOST_ADDRESSES)))
        raise ValueError(f"not a request: {request}")

    def _accelerate(self, seq: int, index: int) -> control.Accelerated:
        from netlb.l2.adapter.fastpath import FastPath  # noqa: PLC0415 - ctypes is for those who need it

        try:
            if not index:
                FastPath(index, bytes(MAC_LENGTH)).close()
                return control.Accelerated(seq, 0, "")
            port = self._port(index)
            path = FastPath(index, port.mac)
            try:
                path.attach()
            except OSError:
                path.close()
                raise
        except OSError as error:
            return control.Accelerated(seq, error.errno or errno.EIO, str(error.strerror))
        port.accelerate(path)
        return control.Accelerated(seq, 0, path.hook)

    def _port(self, index: int) -> Port:
        port = self._ports.get(index)
        if port is None:
            raise OSError(errno.ENODEV, "no such interface is open")
        return port

    def _set_interface(self, index: int, mac: bytes) -> None:
        self._remove_interface(index)
        port = Port(index, mac, self._macs, self._probing.receive)
        self._ports[index] = port
        self._macs.add(mac)
        self._burst.set_interface(index, mac)
        self._probing.set_interface(index, mac)
        self._register(port.arp, lambda: self._serve(port, port.drain_arp))
        self._register(port.nd, lambda: self._serve(port, port.drain_nd))

    def _remove_interface(self, index: int) -> None:
        port = self._ports.pop(index, None)
        if port is None:
            return
        self._burst.remove_interface(index)
        self._probing.remove_interface(index)
        for sock in (port.arp, port.nd):
            del self._handlers[sock.fileno()]
        port.close()
        self._macs.clear()
        self._macs.update(other.mac for other in self._ports.values())

    def _renew_filters(self, more: bool) -> None:
        if not more:
            for port in self._ports.values():
                port.renew_filters()

    def _stats(self, seq: int) -> control.Stats:
        verdicts = {
            index: {str(verdict): count for verdict, count in port.responder.counts.items()}
            for index, port in self._ports.items()
        }
        ports = self._ports.values()
        fast = {port.index: (path.hook, path.total()) for port in ports if (path := port.fastpath) is not None}
        overrun, unsent = sum(port.overrun() for port in ports), sum(port.unsent for port in ports)
        return control.Stats(seq, verdicts, fast, overrun, unsent)

    def _tell(self, message: control.Reply | control.Event) -> None:
        if not isinstance(message, control.ClaimSeen) or self.line.waiting < _MOST_UNSENT_EVENTS:
            self.line.tell(control.encode(message))


def _lot() -> float:
    """Draw a number in [0, 1); the module `random` takes longer to load than all else here."""
    return int.from_bytes(os.urandom(4), "big") / 2**32


def _packet_sockets_errno() -> int:
    try:
        socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0).close()
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def main(arguments: list[str]) -> None:
    """Be the responder's process, with the arguments that `begin` takes."""
    worker = Worker(*begin(arguments))
    try:
        reason = worker.run()
    except Exception:
        reason = traceback.format_exc()[-4000:]
    worker.close()
    worker.line.close(control.encode(control.Crashed(reason)) if reason else None)
    sys.exit(1 if reason else 0)
