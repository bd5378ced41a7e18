"""Electing one of several by a Lease (coordination.k8s.io/v1), as a state machine: no I/O, no clock, no randomness.

Rule 1: time is an argument: `now`, in seconds of a steady clock of this machine, is all that decides; `wall`, in
microseconds of the calendar, is written into the record for people and never compared with another machine's.
Rule 2: at most one request is out. A driver asks `next_action`, carries it out and reports with the action itself; what
is reported about another action than the one that is out came too late and is not heard.

The rule of client-go, which this follows: the holder writes the record anew every `retry` seconds, and everybody else
may take it once it has *been seen not to change* for the record's own `leaseDurationSeconds`. The holder stops when its
last write is `renew_deadline` old.

Why there are never two. A holder counts from when it *sent* its last write, everybody else from when they *got* the
record that this write made, which is later. Clocks may run at different rates: with the defaults it takes a difference
of 20 %, (15 - 10) / (15 + 10), to break the order. Every write names the resourceVersion that it replaces, so of two
that take over at the same moment one is refused, as is whatever arrives late.

Two things are beyond this. A process that is stopped and continued (or a machine that sleeps, on a clock that sleeps
too) learns late that it leads no more: what a leader writes must stand up to that by itself, by resourceVersions again.
And who deletes the Lease takes it from its holder, which learns that with its next write.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

__all__ = [
    "DEFAULT_LEASE_PACE",
    "Action",
    "Create",
    "Elector",
    "Lease",
    "LeasePace",
    "LeaseRecord",
    "Read",
    "Replace",
    "Wait",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasePace:
    """How long what takes, in seconds; the defaults are client-go's."""

    duration: int = 15
    """For how long a record that does not change keeps others away."""
    renew_deadline: float = 10.0
    """For how long the holder goes on after its last successful write."""
    retry: float = 2.0
    """Between writes of the holder, and between looks of the others; up to a quarter more or less."""
    answer_timeout: float = 4.0
    """For the answer to a request."""

    def __post_init__(self) -> None:
        if not 0 < self.retry * 1.25 + self.answer_timeout < self.renew_deadline < self.duration:
            raise ValueError("a Lease needs retry * 1.25 + answer_timeout < renew_deadline < duration")


DEFAULT_LEASE_PACE = LeasePace()


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseRecord:
    """`coordination.k8s.io/v1 LeaseSpec`; times in microseconds since 1970, None where there is none."""

    holder: str = ""
    """Empty: nobody's."""
    duration: int | None = None
    acquired: int | None = None
    renewed: int | None = None
    transitions: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """The record as the server has it."""

    record: LeaseRecord
    resource_version: str


@dataclass(frozen=True, slots=True)
class Read:
    """Get the Lease."""


@dataclass(frozen=True, slots=True)
class Create:
    """Make the Lease, which does not exist."""

    record: LeaseRecord


