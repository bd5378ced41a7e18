"""The reconciler's state machine: everything that decides what is done next lives in this file.

Rule 1: no I/O, no clock, no randomness. Time is an argument, in seconds of any steady clock.
Rule 2: `_pending` is always exactly the set of keys whose desired and actual state differ, and a key has a
failure only while it is pending. Whoever changes `_desired` or `_actual` restores both.

Theory of operation. The core knows what is desired (nothing, until `want` is first called) and what is
actually there (nothing, until the first observation). The difference is the work. The driver asks for
`next_work`, carries it out and reports with `observed`, `observe_failed` or `done`; one piece of work is out
at a time. `next_wakeup` says when to ask again.

- Before the first observation nothing is applied; before the first `want` nothing is pruned, so that a
  starting process never removes what it has not yet learned to want.
- Within a round, applies go before prunes: make before break.
- A failed object is in doubt, neither known present nor known absent: it is applied again if it is wanted,
  and pruned if it is not.
- Objects that fail in the same round are tried again in the same round, so that a batch stays a batch; the
  jitter keeps nodes apart, not objects.
"""

import math
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

from netlb.errors import TransientError
from netlb.reconcile.differences import differing
from netlb.reconcile.status import Counts, Status, StatusKind

__all__ = ["FIRST_BACKOFF", "LONGEST_BACKOFF", "REFRESH_INTERVAL", "Core", "Work"]

# The defaults of cilium/statedb's reconciler (reconciler/config.go).
FIRST_BACKOFF = 0.1
LONGEST_BACKOFF = 60.0
REFRESH_INTERVAL = 30 * 60.0

AT_ONCE = -math.inf

K = TypeVar("K", bound=Hashable)
D = TypeVar("D")


class Unknown(Enum):
    """Stands where an object's state would, and equals no state."""

    ABSENT = "absent"
    DOUBT = "doubt"


@dataclass(frozen=True, slots=True)
class Work(Generic[K, D]):
    """Either an observation or a round; in a round no key is both applied and pruned."""

    apply: Mapping[K, D] = field(default_factory=dict)
    prune: frozenset[K] = frozenset()
    observe: bool = False


@dataclass(frozen=True, slots=True)
class Failure:
    """The failures in a row of one object, or of observing."""

    message: str
    attempts: int
    retry_at: float


