"""A gobgpd of the speaker's own: when it is replaced, and when not."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import structlog

from netlb.bgp.adapter.gobgpd import Gobgpd
from netlb.bgp.adapter.target import Target
from netlb.plan.bgp import BgpPlan
from netlb.testing.lab import requirements
from netlb_speaker.gobgp import GobgpSettings
from netlb_speaker.routers import Routers
from tests.support.bgp import STATE, Relay, real_rig, without_gobgpd
from tests.support.needs import needs
from tests.support.waiting import becomes

pytestmark = pytest.mark.root

Scenario = Callable[[], Coroutine[Any, Any, None]]


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[[Scenario], None]]:
    """Runs a scenario in a namespace where gobgpd may listen."""
    needs([*requirements(), *without_gobgpd()])
    with real_rig(tmp_path) as rig:
        yield rig.run


@asynccontextmanager
async def routers(folder: Path) -> AsyncIterator[Routers]:
    """Run the speaker's part for routers, with a plan, until it has told everything."""
    problems: list[Exception] = []
    part = Routers(
        structlog.get_logger(),
        GobgpSettings(directory=folder),
        on_change=lambda: None,
        on_bug=lambda _, error: problems.append(error),
    )
    part.want(BgpPlan("n1", STATE))
    task = asyncio.create_task(part.run())
    try:
        await becomes(lambda: part.why_not_ready() is None)
        yield part
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
    assert [] == problems


def started(logs: list[Any]) -> list[int]:
    return [entry["pid"] for entry in logs if entry["event"] == "gobgpd started"]


def happened(logs: list[Any], event: str) -> int:
    return len([entry for entry in logs if entry["event"] == event])


def test_a_connection_that_is_cut_once_costs_no_route(
    run: Callable[[Scenario], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "own"
    relay = Relay(Target.unix(folder / "api.sock"), tmp_path / "relay.sock")
    monkeypatch.setattr(Gobgpd, "target", relay.target)

    async def scenario() -> None:
        with structlog.testing.capture_logs() as logs:
            await relay.mend()
            async with routers(folder) as part:
                lost = happened(logs, "gobgpd lost")  # never, unless the machine is busy
                await relay.cut()
                await becomes(lambda: happened(logs, "gobgpd lost") > lost)
                answers = happened(logs, "gobgpd answers")
                await relay.mend()
                await becomes(lambda: happened(logs, "gobgpd answers") > answers)
                await becomes(lambda: part.why_not_ready() is None)
            assert 1 == len(started(logs))
            assert 0 == happened(logs, "gobgpd ended")
            await relay.cut()

    run(scenario)


def test_one_that_hangs_is_replaced(run: Callable[[Scenario], None], tmp_path: Path) -> None:
    async def scenario() -> None:
        with structlog.testing.capture_logs() as logs:
            async with routers(tmp_path / "own") as part:
                [first] = started(logs)
                lost = happened(logs, "gobgpd lost")
                os.kill(first, signal.SIGSTOP)
                await becomes(lambda: happened(logs, "gobgpd lost") > lost)
                await becomes(lambda: len(started(logs)) >= 2)
                await becomes(lambda: part.why_not_ready() is None)
            assert len(started(logs)) - 1 == happened(logs, "gobgpd hangs and is killed")

    run(scenario)
