"""Following one collection of the API server by list and watch, as a state machine: no I/O, no clock, no randomness.

Rule 1: time is an argument, in seconds of any steady clock; `jitter` returns numbers in [0, 1).
Rule 2: at most one request is out. A driver asks `next_action`, carries it out and reports with the action itself;
what is reported about another action than the one that is out came too late and is not heard.
Rule 3: the store is always what the server had at one resourceVersion: whole lists replace it, events move it on.

What the protocol leaves to the client, and what is done about it here (client-go's reflector has most of it):

- 410, as an answer or as an ERROR event: the history that would be needed is gone; list again. While a list is read in
  pages, the rest of it has expired; list again in one piece, which cannot expire.
- 504 to a watch ("Too large resource version"): this server has not come so far; list again.
- A server restored from a backup has fewer versions than we saw. It answers a watch from the future with silence, until
  it has written as many, and goes on as if nothing had happened. So after a connection broke the server is asked how
  far it is, and a watch on which nothing came, not even a bookmark, until the idle timer ran out is not resumed: list
  again. A version lower than the last one says the same.
- Half-open connections: the idle timer. Bookmarks, asked for, come once a minute.
- 429 and 503 with Retry-After: not before that. Everything else: back-off with jitter, from the last version seen.
- 404 to a list: the kind is not served. An optional kind then counts as an empty collection.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from netlb.findings import Finding
from netlb.source.collection import Change, Collection, Entry, Key, Part, version_of

__all__ = ["DEFAULT_PACE", "Action", "Failure", "List", "Pace", "Page", "Probe", "Reflector", "Wait", "Watch"]

T = TypeVar("T")

GONE, NOT_FOUND, TIMEOUT = 410, 404, 504
REFUSED = (401, 403)
RELIST_AFTER = 3
"""Failures in a row after which a list is begun anew, and a watch that the server answers is replaced by a list."""
SHORT_WATCH = 1.0
"""Seconds: a watch that ends sooner has failed; otherwise a server that ends them all would be asked without pause."""
LONGEST_RETRY_AFTER = 300.0
"""Seconds of a server's Retry-After that are respected."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long to wait for what, in seconds."""

    page_size: int = 500
    """Objects a page of a list."""
    answer_timeout: float = 30.0
    """For the answer to a list, and for a watch to open."""
    idle_timeout: float = 70.0
    """For anything on an open watch; bookmarks come every 60 s."""
    watch_timeout: float = 290.0
    """After which the server is asked to end a watch; up to a quarter less, so that they do not all end at once."""
    first_backoff: float = 0.2
    longest_backoff: float = 30.0
    absence_check: float = 600.0
    """Until an optional kind that is not served is asked for again, unless `poke` comes first."""
    relist_interval: float = 3600.0
    """After which the next watch is replaced by a list: the last resort against a history that was changed unseen."""
    settle: float = 0.05
    """From a change until it is taken in, with all that came meanwhile."""
    absence_grace: float = 30.0
    """For how long a kind that was served must be denied before its objects count as deleted."""


DEFAULT_PACE = Pace()


@dataclass(frozen=True, slots=True)
class List:
    """Get a page of the collection as it is now (no resourceVersion: the most recent)."""

    limit: int
    """0: all of it."""
    continue_token: str = ""


@dataclass(frozen=True, slots=True)
class Watch:
    """Follow the collection from a version on, with bookmarks."""

    resource_version: str
    timeout: int
    """Seconds after which the server shall end it."""


@dataclass(frozen=True, slots=True)
class Probe:
    """Get the version that the collection has now, by a list of one object."""


@dataclass(frozen=True, slots=True)
class Wait:
    """Nothing to begin before this time; what is out goes on."""

    until: float


Action = List | Watch | Probe | Wait


