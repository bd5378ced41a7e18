"""Whatever happens, when it stops happening, what is there is what is wanted, and nothing more is done."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from netlb.reconcile.core import Core, Work
from netlb.reconcile.status import StatusKind

KEYS = st.sampled_from("abcde")
STATES = st.dictionaries(KEYS, st.integers(0, 2))
FAULT = OSError("fault")


class Reconciling(RuleBasedStateMachine):
    """A core, an adapter that fails at random and may half do what it fails to do, and a meddling world."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.desired: dict[str, int] | None = None
        self.actual: dict[str, int] = {"a": 0, "c": 1}
        self.drifted = False
        self.work: Work[str, int] | None = None
        self.core: Core[str, int] = Core(jitter=lambda: 0.5)

    @rule(desired=STATES)
    def want(self, desired: dict[str, int]) -> None:
        self.desired = desired
        self.core.want(desired)

    @rule(actual=STATES)
    def drift(self, actual: dict[str, int]) -> None:
        self.actual = dict(actual)
        self.drifted = True

    @rule(seconds=st.sampled_from([0.01, 0.1, 1, 100, 2000]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def refresh(self) -> None:
        self.core.refresh()

    @rule()
    def lose(self) -> None:
        self.core.lost()

    @precondition(lambda self: self.work is None)
    @rule()
    def start_work(self) -> None:
        self.work = self.core.next_work(self.now)

    @precondition(lambda self: self.work is not None)
    @rule(failing=st.sets(KEYS), done_all_the_same=st.sets(KEYS), unable=st.booleans())
    def finish_work(self, failing: set[str], done_all_the_same: set[str], unable: bool) -> None:
        work, self.work = self.work, None
        assert work is not None
        if not work.observe:
            prune = self.core.unwanted(work.prune)
            assert self.desired is not None
            assert not prune & self.desired.keys(), "a wanted object was to be removed"
            effective = (work.apply.keys() | prune) - (failing - done_all_the_same)
            for key in effective:
                if key in work.apply:
                    self.actual[key] = work.apply[key]
                else:
                    self.actual.pop(key, None)
            tried = work.apply.keys() | prune
            self.core.done({key: FAULT if key in failing else None for key in tried}, self.now)
        elif unable:
            self.core.observe_failed(FAULT, self.now)
        else:
            self.core.observed(dict(self.actual), self.now)

    @invariant()
    def work_is_sound(self) -> None:
        if self.work is not None:
            assert not self.work.apply.keys() & self.work.prune
            assert not (self.work.observe and (self.work.apply or self.work.prune))

    @invariant()
    def failures_are_pending(self) -> None:
        counts = self.core.counts()
        kinds = [status.kind for status in self.core.statuses().values()]
        assert counts.pending == kinds.count(StatusKind.PENDING) + kinds.count(StatusKind.PRUNING)
        assert counts.errors - kinds.count(StatusKind.ERROR) in {0, 1}

    def teardown(self) -> None:
        """Let the failures stop, and see."""
        before = dict(self.actual)
        if self.drifted:
            self.core.refresh()
        self.drain()
        if self.desired is None:
            assert self.actual == before
            return
        assert self.actual == self.desired
        assert self.core.settled()
        self.core.want(dict(self.desired))
        assert self.core.next_work(self.now) is None, "the same wish made work"
        self.core.refresh()
        assert self.core.next_work(self.now) == Work(observe=True)
        self.core.observed(dict(self.actual), self.now)
        assert self.core.next_work(self.now) is None, "observing what was wanted made work"

    def drain(self) -> None:
        for _ in range(20):
            if self.work is None:
                self.work = self.core.next_work(self.now)
            if self.work is not None:
                self.finish_work(failing=set(), done_all_the_same=set(), unable=False)
            elif self.core.counts().pending + self.core.counts().errors:
                wakeup = self.core.next_wakeup()
                assert wakeup is not None
                assert wakeup > self.now, "asked to be woken, and then had nothing to do"
                self.now = wakeup
            else:
                return
        raise AssertionError("it does not come to rest")


TestReconciling = Reconciling.TestCase
TestReconciling.settings = settings(max_examples=300, stateful_step_count=30)
