"""Gratuitous announcements: which frames to send when, after an address has come to an interface.

Every address is announced in five rounds, 1.1 s apart, as MetalLB does: Linux ignores a changed MAC address within
a second of the last change (`locktime`), so a single frame may be lost on it, and any frame may be lost on the way.
All frames are paced (`netlb.l2.pace`). Every address is announced once before any is a second time, by either form of
ARP, and all of that goes before any repeat: ten thousand are out within 100 ms. Starting anew while a burst runs gives
the address five more rounds and never a second burst beside the first.
"""

from collections import deque
from collections.abc import Iterable
from typing import Final

from netlb.l2 import arp, ndp
from netlb.l2.pace import BATCH, Pace

__all__ = ["INTERVAL", "ROUNDS", "GratuitousBurst", "frames"]

ROUNDS: Final = 5
INTERVAL: Final = 1.1
"""Seconds between two rounds of one address."""


def frames(mac: bytes, address: bytes) -> tuple[bytes, ...]:
    """Return what one round sends: both forms of gratuitous ARP, or one unsolicited neighbour advertisement."""
    return arp.gratuitous(mac, address) if len(address) == 4 else (ndp.unsolicited(mac, address),)


class _Job:
    """One address on one interface, until its last round."""

    __slots__ = ("address", "begun", "due", "interface", "rest", "rounds")

    def __init__(self, interface: int, address: bytes, due: float, rounds: int) -> None:
        self.interface = interface
        self.address = address
        self.due = due
        self.rounds = rounds
        self.begun = False
        self.rest: tuple[bytes, ...] = ()
        """What of its first round is still to be sent, when all have begun theirs."""


class GratuitousBurst:
    """The announcements under way on all interfaces of a node."""

    def __init__(self) -> None:
        self._macs: dict[int, bytes] = {}
        self._jobs: dict[tuple[int, bytes], _Job] = {}
        # Each in order of time: what is new goes in at its end with `now`, a repeat with `now` + INTERVAL.
        self._first: deque[_Job] = deque()
        self._rest: deque[_Job] = deque()
        self._repeats: deque[_Job] = deque()
        self._pace = Pace()

    def set_interface(self, index: int, mac: bytes) -> None:
        """Announce with this MAC address on the interface from now on."""
        self._macs[index] = mac

    def remove_interface(self, index: int) -> None:
        """Forget the interface and what was to be announced there."""
        self._macs.pop(index, None)
        self._jobs = {key: job for key, job in self._jobs.items() if key[0] != index}

    def start(self, interface: int, addresses: Iterable[bytes], now: float, rounds: int = ROUNDS) -> None:
        """Announce the addresses on a known interface; what is being announced already gets its rounds anew.

        With 0 rounds it is announced no more.
        """
        for address in addresses:
            if not rounds:
                self.stop(interface, address)
                continue
            running = self._jobs.get((interface, address))
            if running is not None:
                running.rounds = max(running.rounds, rounds)
            else:
                job = self._jobs[interface, address] = _Job(interface, address, now, rounds)
                self._first.append(job)

    def stop(self, interface: int, address: bytes) -> None:
        """Announce the address there no more."""
        self._jobs.pop((interface, address), None)

    def frames_to_send(self, now: float) -> list[tuple[int, bytes, bytes]]:
        """Return what is due and within the pace, as interface index, address and frame; at most about BATCH."""
        self._pace.advance(now)
        sent: list[tuple[int, bytes, bytes]] = []
        while self._pace.allows() and len(sent) < BATCH and (job := self._next(now)) is not None:
            round_ = self._round(job)
            sent.extend((job.interface, job.address, frame) for frame in round_)
            self._pace.spend(len(round_))
            if job.rest:
                self._rest.append(job)
            else:
                job.rounds -= 1
                job.due = now + INTERVAL
                self._repeats.append(job)
        return sent

    def _round(self, job: _Job) -> tuple[bytes, ...]:
        """Return what a job sends now: of its first round one frame, and the rest when every other job has begun."""
        if job.rest:
            rest, job.rest = job.rest, ()
            return rest
        round_ = frames(self._macs[job.interface], job.address)
        if job.begun:
            return round_
        job.begun, job.rest = True, round_[1:]
        return round_[:1]

    def next_wakeup(self) -> float | None:
        """Return when to call `frames_to_send` next, or None while nothing is under way."""
        queue = self._first_running()
        if queue is None:
            return None
        return max(queue[0].due, self._pace.next_wakeup())

    def _next(self, now: float) -> _Job | None:
        while (queue := self._first_running()) is not None and queue[0].due <= now:
            job = queue.popleft()
            if job.rounds:
                return job
            # Its last round is an interval ago: only now may a new burst begin with a frame at once.
            del self._jobs[job.interface, job.address]
        return None

    def _first_running(self) -> deque[_Job] | None:
        """Return the queue whose head is next, with the jobs that have been stopped meanwhile thrown away."""
        for queue in (self._first, self._rest, self._repeats):
            while queue:
                job = queue[0]
                if self._jobs.get((job.interface, job.address)) is job:
                    return queue
                queue.popleft()
        return None