@dataclass(frozen=True, slots=True)
class Page:
    """What a list was answered with."""

    items: Sequence[Any]
    resource_version: str
    continue_token: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a request brought nothing."""

    message: str
    status: int | None = None
    """The HTTP status; None if there was no answer."""
    retry_after: float | None = None
    """Seconds, as the server asked for."""


class _Listing(Part[T]):
    """A list that is being read."""

    __slots__ = ("continue_token", "resource_version")

    def __init__(self) -> None:
        super().__init__()
        self.resource_version = ""
        self.continue_token = ""


class Reflector(Generic[T]):
    """Keeps a copy of one collection.

    `decode` makes the stored value of an object as JSON has it. Where it raises ConfigError, that is the object's
    finding, its last good value stays, and everything else goes on.
    """

    def __init__(
        self,
        decode: Callable[[Any], T],
        *,
        jitter: Callable[[], float],
        pace: Pace = DEFAULT_PACE,
        optional: bool = False,
        versions: bool = True,
    ) -> None:
        """With `optional`, the kind need not be served; `versions` as of `Collection`."""
        self._collection = Collection(decode, versions=versions)
        self._jitter = jitter
        self._pace = pace
        self._optional = optional
        self._version: str | None = None
        self._listing: _Listing[T] | None = None
        self._in_one_piece = False
        self._listed_at = 0.0
        self._out: List | Watch | Probe | None = None
        self._doubted = False
        self._deadline = 0.0
        self._opened_at: float | None = None
        self._heard = False
        self._failures = 0
        self._not_before = float("-inf")
        self._absent_since: float | None = None
        self._synced = False
        self._failure: Failure | None = None
        self.rewound = 0
        """How often the server turned out to have another history, with less in it."""

    # What there is

    @property
    def entries(self) -> Mapping[Key, Entry[T]]:
        """The store, live: what is read from it must not be kept across the next input."""
        return self._collection.entries

    @property
    def findings(self) -> Mapping[Key, Finding]:
        """Of each object that cannot be decoded as it is now: why. Live, as `entries`."""
        return self._collection.findings

    @property
    def synced(self) -> bool:
        """Whether the store has been whole once; it stays what it was when the server goes away."""
        return self._synced

    @property
    def live(self) -> bool:
        """Whether changes arrive now: a watch is open, or the kind is known not to be served."""
        return self._opened_at is not None or self.absent

    @property
    def absent(self) -> bool:
        """Whether the kind is optional and not served."""
        return self._optional and self._absent_since is not None and not self.entries

    @property
    def trouble(self) -> str:
        """Why the last request brought nothing; empty once one has."""
        return self._failure.message if self._failure else ""

    @property
    def refused(self) -> bool:
        """Whether it was for want of an identity or a right."""
        return self._failure is not None and self._failure.status in REFUSED

    def take_changes(self) -> dict[Key, Change]:
        """Return what changed since the last call. Never more than what was there then and what is there now."""
        return self._collection.take_changes()

    # What to do

    @property
    def next_wakeup(self) -> float:
        """When to ask `next_action` at the latest."""
        return self._deadline if self._out is not None else self._not_before

    def next_action(self, now: float) -> Action:
        """Return what to begin now. A request whose time is up is given up here; its driver closes it."""
        if self._out is not None and now >= self._deadline:
            self._expire(now)
        if self._out is not None or now < self._not_before:
            return Wait(self.next_wakeup)
        if self._version is None or now - self._listed_at >= self._pace.relist_interval:
            self._listing = self._listing or _Listing()
            self._out = List(0 if self._in_one_piece else self._pace.page_size, self._listing.continue_token)
        elif self._doubted:
            self._out = Probe()
        else:
            self._out = Watch(self._version, int(self._pace.watch_timeout * (1 - self._jitter() / 4)))
        self._deadline = now + self._pace.answer_timeout
        return self._out

    def poke(self) -> None:
        """Try at once what waits because the kind was not served: something new is."""
        if self._absent_since is not None:
            self._not_before = float("-inf")

    # What came of it

    def listed(self, action: Action, page: Page, now: float) -> None:
        """Take a page; after the last one the store is what the list said."""
        if action is not self._out or self._listing is None:
            return
        self._out = None
        self._failure = None
        listing = self._listing
        listing.resource_version = listing.resource_version or page.resource_version
        listing.continue_token = page.continue_token
        for body in page.items:
            self._collection.read(body, listing)
        if not page.continue_token:
            self._replace(listing)
            self._version, self._listing, self._in_one_piece = listing.resource_version, None, False
            self._listed_at = now
            self._doubted = False
            self._absent_since = None

    def probed(self, action: Action, resource_version: str) -> None:
        """Take the version that the server has."""
        if action is self._out:
            self._out = None
            self._doubted = False
            if _is_lower(resource_version, self._version or ""):
                self._version = None
                self.rewound += 1

    def opened(self, action: Action, now: float) -> None:
        """Note that the server began to answer a watch."""
        if action is self._out:
            self._opened_at = now
            self._failure = None
            self._deadline = now + self._pace.idle_timeout

    def event(self, action: Action, kind: str, body: Any, now: float) -> bool:
        """Take one event of a watch; False means that the watch is of no use any more and is to be closed."""
        if action is not self._out:
            return False
        if kind == "ERROR":
            status = body if isinstance(body, dict) else {}
            self._fail(Failure(str(status.get("message", "the watch failed")), status.get("code")), now)
            return False
        version = version_of(body)
        if not version or _is_lower(version, self._version or ""):
            self._version = None
            self.rewound += 1
            self._fail(Failure("the versions of its objects went back: its history is another one"), now)
            return False
        self._version = version
        self._heard = True
        self._failures = 0
        self._deadline = now + self._pace.idle_timeout
        if kind == "DELETED":
            self._collection.drop(body)
        elif kind in ("ADDED", "MODIFIED"):
            self._collection.put(body)
        return True

    def ended(self, action: Action, now: float) -> None:
        """Note that the server ended a watch in order."""
        if action is not self._out:
            return
        if self._opened_at is None or now - self._opened_at < SHORT_WATCH:
            self._fail(Failure("the server ended the watch at once", 200), now)
        else:
            self._close()
            self._failures = 0

    def failed(self, action: Action, failure: Failure, now: float) -> None:
        """Note that a request brought nothing, or that an open watch broke."""
        if action is self._out:
            self._fail(failure, now)

    # How

    def _expire(self, now: float) -> None:
        """Give up what is out."""
        if self._opened_at is None:
            self._fail(Failure("no answer in time"), now)
        else:
            if not self._heard:
                self._version = None
            self._fail(Failure("nothing came on the watch, not even a bookmark"), now)

    def _close(self) -> None:
        self._out = None
        self._opened_at = None
        self._heard = False

    def _fail(self, failure: Failure, now: float) -> None:
        """Decide where to go on after a failure, and when."""
        listing, watching = isinstance(self._out, List), isinstance(self._out, (Watch, Probe))
        lasted = self._opened_at is not None and now - self._opened_at >= SHORT_WATCH
        self._close()
        self._failures = 1 if lasted else self._failures + 1
        self._failure = failure
        self._doubted |= failure.status is None
        if listing and failure.status == GONE:
            self._in_one_piece = True
        if failure.status in (None, GONE, NOT_FOUND) or self._failures >= RELIST_AFTER:
            self._listing = None
        if watching and (
            failure.status in (GONE, TIMEOUT, NOT_FOUND)
            or (failure.status is not None and self._failures >= RELIST_AFTER)
        ):
            self._version = None
        longest = self._pace.longest_backoff
        nominal = min(longest, self._pace.first_backoff * 2.0 ** min(self._failures - 1, 30))
        delay = nominal * (1 + self._jitter()) / 2 + min(max(failure.retry_after or 0.0, 0.0), LONGEST_RETRY_AFTER)
        if listing and failure.status == NOT_FOUND:
            if self._optional and self._is_absent(now):
                delay = self._pace.absence_check * (1 + self._jitter()) / 2
        elif self.entries:
            self._absent_since = None
        self._not_before = now + delay

    def _is_absent(self, now: float) -> bool:
        """Whether an optional kind that is denied counts as empty, and make it so."""
        if self._absent_since is None:
            self._absent_since = now
        if self.entries and now - self._absent_since < self._pace.absence_grace:
            return False
        self._replace(Part())
        self._failure = None
        self._failures = 0
        return True

    def _replace(self, whole: Part[T]) -> None:
        self._collection.replace(whole)
        self._synced = True


def _is_lower(version: str, than: str) -> bool:
    """Whether a version is certainly older; versions that are no numbers are not compared."""
    return version.isdecimal() and than.isdecimal() and int(version) < int(than)
