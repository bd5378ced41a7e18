"""Whatever goes wrong, and in whatever order: in the end the store is the server's, and every change was told once."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from netlb.errors import ConfigError
from netlb.findings import Finding
from netlb.reasons import ManifestProblem
from netlb.source.collection import Change, Key
from netlb.source.reflector import Failure, List, Pace, Page, Probe, Reflector, Wait, Watch
from netlb.testing.apiserver.status import Refused
from netlb.testing.apiserver.store import Name, Store

THINGS = "things"
BAD = -1
PACE = Pace(page_size=2, relist_interval=1000.0)
WITHOUT_THE_LAST_RESORT = replace(PACE, relist_interval=float("inf"))

names = st.sampled_from("abcde")
statuses = st.sampled_from([None, 401, 403, 404, 410, 429, 500, 503, 504])


def decode(body: Mapping[str, Any]) -> int:
    if body["value"] == BAD:
        raise ConfigError(Finding(reason=ManifestProblem.INVALID_OBJECT, problem="bad", remedy="mend it"))
    return int(body["value"])


class Following(RuleBasedStateMachine):
    """A reflector, a server, and everything between them."""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store()
        self.now = 0.0
        self.watch: Watch | None = None
        self.position = 0
        self.frozen = False
        self.opened_at = 0.0
        self.mirror: dict[Key, int] = {}

    @initialize(
        random=st.randoms(use_true_random=False),
        optional=st.booleans(),
        start=st.floats(-1e5, 1e5),
        backups=st.booleans(),
    )
    def begin(self, random: Any, optional: bool, start: float, backups: bool) -> None:
        self.now = start
        self.backups = backups
        self.pace = PACE if backups else WITHOUT_THE_LAST_RESORT
        self.reflector = Reflector(decode, jitter=random.random, pace=self.pace, optional=optional)

    # The server

    @rule(name=names, value=st.sampled_from([BAD, 1, 2, 3]))
    def write(self, name: str, value: int) -> None:
        body = {"metadata": {"name": name, "uid": "u"}, "value": value}
        self.store.put(THINGS, Name("", name), body)

    @rule(name=names)
    def delete(self, name: str) -> None:
        if self.store.get(THINGS, Name("", name)):
            self.store.drop(THINGS, Name("", name))

    @rule()
    def compact(self) -> None:
        self.store.compact()

    @precondition(lambda self: self.backups)
    @rule(back=st.integers(1, 6))
    def restore_a_backup(self, back: int) -> None:
        self.store.rewind(max(self.store.compacted, self.store.revision - back))
        self.broken()

    def broken(self) -> None:
        """Every connection of a restored server is broken."""
        if self.watch:
            self.reflector.failed(self.watch, Failure("reset"), self.now)
            self.watch = None

    # The client, and what becomes of its requests

    @rule(status=statuses | st.just(200), late=st.floats(0, 40), retry_after=st.none() | st.floats(0, 100))
    def act(self, status: int | None, late: float, retry_after: float | None) -> None:
        """Do what the reflector wants, well (200) or badly; the answer takes a while, in which it may be given up."""
        if self.watch and self.now >= self.reflector.next_wakeup:
            self.watch = None
        action = self.reflector.next_action(self.now)
        if isinstance(action, Wait):
            assert action.until == self.reflector.next_wakeup
            return
        assert self.watch is None, "one request at a time"
        if late >= PACE.answer_timeout:
            self.now += late
            self.reflector.next_action(self.now)  # it is given up, and nothing may come of the answer
            before = dict(self.reflector.entries)
            self.answer(action, status, retry_after)
            assert before == dict(self.reflector.entries)
            self.watch = None
            self.reflector.failed(action, Failure("late"), self.now)
            self.give_up()
            return
        self.now += late
        self.answer(action, status, retry_after)

    def give_up(self) -> None:
        """Let what the last call began come to nothing."""
        self.now = max(self.now, self.reflector.next_wakeup)

    def answer(self, action: List | Watch | Probe, status: int | None, retry_after: float | None = None) -> None:
        if status != 200:
            self.reflector.failed(action, Failure("trouble", status, retry_after), self.now)
        elif isinstance(action, List):
            self.list(action)
        elif isinstance(action, Probe):
            self.reflector.probed(action, str(self.store.revision))
        elif int(action.resource_version) < self.store.compacted:
            self.reflector.failed(action, Failure("gone", 410), self.now)
        else:
            self.reflector.opened(action, self.now)
            self.watch, self.position, self.frozen = action, int(action.resource_version), False
            self.opened_at = self.now

    def list(self, action: List) -> None:
        revision, start = self.store.revision, ""
        if action.continue_token:
            text, start = action.continue_token.split("/")
            revision = int(text)
        try:
            every = self.store.at(THINGS, revision)
        except Refused:
            self.reflector.failed(action, Failure("expired", 410), self.now)
            return
        bodies = [body for name, body in sorted(every.items()) if name.name > start]
        page = bodies[: action.limit] if action.limit else bodies
        token = f"{revision}/{page[-1]['metadata']['name']}" if len(page) < len(bodies) else ""
        self.reflector.listed(action, Page(page, str(revision), token), self.now)

    @precondition(lambda self: self.watch is not None)
    @rule(most=st.integers(1, 5), bookmark=st.booleans())
    def deliver(self, most: int = 5, bookmark: bool = True) -> None:
        """Send what was written, some of it at least, and perhaps how far the server is."""
        if self.now >= self.reflector.next_wakeup or self.frozen:
            return
        assert self.watch is not None
        revision = self.store.revision
        try:
            events = list(self.store.since(THINGS, self.position))[:most]
        except Refused:
            self.error()
            return
        for event in events:
            kind = "DELETED" if event.after is None else "MODIFIED" if event.before else "ADDED"
            self.position = event.revision
            if not self.reflector.event(self.watch, kind, event.last, self.now):
                self.watch = None
                return
        if bookmark and len(events) < most and revision >= self.position:
            self.position = revision
            body = {"metadata": {"resourceVersion": str(revision)}}
            assert self.reflector.event(self.watch, "BOOKMARK", body, self.now)

    @precondition(lambda self: self.watch is not None)
    @rule(code=st.sampled_from([410, 500, 504]))
    def error(self, code: int = 410) -> None:
        assert self.watch is not None
        assert not self.reflector.event(self.watch, "ERROR", {"code": code, "message": "so"}, self.now)
        self.watch = None

    @precondition(lambda self: self.watch is not None)
    @rule()
    def end(self) -> None:
        assert self.watch is not None
        self.reflector.ended(self.watch, self.now)
        self.watch = None

    @precondition(lambda self: self.watch is not None)
    @rule()
    def reset(self) -> None:
        self.broken()

    @precondition(lambda self: self.watch is not None)
    @rule()
    def freeze(self) -> None:
        self.frozen = True

    @rule(seconds=st.floats(0, 400))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def poke(self) -> None:
        self.reflector.poke()

    # What is told

    @rule()
    def take(self) -> None:
        entries = self.reflector.entries
        for key, change in self.reflector.take_changes().items():
            assert (change is Change.ADDED) is (key not in self.mirror)
            if change is Change.DELETED:
                del self.mirror[key]
            else:
                self.mirror[key] = entries[key].value
        assert {key: entry.value for key, entry in entries.items()} == self.mirror

    @invariant()
    def changes_are_bounded(self) -> None:
        if hasattr(self, "reflector"):
            assert len(self.reflector._collection._changes) <= len(self.reflector.entries.keys() | self.mirror.keys())

    def teardown(self) -> None:
        """When nothing goes wrong any more, the store becomes the server's, and it is told so."""
        if not hasattr(self, "reflector"):
            return
        end = self.now + 3 * PACE.relist_interval
        while self.now < end:
            if self.watch:
                if not self.frozen and self.now - self.opened_at >= self.watch.timeout:
                    self.end()
                else:
                    self.deliver()
            if self.watch and self.now >= self.reflector.next_wakeup:
                self.watch = None
            action = self.reflector.next_action(self.now)
            if isinstance(action, Wait):
                self.now = max(min(action.until, self.now + 60.0), self.now + 1e-3)
            else:
                self.watch = None
                self.answer(action, 200)
        assert self.reflector.synced
        assert self.reflector.live
        assert "" == self.reflector.trouble
        there = {Key("", name.name): body["value"] for name, body in self.store.all(THINGS).items()}
        good = {key: value for key, value in there.items() if value != BAD}
        have = {key: entry.value for key, entry in self.reflector.entries.items()}
        assert good == {key: value for key, value in have.items() if key not in self.reflector.findings}
        assert there.keys() - good.keys() == self.reflector.findings.keys()
        assert have.keys() <= there.keys()
        self.take()


TestFollowing = Following.TestCase
TestFollowing.settings = settings(max_examples=150, stateful_step_count=40)