class Core(Generic[K, D]):
    """Bring what is there to what is wanted, one piece of work at a time.

    `jitter` returns a number in [0, 1); a back-off lasts between half of its nominal time and all of it.
    """

    def __init__(self, *, jitter: Callable[[], float], refresh_interval: float = REFRESH_INTERVAL) -> None:
        self._jitter = jitter
        self._refresh_interval = refresh_interval
        self._desired: dict[K, D] | None = None
        self._actual: dict[K, D | Unknown] | None = None
        self._pending: dict[K, None] = {}  # a set that keeps its order: the same input makes the same work
        self._failures: dict[K, Failure] = {}
        self._out: Work[K, D] | None = None
        self._observe_at = AT_ONCE
        self._observe_failure: Failure | None = None
        self._retries = 0

    def want(self, desired: Mapping[K, D]) -> None:
        """Set the whole desired state; an object whose wanted state changed is tried at once."""
        old, self._desired = self._desired, dict(desired)
        if old is None:
            self._compare()
            return
        actual = self._actual or {}
        for key in differing(old, self._desired):
            self._failures.pop(key, None)
            if actual.get(key, Unknown.ABSENT) == self._desired.get(key, Unknown.ABSENT):
                self._pending.pop(key, None)
            else:
                self._pending[key] = None

    def refresh(self) -> None:
        """Observe again at the next opportunity and repair what drifted."""
        self._observe_at = AT_ONCE

    def lost(self) -> None:
        """Forget what is there, as when an adapter lost its connection; ignore results of work still out.

        Observing keeps its back-off, so that this may be called at every failed attempt to connect; an
        adapter that is back calls `refresh`.
        """
        self._actual = None
        self._out = None
        self._failures.clear()
        self._observe_at = AT_ONCE if self._observe_failure is None else self._observe_failure.retry_at
        self._compare()

    def next_work(self, now: float) -> Work[K, D] | None:
        """Return what to do now, or None if there is nothing to do or a piece of work is still out."""
        if self._out is not None:
            return None
        if self._observe_at <= now:
            # Until the answer is here; a `refresh` in the meantime moves it back, and is not forgotten.
            self._observe_at = math.inf
            self._out = Work(observe=True)
        elif self._actual is not None:
            self._out = self._round(now)
        return self._out

    def unwanted(self, keys: Collection[K]) -> frozenset[K]:
        """Return those of `keys` that are still not wanted: ask right before pruning, after the applies."""
        desired = self._desired
        return frozenset() if desired is None else frozenset(key for key in keys if key not in desired)

    def observed(self, actual: Mapping[K, D], now: float) -> None:
        """Take in what is there: the answer to an observation."""
        if self._out is None or not self._out.observe:
            return
        self._out = None
        self._actual = dict(actual)
        self._observe_failure = None
        self._observe_at = min(self._observe_at, now + self._refresh_interval)
        self._compare()

    def observe_failed(self, error: Exception, now: float) -> None:
        """Try to observe again after a while. What was known before stays known, and is worked on."""
        self._out = None
        self._observe_failure = failure_after(self._observe_failure, error, now, self._jitter())
        self._observe_at = self._observe_failure.retry_at

    def done(self, results: Mapping[K, Exception | None], now: float) -> None:
        """Take in what became of a round, by key; a key that is missing was not tried."""
        work, self._out = self._out, None
        if work is None or self._actual is None:
            return
        desired = {} if self._desired is None else self._desired
        jitter = self._jitter()
        for key, error in results.items():
            attempted = work.apply.get(key, Unknown.ABSENT)
            wanted = desired.get(key, Unknown.ABSENT)
            failure = self._failures.pop(key, None)
            if error is not None:
                self._actual[key] = Unknown.DOUBT
                if attempted == wanted:
                    self._failures[key] = failure_after(failure, error, now, jitter)
            elif attempted is Unknown.ABSENT:
                self._actual.pop(key, None)
            else:
                self._actual[key] = attempted
            if self._actual.get(key, Unknown.ABSENT) == wanted:
                self._pending.pop(key, None)
            else:
                self._pending[key] = None

    def next_wakeup(self) -> float | None:
        """Return when `next_work` next has something to do (minus infinity: now); None while work is out."""
        if self._out is not None:
            return None
        if self._actual is None:
            return self._observe_at
        return min([self._observe_at, *map(self._due, self._pending)])

    def settled(self) -> bool:
        """Whether everything wanted is there, nothing else is, and no observation is asked for or out."""
        known = self._desired is not None and self._actual is not None
        return known and not self._pending and self._out is None and self._observe_at > AT_ONCE

    def statuses(self) -> Mapping[K, Status]:
        """Return the status of every object that is wanted, or is there and should not be."""
        desired = {} if self._desired is None else self._desired
        statuses = {key: self._status(key, StatusKind.PENDING) for key in desired}
        return statuses | {key: self._status(key, StatusKind.PRUNING) for key in self._pending if key not in desired}

    def blind(self) -> str:
        """Return why what is there could not be observed, the last time; empty if it could."""
        return "" if self._observe_failure is None else self._observe_failure.message

    def counts(self) -> Counts:
        """Return how many objects are not as wanted; takes constant time."""
        failed = len(self._failures)
        observing = 0 if self._observe_failure is None else 1
        return Counts(pending=len(self._pending) - failed, errors=failed + observing, retries=self._retries)

    def _round(self, now: float) -> Work[K, D] | None:
        desired = {} if self._desired is None else self._desired
        due = [key for key in self._pending if self._due(key) <= now]
        if not due:
            return None
        self._retries += sum(1 for key in due if key in self._failures)
        return Work(
            apply={key: desired[key] for key in due if key in desired},
            prune=frozenset(key for key in due if key not in desired),
        )

    def _due(self, key: K) -> float:
        failure = self._failures.get(key)
        return AT_ONCE if failure is None else failure.retry_at

    def _status(self, key: K, unfinished: StatusKind) -> Status:
        failure = self._failures.get(key)
        if failure is not None:
            return Status(StatusKind.ERROR, failure.message, failure.attempts, failure.retry_at)
        return Status(unfinished if key in self._pending else StatusKind.DONE)

    def _compare(self) -> None:
        """Restore rule 2 for all keys."""
        self._pending = {}
        if self._desired is not None:
            desired, actual = self._desired, self._actual or {}
            different = (key for key, want in desired.items() if actual.get(key, Unknown.ABSENT) != want)
            self._pending = dict.fromkeys(different) | dict.fromkeys(key for key in actual if key not in desired)
        self._failures = {key: failure for key, failure in self._failures.items() if key in self._pending}


def failure_after(previous: Failure | None, error: Exception, now: float, jitter: float) -> Failure:
    """Return the failure that `error` makes, one attempt after `previous`, with the time to try again."""
    attempts = 1 if previous is None else previous.attempts + 1
    if isinstance(error, TransientError) and error.retry_after is not None:
        # The floor keeps an adapter that answers "at once" from turning the loop into a busy one.
        delay = max(error.retry_after, FIRST_BACKOFF)
    else:
        doublings = min(attempts - 1, 16)
        delay = min(FIRST_BACKOFF * 2**doublings, LONGEST_BACKOFF) * (1 + jitter) / 2
    return Failure(str(error) or type(error).__name__, attempts, now + delay)
