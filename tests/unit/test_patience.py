"""When a gobgpd that is out of reach is killed."""

import asyncio

from netlb_speaker.patience import Patience
from tests.support.virtual_time import VirtualLoop, run
from tests.support.waiting import becomes

SOON = 0.02


def test_one_that_stays_lost_is_killed_and_so_is_its_successor() -> None:
    killed: list[None] = []

    async def scenario() -> None:
        patience = Patience(lambda: killed.append(None), SOON)
        patience.lost()
        await becomes(lambda: len(killed) == 1)
        patience.started()
        await becomes(lambda: len(killed) == 2)
        patience.found()

    run(scenario())


def test_one_that_is_back_is_spared() -> None:
    killed: list[None] = []

    async def scenario() -> None:
        patience = Patience(lambda: killed.append(None), SOON)
        patience.lost()
        patience.found()
        patience.found()
        patience.started()  # nobody has missed it
        await asyncio.sleep(5 * SOON)

    run(scenario())
    assert [] == killed


def test_a_new_loss_while_it_is_lost_gives_it_no_more_time() -> None:
    killed: list[None] = []

    async def scenario() -> None:
        patience = Patience(lambda: killed.append(None), SOON)

        def lose_again() -> bool:
            patience.lost()
            return bool(killed)

        await becomes(lose_again)
        patience.found()

    run(scenario())


def test_time_in_which_we_stood_still_does_not_count() -> None:
    killed: list[None] = []

    async def scenario() -> None:
        patience = Patience(lambda: killed.append(None), SOON)
        patience.lost()
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        loop.pass_time(0.6)  # the whole process stands still, event loop and all
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [] == killed
        await becomes(lambda: len(killed) == 1)
        patience.found()

    run(scenario())
