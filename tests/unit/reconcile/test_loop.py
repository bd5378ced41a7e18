"""The asyncio driver, on a loop whose time jumps."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping

import pytest

from netlb.errors import DataplaneError, TransientError
from netlb.reconcile import Counts, Reconciler, Status, StatusKind
from tests.support.virtual_time import run


class Model:
    """An adapter over a dictionary that fails as told and takes a second for everything."""

    def __init__(self, actual: Mapping[str, int]) -> None:
        self.actual = dict(actual)
        self.calls: list[str] = []
        self.raising: list[Exception] = []
        self.failing: dict[str, Exception] = {}

    async def _call(self, text: str) -> None:
        self.calls.append(text)
        await asyncio.sleep(1)
        if self.raising:
            raise self.raising.pop(0)

    async def observe(self) -> Mapping[str, int]:
        await self._call("observe")
        return dict(self.actual)

    async def apply(self, changes: Mapping[str, int]) -> Mapping[str, Exception]:
        await self._call(f"apply {dict(changes)}")
        self.actual |= {key: value for key, value in changes.items() if key not in self.failing}
        return {key: self.failing[key] for key in changes if key in self.failing}

    async def prune(self, keys: Collection[str]) -> Mapping[str, Exception]:
        await self._call(f"prune {sorted(keys)}")
        self.actual = {key: value for key, value in self.actual.items() if key not in keys}
        return {}


class Fixture:
    """A reconciler over a model, and what it said."""

    def __init__(self, actual: Mapping[str, int]) -> None:
        self.model = Model(actual)
        self.bugs: list[str] = []
        self.seen: list[Mapping[str, Status]] = []
        self.reconciler: Reconciler[str, int] = Reconciler(
            "model",
            self.model,
            on_bug=lambda name, error: self.bugs.append(f"{name}: {error!r}"),
            on_status=self.seen.append,
            jitter=lambda: 1.0,
        )


def scenario(actual: Mapping[str, int], play: Callable[[Fixture], Awaitable[None]]) -> Fixture:
    """Run `play` beside the reconciler and return what became of it."""

    async def main() -> Fixture:
        fixture = Fixture(actual)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(fixture.reconciler.run())
            await play(fixture)
            running.cancel()
        return fixture

    return run(main())


def test_it_makes_before_it_breaks_and_then_rests() -> None:
    async def play(fixture: Fixture) -> None:
        fixture.reconciler.want({"new": 1})
        await fixture.reconciler.settled()
        fixture.reconciler.want({"new": 1})
        await asyncio.sleep(1000)

    fixture = scenario({"old": 1}, play)
    assert fixture.model.calls == ["observe", "apply {'new': 1}", "prune ['old']"]
    assert fixture.model.actual == {"new": 1}
    assert fixture.seen[-1] == {"new": Status(StatusKind.DONE)}
    assert fixture.reconciler.is_settled()


def test_wishes_during_a_round_coalesce() -> None:
    async def play(fixture: Fixture) -> None:
        fixture.reconciler.want({"a": 1})
        await asyncio.sleep(1.5)
        for value in range(2, 9):
            fixture.reconciler.want({"a": value})
        await fixture.reconciler.settled()

    assert scenario({}, play).model.calls == ["observe", "apply {'a': 1}", "apply {'a': 8}"]


def test_what_becomes_wanted_while_others_are_applied_is_not_pruned() -> None:
    async def play(fixture: Fixture) -> None:
        fixture.reconciler.want({"a": 1})
        await asyncio.sleep(1.5)
        fixture.reconciler.want({"a": 1, "old": 1})
        await fixture.reconciler.settled()

    assert scenario({"old": 1}, play).model.calls == ["observe", "apply {'a': 1}"]


@pytest.mark.parametrize("error", [DataplaneError("open netlink", 1), TransientError("not yet"), KeyError("a bug")])
def test_an_exception_counts_for_the_whole_batch_and_is_tried_again(error: Exception) -> None:
    async def play(fixture: Fixture) -> None:
        fixture.reconciler.want({"a": 1, "b": 2})
        await asyncio.sleep(1.5)
        fixture.model.raising.append(error)
        await asyncio.sleep(0.55)
        assert fixture.reconciler.counts() == Counts(pending=0, errors=2, retries=0)
        await fixture.reconciler.settled()

    fixture = scenario({}, play)
    assert fixture.model.calls == ["observe"] + 2 * ["apply {'a': 1, 'b': 2}"]
    assert fixture.reconciler.counts() == Counts(pending=0, errors=0, retries=2)
    assert fixture.bugs == (["model: KeyError('a bug')"] if isinstance(error, KeyError) else [])


def test_one_failure_does_not_hold_up_the_rest() -> None:
    async def play(fixture: Fixture) -> None:
        fixture.model.failing["a"] = DataplaneError("add address", 13)
        fixture.reconciler.want({"a": 1, "b": 2})
        await asyncio.sleep(2.01)
        assert fixture.model.actual == {"b": 2}
        statuses = fixture.reconciler.statuses()
        assert statuses["b"] == Status(StatusKind.DONE)
        assert statuses["a"].message == "add address: EACCES (Permission denied)"
        fixture.model.failing.clear()
        await fixture.reconciler.settled()

    assert scenario({}, play).model.calls == ["observe", "apply {'a': 1, 'b': 2}", "apply {'a': 1}"]


def test_a_bug_while_observing_backs_off() -> None:
    async def play(fixture: Fixture) -> None:
        fixture.model.raising += [ZeroDivisionError("one"), ZeroDivisionError("two")]
        fixture.reconciler.want({"a": 1})
        await fixture.reconciler.settled()
        assert asyncio.get_running_loop().time() == pytest.approx(3 * 1 + 0.1 + 0.2)

    fixture = scenario({"a": 1}, play)
    assert fixture.model.calls == 3 * ["observe"]
    assert fixture.bugs == ["model: ZeroDivisionError('one')", "model: ZeroDivisionError('two')"]


def test_an_orderly_stop_removes_everything() -> None:
    async def play(fixture: Fixture) -> None:
        fixture.reconciler.want({"a": 1})
        await fixture.reconciler.settled()
        fixture.reconciler.want({})
        async with asyncio.timeout(5):
            await fixture.reconciler.settled()

    assert scenario({}, play).model.actual == {}


def test_a_refresh_and_a_loss_observe_again() -> None:
    async def play(fixture: Fixture) -> None:
        fixture.reconciler.want({"a": 1})
        await fixture.reconciler.settled()
        for ask in (fixture.reconciler.refresh, fixture.reconciler.lost):
            fixture.model.actual.clear()
            ask()
            await fixture.reconciler.settled()
            assert fixture.model.actual == {"a": 1}

    assert scenario({}, play).model.calls == 3 * ["observe", "apply {'a': 1}"]


def test_drift_is_repaired_within_half_an_hour() -> None:
    async def play(fixture: Fixture) -> None:
        fixture.reconciler.want({"a": 1})
        await fixture.reconciler.settled()
        fixture.model.actual["a"] = 2
        await asyncio.sleep(1803)

    assert scenario({}, play).model.actual == {"a": 1}


def test_settled_means_the_wish_of_that_moment() -> None:
    async def play(fixture: Fixture) -> None:
        fixture.reconciler.want({"a": 1})
        waiting = asyncio.create_task(fixture.reconciler.settled())
        await fixture.reconciler.settled()
        fixture.reconciler.want({"a": 2})
        await waiting
        assert fixture.model.actual == {"a": 2}

    scenario({}, play)


def test_it_can_be_run_again_and_trusts_nothing_it_knew() -> None:
    async def main() -> list[str]:
        fixture = Fixture({})
        fixture.reconciler.want({"a": 1})
        for _ in range(2):
            task = asyncio.create_task(fixture.reconciler.run())
            await asyncio.sleep(1.5)
            task.cancel()
            await asyncio.wait([task])
        return fixture.model.calls

    assert run(main()) == 2 * ["observe", "apply {'a': 1}"]


def test_who_is_cancelled_ends_whatever_its_adapter_makes_of_that() -> None:
    async def main() -> None:
        fixture = Fixture({})

        async def apply(changes: Mapping[str, int]) -> Mapping[str, Exception]:
            async def work() -> None:
                try:
                    await asyncio.sleep(1000)
                finally:
                    raise RuntimeError("the connection is closed")

            async with asyncio.TaskGroup() as group:
                group.create_task(work())
            return dict.fromkeys(changes, RuntimeError())

        fixture.model.apply = apply  # type: ignore[method-assign]
        fixture.reconciler.want({"a": 1})
        task = asyncio.create_task(fixture.reconciler.run())
        await asyncio.sleep(1.5)
        task.cancel()
        await asyncio.wait([task], timeout=10)
        assert task.cancelled()
        assert [] == fixture.bugs

    run(main())
