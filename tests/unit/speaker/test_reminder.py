"""Announcing again: everything when it is asked for, and each address in its turn."""

import asyncio
from collections.abc import Collection
from ipaddress import ip_address

import pytest

from netlb.errors import TransientError
from netlb.l2.burst import ROUNDS
from netlb.net import Address
from netlb_speaker.reminder import Reminder
from tests.support.waiting import becomes

OWNED = {ip_address("192.0.2.1"), ip_address("2001:db8::1")}


@pytest.mark.parametrize("refresh", [None, 3600.0])
def test_everything_is_announced_when_it_is_asked_for_and_a_failure_ends_nothing(refresh: float | None) -> None:
    announced: list[set[Address]] = []

    async def announce(addresses: Collection[Address], rounds: int) -> None:
        assert rounds == ROUNDS
        announced.append(set(addresses))
        if len(announced) == 1:
            raise TransientError("the responder is being restarted")

    async def scenario() -> None:
        reminder = Reminder(announce, lambda: OWNED, refresh)
        task = asyncio.create_task(reminder.run())
        for number in (1, 2):
            reminder.everything()
            await becomes(lambda number=number: len(announced) == number)  # type: ignore[misc]
        task.cancel()

    asyncio.run(scenario())
    assert [OWNED, OWNED] == announced


def test_each_has_its_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netlb_speaker.reminder._TURN", 0.001)
    announced: list[Address] = []

    async def announce(addresses: Collection[Address], rounds: int) -> None:
        assert rounds == ROUNDS
        announced.extend(addresses)

    async def scenario() -> None:
        task = asyncio.create_task(Reminder(announce, lambda: OWNED, 0.05).run())
        await becomes(lambda: set(announced) == OWNED and len(announced) >= 6)
        task.cancel()

    asyncio.run(scenario())


@pytest.mark.parametrize("refresh", [None, 0.05])
def test_who_is_hushed_announces_no_more_until_everything_is_to_be(
    refresh: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netlb_speaker.reminder._TURN", 0.001)
    announced: list[tuple[set[Address], int]] = []

    async def announce(addresses: Collection[Address], rounds: int) -> None:
        announced.append((set(addresses), rounds))

    async def scenario() -> None:
        reminder = Reminder(announce, lambda: OWNED, refresh)
        reminder.hush()
        task = asyncio.create_task(reminder.run())
        await becomes(lambda: bool(announced))
        reminder.contested(next(iter(OWNED)))
        await becomes(lambda: len(announced) > 1)
        assert {0} == {rounds for _, rounds in announced}
        reminder.everything()
        await becomes(lambda: (OWNED, ROUNDS) in announced)
        task.cancel()

    asyncio.run(scenario())
    assert (OWNED, 0) == announced[0]