@dataclass(frozen=True, slots=True)
class Replace:
    """Write the Lease, provided that it is still at this version."""

    record: LeaseRecord
    resource_version: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to begin before this time; what is out goes on."""

    until: float


Action = Read | Create | Replace | Wait


class Elector:
    """One candidate. `identity` must be another one for every process that ever runs: what is held under it is ours."""

    def __init__(self, identity: str, *, jitter: Callable[[], float], pace: LeasePace = LeasePace()) -> None:
        """`jitter` returns numbers in [0, 1)."""
        if not identity:
            raise ValueError("a Lease without an identity is nobody's")
        self._identity = identity
        self._jitter = jitter
        self._pace = pace
        self._lease: Lease | None = None
        self._free_at = float("-inf")
        self._certain = False
        self._out: Read | Create | Replace | None = None
        self._sent_at = 0.0
        self._not_before = float("-inf")
        self._leads_until = float("-inf")
        self._refused = False
        self._resigned = False
        self._hurried = False

    # What there is

    def leads(self, now: float) -> bool:
        """Say whether this candidate is the leader at this moment; to be asked again before everything it does."""
        return not self._resigned and now < self._leads_until

    @property
    def leads_until(self) -> float:
        """When leading ends unless a write succeeds before; in the past for all who do not lead."""
        return self._leads_until

    @property
    def holder(self) -> str:
        """Who held the Lease when it was last seen; empty for nobody."""
        return self._lease.record.holder if self._lease else ""

    def finished(self, now: float) -> bool:
        """Say whether, after `resign`, there is nothing left to do: released, another's, or run out."""
        return self._resigned and (now >= self._leads_until or (self._certain and self.holder != self._identity))

    # What to do

    def next_wakeup(self, now: float) -> float:
        """When to ask `next_action` and `leads` at the latest."""
        due = self._sent_at + self._pace.answer_timeout if self._out else self._not_before
        return min(due, self._leads_until) if self.leads(now) else due

    def resign(self, now: float) -> None:
        """Lead no more and let the next one start at once. To be called after the leader's work has stopped."""
        self._resigned = True
        self._not_before = now

    def hurry(self, now: float) -> None:
        """Write the record anew without waiting, after what is under way: there is something to say with it."""
        self._hurried = self._out is not None
        self._not_before = min(self._not_before, now)

    def next_action(self, now: float, wall: int) -> Action:
        """Return what to begin now. A request whose time is up is given up here; its driver closes it."""
        if self._out is not None and now >= self._sent_at + self._pace.answer_timeout:
            self.failed(self._out, now)
        if self._out is not None or now < self._not_before:
            return Wait(self.next_wakeup(now))
        action = self._choose(now, wall)
        if isinstance(action, Wait):
            self._not_before = action.until
        else:
            self._out = action
            self._sent_at = now
        return action

    # What came of it

    def answered(self, action: Action, lease: Lease | None, now: float) -> None:
        """Take the Lease as it was read or written; None if it does not exist."""
        if action is not self._out:
            return
        self._out = None
        self._observe(lease, now)
        self._not_before = now
        if not isinstance(action, Read):
            self._refused = False
            if not self._resigned:
                self._leads_until = self._sent_at + self._pace.renew_deadline
                if not self._hurried:
                    self._pause(self._sent_at)
                self._hurried = False

    def refused(self, action: Action, now: float) -> None:
        """Note that the Lease is not as it was seen: a conflict, or it is gone or there already. It is read anew."""
        if action is self._out:
            self._out = None
            self._certain = False
            if self._refused:  # twice in a row: others are at it, too
                self._pause(now)
            else:
                self._not_before = now
            self._refused = True

    def failed(self, action: Action, now: float) -> None:
        """Note that a request had no usable answer; a write may have happened all the same."""
        if action is self._out:
            self._out = None
            self._certain = False
            self._pause(now)

    # How

    def _choose(self, now: float, wall: int) -> Action:
        if self.finished(now):
            return Wait(float("inf"))
        if not self._certain:
            return Read()
        if now < self._free_at:
            self._certain = False  # then it is looked at again
            return Wait(min(now + self._interval(), self._free_at))
        if self._lease is None:
            return Create(self._mine(wall))
        mine = self._mine(wall)
        if self._resigned:
            # One second, as client-go writes it: such a record is nobody's at once, and zero is not allowed.
            mine = replace(mine, holder="", duration=1)
        return Replace(mine, self._lease.resource_version)

    def _mine(self, wall: int) -> LeaseRecord:
        """Return the record that says that this candidate holds the Lease; it differs from every one before it."""
        before = self._lease.record if self._lease else LeaseRecord(transitions=-1)
        mine = before.holder == self._identity
        renewed = wall if before.renewed is None else max(wall, before.renewed + 1)
        return LeaseRecord(
            holder=self._identity,
            duration=self._pace.duration,
            acquired=before.acquired if mine else renewed,
            renewed=renewed,
            transitions=before.transitions if mine else before.transitions + 1,
        )

    def _observe(self, lease: Lease | None, now: float) -> None:
        """Remember what the server has, and until when it must not change for us to take it."""
        if lease != self._lease:
            holder = lease.record.holder if lease else self.holder  # one that was deleted under its holder, too
            duration = (lease and lease.record.duration) or self._pace.duration
            self._free_at = now + duration if holder not in ("", self._identity) else now
            self._lease = lease
        if self.holder != self._identity:
            self._leads_until = float("-inf")
        self._certain = True

    def _interval(self) -> float:
        return self._pace.retry * (0.75 + self._jitter() / 2)

    def _pause(self, since: float) -> None:
        self._not_before = since + self._interval()
